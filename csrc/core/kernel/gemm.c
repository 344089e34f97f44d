#include "kernel/gemm.h"

#include "kernel/blas.h"

#include <assert.h>

enum { CACHE_LINE = 64, MOST_AHEAD = 24 << 10, FEWEST_TILES = 8 };

/* Bytes of the next panel to be asked for before each tile: it comes from memory while this
 * one is multiplied. None where both are more than the first cache holds beside the rows of
 * a tile, or tiles are so few that what waits for a panel is less than what asking takes. */
static size_t count_ahead(size_t n_rows, size_t steps) {
    size_t bytes = steps * ATI_PANEL * ATI_STEP_BYTES, tiles = n_rows / ATI_TILE_ROWS;
    return bytes > MOST_AHEAD || tiles < FEWEST_TILES ? 0 : bytes / tiles + CACHE_LINE;
}

/* Asks for n bytes, past the last panel for whatever lies there: to ask is not to read. */
static void ask_for(const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i += CACHE_LINE) {
        __builtin_prefetch(bytes + i);
    }
}

void ati_multiply_block(const ati_gemm *gemm, const void *x, size_t x_stride, size_t n_rows,
                        const void *w, size_t w_stride, size_t n_panels, size_t steps, bool add,
                        float *y, size_t y_stride) {
    if (gemm->tile == NULL) {
        assert(!add);
        ati_sgemm_nt(n_rows, n_panels * ATI_PANEL, steps, x, x_stride / ATI_STEP_BYTES, w,
                     w_stride / (ATI_PANEL * ATI_STEP_BYTES), y, y_stride);
        return;
    }
    const size_t ahead = count_ahead(n_rows, steps);
    for (size_t p = 0; p < n_panels; p++) {
        const char *panel = (const char *)w + p * w_stride, *rows = x;
        const char *next = panel + w_stride;
        float *to = y + p * ATI_PANEL;
        for (size_t row = 0; row < n_rows; row += ATI_TILE_ROWS, next += ahead) {
            ask_for(next, ahead);
            gemm->tile(rows, x_stride, panel, steps, add, to, y_stride);
            rows += ATI_TILE_ROWS * x_stride;
            to += ATI_TILE_ROWS * y_stride;
        }
    }
}

void ati_multiply(const ati_gemm *gemm, const ati_layout *layout, const void *x, size_t n_rows,
                  const void *w, size_t n_panels, float *y, size_t y_stride) {
    for (size_t b = 0; b < layout->n_blocks; b++) {
        ati_multiply_block(gemm, (const char *)x + b * layout->row_block, layout->row, n_rows,
                           (const char *)w + b * layout->panel_block, layout->panel, n_panels,
                           layout->steps, b > 0, y, y_stride);
    }
}
