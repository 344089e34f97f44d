#include "linear.h"

#include "pack.h"
#include "vector.h"

/* Columns of one product, so that none takes long and a cancel is seen soon. */
static const size_t COLUMN_TILE = 4096;

void ati_linear(const ati_blas *blas, const float *x, size_t k, const float *w, const float *bias,
                size_t n, float *y, size_t y_stride) {
    for (size_t column = 0; column < n; column += COLUMN_TILE) {
        size_t count = n - column < COLUMN_TILE ? n - column : COLUMN_TILE;
        ati_sgemm_nt(blas, ATI_ROW_BLOCK, count, k, 1.0F, x, k, w + column * k, k, 0.0F, y + column,
                     y_stride);
    }
    for (size_t row = 0; bias != NULL && row < ATI_ROW_BLOCK; row++) {
        ati_add_to(y + row * y_stride, bias, n);
    }
}
