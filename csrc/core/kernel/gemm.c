#include "kernel/gemm.h"

#include "kernel/blas.h"

#include <assert.h>

void ati_multiply_block(const ati_gemm *gemm, const void *x, size_t x_stride, size_t n_rows,
                        const void *w, size_t w_stride, size_t n_panels, size_t steps, bool add,
                        float *y, size_t y_stride) {
    if (gemm->tile == NULL) {
        assert(!add);
        ati_sgemm_nt(n_rows, n_panels * ATI_PANEL, steps, x, x_stride / ATI_STEP_BYTES, w,
                     w_stride / (ATI_PANEL * ATI_STEP_BYTES), y, y_stride);
        return;
    }
    for (size_t p = 0; p < n_panels; p++) {
        const char *panel = (const char *)w + p * w_stride, *rows = x;
        float *to = y + p * ATI_PANEL;
        for (size_t row = 0; row < n_rows; row += ATI_TILE_ROWS) {
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
