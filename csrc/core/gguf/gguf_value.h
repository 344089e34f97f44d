/* A value of a GGUF file's metadata. */
#ifndef ATI_GGUF_VALUE_H
#define ATI_GGUF_VALUE_H

#include "ati.h"

/* By the numbers of the format. */
typedef enum {
    ATI_GGUF_UINT8,
    ATI_GGUF_INT8,
    ATI_GGUF_UINT16,
    ATI_GGUF_INT16,
    ATI_GGUF_UINT32,
    ATI_GGUF_INT32,
    ATI_GGUF_FLOAT32,
    ATI_GGUF_BOOL, /* a byte, 0 or 1 */
    ATI_GGUF_STRING,
    ATI_GGUF_ARRAY,
    ATI_GGUF_UINT64,
    ATI_GGUF_INT64,
    ATI_GGUF_FLOAT64,
    ATI_GGUF_N_TYPES,
} ati_gguf_type;

/* What it points to is the ati_gguf's. */
typedef struct {
    const char *key;    /* UTF-8 */
    const char *path;   /* of the file that it is in */
    ati_gguf_type type; /* ATI_GGUF_ARRAY for all arrays */
    ati_gguf_type item; /* of an array's items, never ATI_GGUF_ARRAY; else `type` */
    size_t count;       /* items of an array; else 1 */
    /* As in the file, little-endian and not aligned: a number, or an array's [count]. A
     * string alone has a NUL behind it, and none inside; strings of an array are read one
     * after the other (ati_gguf_next_string). */
    const unsigned char *data;
    size_t bytes; /* of data */
} ati_gguf_value;

/* "uint32", "string", ...; static. */
const char *ati_gguf_type_name(ati_gguf_type type);

/* Bytes of a value of this type; 0 of strings and arrays, which differ. */
size_t ati_gguf_type_bytes(ati_gguf_type type);

/* Each gives one value, or refuses an array and any other type by the value's key. A size is
 * of any type of integer that is not negative; a number an integer or a float that is finite;
 * a string as long as its text, UTF-8 or not. */
ati_status ati_gguf_size(const ati_gguf_value *value, size_t *out, ati_error *error);
ati_status ati_gguf_number(const ati_gguf_value *value, double *out, ati_error *error);
ati_status ati_gguf_bool(const ati_gguf_value *value, bool *out, ati_error *error);
ati_status ati_gguf_string(const ati_gguf_value *value, const char **out, ati_error *error);

/* The same of item i < count of an array; of what is no array, itself as its one item. */
ati_status ati_gguf_size_at(const ati_gguf_value *value, size_t i, size_t *out, ati_error *error);
ati_status ati_gguf_number_at(const ati_gguf_value *value, size_t i, double *out, ati_error *error);
ati_status ati_gguf_bool_at(const ati_gguf_value *value, size_t i, bool *out, ati_error *error);

/* The string of an array of them that stands at *at, which is 0 for the first, and moves it to
 * the next; NULL after the last. *length bytes, UTF-8 or not, NULs among them, none behind. */
const char *ati_gguf_next_string(const ati_gguf_value *value, size_t *at, size_t *length);

#endif
