/* Every allocation made to fail, once and from then on, and every poll made to say stop: the
 * call says so, and gives back what it had. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/poll.h"
#include "model/weights.h"
#include "testing.h"

static ati_status load(const char *folder, ati_error *error) {
    ati_config config;
    ati_weights weights = {0};
    const ati_kernel *kernel;
    ati_status status = ati_kernel_find(ATI_INT8, NULL, &kernel, error);
    if (status == ATI_OK) {
        status = ati_config_read(folder, &config, error);
    }
    if (status == ATI_OK) {
        status = ati_weights_load(folder, NULL, &config, kernel, NULL, &weights, error);
    }
    ati_weights_free(&weights);
    return status;
}

static void fail_each(const char *folder) {
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK(load(folder, &error) == ATI_OK);
    long sites = ati_allocations_seen();
    CHECK(sites > 10 && ati_allocations_live() == 0);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        for (long n = 1; n <= sites; n++) {
            ati_fail_allocation(n, from_then_on != 0);
            ati_status status = load(folder, &error);
            CHECK_REFUSED(status, ATI_NOMEM, &error, "no memory for");
            CHECK(ati_allocations_live() == 0);
        }
    }
    ati_fail_allocation(0, false);
}

/* ---- Polls ---- */

/* Opens a model that is asked about every time, from packed weights where `packed` is one;
 * returns how often it was. */
static long open_until(const char *folder, const char *packed, long last, ati_status expected) {
    test_caller self = {.last = last};
    const ati_opening from = {.path = folder,
                              .precision = ATI_FP32,
                              .kernel = "portable",
                              .packed = packed,
                              .key = "",
                              .poll = test_answer,
                              .poll_context = &self};
    ati_model *model = NULL;
    ati_error error = {.message = ""};
    ati_status status = ati_model_open(&from, &model, &error);
    CHECK(status == expected && (model == NULL) == (expected != ATI_OK));
    CHECK(expected == ATI_OK || strstr(error.message, "cancelled") != NULL);
    CHECK(last == 0 || self.asked == last);
    ati_model_free(model);
    CHECK(ati_allocations_live() == 0);
    return self.asked;
}

/* Every poll of an opening says stop in its turn; returns how many there are. */
static long cancel_each(const char *folder, const char *packed) {
    ati_poll_always(true);
    long n = open_until(folder, packed, 0, ATI_OK);
    for (long last = 1; last <= n; last++) {
        open_until(folder, packed, last, ATI_CANCELLED);
    }
    ati_poll_always(false);
    CHECK(open_until(folder, packed, 0, ATI_OK) < n);
    return n;
}

/* The packed weights of a folder's model as folder/packed, and each of its polls cancelled. */
static void write_packed(const char *folder, char *path, size_t size) {
    ati_model *model = NULL;
    ati_error error;
    test_caller self = {0}, first = {.last = 1};
    CHECK(test_open(folder, ATI_FP32, "portable", &model, &error) == ATI_OK);
    size_t bytes = ati_model_describe(model).weight_bytes;
    unsigned char *file = calloc(ATI_PACKED_HEADER + bytes, 1);
    CHECK(file != NULL);
    ati_status status = ati_model_packed_header(model, "", test_answer, &first, file, &error);
    CHECK_REFUSED(status, ATI_CANCELLED, &error, "cancelled");
    CHECK(ati_model_packed_header(model, "", test_answer, &self, file, &error) == ATI_OK);
    memcpy(file + ATI_PACKED_HEADER, ati_model_packed(model), bytes);
    test_write(folder, "packed", file, ATI_PACKED_HEADER + bytes);
    snprintf(path, size, "%s/packed", folder);
    free(file);
    ati_model_free(model);
}

/* Bytes of packed weights, and values that are read, from one poll to the next at most. */
enum { PIECE = 1 << 20, CHUNK = 1 << 18 };

static void test_polls(void) {
    const size_t vocab = 200000;
    char *small = test_folder(), *shards = test_folder(), *large = test_folder(), path[512];
    test_write_model(small, (test_model){0});
    test_write_model(shards, (test_model){.n_shards = 3, .attention_bias = true});
    test_write_model(large, (test_model){.vocab = vocab});
    write_packed(large, path, sizeof path);
    long few = cancel_each(small, NULL), many = cancel_each(large, NULL);
    CHECK(few > 2 * 21); /* a tensor is checked, then read */
    CHECK(many - few >= (long)(2 * vocab * 24 / CHUNK));
    CHECK(cancel_each(shards, NULL) > few);
    CHECK(cancel_each(large, path) >= (long)(2 * vocab * 24 * sizeof(float) / PIECE));
}

void test_allocations(void) {
    char *single = test_folder(), *shards = test_folder();
    test_write_model(single, (test_model){.tied = true});
    test_write_model(shards, (test_model){.n_shards = 3, .attention_bias = true});
    fail_each(single);
    fail_each(shards);
    test_polls();
}
