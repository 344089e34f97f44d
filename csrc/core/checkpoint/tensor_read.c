/* The values of tensors, as float32. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "checkpoint/safetensors.h"

#define CHUNK ((size_t)1 << 17) /* elements converted at a time, still in cache */

/* Converts n elements and returns whether all of them are finite. */
typedef bool converter(const uint16_t *from, float *to, size_t n);

static bool convert_bf16(const uint16_t *from, float *to, size_t n) {
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        bad |= (bits & 0x7f800000) == 0x7f800000;
        memcpy(&to[i], &bits, sizeof bits);
    }
    return bad == 0;
}

static bool convert_f16(const uint16_t *from, float *to, size_t n) {
    const uint32_t rebias = (uint32_t)(127 - 15) << 23;
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t sign = (uint32_t)(from[i] & 0x8000) << 16, rest = from[i] & 0x7fff;
        uint32_t normal = (rest << 13) + rebias, special = (rest << 13) | 0x7f800000, small;
        float subnormal = (float)rest * 0x1p-24f; /* exact */
        memcpy(&small, &subnormal, sizeof small);
        uint32_t bits = rest < 0x400 ? small : rest < 0x7c00 ? normal : special;
        bad |= rest >= 0x7c00;
        bits |= sign;
        memcpy(&to[i], &bits, sizeof bits);
    }
    return bad == 0;
}

static bool scan_f32(const float *values, size_t n) {
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
static ati_status fail_not_finite(const ati_safetensors *st, const ati_tensor *tensor,
                                  const float *values, size_t first, ati_error *error) {
    char index[ATI_MAX_RANK * 22];
    size_t i = 0;
    while (scan_f32(values + i, 1)) {
        i++;
    }
    write_index(tensor, first + i, index, sizeof index);
    return ati_fail(error, ATI_FORMAT,
                    "'%s': tensor '%.200s' holds %f at [%s], expected finite values", st->file.path,
                    tensor->name, (double)values[i], index);
}

/* How the elements of a dtype become floats; zeros: they cannot. */
typedef struct {
    size_t bytes;       /* of an element */
    converter *convert; /* NULL: they are floats, and are read where they belong */
} element;

/* Reads elements into out [n], by way of chunk [CHUNK] where they are converted. */
static ati_status read_chunk(const ati_safetensors *st, const ati_tensor *tensor, element kind,
                             size_t first, size_t n, uint16_t *chunk, float *out,
                             ati_error *error) {
    void *to = kind.convert != NULL ? (void *)chunk : (void *)out;
    ati_status status =
        ati_file_read(&st->file, tensor->offset + first * kind.bytes, n * kind.bytes, to, error);
    if (status != ATI_OK) {
        return status;
    }
    bool finite = kind.convert != NULL ? kind.convert(chunk, out, n) : scan_f32(out, n);
    return finite ? ATI_OK : fail_not_finite(st, tensor, out, first, error);
}

ati_status ati_safetensors_read_f32(const ati_safetensors *st, const ati_tensor *tensor,
                                    size_t first, size_t n, float *out, ati_error *error) {
    static const element kinds[] = {
        [ATI_DTYPE_F32] = {sizeof(float), NULL},
        [ATI_DTYPE_F16] = {sizeof(uint16_t), convert_f16},
        [ATI_DTYPE_BF16] = {sizeof(uint16_t), convert_bf16},
    };
    const element kind = kinds[tensor->dtype];
    if (kind.bytes == 0) {
        return ati_fail(error, ATI_UNSUPPORTED,
                        "'%s': tensor '%.200s' has dtype %s, expected F32, F16 or BF16",
                        st->file.path, tensor->name, tensor->dtype_name);
    }
    assert(first <= tensor->bytes / kind.bytes && n <= tensor->bytes / kind.bytes - first);
    uint16_t *chunk = NULL;
    if (kind.convert != NULL) {
        chunk = ati_calloc(n < CHUNK ? n : CHUNK, kind.bytes);
        if (chunk == NULL) {
            return ati_fail_memory(error, CHUNK * kind.bytes, "reading a tensor");
        }
    }
    ati_status status = ATI_OK;
    for (size_t i = 0; i < n && status == ATI_OK; i += CHUNK) {
        size_t some = n - i < CHUNK ? n - i : CHUNK;
        status = read_chunk(st, tensor, kind, first + i, some, chunk, out + i, error);
    }
    ati_free(chunk);
    return status;
}

ati_status ati_safetensors_read_bytes(const ati_safetensors *st, const ati_tensor *tensor,
                                      size_t first, size_t n, uint8_t *out, ati_error *error) {
    assert(first <= tensor->bytes && n <= tensor->bytes - first);
    return ati_file_read(&st->file, tensor->offset + first, n, out, error);
}
