#include "gguf/gguf_value.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static const struct {
    const char *name;
    size_t bytes;
} types[ATI_GGUF_N_TYPES] = {
    [ATI_GGUF_UINT8] = {"uint8", 1},     [ATI_GGUF_INT8] = {"int8", 1},
    [ATI_GGUF_UINT16] = {"uint16", 2},   [ATI_GGUF_INT16] = {"int16", 2},
    [ATI_GGUF_UINT32] = {"uint32", 4},   [ATI_GGUF_INT32] = {"int32", 4},
    [ATI_GGUF_FLOAT32] = {"float32", 4}, [ATI_GGUF_BOOL] = {"bool", 1},
    [ATI_GGUF_STRING] = {"string", 0},   [ATI_GGUF_ARRAY] = {"array", 0},
    [ATI_GGUF_UINT64] = {"uint64", 8},   [ATI_GGUF_INT64] = {"int64", 8},
    [ATI_GGUF_FLOAT64] = {"float64", 8},
};

const char *ati_gguf_type_name(ati_gguf_type type) {
    return types[type].name;
}

size_t ati_gguf_type_bytes(ati_gguf_type type) {
    return types[type].bytes;
}

static ati_status fail_type(const ati_gguf_value *value, const char *expected, ati_error *error) {
    char found[64];
    bool is_array = value->type == ATI_GGUF_ARRAY;
    if (is_array) {
        snprintf(found, sizeof found, "an array of %zu %s", value->count, types[value->item].name);
    } else {
        snprintf(found, sizeof found, "of type %s", types[value->type].name);
    }
    return ati_fail(error, ATI_FORMAT, "'%s': '%.200s' is %s, expected %s", value->path, value->key,
                    found, expected);
}

/* An integer as its sign and its distance from 0. */
typedef struct {
    bool is_negative;
    uint64_t magnitude;
} integer;

static bool is_signed(ati_gguf_type type) {
    return type == ATI_GGUF_INT8 || type == ATI_GGUF_INT16 || type == ATI_GGUF_INT32 ||
           type == ATI_GGUF_INT64;
}

static bool is_integer(ati_gguf_type type) {
    return is_signed(type) || type == ATI_GGUF_UINT8 || type == ATI_GGUF_UINT16 ||
           type == ATI_GGUF_UINT32 || type == ATI_GGUF_UINT64;
}

/* Item i, an integer. */
static integer read_integer(const ati_gguf_value *value, size_t i) {
    size_t bytes = types[value->item].bytes;
    uint64_t bits = 0;
    for (size_t b = bytes; b > 0; b--) {
        bits = bits << 8 | value->data[i * bytes + b - 1];
    }
    uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
    if (!is_signed(value->item) || (bits & sign) == 0) {
        return (integer){false, bits};
    }
    return (integer){true, sign - (bits - sign)};
}

/* Item i, a float. */
static double read_float(const ati_gguf_value *value, size_t i) {
    float narrow;
    double wide;
    if (value->item == ATI_GGUF_FLOAT64) {
        memcpy(&wide, value->data + i * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, value->data + i * sizeof narrow, sizeof narrow);
    return (double)narrow;
}

ati_status ati_gguf_size_at(const ati_gguf_value *value, size_t i, size_t *out, ati_error *error) {
    assert(i < value->count);
    if (!is_integer(value->item)) {
        return fail_type(value, "whole numbers", error);
    }
    integer found = read_integer(value, i);
    if (found.is_negative || found.magnitude > SIZE_MAX) {
        return ati_fail(error, ATI_FORMAT, "'%s': '%.200s' is %s%" PRIu64 ", expected 0 or more",
                        value->path, value->key, found.is_negative ? "-" : "", found.magnitude);
    }
    *out = (size_t)found.magnitude;
    return ATI_OK;
}

ati_status ati_gguf_number_at(const ati_gguf_value *value, size_t i, double *out,
                              ati_error *error) {
    assert(i < value->count);
    if (is_integer(value->item)) {
        integer found = read_integer(value, i);
        *out = found.is_negative ? -(double)found.magnitude : (double)found.magnitude;
        return ATI_OK;
    }
    if (value->item != ATI_GGUF_FLOAT32 && value->item != ATI_GGUF_FLOAT64) {
        return fail_type(value, "numbers", error);
    }
    *out = read_float(value, i);
    return isfinite(*out) ? ATI_OK
                          : ati_fail(error, ATI_FORMAT, "'%s': '%.200s' is %f, expected %s",
                                     value->path, value->key, *out, "a finite number");
}

ati_status ati_gguf_bool_at(const ati_gguf_value *value, size_t i, bool *out, ati_error *error) {
    assert(i < value->count);
    if (value->item != ATI_GGUF_BOOL) {
        return fail_type(value, "booleans", error);
    }
    *out = value->data[i] != 0;
    return ATI_OK;
}

ati_status ati_gguf_size(const ati_gguf_value *value, size_t *out, ati_error *error) {
    return is_integer(value->type) ? ati_gguf_size_at(value, 0, out, error)
                                   : fail_type(value, "a whole number", error);
}

ati_status ati_gguf_number(const ati_gguf_value *value, double *out, ati_error *error) {
    return value->type != ATI_GGUF_ARRAY && value->type != ATI_GGUF_STRING &&
                   value->type != ATI_GGUF_BOOL
               ? ati_gguf_number_at(value, 0, out, error)
               : fail_type(value, "a number", error);
}

ati_status ati_gguf_bool(const ati_gguf_value *value, bool *out, ati_error *error) {
    return value->type == ATI_GGUF_BOOL ? ati_gguf_bool_at(value, 0, out, error)
                                        : fail_type(value, "a boolean", error);
}

ati_status ati_gguf_string(const ati_gguf_value *value, const char **out, ati_error *error) {
    if (value->type != ATI_GGUF_STRING) {
        return fail_type(value, "a string", error);
    }
    *out = (const char *)value->data;
    return ATI_OK;
}

const char *ati_gguf_next_string(const ati_gguf_value *value, size_t *at, size_t *length) {
    uint64_t bytes;
    assert(value->type == ATI_GGUF_ARRAY && value->item == ATI_GGUF_STRING);
    if (*at == value->bytes) {
        return NULL;
    }
    memcpy(&bytes, value->data + *at, sizeof bytes);
    const char *text = (const char *)value->data + *at + sizeof bytes;
    *length = (size_t)bytes;
    *at += sizeof bytes + *length; /* within value->bytes, as the header was read */
    return text;
}
