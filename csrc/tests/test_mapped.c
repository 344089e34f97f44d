/* Every family from its tensors and from packed weights: nothing that was read may lie
 * outside the mapping, whatever fields there are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "model/model.h"
#include "testing.h"

enum { PATH = 512 };

static const char KEY[] = "the same weights";

/* The memory that a model may point into, in the same order for every model. */
typedef struct {
    const char *start;
    size_t size;
} area;

enum { N_AREAS = 3 };

static void list_areas(const ati_model *model, area areas[N_AREAS]) {
    const ati_weights *weights = &model->weights;
    size_t n_mlps = 0;
    for (size_t l = 0; l < model->config.n_layers; l++) {
        n_mlps += weights->layers[l].n_mlps;
    }
    areas[0] = (area){weights->memory, weights->bytes};
    areas[1] =
        (area){(const char *)weights->layers, model->config.n_layers * sizeof *weights->layers};
    areas[2] = (area){(const char *)weights->mlps, n_mlps * sizeof *weights->mlps};
}

/* A pointer as the area it points into and how far; false for anything else. */
static bool locate(uintptr_t word, const area areas[N_AREAS], size_t *which, size_t *offset) {
    for (*which = 0; *which < N_AREAS; (*which)++) {
        uintptr_t start = (uintptr_t)areas[*which].start;
        *offset = (size_t)(word - start);
        if (word >= start && *offset < areas[*which].size) {
            return true;
        }
    }
    return false;
}

/* Every word of two structures is the same, or points to the same place of its model. */
static void check_words(const void *a, const void *b, size_t bytes, const area of_a[N_AREAS],
                        const area of_b[N_AREAS], const char *what) {
    for (size_t at = 0; at < bytes; at += sizeof(uintptr_t)) {
        uintptr_t words[2] = {0};
        size_t which[2], offsets[2], size = bytes - at;
        size = size < sizeof *words ? size : sizeof *words;
        memcpy(&words[0], (const char *)a + at, size);
        memcpy(&words[1], (const char *)b + at, size);
        bool same = words[0] == words[1] || (locate(words[0], of_a, &which[0], &offsets[0]) &&
                                             locate(words[1], of_b, &which[1], &offsets[1]) &&
                                             which[0] == which[1] && offsets[0] == offsets[1]);
        if (!same) {
            printf("%s: byte %zu is neither equal nor in the mapping\n", what, at);
        }
        CHECK(same);
    }
}

/* What models of two openings consist of. Whose the memory is, is theirs alone. */
static void check_same(const ati_model *opened, const ati_model *mapped) {
    ati_model *copy = test_alloc(sizeof *copy);
    area of_opened[N_AREAS], of_mapped[N_AREAS];
    list_areas(opened, of_opened);
    list_areas(mapped, of_mapped);
    memcpy(copy, mapped, sizeof *copy);
    CHECK(mapped->weights.is_file && !opened->weights.is_file);
    copy->weights.is_file = false;
    check_words(opened, copy, sizeof *copy, of_opened, of_mapped, "the model");
    for (size_t i = 0; i < N_AREAS; i++) {
        static const char *const names[N_AREAS] = {"the weights", "the layers", "the MLPs"};
        CHECK(of_opened[i].size == of_mapped[i].size);
        check_words(of_opened[i].start, of_mapped[i].start, of_opened[i].size, of_opened, of_mapped,
                    names[i]);
    }
    free(copy);
}

static void write_packed(const char *folder, const ati_model *model, char path[PATH]) {
    size_t bytes = ati_model_describe(model).weight_bytes;
    unsigned char *file = malloc(ATI_PACKED_HEADER + bytes);
    ati_error error;
    snprintf(path, PATH, "%s/packed.bin", folder);
    CHECK(ati_model_packed_header(model, KEY, NULL, NULL, file, &error) == ATI_OK);
    memcpy(file + ATI_PACKED_HEADER, ati_model_packed(model), bytes);
    test_write(folder, "packed.bin", file, ATI_PACKED_HEADER + bytes);
    free(file);
}

static void check_both_ways(const char *folder, ati_precision precision) {
    ati_model *opened = NULL, *mapped = NULL;
    ati_error error;
    char path[PATH];
    CHECK(test_open(folder, precision, "portable", &opened, &error) == ATI_OK);
    write_packed(folder, opened, path);
    const ati_opening from = {
        .path = folder, .precision = precision, .kernel = "portable", .packed = path, .key = KEY};
    CHECK(ati_model_open(&from, &mapped, &error) == ATI_OK);
    if (mapped != NULL) {
        check_same(opened, mapped);
    }
    ati_model_free(opened);
    ati_model_free(mapped);
}

static void check_model(const char *folder, const family_model *model) {
    ati_error error = {.message = ""};
    bool written = family_write(folder, model, &error);
    if (!written) {
        printf("%s\n", error.message);
    }
    CHECK(written);
    for (ati_precision precision = ATI_FP32; written && precision <= ATI_INT8; precision++) {
        test_about("%s, %s, precision %d", model->family->model_type,
                   model->stated ? "all stated" : "nothing stated", (int)precision);
        check_both_ways(folder, precision);
    }
}

void test_mapped(void) {
    const char *folder = test_folder();
    const ati_family *family;
    for (size_t i = 0; (family = ati_family_at(i)) != NULL; i++) {
        const family_model plain = {.family = family};
        const family_model stated = {.family = family,
                                     .stated = true,
                                     .flipped = true,
                                     .tied = true,
                                     .is_mxfp4 = family->stored.experts == ATI_EXPERTS_TRANSPOSED};
        check_model(folder, &plain);
        check_model(folder, &stated);
    }
    test_about("%s", "");
}
