/* Memory handed out piece by piece, or, before there is any, only added up: the same
 * calls first say how many bytes are needed and then where each piece lies. */
#ifndef ATI_CURSOR_H
#define ATI_CURSOR_H

#include <stdbool.h>
#include <stddef.h>

enum { ATI_ALIGNMENT = 64 }; /* bytes; what a piece begins on */

typedef struct {
    char *memory; /* NULL: pieces are only added up */
    size_t used;  /* bytes so far */
    size_t gap;   /* bytes after each piece, at least; AddressSanitizer watches over them */
    bool fits;    /* the sum is a number so far; true at the start */
} ati_cursor;

/* count * size bytes; NULL while adding up. */
char *ati_take(ati_cursor *cursor, size_t count, size_t size);

/* [rows, columns] */
float *ati_take_floats(ati_cursor *cursor, size_t rows, size_t columns);

#endif
