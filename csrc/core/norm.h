/* Normalisation of rows. */
#ifndef ATI_NORM_H
#define ATI_NORM_H

#include <stddef.h>

/* y = x / sqrt(mean(x^2) + epsilon) * weight, row by row; x and y
 * [n_rows, width], weight [width]. */
void ati_rms_norm(const float *x, size_t n_rows, size_t width, const float *weight, float epsilon,
                  float *y);

#endif
