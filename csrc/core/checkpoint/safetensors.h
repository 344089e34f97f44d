/* One safetensors file:
 *
 *     8 bytes   length n of the header, little-endian
 *     n bytes   {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}
 *     the rest  the tensors, row-major, little-endian
 *
 * Opening checks everything before any tensor is read: n is at most
 * min(100 MB, file size - 8); the header is strict JSON; names are unique; each
 * tensor's bytes are dtype times shape; and the tensors, by offset, start at 0,
 * touch without hole or overlap and end where the file ends. */
#ifndef ATI_SAFETENSORS_H
#define ATI_SAFETENSORS_H

#include <stdint.h>

#include "base/file.h"
#include "base/poll.h"

#define ATI_MAX_RANK 8 /* dimensions of a tensor */

typedef enum {
    ATI_DTYPE_OTHER, /* known to the format, not readable */
    ATI_DTYPE_U8,    /* readable as bytes; the rest as float32 */
    ATI_DTYPE_F32,
    ATI_DTYPE_F16,
    ATI_DTYPE_BF16,
} ati_dtype;

typedef struct {
    const char *name;       /* owned by the ati_safetensors; no NUL inside */
    const char *dtype_name; /* "F32", ...; static */
    ati_dtype dtype;
    size_t rank;
    size_t shape[ATI_MAX_RANK]; /* [rank] */
    size_t offset;              /* of the first byte, in the file */
    size_t bytes;
} ati_tensor;

typedef struct {
    ati_file file;
    size_t n_tensors;
    ati_tensor *tensors; /* [n_tensors], by name */
    char *names;         /* what tensors[i].name points into */
} ati_safetensors;

/* On ATI_OK the caller owns what *st holds (ati_safetensors_close); otherwise
 * *st is zeroed. `poller` may be NULL. */
ati_status ati_safetensors_open(const char *folder, const char *name, ati_poller *poller,
                                ati_safetensors *st, ati_error *error);

/* Zeroed is allowed. */
void ati_safetensors_close(ati_safetensors *st);

/* Reads the elements first..first + n - 1 of a tensor, which it has, into out [n] as
 * float32; every F16 and BF16 value is one. Refuses other dtypes, and values that are
 * not finite, by name. */
ati_status ati_safetensors_read_f32(const ati_safetensors *st, const ati_tensor *tensor,
                                    size_t first, size_t n, float *out, ati_error *error);

/* Reads the bytes first..first + n - 1 of a tensor, which it has, into out [n]. */
ati_status ati_safetensors_read_bytes(const ati_safetensors *st, const ati_tensor *tensor,
                                      size_t first, size_t n, uint8_t *out, ati_error *error);

/* Parses the header text[0..length) of a file whose tensors take `data_bytes`
 * after it; fills everything of *st but `file`. What ati_safetensors_open uses,
 * and the fuzzer. `path` names the file in errors. */
ati_status ati_safetensors_parse(const char *text, size_t length, size_t data_bytes,
                                 const char *path, ati_poller *poller, ati_safetensors *st,
                                 ati_error *error);

#endif
