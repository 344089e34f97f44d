/* How int8 forms go on from the exact sums of a group: they become floats and are added up
 * in one order of rounding. */
#ifndef ATI_TILE_INT8_H
#define ATI_TILE_INT8_H

#include "kernel/format.h"
#include "kernel/tile.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* sums += (totals - 128 sum w) * scale of w * scale of x, for the group that x and w begin
 * with. */
static inline __attribute__((always_inline)) void
ati_add_totals(int32_t totals[ATI_TILE_ROWS][ATI_PANEL], const char *x, size_t x_stride,
               const char *w, float sums[ATI_TILE_ROWS][ATI_PANEL]) {
    float x_scale, w_scale[ATI_PANEL];
    uint32_t offsets[ATI_PANEL]; /* unsigned: a file of packed weights may hold any */
    memcpy(w_scale, w + ATI_GROUP_PANEL, sizeof w_scale);
    memcpy(offsets, w + ATI_GROUP_PANEL + sizeof w_scale, sizeof offsets);
    for (size_t row = 0; row < ATI_TILE_ROWS; row++, x += x_stride) {
        memcpy(&x_scale, x + ATI_GROUP_ROW, sizeof x_scale);
        for (size_t c = 0; c < ATI_PANEL; c++) {
            int32_t total = (int32_t)((uint32_t)totals[row][c] + offsets[c]);
            sums[row][c] = fmaf((float)total * w_scale[c], x_scale, sums[row][c]);
        }
    }
}

/* y = sums, or y += sums. */
static inline __attribute__((always_inline)) void
ati_store_sums(float sums[ATI_TILE_ROWS][ATI_PANEL], bool add, float *y, size_t y_stride) {
    for (size_t row = 0; row < ATI_TILE_ROWS; row++, y += y_stride) {
        for (size_t c = 0; c < ATI_PANEL; c++) {
            y[c] = add ? y[c] + sums[row][c] : sums[row][c];
        }
    }
}

#endif
