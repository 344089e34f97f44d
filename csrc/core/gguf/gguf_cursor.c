#include "gguf/gguf_cursor.h"

#include <string.h>

#include "base/error.h"
#include "base/utf8.h"

#define MOST_NAME ((size_t)65535) /* bytes of a key, by the format, and of a tensor's name */

static size_t bytes_left(const ati_gguf_cursor *cursor) {
    return cursor->file->size - cursor->at;
}

static ati_status fail_cut(const ati_gguf_cursor *cursor, size_t bytes) {
    return ati_fail(cursor->error, ATI_FORMAT,
                    "'%s': %.200s takes %zu bytes from byte %zu on, but %zu are left in the file: "
                    "it is cut short or damaged; copy or download it again",
                    cursor->file->path, cursor->about, bytes, cursor->at, bytes_left(cursor));
}

ati_status ati_gguf_take(ati_gguf_cursor *cursor, size_t bytes, unsigned char **out) {
    if (bytes > bytes_left(cursor)) {
        return fail_cut(cursor, bytes);
    }
    if (bytes > cursor->length - cursor->at) {
        cursor->is_short = true;
        return ATI_FORMAT;
    }
    *out = cursor->text + cursor->at;
    cursor->at += bytes;
    return ATI_OK;
}

ati_status ati_gguf_take_uint32(ati_gguf_cursor *cursor, uint32_t *out) {
    unsigned char *bytes = NULL;
    ati_status status = ati_gguf_take(cursor, sizeof *out, &bytes);
    if (status == ATI_OK) {
        memcpy(out, bytes, sizeof *out);
    }
    return status;
}

ati_status ati_gguf_take_size(ati_gguf_cursor *cursor, size_t *out) {
    unsigned char *bytes = NULL;
    uint64_t number = 0;
    ati_status status = ati_gguf_take(cursor, sizeof number, &bytes);
    if (status != ATI_OK) {
        return status;
    }
    memcpy(&number, bytes, sizeof number);
    *out = (size_t)number;
    return *out == number ? ATI_OK
                          : ati_fail(cursor->error, ATI_FORMAT, "'%s': %.200s is no size",
                                     cursor->file->path, cursor->about);
}

ati_status ati_gguf_take_count(ati_gguf_cursor *cursor, size_t least, size_t most, size_t *out) {
    ati_status status = ati_gguf_take_size(cursor, out);
    if (status != ATI_OK) {
        return status;
    }
    size_t room = bytes_left(cursor) / least;
    size_t allowed = most < room ? most : room;
    return *out <= allowed
               ? ATI_OK
               : ati_fail(
                     cursor->error, ATI_FORMAT,
                     "'%s': %.200s: a count of %zu, expected at most %zu in a file of %zu bytes%s",
                     cursor->file->path, cursor->about, *out, allowed, cursor->file->size,
                     *out <= most ? ": it is cut short or damaged" : "");
}

ati_status ati_gguf_take_string(ati_gguf_cursor *cursor, char **out, size_t *length) {
    unsigned char *text = NULL;
    ati_status status = ati_gguf_take_size(cursor, length);
    if (status == ATI_OK) {
        status = ati_gguf_take(cursor, *length, &text);
    }
    if (status != ATI_OK) {
        return status;
    }
    if (memchr(text, '\0', *length) != NULL) {
        return ati_fail(cursor->error, ATI_FORMAT, "'%s': %.200s has a NUL inside",
                        cursor->file->path, cursor->about);
    }
    memmove(text - 1, text, *length);
    *out = (char *)text - 1;
    (*out)[*length] = '\0';
    return ATI_OK;
}

static bool is_utf8(const char *text, size_t length) {
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0, n; i < length; i += n) {
        n = ati_utf8_length(at + i, length - i);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

ati_status ati_gguf_take_name(ati_gguf_cursor *cursor, char **out) {
    size_t length = 0;
    ati_status status = ati_gguf_take_string(cursor, out, &length);
    if (status != ATI_OK) {
        return status;
    }
    if (length == 0 || length > MOST_NAME) {
        return ati_fail(cursor->error, ATI_FORMAT, "'%s': %.200s has %zu bytes, expected 1 to %zu",
                        cursor->file->path, cursor->about, length, MOST_NAME);
    }
    return is_utf8(*out, length)
               ? ATI_OK
               : ati_fail(cursor->error, ATI_FORMAT, "'%s': %.200s is no UTF-8: '%.200s'",
                          cursor->file->path, cursor->about, *out);
}
