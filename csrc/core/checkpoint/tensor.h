/* A tensor in a file, and its values as float32. */
#ifndef ATI_TENSOR_H
#define ATI_TENSOR_H

#include "base/file.h"
#include "gguf/ggml_type.h"

#define ATI_MAX_RANK 8 /* dimensions of a tensor */

typedef struct {
    const char *name;            /* owned by the one whose file it is; no NUL inside */
    const char *dtype_name;      /* "F32", "Q4_K", ...; static */
    const ati_ggml_type *blocks; /* how its values lie; NULL: they are not read as float32 */
    bool is_bytes;               /* U8, read as it is */
    size_t rank;
    size_t shape[ATI_MAX_RANK]; /* [rank] */
    size_t offset;              /* of the first byte, in the file */
    size_t bytes;
} ati_tensor;

/* Reads the elements first..first + n - 1 of a tensor, which it has, into out [n] as
 * float32; of blocks that begin before or end after them, what is asked for. Refuses a tensor
 * without `blocks`, and values that are not finite, by name. */
ati_status ati_tensor_read_f32(const ati_file *file, const ati_tensor *tensor, size_t first,
                               size_t n, float *out, ati_error *error);

/* Reads the bytes first..first + n - 1 of a tensor, which it has, into out [n]. */
ati_status ati_tensor_read_bytes(const ati_file *file, const ati_tensor *tensor, size_t first,
                                 size_t n, uint8_t *out, ati_error *error);

#endif
