/* The header of a GGUF file read from its beginning on, each length checked against what is
 * left of the file. */
#ifndef ATI_GGUF_CURSOR_H
#define ATI_GGUF_CURSOR_H

#include "base/file.h"

typedef struct {
    const ati_file *file;
    unsigned char *text; /* [length]: the file's beginning */
    size_t length;
    size_t at;           /* at most length */
    const char *about;   /* what is read now, in sentences */
    size_t strings_left; /* that arrays may still have, in all */
    bool is_short;       /* refused only since the file goes on where text ends */
    ati_poller *poller;
    ati_error *error;
} ati_gguf_cursor;

/* The next bytes. */
ati_status ati_gguf_take(ati_gguf_cursor *cursor, size_t bytes, unsigned char **out);

ati_status ati_gguf_take_uint32(ati_gguf_cursor *cursor, uint32_t *out);

/* A uint64 that is a size. */
ati_status ati_gguf_take_size(ati_gguf_cursor *cursor, size_t *out);

/* How many follow, each of at least `least` bytes: no more than `most`, nor than there can be in
 * what is left of the file. */
ati_status ati_gguf_take_count(ati_gguf_cursor *cursor, size_t least, size_t most, size_t *out);

/* A string without a NUL inside, *length bytes. To end it with one, it is moved over the last
 * byte of its own length. */
ati_status ati_gguf_take_string(ati_gguf_cursor *cursor, char **out, size_t *length);

/* A string that is a name: UTF-8, not empty and not too long. */
ati_status ati_gguf_take_name(ati_gguf_cursor *cursor, char **out);

#endif
