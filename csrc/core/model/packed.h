/* The file that processes share packed weights through: a header that says what they
 * are, then the weights as they lie in memory. */
#ifndef ATI_PACKED_H
#define ATI_PACKED_H

#include "base/poll.h"

/* Raised with every change of the layout (weights_memory.c), of a format or of the header:
 * test_packed.c knows the bytes of each version. */
enum { ATI_PACKED_VERSION = 5, ATI_MOST_KEY = 127 };

/* What a file must say it holds, and what it says besides. */
typedef struct {
    const char *precision;
    const char *kernel;
    const char *key; /* the caller's, at most ATI_MOST_KEY bytes */
    size_t bytes;    /* of the weights, a multiple of 64 */
    size_t n_parameters;
} ati_packed;

/* The header of a file of the weights at `memory`. ATI_ARG for a key that is too long.
 * `poller` may be NULL, as below. */
ati_status ati_packed_describe(const ati_packed *packed, const void *memory, ati_poller *poller,
                               unsigned char header[ATI_PACKED_HEADER], ati_error *error);

/* Maps the weights of the file at `path`, once all that *packed says but n_parameters,
 * which is filled in, is what the file says, its size is the one that follows, and its
 * checksum is right. A file that differs is ATI_FORMAT and nothing stays mapped. On
 * ATI_OK the caller owns *memory (ati_packed_unmap), readable only. */
ati_status ati_packed_map(const char *path, ati_packed *packed, ati_poller *poller, void **memory,
                          ati_error *error);

/* Gives back what ati_packed_map gave for so many bytes. NULL is allowed. */
void ati_packed_unmap(void *memory, size_t bytes);

#endif
