/* Normalisation of a row. */
#ifndef ATI_NORM_H
#define ATI_NORM_H

#include <stddef.h>

#include "config/family.h"

typedef struct {
    ati_norm_kind kind;
    float epsilon;
    float *weight; /* [width]; NULL: there is no such norm */
    float *bias;   /* [width], or NULL */
} ati_norm;

/* y = x normalised as norm->kind says, times the weight, plus the bias; x and y
 * [width], which may be the same. */
void ati_norm_row(const ati_norm *norm, const float *x, size_t width, float *y);

/* The same with every `width` values of a row [n * width] normalised by themselves;
 * weight and bias are those of the row. */
void ati_norm_parts(const ati_norm *norm, float *row, size_t n, size_t width);

#endif
