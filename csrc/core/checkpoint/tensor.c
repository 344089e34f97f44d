#include "checkpoint/tensor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

#define CHUNK ((size_t)1 << 16) /* values made at a time, still in cache; whole blocks */

static bool all_finite(const float *values, size_t n) {
    uint32_t bad = 0, bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return bad == 0;
}

/* "3, 17" for the flat index of an element, cut to fit. */
static void write_index(const ati_tensor *tensor, size_t flat, char *out, size_t size) {
    size_t stride = 1, used = 0;
    for (size_t i = 0; i < tensor->rank; i++) {
        stride *= tensor->shape[i];
    }
    out[0] = '\0';
    for (size_t i = 0; i < tensor->rank && used < size; i++) {
        stride /= tensor->shape[i];
        int n = snprintf(out + used, size - used, "%s%zu", i > 0 ? ", " : "", flat / stride);
        used += n > 0 ? (size_t)n : 0;
        flat %= stride;
    }
}

/* values [n] begin with element `first` of the tensor; one of them is not finite. */
static ati_status fail_not_finite(const ati_file *file, const ati_tensor *tensor,
                                  const float *values, size_t first, ati_error *error) {
    char index[ATI_MAX_RANK * 22];
    size_t i = 0;
    while (all_finite(values + i, 1)) {
        i++;
    }
    write_index(tensor, first + i, index, sizeof index);
    return ati_fail(error, ATI_FORMAT,
                    "'%s': tensor '%.200s' holds %f at [%s], expected finite values", file->path,
                    tensor->name, (double)values[i], index);
}

/* What is read goes through this. */
typedef struct {
    uint8_t *bytes;                     /* [CHUNK values], or those of fewer */
    float values[ATI_GGML_MOST_VALUES]; /* of a block of which a part is asked for */
} buffer;

/* Reads so many whole blocks, from block number `first` on, into values. */
static ati_status read_blocks(const ati_file *file, const ati_tensor *tensor, size_t first,
                              size_t n, uint8_t *bytes, float *values, ati_error *error) {
    size_t size = tensor->blocks->bytes;
    ati_status status = ati_file_read(file, tensor->offset + first * size, n * size, bytes, error);
    if (status == ATI_OK) {
        tensor->blocks->unpack(bytes, n, values);
    }
    return status;
}

/* Reads some of the elements first..first + n - 1, at least 1: whole blocks to where they belong,
 * or a part of one. */
static ati_status read_some(const ati_file *file, const ati_tensor *tensor, size_t first, size_t n,
                            buffer *through, float *out, size_t *done, ati_error *error) {
    size_t values = tensor->blocks->values, skipped = first % values;
    bool is_part = skipped != 0 || n < values;
    size_t left = is_part ? values - skipped : CHUNK;
    *done = n < left ? n : left;
    *done -= is_part ? 0 : *done % values;
    ati_status status = read_blocks(file, tensor, first / values, is_part ? 1 : *done / values,
                                    through->bytes, is_part ? through->values : out, error);
    if (status == ATI_OK && is_part) {
        memcpy(out, through->values + skipped, *done * sizeof *out);
    }
    return status == ATI_OK && !all_finite(out, *done)
               ? fail_not_finite(file, tensor, out, first, error)
               : status;
}

ati_status ati_tensor_read_f32(const ati_file *file, const ati_tensor *tensor, size_t first,
                               size_t n, float *out, ati_error *error) {
    const ati_ggml_type *blocks = tensor->blocks;
    buffer through;
    if (blocks == NULL) {
        return ati_fail(error, ATI_UNSUPPORTED,
                        "'%s': tensor '%.200s' has dtype %s, which is not read as numbers",
                        file->path, tensor->name, tensor->dtype_name);
    }
    assert(first <= tensor->bytes / blocks->bytes * blocks->values);
    assert(n <= tensor->bytes / blocks->bytes * blocks->values - first);
    size_t most = (n < CHUNK ? n : CHUNK) / blocks->values + 1;
    through.bytes = ati_calloc(most, blocks->bytes);
    if (through.bytes == NULL) {
        return ati_fail_memory(error, most * blocks->bytes, "reading a tensor");
    }
    ati_status status = ATI_OK;
    for (size_t i = 0, some = 0; i < n && status == ATI_OK; i += some) {
        status = read_some(file, tensor, first + i, n - i, &through, out + i, &some, error);
    }
    ati_free(through.bytes);
    return status;
}

ati_status ati_tensor_read_bytes(const ati_file *file, const ati_tensor *tensor, size_t first,
                                 size_t n, uint8_t *out, ati_error *error) {
    assert(first <= tensor->bytes && n <= tensor->bytes - first);
    return ati_file_read(file, tensor->offset + first, n, out, error);
}
