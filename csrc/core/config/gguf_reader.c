#include "config/gguf_reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/config.h"

void ati_gguf_key_name(const ati_gguf_reader *r, const char *key, char out[ATI_MOST_KEY_NAME]) {
    snprintf(out, ATI_MOST_KEY_NAME, "%s.%s", r->row->name, key);
}

const ati_gguf_value *ati_gguf_key(const ati_gguf_reader *r, const char *key) {
    char name[ATI_MOST_KEY_NAME];
    ati_gguf_key_name(r, key, name);
    return ati_gguf_find(r->gguf, name);
}

ati_status ati_gguf_key_size(const ati_gguf_reader *r, const char *key, size_t missing,
                             size_t *out) {
    const ati_gguf_value *value = ati_gguf_key(r, key);
    *out = missing;
    if (value == NULL) {
        return ATI_OK;
    }
    if (value->count == 0 || value->count > ATI_MOST_LAYERS) {
        return ati_gguf_refuse(r, ATI_FORMAT, key,
                               "an array of %zu items, expected one for each of at most %d layers",
                               value->count, ATI_MOST_LAYERS);
    }
    ati_status status = ati_gguf_size_at(value, 0, out, r->error);
    for (size_t i = 1, other; i < value->count && status == ATI_OK; i++) {
        status = ati_gguf_size_at(value, i, &other, r->error);
        if (status == ATI_OK && other != *out) {
            status = ati_gguf_refuse(r, ATI_UNSUPPORTED, key,
                                     "%zu in layer 0 and %zu in layer %zu, expected one for all",
                                     *out, other, i);
        }
    }
    return status;
}

ati_status ati_gguf_key_number(const ati_gguf_reader *r, const char *key, double missing,
                               double *out) {
    const ati_gguf_value *value = ati_gguf_key(r, key);
    *out = missing;
    return value != NULL ? ati_gguf_number(value, out, r->error) : ATI_OK;
}

bool ati_gguf_has(const ati_gguf_reader *r, const char *name) {
    return ati_gguf_find_tensor(r->gguf, name) != NULL;
}

ati_status ati_gguf_refuse(const ati_gguf_reader *r, ati_status status, const char *key,
                           const char *format, ...) {
    char found[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found, sizeof found, format, arguments);
    va_end(arguments);
    return ati_fail(r->error, status, "'%s': '%s.%s' is %s", r->path, r->row->name, key, found);
}

void ati_gguf_write(ati_gguf_reader *r, const char *format, ...) {
    va_list arguments;
    if (r->used >= r->size) {
        return;
    }
    va_start(arguments, format);
    r->used += (size_t)vsnprintf(r->text + r->used, r->size - r->used, format, arguments);
    va_end(arguments);
}

void ati_gguf_write_size(ati_gguf_reader *r, const char *name, size_t size) {
    ati_gguf_write(r, ",\"%s\":%zu", name, size);
}

/* In digits that give the same number back. */
void ati_gguf_write_number(ati_gguf_reader *r, const char *name, double number) {
    ati_gguf_write(r, ",\"%s\":%.17g", name, number);
}

void ati_gguf_write_flag(ati_gguf_reader *r, const char *name, bool flag) {
    ati_gguf_write(r, ",\"%s\":%s", name, flag ? "true" : "false");
}
