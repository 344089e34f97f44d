/* A run as a structure: the family and its configuration, the precision, the kernel, sets of
 * masked heads, documents and what is asked of them. What is valid is read, to numbers, and
 * each document's are the same bits alone; what is not is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MOST_FAMILIES = 128,
    CHOICES = 4,
    ROPES = ATI_ROPE_LONGROPE + 1,
    MOST_VARIANTS = 3,
    MOST_READINGS = MOST_VARIANTS + 1,
    MOST_DOCUMENTS = 3,
    MOST_TOKENS = 33,
    HEADS = FAMILY_LAYERS * FAMILY_HEADS,
};

/* ---- Models ---- */

/* The folder of a family in one of its configurations, with its tensors. */
static const char *find_folder(size_t family, size_t choice, const family_model *model) {
    static const char *folders[MOST_FAMILIES][CHOICES];
    ati_error error = {.message = ""};
    if (folders[family][choice] == NULL) {
        family_model plain = *model;
        plain.rope = ATI_ROPE_DEFAULT;
        folders[family][choice] = fuzz_folder();
        FUZZ_HOLDS(family_write(folders[family][choice], &plain, &error));
    }
    return folders[family][choice];
}

static size_t count_families(void) {
    size_t n = 0;
    while (ati_family_at(n) != NULL) {
        n++;
    }
    FUZZ_HOLDS(n <= MOST_FAMILIES);
    return n;
}

/* The model that the input begins with, or NULL where its rotary scaling is refused: that
 * of a dynamic one over two dimensions, or one that the family does not know. */
static ati_model *open_model(fuzz_bytes *input) {
    size_t family = fuzz_below(input, count_families()), choice = fuzz_below(input, CHOICES);
    const ati_family *row = ati_family_at(family);
    const family_model model = {.family = row,
                                .stated = choice & 1,
                                .flipped = choice & 1,
                                .tied = choice & 2,
                                .is_mxfp4 =
                                    choice & 2 && row->stored.experts == ATI_EXPERTS_TRANSPOSED,
                                .rope = (ati_rope_type)fuzz_below(input, ROPES)};
    ati_precision precision = ATI_FP32 + (ati_precision)fuzz_below(input, 3);
    const char *kernels[ATI_MOST_KERNELS], *folder = find_folder(family, choice, &model);
    const char *kernel = kernels[fuzz_below(input, ati_kernels(precision, kernels))];
    ati_model *opened = NULL;
    ati_error error = {.message = ""};
    family_write_config(folder, &model);
    ati_status status = fuzz_open(folder, precision, kernel, NULL, NULL, &opened, &error);
    if (status != ATI_OK) {
        FUZZ_HOLDS(model.rope != ATI_ROPE_DEFAULT);
        fuzz_refused(status, &error);
    }
    return opened;
}

/* ---- Documents ---- */

/* What one document is read to. */
typedef struct {
    float losses[MOST_READINGS][MOST_TOKENS];
    float logits[MOST_READINGS][MOST_TOKENS * FAMILY_VOCAB];
    float attention[MOST_TOKENS * MOST_TOKENS];
    int32_t predicted[MOST_TOKENS];
    int32_t copies[HEADS];
} result;

typedef struct {
    int32_t ids[MOST_TOKENS];
    float *losses[MOST_READINGS], *logits[MOST_READINGS];
    result found;
} document_memory;

typedef struct {
    ati_batch batch;
    ati_document documents[MOST_DOCUMENTS];
    document_memory memory[MOST_DOCUMENTS];
    ati_variant variants[MOST_VARIANTS];
    uint8_t heads[MOST_VARIANTS][HEADS];
    bool is_valid;
} run_input;

static void take_variants(fuzz_bytes *input, run_input *run) {
    run->batch.n_variants = fuzz_below(input, MOST_VARIANTS + 1);
    run->batch.variants = run->variants;
    for (size_t v = 0; v < run->batch.n_variants; v++) {
        size_t bits = fuzz_short(input);
        for (size_t h = 0; h < HEADS; h++) {
            run->heads[v][h] = bits >> h & 1;
        }
        run->variants[v].heads = run->heads[v];
        run->variants[v].mask = bits >> 15 ? ATI_MASK_ZERO : ATI_MASK_UNIFORM;
    }
}

