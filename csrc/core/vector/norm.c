#include "vector/norm.h"

#include "vector/vector.h"

#include <math.h>

ATI_VECTOR_CLONES
static void rms_norm(const ati_norm *norm, const float *x, size_t width, float *y) {
    const float *weight = norm->weight;
    float mean_square = ati_dot(x, x, width) / (float)width;
    float factor = 1.0F / sqrtf(mean_square + norm->epsilon);
    for (size_t i = 0; i < width; i++) {
        y[i] = x[i] * factor * weight[i];
    }
}

ATI_VECTOR_CLONES
static void layer_norm(const ati_norm *norm, const float *x, size_t width, float *y) {
    const float *weight = norm->weight;
    float mean = ati_sum(x, width) / (float)width;
    for (size_t i = 0; i < width; i++) {
        y[i] = x[i] - mean;
    }
    float variance = ati_dot(y, y, width) / (float)width;
    float factor = 1.0F / sqrtf(variance + norm->epsilon);
    for (size_t i = 0; i < width; i++) {
        y[i] = y[i] * factor * weight[i];
    }
    if (norm->bias != NULL) {
        ati_add_to(y, norm->bias, width);
    }
}

void ati_norm_row(const ati_norm *norm, const float *x, size_t width, float *y) {
    if (norm->kind == ATI_NORM_RMS) {
        rms_norm(norm, x, width, y);
    } else {
        layer_norm(norm, x, width, y);
    }
}

void ati_norm_parts(const ati_norm *norm, float *row, size_t n, size_t width) {
    ati_norm part = *norm;
    for (size_t i = 0; i < n; i++, row += width, part.weight += width) {
        ati_norm_row(&part, row, width, row);
        part.bias = part.bias != NULL ? part.bias + width : NULL;
    }
}
