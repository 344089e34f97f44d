#include "vector/rotary.h"

#include "vector/vector.h"

ATI_VECTOR_CLONES
void ati_rotate(float *heads, size_t n_heads, size_t head_dim, size_t dim, const float *cos_sin) {
    size_t half = dim / 2;
    const float *cosine = cos_sin, *sine = cos_sin + half;
    for (size_t head = 0; head < n_heads; head++) {
        float *first = heads + head * head_dim, *second = first + half;
        for (size_t i = 0; i < half; i++) {
            float a = first[i], b = second[i];
            first[i] = a * cosine[i] - b * sine[i];
            second[i] = b * cosine[i] + a * sine[i];
        }
    }
}