/* Where the outputs that are asked for go. */
static void take_outputs(fuzz_bytes *input, ati_document *document, document_memory *memory) {
    size_t wanted = fuzz_short(input);
    for (size_t r = 0; r < MOST_READINGS; r++) {
        memory->losses[r] = memory->found.losses[r];
        memory->logits[r] = wanted >> (4 + r) & 1 ? memory->found.logits[r] : NULL;
    }
    document->losses = wanted & 1 ? NULL : memory->losses;
    document->predicted = wanted & 2 ? memory->found.predicted : NULL;
    document->logits = wanted >> 4 & 15 ? memory->logits : NULL;
    document->attention = wanted & 4 ? memory->found.attention : NULL;
    document->copies = wanted & 8 ? memory->found.copies : NULL;
    document->layer = wanted >> 8 & 3;
    document->head = wanted >> 10 & 7;
}

static bool is_valid(const ati_document *document) {
    bool valid = document->n_tokens >= 2 && document->first_scored >= 1 &&
                 document->first_scored < document->n_tokens;
    for (size_t t = 0; t < document->n_tokens; t++) {
        valid = valid && document->ids[t] < FAMILY_VOCAB;
    }
    if (document->attention != NULL) {
        valid = valid && document->layer < FAMILY_LAYERS && document->head < FAMILY_HEADS;
    }
    if (document->copies != NULL) {
        valid = valid && document->needle_start < document->needle_stop &&
                document->needle_stop <= document->n_tokens;
    }
    return valid;
}

static void take_document(fuzz_bytes *input, ati_document *document, document_memory *memory) {
    document->n_tokens = fuzz_below(input, MOST_TOKENS + 1);
    document->first_scored = fuzz_below(input, document->n_tokens + 2);
    document->needle_start = fuzz_below(input, document->n_tokens + 1);
    document->needle_stop = fuzz_below(input, document->n_tokens + 2);
    take_outputs(input, document, memory);
    for (size_t t = 0; t < document->n_tokens; t++) {
        uint8_t byte = fuzz_byte(input);
        memory->ids[t] = byte == 255 ? FAMILY_VOCAB : byte % FAMILY_VOCAB;
    }
    document->ids = memory->ids;
}

static run_input *take_run(fuzz_bytes *input) {
    run_input *run = calloc(1, sizeof *run);
    FUZZ_HOLDS(run != NULL);
    run->batch.n_threads = fuzz_below(input, 4);
    take_variants(input, run);
    run->batch.n_documents = 1 + fuzz_below(input, MOST_DOCUMENTS);
    run->batch.documents = run->documents;
    run->is_valid = run->batch.n_threads > 0;
    for (size_t d = 0; d < run->batch.n_documents; d++) {
        take_document(input, &run->documents[d], &run->memory[d]);
        run->is_valid = run->is_valid && is_valid(&run->documents[d]);
    }
    return run;
}

/* ---- What must hold ---- */

static void check_finite(const run_input *run) {
    for (size_t d = 0; d < run->batch.n_documents; d++) {
        const result *found = &run->memory[d].found;
        const float *losses = found->losses[0], *logits = found->logits[0];
        for (size_t i = 0; i < sizeof found->losses / sizeof *losses; i++) {
            FUZZ_HOLDS(isfinite(losses[i]));
        }
        for (size_t i = 0; i < sizeof found->logits / sizeof *logits; i++) {
            FUZZ_HOLDS(isfinite(logits[i]));
        }
    }
}

/* Each document by itself, on one thread, into memory that the run's went to. */
static void check_alone(const ati_model *model, ati_workspace *workspace, run_input *run) {
    ati_error error = {.message = ""};
    result *together = malloc(sizeof *together);
    FUZZ_HOLDS(together != NULL);
    for (size_t d = 0; d < run->batch.n_documents; d++) {
        ati_batch alone = run->batch;
        alone.documents = &run->documents[d];
        alone.n_documents = alone.n_threads = 1;
        *together = run->memory[d].found;
        memset(&run->memory[d].found, 0, sizeof run->memory[d].found);
        fuzz_succeeds(ati_run(model, workspace, &alone, &error), &error);
        FUZZ_HOLDS(memcmp(together, &run->memory[d].found, sizeof *together) == 0);
    }
    free(together);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes input = {data, size};
    ati_model *model = open_model(&input);
    ati_workspace *workspace = NULL;
    ati_error error = {.message = ""};
    if (model == NULL) {
        return 0;
    }
    run_input *run = take_run(&input);
    fuzz_succeeds(ati_workspace_new(model, &workspace, &error), &error);
    ati_status status = ati_run(model, workspace, &run->batch, &error);
    FUZZ_HOLDS((status == ATI_OK) == run->is_valid);
    if (status == ATI_OK) {
        check_finite(run);
        check_alone(model, workspace, run);
    } else {
        fuzz_refused(status, &error);
    }
    ati_workspace_free(workspace);
    ati_model_free(model);
    free(run);
    return 0;
}
