/* One GGUF file:
 *
 *     "GGUF", version        uint32, 2 or 3
 *     tensors, keys          uint64 each: how many
 *     the keys               a string, the type of the value, the value
 *     the tensors            a string, rank, dimensions (the innermost first), type, offset
 *     the data               from the next multiple of general.alignment on; so is each tensor's
 *                            offset, counted from there
 *
 * all little-endian; a string is a uint64 of its bytes and these. */
#ifndef ATI_GGUF_HEADER_H
#define ATI_GGUF_HEADER_H

#include "base/file.h"
#include "gguf/ggml_type.h"
#include "gguf/gguf_value.h"

#define ATI_GGUF_MOST_RANK 4 /* dimensions of a tensor */

/* What it points to is the ati_gguf's. */
typedef struct {
    const char *name; /* UTF-8 */
    const ati_ggml_type *type;
    size_t rank;                      /* 1..4 */
    size_t shape[ATI_GGUF_MOST_RANK]; /* [rank], row-major: [out, ..., in], none of them 0 */
    size_t file;                      /* number of the file that it is in */
    size_t offset;                    /* of the first byte, in that file */
    size_t bytes;                     /* whole blocks, a row of [in] values too */
} ati_gguf_tensor;

/* A file, its keys and its tensors. */
typedef struct {
    ati_file file;
    unsigned char *text; /* the header, which values and tensors point into */
    size_t n_values;
    ati_gguf_value *values; /* [n_values], by key */
    size_t n_tensors;
    ati_gguf_tensor *tensors; /* [n_tensors], in the order of their offsets */
} ati_gguf_part;

/* Opens the file and checks everything but the values of tensors: each count against the
 * bytes that are left before memory is asked for, keys for duplicates, tensors for overlaps and
 * the file's end. On ATI_OK the caller owns what *part holds (ati_gguf_part_close); otherwise
 * it is zeroed. `number` is that of the file. `poller` may be NULL. */
ati_status ati_gguf_part_open(const char *path, size_t number, ati_poller *poller,
                              ati_gguf_part *part, ati_error *error);

/* Zeroed is allowed. */
void ati_gguf_part_close(ati_gguf_part *part);

/* The value of that key, or NULL. */
const ati_gguf_value *ati_gguf_part_find(const ati_gguf_part *part, const char *key);

#endif
