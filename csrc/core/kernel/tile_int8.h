/* How every int8 form ends: exact sums become floats, in one order of rounding. */
#ifndef ATI_TILE_INT8_H
#define ATI_TILE_INT8_H

#include "kernel/format.h"
#include "kernel/tile.h"

#include <stdint.h>
#include <string.h>

/* y (+)= (totals - 128 sum w) * scale of w * scale of x; x and w are those of the
 * tile, whose blocks end with the scales. */
static inline __attribute__((always_inline)) void
ati_scale_totals(int32_t totals[ATI_TILE_ROWS][ATI_PANEL], const char *x, size_t x_stride,
                 const char *w, size_t steps, bool add, float *y, size_t y_stride) {
    float x_scale, w_scale[ATI_PANEL], product[ATI_PANEL];
    uint32_t offsets[ATI_PANEL]; /* unsigned: a file of packed weights may hold any */
    const char *tail = w + steps * ATI_PANEL * ATI_STEP_BYTES;
    memcpy(w_scale, tail, sizeof(w_scale));
    memcpy(offsets, tail + sizeof(w_scale), sizeof(offsets));
    for (size_t row = 0; row < ATI_TILE_ROWS; row++, x += x_stride, y += y_stride) {
        memcpy(&x_scale, x + steps * ATI_STEP_BYTES, sizeof(x_scale));
        for (size_t c = 0; c < ATI_PANEL; c++) {
            int32_t total = (int32_t)((uint32_t)totals[row][c] + offsets[c]);
            product[c] = (float)total * w_scale[c] * x_scale;
        }
        for (size_t c = 0; c < ATI_PANEL; c++) {
            y[c] = add ? y[c] + product[c] : product[c];
        }
    }
}

#endif
