/* A value of a GGUF file's metadata. */
#ifndef ATI_GGUF_VALUE_H
#define ATI_GGUF_VALUE_H

#include "ati.h"

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

#endif
