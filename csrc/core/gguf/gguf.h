/* A model in a GGUF file, or in several: NAME-00001-of-00003.gguf and the others, of which the
 * first holds the metadata. */
#ifndef ATI_GGUF_H
#define ATI_GGUF_H

#include "gguf/gguf_header.h"

typedef struct {
    size_t n_files;
    ati_gguf_part *files; /* [n_files]; their tables of tensors are moved to `tensors` */
    size_t n_tensors;
    ati_gguf_tensor *tensors; /* [n_tensors], those of all files, by name */
} ati_gguf;

/* Opens `path` and, where it is the first of several files, those beside it; all are checked
 * (gguf_header.h), and that they belong together. Another part than the first is refused. On
 * ATI_OK the caller owns what *gguf holds (ati_gguf_close); otherwise it is zeroed. `poller`
 * may be NULL. Any number of threads may read one. */
ati_status ati_gguf_open(const char *path, ati_poller *poller, ati_gguf *gguf, ati_error *error);

/* Zeroed is allowed. */
void ati_gguf_close(ati_gguf *gguf);

/* The value of that key, as the first file has it; NULL where it has none. */
const ati_gguf_value *ati_gguf_find(const ati_gguf *gguf, const char *key);

/* The tensor of that name, or NULL. */
const ati_gguf_tensor *ati_gguf_find_tensor(const ati_gguf *gguf, const char *name);

#endif
