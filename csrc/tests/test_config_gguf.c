/* Every architecture's row beside its family's, and a model of it opened. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config_gguf.h"
#include "gguf_models.h"
#include "testing.h"

static bool agree(const char *a, const char *b) {
    return (a != NULL) == (b != NULL);
}

/* A row names what its family has, however it is laid out. */
static void check_row(const ati_gguf_family *row, const ati_gguf_family *next) {
    const ati_family *family = ati_family_find(row->model_type);
    CHECK(family != NULL);
    const ati_names *own = &row->stored.names, *folder = &family->stored.names;
    CHECK(agree(own->positions, folder->positions) && agree(own->sinks, folder->sinks));
    CHECK(agree(own->attention_norm, folder->attention_norm));
    CHECK(agree(own->attention_post_norm, folder->attention_post_norm));
    CHECK(agree(own->mlp_norm, folder->mlp_norm));
    CHECK(agree(own->mlp_post_norm, folder->mlp_post_norm));
    CHECK(agree(own->query_norm, folder->query_norm) && agree(own->key_norm, folder->key_norm));
    CHECK(agree(own->router, folder->router) && own->qkv != NULL && own->query != NULL);
    CHECK((row->stored.qk_norm != ATI_QK_NORM_NONE) == (own->query_norm != NULL));
    CHECK((row->stored.qk_norm == ATI_QK_NORM_WHOLE) ==
          (family->stored.qk_norm == ATI_QK_NORM_WHOLE));
    CHECK((row->stored.experts != ATI_EXPERTS_NONE) ==
          (family->stored.experts != ATI_EXPERTS_NONE));
    CHECK((row->stored.gain == ATI_GAIN_NONE) == (family->stored.gain == ATI_GAIN_NONE));
    CHECK(row->stored.gain != ATI_GAIN_ONE_PLUS_WEIGHT && !row->stored.transposed);
    CHECK(!family->stored.rope_pairs || row->stored.rope_pairs);
    bool is_last = next == NULL || strcmp(next->name, row->name) != 0;
    CHECK(is_last == (row->where == NULL));
}

/* A model of the row opens, is of its family, and reads the same from bf16's kernel. */
static void check_opening(const ati_gguf_family *row, const char *folder) {
    static gguf_model model;
    static ati_config config;
    char path[512];
    ati_error error = {.message = ""};
    ati_gguf gguf;
    gguf_model_begin(&model, row);
    bool is_complete = gguf_model_complete(&model, folder, &error);
    if (!is_complete) {
        printf("%s: %s\n", row->name, error.message);
    }
    CHECK(is_complete);
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    CHECK(ati_gguf_open(path, NULL, &gguf, &error) == ATI_OK);
    CHECK(ati_config_from_gguf(&gguf, &config, &error) == ATI_OK);
    ati_gguf_close(&gguf);
    CHECK(strcmp(config.family->model_type, row->model_type) == 0 && config.tied);
    CHECK(config.n_layers == GGUF_MODEL_LAYERS && config.stored.names.qkv == NULL);
    CHECK(config.stored.rope_pairs == row->stored.rope_pairs);
}

/* Each allocation of an opening fails in its turn. */
static void check_allocations(const char *folder) {
    char path[512];
    ati_model *model = NULL;
    ati_error error = {.message = ""};
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    ati_fail_allocation(0, false);
    CHECK(test_open(path, ATI_FP32, "portable", &model, &error) == ATI_OK);
    long n = ati_allocations_seen();
    ati_model_free(model);
    CHECK(n > 8);
    for (long nth = 1; nth <= n; nth++) {
        ati_fail_allocation(nth, false);
        CHECK_REFUSED(test_open(path, ATI_FP32, "portable", &model, &error), ATI_NOMEM, &error,
                      "bytes");
        CHECK(model == NULL && ati_allocations_live() == 0);
    }
    ati_fail_allocation(0, false);
}

static int stop(void *context) {
    (void)context;
    return 1;
}

static void check_cancelling(const char *folder) {
    char path[512];
    ati_model *model = NULL;
    ati_error error = {.message = ""};
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    const ati_opening from = {.path = path, .precision = ATI_FP32, .poll = stop};
    ati_poll_always(true);
    CHECK_REFUSED(ati_model_open(&from, &model, &error), ATI_CANCELLED, &error, "cancelled");
    ati_poll_always(false);
    CHECK(model == NULL && ati_allocations_live() == 0);
}

/* The longest text that a file can ask for: as many layers as there may be, each with its word,
 * and factors for the most pairs. */
static void check_longest(const char *folder) {
    static gguf_model model;
    static ati_config config;
    char path[512];
    ati_error error = {.message = ""};
    ati_gguf gguf;
    size_t i = 0;
    while (strcmp(ati_gguf_family_at(i)->name, "gemma3") != 0) {
        i++;
    }
    gguf_model_begin(&model, ati_gguf_family_at(i));
    gguf_model_set_u32(&model, "block_count", ATI_MOST_LAYERS);
    gguf_model_set_u32(&model, "attention.key_length", 512);
    gguf_model_set_u32(&model, "attention.sliding_window_pattern", 0);
    gguf_model_add(&model, "token_embd.weight", "31, 16");
    gguf_model_add(&model, "rope_freqs.weight", "256");
    gguf_model_write(&model, folder);
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    CHECK(ati_gguf_open(path, NULL, &gguf, &error) == ATI_OK);
    /* Factors that are random numbers are refused, after all of it was written. */
    CHECK_REFUSED(ati_config_from_gguf(&gguf, &config, &error), ATI_FORMAT, &error,
                  "rotary 'short_factor'");
    ati_gguf_close(&gguf);
}

void test_config_gguf(void) {
    const char *folder = test_folder();
    const ati_gguf_family *row, *next;
    for (size_t i = 0; (row = ati_gguf_family_at(i)) != NULL; i++) {
        next = ati_gguf_family_at(i + 1);
        check_row(row, next);
        check_opening(row, folder);
    }
    check_allocations(folder);
    check_cancelling(folder);
    check_longest(folder);
}
