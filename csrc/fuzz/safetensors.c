/* The readers of tensors: JSON, the header of a safetensors file, and a whole file that a
 * model is opened from. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "fuzz.h"
#include "tests/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool overlap(const ati_tensor *a, const ati_tensor *b) {
    return a->bytes > 0 && b->bytes > 0 && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* What a header was accepted for has to hold: that is what reading relies on. */
static void check_tensors(const ati_safetensors *st, size_t data_bytes) {
    size_t total = 0;
    for (size_t i = 0; i < st->n_tensors; i++) {
        const ati_tensor *tensor = &st->tensors[i];
        FUZZ_HOLDS(tensor->bytes <= data_bytes && tensor->offset <= data_bytes - tensor->bytes);
        FUZZ_HOLDS(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
        for (size_t j = 0; j < i; j++) {
            FUZZ_HOLDS(!overlap(tensor, &st->tensors[j]));
        }
        total += tensor->bytes;
    }
    FUZZ_HOLDS(total == data_bytes);
}

static void parse_header(const char *text, size_t length, size_t data_bytes) {
    ati_safetensors st;
    ati_error error;
    ati_status status = ati_safetensors_parse(text, length, data_bytes, "t", NULL, &st, &error);
    if (status == ATI_OK) {
        check_tensors(&st, data_bytes);
    } else {
        fuzz_refused(status, &error);
    }
    ati_safetensors_close(&st);
}

static void read_values(const ati_safetensors *st, const ati_tensor *tensor) {
    size_t n = 1;
    ati_error error;
    for (size_t i = 0; i < tensor->rank; i++) {
        n *= tensor->shape[i];
    }
    float *values = calloc(n > 0 ? n : 1, sizeof *values);
    FUZZ_HOLDS(values != NULL);
    ati_status status = ati_tensor_read_f32(&st->file, tensor, 0, n, values, &error);
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
    }
    free(values);
}

/* The tensors of the file that is there, and a model of them. */
static void open_file(const char *folder) {
    ati_checkpoint checkpoint;
    ati_model *model = NULL;
    ati_error error = {.message = ""};
    ati_status status = ati_checkpoint_open(folder, NULL, &checkpoint, &error);
    for (size_t i = 0; status == ATI_OK && i < checkpoint.shards[0].n_tensors; i++) {
        read_values(&checkpoint.shards[0], &checkpoint.shards[0].tensors[i]);
    }
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
    }
    ati_checkpoint_close(&checkpoint);
    status = fuzz_open(folder, ATI_FP32, "portable", NULL, NULL, &model, &error);
    if (status == ATI_OK) {
        fuzz_read(model);
    } else {
        fuzz_refused(status, &error);
    }
    ati_model_free(model);
}

/* A folder of a llama, or of a gpt_oss with 4-bit experts. */
static const char *choose_folder(bool is_mxfp4) {
    static const char *folders[2];
    ati_error error = {.message = ""};
    if (folders[is_mxfp4] == NULL) {
        const family_model model = {.family = ati_family_find(is_mxfp4 ? "gpt_oss" : "llama"),
                                    .is_mxfp4 = is_mxfp4,
                                    .tied = true};
        folders[is_mxfp4] = fuzz_folder();
        FUZZ_HOLDS(family_write(folders[is_mxfp4], &model, &error));
    }
    return folders[is_mxfp4];
}

static void parse_json(const char *text, size_t length) {
    ati_json *json = NULL;
    ati_error error;
    ati_status status = ati_json_parse(text, length, "t.json", NULL, &json, &error);
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
    }
    ati_json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1, *folder = choose_folder(data[0] & 1);
    size_t length = size - 1;
    bool is_file = data[0] >> 6 == 1;
    if (is_file) {
        test_write(folder, "model.safetensors", text, length);
    }
    (void)fuzz_starve(data, size);
    if (is_file) {
        open_file(folder);
    } else if (data[0] >> 6 == 0) {
        parse_json(text, length);
    } else {
        parse_header(text, length, data[0] & 63);
    }
    fuzz_end_starving();
    return 0;
}
