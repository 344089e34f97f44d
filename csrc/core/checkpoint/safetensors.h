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

#include "checkpoint/tensor.h"

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

/* Parses the header text[0..length) of a file whose tensors take `data_bytes`
 * after it; fills everything of *st but `file`. What ati_safetensors_open uses,
 * and the fuzzer. `path` names the file in errors. */
ati_status ati_safetensors_parse(const char *text, size_t length, size_t data_bytes,
                                 const char *path, ati_poller *poller, ati_safetensors *st,
                                 ati_error *error);

#endif
