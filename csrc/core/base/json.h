/* A strict JSON reader: RFC 8259, valid UTF-8, no duplicate keys, nesting of
 * ATI_JSON_DEPTH at most, nothing after the value. No recursion; time is
 * O(n log n) and memory at most five times the text plus 1 MiB. */
#ifndef ATI_JSON_H
#define ATI_JSON_H

#include "base/poll.h"

#define ATI_JSON_DEPTH 64                      /* open arrays and objects */
#define ATI_JSON_MAX_BYTES ((size_t)128 << 20) /* longest text */
#define ATI_JSON_MAX_MEMBERS ((size_t)1 << 18) /* of one object */
#define ATI_JSON_MAX_NUMBER 128                /* characters of a number */

typedef enum {
    ATI_JSON_NULL,
    ATI_JSON_FALSE,
    ATI_JSON_TRUE,
    ATI_JSON_NUMBER,
    ATI_JSON_STRING,
    ATI_JSON_ARRAY,
    ATI_JSON_OBJECT,
} ati_json_type;

/* A parsed text. Immutable; holds its own copy of what it needs. */
typedef struct ati_json ati_json;

/* A value inside a parsed text: the index of its node. Plain data, valid as
 * long as the ati_json is. */
typedef size_t ati_json_value;

#define ATI_JSON_NONE ((ati_json_value)-1) /* no such value */
#define ATI_JSON_ROOT ((ati_json_value)0)

/* Parses text[0..length); `path` names it in errors. On ATI_OK the caller owns
 * *out (ati_json_free); otherwise *out is NULL. `poller` may be NULL. */
ati_status ati_json_parse(const char *text, size_t length, const char *path, ati_poller *poller,
                          ati_json **out, ati_error *error);

/* NULL is allowed. */
void ati_json_free(ati_json *json);

ati_json_type ati_json_type_of(const ati_json *json, ati_json_value value);

/* Items of an array or members of an object; 0 for anything else. */
size_t ati_json_count(const ati_json *json, ati_json_value value);

/* The member of `object` called `key` (NUL-terminated), or ATI_JSON_NONE; that
 * too when `object` is none. Linear in the members. */
ati_json_value ati_json_get(const ati_json *json, ati_json_value object, const char *key);

/* Walking: the first item (array) or the first key (object; the value of a key
 * is ati_json_member), then the next one; ATI_JSON_NONE at the end. */
ati_json_value ati_json_first(const ati_json *json, ati_json_value parent);
ati_json_value ati_json_next(const ati_json *json, ati_json_value parent, ati_json_value item);
ati_json_value ati_json_member(const ati_json *json, ati_json_value key);

/* A string's (or key's) decoded bytes: valid UTF-8, NUL-terminated, *length
 * bytes before the NUL, among which there may be NULs. NULL for anything else. */
const char *ati_json_string(const ati_json *json, ati_json_value value, size_t *length);

/* Whether `value` is the string `text`. */
bool ati_json_is(const ati_json *json, ati_json_value value, const char *text);

/* A number written as digits alone (no sign, fraction or exponent) that fits;
 * false for anything else. */
bool ati_json_uint(const ati_json *json, ati_json_value value, uint64_t *out);

/* A number as the nearest double; false for anything else. Always finite. */
bool ati_json_double(const ati_json *json, ati_json_value value, double *out);

/* true or false; false is returned for anything else. */
bool ati_json_bool(const ati_json *json, ati_json_value value, bool *out);

/* "null", "true or false", "a number", "a string", "an array", "an object". */
const char *ati_json_describe(const ati_json *json, ati_json_value value);

#endif
