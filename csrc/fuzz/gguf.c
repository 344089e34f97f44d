/* A GGUF file of any bytes: alone, as the first of two files of a model or as the second. The
 * first byte chooses, and how much of a tensor is read at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "checkpoint/checkpoint.h"
#include "fuzz.h"
#include "tests/gguf_files.h"
#include "tests/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file that is opened, and the one of any bytes. */
static const struct {
    const char *opened, *written;
} kinds[] = {
    {"m.gguf", "m.gguf"},
    {"m-00001-of-00002.gguf", "m-00001-of-00002.gguf"},
    {"n-00001-of-00002.gguf", "n-00002-of-00002.gguf"},
};

/* Sound files beside those of any bytes: the second of m, the first of n. */
static const char *make_folder(void) {
    static const char *folder;
    if (folder == NULL) {
        folder = fuzz_folder();
        for (uint16_t number = 0; number < 2; number++) {
            gguf_file file;
            gguf_begin_part(&file, number, 2, 2);
            gguf_put_tensor(&file, "a", 2, (const uint64_t[]){32, 3}, 8, 0);
            gguf_put_data(&file, (size_t)3 * 34);
            gguf_write(&file, folder,
                       number == 0 ? "n-00001-of-00002.gguf" : "m-00002-of-00002.gguf");
        }
    }
    return folder;
}

static bool overlap(const ati_gguf_tensor *a, const ati_gguf_tensor *b) {
    return a->file == b->file && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

/* What a file was accepted for has to hold: that is what reading relies on. */
static void check_tensors(const ati_gguf *gguf) {
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const ati_gguf_tensor *tensor = &gguf->tensors[i];
        size_t file_size = gguf->files[tensor->file].file.size, blocks = 1;
        FUZZ_HOLDS(tensor->bytes <= file_size && tensor->offset <= file_size - tensor->bytes);
        FUZZ_HOLDS(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
        FUZZ_HOLDS(tensor->rank >= 1 && tensor->rank <= ATI_GGUF_MOST_RANK);
        for (size_t d = 0; d < tensor->rank; d++) {
            blocks *= tensor->shape[d];
        }
        FUZZ_HOLDS(tensor->shape[tensor->rank - 1] % tensor->type->values == 0);
        FUZZ_HOLDS(blocks / tensor->type->values * tensor->type->bytes == tensor->bytes);
        FUZZ_HOLDS(ati_gguf_find_tensor(gguf, tensor->name) == tensor);
        for (size_t j = 0; j < i; j++) {
            FUZZ_HOLDS(!overlap(tensor, &gguf->tensors[j]));
        }
    }
}

/* Everything that can be asked of a value. */
static void ask_value(const ati_gguf_value *value) {
    size_t at = 0, length = 0, n = 0, size;
    double number;
    bool is_true;
    const char *text = NULL;
    (void)ati_gguf_size(value, &size, NULL);
    (void)ati_gguf_number(value, &number, NULL);
    (void)ati_gguf_bool(value, &is_true, NULL);
    if (ati_gguf_string(value, &text, NULL) == ATI_OK) {
        FUZZ_HOLDS(strlen(text) == value->bytes);
    }
    for (size_t i = 0; i < value->count; i++) {
        (void)ati_gguf_size_at(value, i, &size, NULL);
        (void)ati_gguf_number_at(value, i, &number, NULL);
        (void)ati_gguf_bool_at(value, i, &is_true, NULL);
    }
    if (value->type == ATI_GGUF_ARRAY && value->item == ATI_GGUF_STRING) {
        while ((text = ati_gguf_next_string(value, &at, &length)) != NULL) {
            FUZZ_HOLDS(at <= value->bytes && length <= at);
            n++;
        }
        FUZZ_HOLDS(n == value->count);
    }
}

static void check_values(const ati_gguf *gguf) {
    const ati_gguf_part *first = gguf->files;
    for (size_t i = 0; i < first->n_values; i++) {
        FUZZ_HOLDS(ati_gguf_find(gguf, first->values[i].key) == &first->values[i]);
        ask_value(&first->values[i]);
    }
}

/* Reads a tensor `step` elements at a time, or in some 16 parts, which are the values that it has when it is read
 * at once, or are refused as well. */
static void read_tensor(const ati_checkpoint *checkpoint, const ati_tensor *tensor, size_t step) {
    size_t n = 1;
    ati_error error = {.message = ""};
    ati_status status =
        ati_checkpoint_expect(checkpoint, tensor->name, tensor->rank, tensor->shape, &error);
    for (size_t d = 0; d < tensor->rank; d++) {
        n *= tensor->shape[d];
    }
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
        return;
    }
    step = step < n / 16 ? n / 16 : step;
    float *whole = calloc(2 * n, sizeof *whole);
    FUZZ_HOLDS(whole != NULL);
    status = ati_checkpoint_read_f32(checkpoint, tensor->name, 0, n, whole, &error);
    ati_status in_parts = ATI_OK;
    for (size_t i = 0; i < n && in_parts == ATI_OK; i += step) {
        size_t some = n - i < step ? n - i : step;
        in_parts =
            ati_checkpoint_read_f32(checkpoint, tensor->name, i, some, whole + n + i, &error);
    }
    if (status == ATI_OK && in_parts == ATI_OK) {
        FUZZ_HOLDS(memcmp(whole, whole + n, n * sizeof *whole) == 0);
    } else {
        fuzz_refused(status != ATI_OK ? status : in_parts, &error);
        FUZZ_HOLDS(status == ATI_NOMEM || in_parts == ATI_NOMEM || status == in_parts);
    }
    free(whole);
}

static void read_tensors(const ati_gguf *gguf, size_t step) {
    ati_checkpoint checkpoint;
    ati_error error = {.message = ""};
    bool same = false;
    ati_status status = ati_checkpoint_open_gguf(gguf, NULL, &checkpoint, &error);
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
        return;
    }
    for (size_t i = 0; i < checkpoint.n_tensors; i++) {
        const char *name = checkpoint.tensors[i].tensor->name;
        read_tensor(&checkpoint, checkpoint.tensors[i].tensor, step);
        if (i == 1) {
            (void)ati_checkpoint_same(&checkpoint, name, name, &same, &error);
        }
    }
    ati_checkpoint_close(&checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ati_gguf gguf;
    ati_error error = {.message = ""};
    char path[512];
    if (size == 0) {
        return 0;
    }
    const char *folder = make_folder();
    size_t kind = data[0] % 3, step = 1 + data[0] / 3;
    snprintf(path, sizeof path, "%s/%s", folder, kinds[kind].opened);
    test_write(folder, kinds[kind].written, data + 1, size - 1);
    (void)fuzz_starve(data, size);
    ati_status status = ati_gguf_open(path, NULL, &gguf, &error);
    /* Tables are a few times what describes them, whatever a file announces, but for that of the
     * files of a model, of which there are 1,024 at most. */
    FUZZ_HOLDS(ati_allocations_largest() <= 8 * size + (1 << 17));
    if (status == ATI_OK) {
        check_values(&gguf);
        check_tensors(&gguf);
        read_tensors(&gguf, step);
    } else {
        fuzz_refused(status, &error);
    }
    ati_gguf_close(&gguf);
    fuzz_end_starving();
    return 0;
}
