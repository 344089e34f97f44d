#include "vector.h"

#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

#define INLINE static inline __attribute__((always_inline))

/*
 * exp(x) for x <= 88, by 2^k * e^r with |r| <= ln(2)/2 and a polynomial for
 * e^r - 1 - r; relative error below 1e-7. Below -87 it is 0, so that a masked
 * score of -infinity has exactly no weight.
 */
INLINE float exp_of(float x) {
    const float round_to_integer = 12582912.0F; /* 1.5 * 2^23 */
    float bounded = x > -87.0F ? x : -87.0F;    /* NaN too, so that k fits an integer */
    bounded = bounded > 88.0F ? 88.0F : bounded;
    float k = (bounded * 1.44269504F + round_to_integer) - round_to_integer;
    float r = (bounded - k * 0.693359375F) + k * 2.12194440e-4F;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    float fraction = p * r * r + r + 1.0F;
    int32_t exponent = ((int32_t)k + 127) * (1 << 23);
    float power;
    memcpy(&power, &exponent, sizeof(power));
    float value = fraction * power + (x - x); /* NaN stays NaN */
    return x < -87.0F ? 0.0F : value;
}

INLINE float sum_of(const float lanes[LANES]) {
    float half[LANES / 2];
    for (size_t i = 0; i < LANES / 2; i++) {
        half[i] = lanes[i] + lanes[i + LANES / 2];
    }
    return ((half[0] + half[4]) + (half[2] + half[6])) +
           ((half[1] + half[5]) + (half[3] + half[7]));
}

ATI_VECTOR_CLONES
float ati_dot(const float *a, const float *b, size_t n) {
    float lanes[LANES] = {0};
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            lanes[lane] += a[i + lane] * b[i + lane];
        }
    }
    float total = sum_of(lanes);
    for (size_t i = whole; i < n; i++) {
        total += a[i] * b[i];
    }
    return total;
}

ATI_VECTOR_CLONES
float ati_max(const float *x, size_t n) {
    float lanes[LANES];
    size_t whole = n - n % LANES;
    for (size_t lane = 0; lane < LANES; lane++) {
        lanes[lane] = x[0];
    }
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
        }
    }
    float largest = lanes[0];
    for (size_t lane = 1; lane < LANES; lane++) {
        largest = lanes[lane] > largest ? lanes[lane] : largest;
    }
    for (size_t i = whole; i < n; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

/* The sum of x in fixed lanes. */
INLINE float sum(const float *x /* [n] */, size_t n) {
    float lanes[LANES] = {0};
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            lanes[lane] += x[i + lane];
        }
    }
    float total = sum_of(lanes);
    for (size_t i = whole; i < n; i++) {
        total += x[i];
    }
    return total;
}

ATI_VECTOR_CLONES
float ati_exp_sum(float *x, size_t n, float shift) {
    for (size_t i = 0; i < n; i++) {
        x[i] = exp_of(x[i] - shift);
    }
    return sum(x, n);
}

ATI_VECTOR_CLONES
void ati_scale(float *x, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) {
        x[i] *= factor;
    }
}

ATI_VECTOR_CLONES
void ati_add_to(float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] += y[i];
    }
}

ATI_VECTOR_CLONES
void ati_silu_times(float *restrict gate, const float *restrict up, size_t n) {
    for (size_t i = 0; i < n; i++) {
        gate[i] = gate[i] / (1.0F + exp_of(-gate[i])) * up[i];
    }
}
