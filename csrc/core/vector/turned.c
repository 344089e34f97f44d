#include "vector/turned.h"

#include "vector/vector.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { LANES = 16, ROWS = ATI_TURNED / LANES, LARGEST = 127 };

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

#if defined(__clang__) || __GNUC__ >= 12
#define PERMUTE(x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
typedef int lane_numbers __attribute__((vector_size(LANES * sizeof(int))));
#define PERMUTE(x, ...) __builtin_shuffle(x, (lane_numbers){__VA_ARGS__})
#endif

/* Lanes h apart become their sum and, in the upper of the two, their difference. */
#define ADD_AND_SUBTRACT(x, sign, ...) (PERMUTE(x, __VA_ARGS__) + (x) * (sign))

INLINE void turn_lanes(lanes *row) {
    lanes x = *row;
    const lanes by_8 = {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
    const lanes by_4 = {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1};
    const lanes by_2 = {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1};
    const lanes by_1 = {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1};
    x = ADD_AND_SUBTRACT(x, by_8, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    x = ADD_AND_SUBTRACT(x, by_4, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    x = ADD_AND_SUBTRACT(x, by_2, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    *row = ADD_AND_SUBTRACT(x, by_1, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

INLINE void turn(float x[ATI_TURNED]) {
    const float eighth = 0.125F;
    lanes row[ROWS];
    memcpy(row, x, sizeof row);
    lanes a = row[0] + row[2], b = row[1] + row[3], c = row[0] - row[2], d = row[1] - row[3];
    row[0] = a + b;
    row[1] = a - b;
    row[2] = c + d;
    row[3] = c - d;
    for (size_t i = 0; i < ROWS; i++) {
        turn_lanes(&row[i]);
        row[i] *= eighth;
    }
    memcpy(x, row, sizeof row);
}

/* The largest |x[i]|; NaN where any is one, else infinity where any is: as bits without
 * the sign a NaN is larger than an infinity. */
INLINE float largest_of(const float x[ATI_TURNED]) {
    uint32_t bits[ATI_TURNED], largest = 0;
    float value;
    memcpy(bits, x, sizeof bits);
    for (size_t i = 0; i < ATI_TURNED; i++) {
        uint32_t magnitude = bits[i] & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    memcpy(&value, &largest, sizeof value);
    return value;
}

/* y[i] = the integer nearest to x[i] * factor, ties to even, plus offset, modulo 256. */
INLINE void round_to(const float x[ATI_TURNED], float factor, uint32_t offset,
                     uint8_t y[ATI_TURNED]) {
    const float round_to_integer = 12582912.0F; /* 1.5 * 2^23 */
    for (size_t i = 0; i < ATI_TURNED; i++) {
        float shifted = fmaf(x[i], factor, round_to_integer);
        uint32_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        y[i] = (uint8_t)(bits + offset);
    }
}

ATI_VECTOR_CLONES
void ati_turn(float x[ATI_TURNED]) {
    turn(x);
}

ATI_VECTOR_CLONES
float ati_round_turned(float x[ATI_TURNED], uint32_t offset, uint8_t y[ATI_TURNED]) {
    turn(x);
    float largest = largest_of(x), inverse = (float)LARGEST / largest;
    if (!isfinite(inverse) || !isfinite(largest)) { /* zeros, or nearly, or not finite */
        memset(y, (int)offset, ATI_TURNED);
        return isfinite(largest) ? 0.0F : NAN;
    }
    round_to(x, inverse, offset, y);
    return largest / (float)LARGEST;
}
