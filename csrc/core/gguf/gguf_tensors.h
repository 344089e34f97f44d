/* The tensors that the header of a GGUF file describes. */
#ifndef ATI_GGUF_TENSORS_H
#define ATI_GGUF_TENSORS_H

#include "gguf/gguf_cursor.h"
#include "gguf/gguf_header.h"

#define ATI_GGUF_MOST_TENSORS ((size_t)1 << 16) /* of a file */
#define ATI_GGUF_LEAST_TENSOR ((size_t)33)      /* bytes of one in the header */

/* Reads the descriptions of part->n_tensors tensors into part->tensors, checks where they lie,
 * in multiples of `alignment`, and puts them in that order. */
ati_status ati_gguf_read_tensors(ati_gguf_cursor *cursor, size_t number, size_t alignment,
                                 ati_gguf_part *part);

#endif
