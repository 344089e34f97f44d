/* The specification of a tile, and what runs where there is nothing better. */
#include "kernel/tile.h"

#include "kernel/format.h"
#include "kernel/tile_int8.h"

#include <stdint.h>
#include <string.h>

static void store(const float *sum /* [ATI_PANEL] */, bool add, float *y) {
    for (size_t c = 0; c < ATI_PANEL; c++) {
        y[c] = add ? y[c] + sum[c] : sum[c];
    }
}

void ati_tile_fp32_portable(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                            float *y, size_t y_stride) {
    for (size_t row = 0; row < ATI_TILE_ROWS; row++, x += x_stride, y += y_stride) {
        const float *values = (const float *)(const void *)x;
        const float *panel = (const float *)(const void *)w;
        float sum[ATI_PANEL] = {0};
        for (size_t s = 0; s < steps; s++, panel += ATI_PANEL) {
            for (size_t c = 0; c < ATI_PANEL; c++) {
                sum[c] += values[s] * panel[c];
            }
        }
        store(sum, add, y);
    }
}

/* The float in the upper half of `pair`, and the one in its lower half. */
static inline float upper(uint32_t pair) {
    float value;
    pair &= 0xffff0000U;
    memcpy(&value, &pair, sizeof(value));
    return value;
}

static inline float lower(uint32_t pair) {
    return upper(pair << 16);
}

void ati_tile_bf16_portable(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                            float *y, size_t y_stride) {
    for (size_t row = 0; row < ATI_TILE_ROWS; row++, x += x_stride, y += y_stride) {
        float sum[ATI_PANEL] = {0};
        for (size_t s = 0; s < steps; s++) {
            uint32_t pair, panel[ATI_PANEL];
            memcpy(&pair, x + s * sizeof(pair), sizeof(pair));
            memcpy(panel, w + s * sizeof(panel), sizeof(panel));
            for (size_t c = 0; c < ATI_PANEL; c++) {
                sum[c] += lower(pair) * lower(panel[c]);
                sum[c] += upper(pair) * upper(panel[c]);
            }
        }
        store(sum, add, y);
    }
}

/* totals = the sums of a group. */
static void add_quads(const char *x, size_t x_stride, const char *w,
                      int32_t totals[ATI_TILE_ROWS][ATI_PANEL]) {
    for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
        const uint8_t *values = (const uint8_t *)x + row * x_stride;
        const int8_t *panel = (const int8_t *)w;
        memset(totals[row], 0, sizeof totals[row]);
        for (size_t s = 0; s < ATI_GROUP_STEPS; s++, values += 4, panel += 4 * ATI_PANEL) {
            for (size_t c = 0; c < ATI_PANEL; c++) {
                for (size_t i = 0; i < 4; i++) {
                    totals[row][c] += (int32_t)values[i] * (int32_t)panel[4 * c + i];
                }
            }
        }
    }
}

void ati_tile_int8_portable(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                            float *y, size_t y_stride) {
    int32_t totals[ATI_TILE_ROWS][ATI_PANEL];
    float sums[ATI_TILE_ROWS][ATI_PANEL] = {{0}};
    for (size_t s = 0; s < steps; s += ATI_GROUP_STEPS) {
        add_quads(x, x_stride, w, totals);
        ati_add_totals(totals, x, x_stride, w, sums);
        x += ATI_NEXT_ROW;
        w += ATI_NEXT_PANEL;
    }
    ati_store_sums(sums, add, y, y_stride);
}
