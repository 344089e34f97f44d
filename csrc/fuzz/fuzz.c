#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tests/testing.h"

uint8_t fuzz_byte(fuzz_bytes *bytes) {
    if (bytes->left == 0) {
        return 0;
    }
    bytes->left--;
    return *bytes->at++;
}

size_t fuzz_short(fuzz_bytes *bytes) {
    size_t high = fuzz_byte(bytes);
    return high << 8 | fuzz_byte(bytes);
}

size_t fuzz_long(fuzz_bytes *bytes) {
    size_t high = fuzz_short(bytes);
    return high << 8 | fuzz_byte(bytes);
}

size_t fuzz_below(fuzz_bytes *bytes, size_t n) {
    return fuzz_byte(bytes) % n;
}

void fuzz_holds(bool holds, const char *what, const char *file, int line) {
    if (!holds) {
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
        abort();
    }
}

void fuzz_succeeds(ati_status status, const ati_error *error) {
    if (status != ATI_OK) {
        fprintf(stderr, "status %d: %s\n", (int)status, error->message);
        abort();
    }
}

void fuzz_refused(ati_status status, const ati_error *error) {
    FUZZ_HOLDS(status != ATI_OK && status != ATI_CANCELLED);
    FUZZ_HOLDS(error->message[0] != '\0');
    FUZZ_HOLDS(memchr(error->message, '\0', sizeof error->message) != NULL);
    FUZZ_HOLDS(strchr(error->message, '\n') == NULL);
}

static void remove_folders(void) {
    (void)test_finish();
}

const char *fuzz_folder(void) {
    static bool registered;
    if (!registered) {
        registered = true;
        (void)atexit(remove_folders);
    }
    return test_folder();
}

bool fuzz_starve(const uint8_t *data, size_t size) {
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ data[i]) * 16777619U;
    }
    bool starves = hash >> 20 & 1;
    ati_fail_allocation(starves ? 1 + (hash >> 8 & 31) : 0, false);
    return starves;
}

void fuzz_end_starving(void) {
    FUZZ_HOLDS(ati_allocations_live() == 0);
    ati_fail_allocation(0, false);
}

ati_status fuzz_open(const char *folder, ati_precision precision, const char *kernel,
                     const char *packed, const char *key, ati_model **model, ati_error *error) {
    const ati_opening from = {
        .path = folder, .precision = precision, .kernel = kernel, .packed = packed, .key = key};
    return ati_model_open(&from, model, error);
}

void fuzz_read(const ati_model *model) {
    enum { TOKENS = 6, READINGS = 2 };
    const ati_model_info info = ati_model_describe(model);
    int32_t ids[TOKENS] = {0}, predicted[TOKENS - 1];
    float losses[READINGS][TOKENS - 1], attention[TOKENS * TOKENS];
    float *rows[READINGS] = {losses[0], losses[1]};
    uint8_t *heads = calloc(info.n_layers, info.n_heads);
    int32_t *copies = calloc(info.n_layers * info.n_heads, sizeof *copies);
    FUZZ_HOLDS(heads != NULL && copies != NULL);
    heads[0] = 1;
    for (size_t t = 0; t < TOKENS; t++) {
        ids[t] = (int32_t)(t * 7 % info.vocab_size);
    }
    ati_document document = {.ids = ids,
                             .n_tokens = TOKENS,
                             .first_scored = 1,
                             .losses = rows,
                             .predicted = predicted,
                             .attention = attention,
                             .copies = copies,
                             .needle_stop = 2};
    const ati_variant variant = {.heads = heads, .mask = ATI_MASK_UNIFORM};
    const ati_batch batch = {.documents = &document,
                             .n_documents = 1,
                             .variants = &variant,
                             .n_variants = 1,
                             .n_threads = 1};
    ati_workspace *workspace = NULL;
    ati_error error = {.message = ""};
    ati_status status = ati_workspace_new(model, &workspace, &error);
    if (status == ATI_OK) {
        status = ati_run(model, workspace, &batch, &error);
    }
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
    }
    ati_workspace_free(workspace);
    free(heads);
    free(copies);
}

void fuzz_check_config(const ati_config *config) {
    size_t dim = ati_rotary_dim(config);
    float inv_freq[64];
    FUZZ_HOLDS(config->n_heads % config->n_kv_heads == 0 && config->n_layers <= ATI_MOST_LAYERS);
    FUZZ_HOLDS(dim % 2 == 0 && dim <= config->head_dim);
    FUZZ_HOLDS(config->experts_per_token <= config->n_experts);
    for (size_t l = 0; l < config->n_layers; l++) {
        const ati_layer_kind *kind = &config->layers[l];
        FUZZ_HOLDS(!kind->is_windowed || config->window > 0);
        FUZZ_HOLDS(!kind->is_sparse || config->n_experts > 0);
        FUZZ_HOLDS(!kind->rotates || config->n_ropes > 0);
    }
    for (size_t i = 0; i < config->n_ropes && dim <= 128; i++) {
        ati_rope_frequencies(&config->ropes[i], 5000, inv_freq);
    }
}
