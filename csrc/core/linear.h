/* Matrix products with the weights, one block of rows at a time. */
#ifndef ATI_LINEAR_H
#define ATI_LINEAR_H

#include "blas.h"

/* y = x w^T + bias for exactly ATI_ROW_BLOCK rows: x [ATI_ROW_BLOCK, k],
 * w [n, k], bias [n] or NULL, y [ATI_ROW_BLOCK, n] with row stride y_stride. */
void ati_linear(const ati_blas *blas, const float *x, size_t k, const float *w, const float *bias,
                size_t n, float *y, size_t y_stride);

#endif
