/*
 * int8: x and w are rounded to -127..127 times a scale, one for each row and
 * block. Instructions want unsigned times signed, so x is stored with 128 added:
 *
 *     sum (x + 128) w  =  sum x w  +  128 sum w
 *
 * and a panel's block ends with the scales and -128 sum w of its rows, with which
 * a product's sums begin.
 */
#include "kernel/format.h"
#include "vector/vector.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { VALUES = 4, LARGEST = 127, OFFSET = 128 };

/* Rounds x [n] to y; returns the distance of neighbouring values: NaN, and y 0, for
 * what holds a NaN or an infinity. */
static float round_block(const float *x, size_t n, uint32_t offset, uint8_t *y) {
    float largest = ati_max_abs(x, n), inverse = (float)LARGEST / largest;
    if (!isfinite(inverse) || !isfinite(largest)) { /* zeros, or nearly, or not finite */
        memset(y, (int)offset, n);
        return isfinite(largest) ? 0.0F : NAN;
    }
    ati_round_int8(x, n, inverse, offset, y);
    return largest / (float)LARGEST;
}

static void write_int8(const float *x, size_t n, void *block, size_t steps) {
    uint8_t *to = block;
    float scale = round_block(x, n, OFFSET, to);
    memset(to + n, OFFSET, steps * VALUES - n);
    memcpy(to + steps * VALUES, &scale, sizeof(scale));
}

static void pack_int8(const float *w, size_t n, void *block, size_t steps, size_t row) {
    uint8_t *to = (uint8_t *)block + row * VALUES, rounded[VALUES * ATI_MOST_STEPS] = {0};
    float scale = round_block(w, n, 0, rounded);
    int32_t total = 0;
    for (size_t s = 0; s < steps; s++) {
        memcpy(to + s * ATI_PANEL * VALUES, rounded + s * VALUES, VALUES);
    }
    for (size_t i = 0; i < n; i++) {
        total -= OFFSET * (int8_t)rounded[i];
    }
    char *tail = (char *)block + steps * ATI_PANEL * VALUES;
    memcpy(tail + row * sizeof(scale), &scale, sizeof(scale));
    memcpy(tail + (ATI_PANEL + row) * sizeof(total), &total, sizeof(total));
}

static void unpack_int8(const void *block, size_t n, size_t steps, size_t row, float *w) {
    const int8_t *from = (const int8_t *)block + row * VALUES;
    float scale;
    memcpy(&scale, (const char *)block + steps * ATI_PANEL * VALUES + row * sizeof(scale),
           sizeof(scale));
    for (size_t i = 0; i < n; i++) {
        w[i] = (float)from[i / VALUES * ATI_PANEL * VALUES + i % VALUES] * scale;
    }
}

const ati_format ati_format_int8 = {
    .values_per_step = VALUES,
    .row_tail = 64,
    .panel_tail = ATI_PANEL * (sizeof(float) + sizeof(int32_t)),
    .blocked = true,
    .write_block = write_int8,
    .pack_block = pack_int8,
    .unpack_block = unpack_int8,
};
