/* UTF-8 as Unicode defines it: no overlong form, no surrogate, nothing above
 * U+10FFFF. */
#ifndef ATI_UTF8_H
#define ATI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that text[0..left) begins with, or 0 when it begins
 * with none. */
static inline size_t ati_utf8_length(const unsigned char *text, size_t left) {
    /* The first continuation byte is what rules out overlong forms, surrogates
     * and what lies above U+10FFFF; the others are any of 80..BF. */
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    size_t n;
    if (first < 0x80) {
        return 1;
    } else if (first >= 0xc2 && first <= 0xdf) {
        n = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        n = 3;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        n = 4;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (left < n || text[1] < low || text[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if (text[i] < 0x80 || text[i] > 0xbf) {
            return 0;
        }
    }
    return n;
}

/* Writes the character c, below 0x110000, to out [4]; returns its bytes. */
static inline size_t ati_utf8_write(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    } else if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    } else if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

#endif
