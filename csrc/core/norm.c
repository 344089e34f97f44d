#include "norm.h"

#include "vector.h"

#include <math.h>

ATI_VECTOR_CLONES
void ati_rms_norm(const float *x, size_t width, const float *weight, float epsilon, float *y) {
    float mean_square = ati_dot(x, x, width) / (float)width;
    float factor = 1.0F / sqrtf(mean_square + epsilon);
    for (size_t i = 0; i < width; i++) {
        y[i] = x[i] * factor * weight[i];
    }
}
