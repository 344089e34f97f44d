#include "vector/vector.h"

#include "vector/exponential.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

#define INLINE static inline __attribute__((always_inline))

INLINE float sum_of(const float lanes[LANES]) {
    float half[LANES / 2];
    for (size_t i = 0; i < LANES / 2; i++) {
        half[i] = lanes[i] + lanes[i + LANES / 2];
    }
    return ((half[0] + half[4]) + (half[2] + half[6])) +
           ((half[1] + half[5]) + (half[3] + half[7]));
}

INLINE float larger(float a, float b) {
    return a > b ? a : b;
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
float ati_sum(const float *x, size_t n) {
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

enum { WIDE = 4 * LANES }; /* as many comparisons do not wait for each other */

/* lanes [WIDE] = the larger of them and x [WIDE], each of its own. */
INLINE void take_larger(const float *x, float *lanes) {
    for (size_t lane = 0; lane < WIDE; lane++) {
        lanes[lane] = larger(x[lane], lanes[lane]);
    }
}

/* The largest of x [n], n >= WIDE. */
INLINE float largest_of_many(const float *x, size_t n) {
    float lanes[WIDE], largest = x[0];
    for (size_t lane = 0; lane < WIDE; lane++) {
        lanes[lane] = x[0];
    }
    for (size_t i = 0; i + WIDE < n; i += WIDE) {
        take_larger(x + i, lanes);
    }
    take_larger(x + n - WIDE, lanes); /* some a second time, which changes nothing */
    for (size_t lane = 0; lane < LANES; lane++) {
        float first = larger(lanes[lane + LANES], lanes[lane]);
        float second = larger(lanes[lane + 3 * LANES], lanes[lane + 2 * LANES]);
        lanes[lane] = larger(second, first);
    }
    for (size_t lane = 0; lane < LANES; lane++) {
        largest = larger(lanes[lane], largest);
    }
    return largest;
}

ATI_VECTOR_CLONES
float ati_max(const float *x, size_t n) {
    if (n >= WIDE) {
        return largest_of_many(x, n);
    }
    float largest = x[0];
    for (size_t i = 1; i < n; i++) {
        largest = larger(x[i], largest);
    }
    return largest;
}

ATI_VECTOR_CLONES
float ati_exp_sum(float *x, size_t n, float shift) {
    float lanes[LANES] = {0};
    size_t whole = n - n % LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t lane = 0; lane < LANES; lane++) {
            x[i + lane] = ati_exp_of(x[i + lane] - shift);
            lanes[lane] += x[i + lane];
        }
    }
    float total = sum_of(lanes);
    for (size_t i = whole; i < n; i++) {
        x[i] = ati_exp_of(x[i] - shift);
        total += x[i];
    }
    return total;
}

ATI_VECTOR_CLONES
void ati_scale(float *x, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) {
        x[i] *= factor;
    }
}

ATI_VECTOR_CLONES
void ati_divide(float *x, size_t n, float divisor) {
    for (size_t i = 0; i < n; i++) {
        x[i] /= divisor;
    }
}

ATI_VECTOR_CLONES
void ati_add_scaled(float *restrict x, const float *restrict y, size_t n, float factor) {
    for (size_t i = 0; i < n; i++) {
        x[i] += y[i] * factor;
    }
}

ATI_VECTOR_CLONES
void ati_clamp(float *x, size_t n, float bound) {
    for (size_t i = 0; i < n; i++) {
        float below = x[i] > bound ? bound : x[i];
        x[i] = below < -bound ? -bound : below;
    }
}

ATI_VECTOR_CLONES
void ati_add_to(float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] += y[i];
    }
}

/* The bits of x as bf16 in the upper half, what was below rounded away or left;
 * a NaN stays one. */
INLINE uint32_t round_to_upper(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
    return (bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded;
}

ATI_VECTOR_CLONES
void ati_round_bf16(const float *restrict x, size_t n, uint16_t *restrict y) {
    for (size_t i = 0; i < n; i++) {
        y[i] = (uint16_t)(round_to_upper(x[i]) >> 16);
    }
}

ATI_VECTOR_CLONES
void ati_round_bf16_pairs(const float *restrict even, const float *restrict odd, size_t n,
                          uint32_t *restrict pairs) {
    for (size_t i = 0; i < n; i++) {
        pairs[i] = (round_to_upper(even[i]) >> 16) | (round_to_upper(odd[i]) & 0xffff0000);
    }
}
