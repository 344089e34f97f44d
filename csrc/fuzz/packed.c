/* A file of packed weights, changed: the family and the precision, whether the checksum is
 * made right again after the contents changed and the key is one that fits, the size, then changes of a place, a length
 * and so many bytes. What has the right checksum is the model's, whatever numbers it holds,
 * and is read. */
#include "model/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tests/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = ATI_PACKED_HEADER };

static const char KEY[] = "the same weights";
static const char LONG_KEY[] =
    "a key that no header has room for, since the names of the weights, their precision and "
    "their kernel stand in the same 4096 bytes as it";

/* One folder, its model and the file of it. */
typedef struct {
    const char *folder;
    ati_model_info info;
    unsigned char *bytes; /* [HEADER + info.weight_bytes] */
} packed_model;

/* Every way that weights differ: dense and experts, vectors of their own, formats. */
static const struct {
    const char *family;
    ati_precision precision;
} kinds[] = {
    {"llama", ATI_FP32},     {"llama", ATI_BF16},   {"llama", ATI_INT8}, {"apertus", ATI_FP32},
    {"qwen3_moe", ATI_FP32}, {"gpt_oss", ATI_INT8}, {"gpt2", ATI_BF16},  {"olmo", ATI_INT8},
};

enum { N_KINDS = sizeof kinds / sizeof *kinds };

static ati_model *make_model(size_t kind, const char *folder) {
    const ati_family *family = ati_family_find(kinds[kind].family);
    const family_model model = {
        .family = family,
        .tied = true,
        .flipped = true,
        .is_mxfp4 = family->stored.experts == ATI_EXPERTS_TRANSPOSED,
    };
    ati_model *opened = NULL;
    ati_error error = {.message = ""};
    FUZZ_HOLDS(family_write(folder, &model, &error));
    fuzz_succeeds(fuzz_open(folder, kinds[kind].precision, "portable", NULL, NULL, &opened, &error),
                  &error);
    return opened;
}

static const packed_model *find_model(size_t kind) {
    static packed_model models[N_KINDS];
    packed_model *found = &models[kind];
    ati_error error = {.message = ""};
    if (found->bytes == NULL) {
        found->folder = fuzz_folder();
        ati_model *model = make_model(kind, found->folder);
        found->info = ati_model_describe(model);
        found->bytes = malloc(HEADER + found->info.weight_bytes);
        FUZZ_HOLDS(found->bytes != NULL);
        fuzz_succeeds(ati_model_packed_header(model, KEY, NULL, NULL, found->bytes, &error),
                      &error);
        memcpy(found->bytes + HEADER, ati_model_packed(model), found->info.weight_bytes);
        ati_model_free(model);
    }
    return found;
}

static void repair(const packed_model *model, unsigned char *bytes) {
    const ati_packed packed = {.precision = model->info.precision,
                               .kernel = model->info.kernel,
                               .key = KEY,
                               .bytes = model->info.weight_bytes,
                               .n_parameters = model->info.n_parameters};
    ati_error error = {.message = ""};
    fuzz_succeeds(ati_packed_describe(&packed, bytes + HEADER, NULL, bytes, &error), &error);
}

/* What is left of the input, into bytes [size]. */
static void change(fuzz_bytes *input, unsigned char *bytes, size_t size) {
    while (input->left > 0) {
        size_t at = fuzz_long(input) % size;
        for (size_t n = fuzz_byte(input) % 65; n > 0 && input->left > 0; n--) {
            bytes[at] = fuzz_byte(input);
            at = (at + 1) % size;
        }
    }
}

/* Whether the model opens from the file; what opens is read. */
static bool open_and_read(size_t kind, const packed_model *model, const char *key) {
    ati_model *opened = NULL;
    ati_error error = {.message = ""};
    char path[512];
    snprintf(path, sizeof path, "%s/packed.bin", model->folder);
    ati_status status =
        fuzz_open(model->folder, kinds[kind].precision, "portable", path, key, &opened, &error);
    if (status == ATI_OK) {
        fuzz_read(opened);
    } else {
        fuzz_refused(status, &error);
    }
    ati_model_free(opened);
    return status == ATI_OK;
}

static bool has_same_weights(const packed_model *model, const unsigned char *bytes) {
    return memcmp(bytes + HEADER, model->bytes + HEADER, model->info.weight_bytes) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes input = {data, size};
    size_t kind = fuzz_below(&input, N_KINDS);
    uint8_t flags = fuzz_byte(&input);
    bool is_repaired = flags & 1, is_key = !(flags & 2);
    const packed_model *model = find_model(kind);
    size_t whole = HEADER + model->info.weight_bytes, longer = fuzz_short(&input);
    unsigned char *bytes = calloc(whole + 65536, 1);
    FUZZ_HOLDS(bytes != NULL);
    memcpy(bytes, model->bytes, whole);
    if (is_repaired) {
        change(&input, bytes + HEADER, whole - HEADER);
        repair(model, bytes);
    } else {
        change(&input, bytes, whole);
    }
    /* Half of all sizes are the right one, the others shorter or longer by as much. */
    size_t written = longer < 32768 ? whole : longer % 2 ? whole + longer - 32768 : longer - 32768;
    test_write(model->folder, "packed.bin", bytes, written);
    bool is_same = written == whole && memcmp(bytes, model->bytes, whole) == 0;
    bool is_starved = fuzz_starve(data, size),
         opened = open_and_read(kind, model, is_key ? KEY : LONG_KEY);
    fuzz_end_starving();
    FUZZ_HOLDS(is_key || !opened);
    FUZZ_HOLDS(!opened || is_repaired || has_same_weights(model, bytes));
    FUZZ_HOLDS(!is_same || opened || is_starved || !is_key);
    FUZZ_HOLDS(!is_repaired || opened == (written == whole) || is_starved || !is_key);
    free(bytes);
    return 0;
}
