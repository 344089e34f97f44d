/* Arithmetic on sizes. Sizes that come from a file go through here. */
#ifndef ATI_CHECKED_H
#define ATI_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a * b; false, and *out undefined, when that does not fit. */
static inline bool ati_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

/* *out = a + b; false, and *out undefined, when that does not fit. */
static inline bool ati_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

#endif
