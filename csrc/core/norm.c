#include "norm.h"

#include "vector.h"

#include <math.h>

void ati_rms_norm(const float *x, size_t n_rows, size_t width, const float *weight, float epsilon,
                  float *y) {
    for (size_t row = 0; row < n_rows; row++, x += width, y += width) {
        float mean_square = ati_dot(x, x, width) / (float)width;
        float factor = 1.0F / sqrtf(mean_square + epsilon);
        for (size_t i = 0; i < width; i++) {
            y[i] = x[i] * factor * weight[i];
        }
    }
}
