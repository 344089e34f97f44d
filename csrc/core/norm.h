/* Normalisation of a row. */
#ifndef ATI_NORM_H
#define ATI_NORM_H

#include <stddef.h>

/* y = x / sqrt(mean(x^2) + epsilon) * weight; x, weight and y [width]. */
void ati_rms_norm(const float *x, size_t width, const float *weight, float epsilon, float *y);

#endif
