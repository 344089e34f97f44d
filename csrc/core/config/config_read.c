#include "config/config_read.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

/* Absent or null. */
static bool is_absent(const ati_config_reader *r, ati_json_value value) {
    return value == ATI_JSON_NONE || ati_json_type_of(r->json, value) == ATI_JSON_NULL;
}

bool ati_config_lacks(const ati_config_reader *r, ati_json_value object, const char *key) {
    return is_absent(r, ati_json_get(r->json, object, key));
}

ati_status ati_config_text(const ati_config_reader *r, ati_json_value object, const char *key,
                           const char *otherwise, const char **out) {
    ati_json_value value = ati_json_get(r->json, object, key);
    size_t length = 0;
    *out = is_absent(r, value) ? otherwise : ati_json_string(r->json, value, &length);
    if (*out == NULL || (*out != otherwise && strlen(*out) != length)) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected a string", r->path, key,
                        ati_json_describe(r->json, value));
    }
    return ATI_OK;
}

ati_status ati_config_size(const ati_config_reader *r, ati_json_value object, const char *key,
                           size_t most, size_t otherwise, size_t *out) {
    ati_json_value value = ati_json_get(r->json, object, key);
    uint64_t number = otherwise;
    if (otherwise > 0 && is_absent(r, value)) {
        *out = otherwise;
        return ATI_OK;
    }
    if (!ati_json_uint(r->json, value, &number)) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected an integer from 1 to %zu",
                        r->path, key,
                        ati_json_type_of(r->json, value) == ATI_JSON_NUMBER
                            ? "another number"
                            : ati_json_describe(r->json, value),
                        most);
    }
    if (number < 1 || number > most) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': '%s' is %llu, expected an integer from 1 to %zu", r->path, key,
                        (unsigned long long)number, most);
    }
    *out = (size_t)number;
    return ATI_OK;
}

ati_status ati_config_number(const ati_config_reader *r, ati_json_value object, const char *key,
                             double least, double most, double otherwise, double *out) {
    ati_json_value value = ati_json_get(r->json, object, key);
    if (value == ATI_JSON_NONE && !isnan(otherwise)) {
        *out = otherwise;
        return ATI_OK;
    }
    double number = 0;
    if (!ati_json_double(r->json, value, &number)) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected a number from %g to %g",
                        r->path, key, ati_json_describe(r->json, value), least, most);
    }
    if (number < least || number > most) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %g, expected a number from %g to %g",
                        r->path, key, number, least, most);
    }
    *out = number;
    return ATI_OK;
}

ati_status ati_config_flag(const ati_config_reader *r, ati_json_value object, const char *key,
                           bool otherwise, bool *out) {
    ati_json_value value = ati_json_get(r->json, object, key);
    if (value == ATI_JSON_NONE) {
        *out = otherwise;
        return ATI_OK;
    }
    if (!ati_json_bool(r->json, value, out)) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected true or false", r->path,
                        key, ati_json_describe(r->json, value));
    }
    return ATI_OK;
}
