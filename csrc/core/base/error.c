#undef _GNU_SOURCE /* strerror_r in its POSIX form */
#define _POSIX_C_SOURCE 200809L

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Copies `text` into out [size] as one line of valid UTF-8, cut to fit. */
static void write_line(const char *text, char *out, size_t size) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)text;
    size_t left = strlen(text), used = 0;
    while (left > 0) {
        size_t n = ati_utf8_length(at, left);
        bool plain = n > 0 && *at >= 0x20 && *at != 0x7f;
        if (used + (plain ? n : 4) >= size) {
            break;
        }
        if (plain) {
            memcpy(out + used, at, n);
            used += n;
        } else {
            n = 1;
            memcpy(out + used, "\\x", 2);
            out[used + 2] = digits[*at >> 4];
            out[used + 3] = digits[*at & 15];
            used += 4;
        }
        at += n;
        left -= n;
    }
    out[used] = '\0';
}

ati_status ati_fail(ati_error *error, ati_status status, const char *format, ...) {
    if (error != NULL) {
        char text[sizeof error->message];
        va_list arguments;
        va_start(arguments, format);
        if (vsnprintf(text, sizeof text, format, arguments) < 0) {
            text[0] = '\0';
        }
        va_end(arguments);
        write_line(text, error->message, sizeof error->message);
        error->system_error = 0;
        error->path[0] = '\0';
    }
    return status;
}

ati_status ati_fail_io(ati_error *error, const char *path, const char *what) {
    int reason = errno;
    char text[128];
    if (strerror_r(reason, text, sizeof text) != 0) {
        snprintf(text, sizeof text, "error %d", reason);
    }
    ati_status status = reason == ENOMEM ? ATI_NOMEM : ATI_IO;
    ati_fail(error, status, "cannot %s '%s': %s", what, path, text);
    if (error != NULL) {
        error->system_error = status == ATI_IO ? reason : 0;
        snprintf(error->path, sizeof error->path, "%s", path);
    }
    return status;
}

ati_status ati_fail_memory(ati_error *error, size_t bytes, const char *what) {
    return ati_fail(error, ATI_NOMEM, "no memory for %s (%zu bytes)", what, bytes);
}
