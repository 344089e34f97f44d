#include "vector/turned.h"

#include "vector/vector.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LANES = 16, ROWS = ATI_TURNED / LANES, LARGEST = 127, TRIES = 16 };

#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lane_bits __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));

#if defined(__clang__) || __GNUC__ >= 12
#define PERMUTE(x, ...) __builtin_shufflevector(x, x, __VA_ARGS__)
#else
#define PERMUTE(x, ...) __builtin_shuffle(x, (lane_bits){__VA_ARGS__})
#endif

/* For each lane the one 8, 4, 2 or 1 away. */
#define ACROSS_8(x) PERMUTE(x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define ACROSS_4(x) PERMUTE(x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define ACROSS_2(x) PERMUTE(x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define ACROSS_1(x) PERMUTE(x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)

/* Lanes h apart become their sum and, in the upper of the two, whose sign it is, their
 * difference. */
#define ADD_AND_SUBTRACT(x, across, sign) (across(x) + (lanes)((lane_bits)(x) ^ (sign)))

INLINE void turn_lanes(lanes *row) {
    enum { M = INT32_MIN }; /* the sign of a float */
    const lane_bits by_8 = {0, 0, 0, 0, 0, 0, 0, 0, M, M, M, M, M, M, M, M};
    const lane_bits by_4 = {0, 0, 0, 0, M, M, M, M, 0, 0, 0, 0, M, M, M, M};
    const lane_bits by_2 = {0, 0, M, M, 0, 0, M, M, 0, 0, M, M, 0, 0, M, M};
    const lane_bits by_1 = {0, M, 0, M, 0, M, 0, M, 0, M, 0, M, 0, M, 0, M};
    lanes x = *row;
    x = ADD_AND_SUBTRACT(x, ACROSS_8, by_8);
    x = ADD_AND_SUBTRACT(x, ACROSS_4, by_4);
    x = ADD_AND_SUBTRACT(x, ACROSS_2, by_2);
    *row = ADD_AND_SUBTRACT(x, ACROSS_1, by_1);
}

/* row = 8 H x. */
INLINE void turn(const float x[ATI_TURNED], lanes row[ROWS]) {
    memcpy(row, x, ROWS * sizeof *row);
    lanes a = row[0] + row[2], b = row[1] + row[3], c = row[0] - row[2], d = row[1] - row[3];
    row[0] = a + b;
    row[1] = a - b;
    row[2] = c + d;
    row[3] = c - d;
    for (size_t r = 0; r < ROWS; r++) {
        turn_lanes(&row[r]);
    }
}

#define LARGER(a, b) (((a) & ((a) > (b))) | ((b) & ~((a) > (b))))

/* The largest |x|; NaN where any is one, else infinity where any is: as bits without the
 * sign a NaN is larger than an infinity. */
INLINE float largest_of(const lanes row[ROWS]) {
    lane_bits largest = (lane_bits)row[0] & INT32_MAX;
    for (size_t r = 1; r < ROWS; r++) {
        lane_bits magnitudes = (lane_bits)row[r] & INT32_MAX;
        largest = LARGER(largest, magnitudes);
    }
    largest = LARGER(largest, ACROSS_8(largest));
    largest = LARGER(largest, ACROSS_4(largest));
    largest = LARGER(largest, ACROSS_2(largest));
    largest = LARGER(largest, ACROSS_1(largest));
    return ((lanes)largest)[0];
}

/* A float whose neighbours are 1 away: what is added to it becomes an integer, ties to even. */
#define TO_INTEGER 12582912.0F /* 1.5 * 2^23 */

/* y = the integers nearest to row * factor, ties to even, plus offset, modulo 256. */
INLINE void round_to(const lanes row[ROWS], float factor, int32_t offset, uint8_t y[ATI_TURNED]) {
    for (size_t r = 0; r < ROWS; r++) {
        lanes shifted;
        for (size_t i = 0; i < LANES; i++) {
            shifted[i] = fmaf(row[r][i], factor, TO_INTEGER);
        }
        lane_bytes rounded = __builtin_convertvector((lane_bits)shifted + offset, lane_bytes);
        memcpy(y + r * LANES, &rounded, sizeof rounded);
    }
}

/* Zeros, or nearly, or what is not finite. */
INLINE void round_to_nothing(float largest, uint8_t offset, uint8_t y[ATI_ROUNDED]) {
    float scale = isfinite(largest) ? 0.0F : NAN;
    memset(y, offset, ATI_TURNED);
    memcpy(y + ATI_TURNED, &scale, sizeof scale);
}

INLINE void round_turned(const float x[ATI_TURNED], uint8_t offset, uint8_t y[ATI_ROUNDED]) {
    lanes row[ROWS];
    turn(x, row);
    float largest = largest_of(row), inverse = (float)LARGEST / largest;
    float scale = largest * 0.125F / (float)LARGEST;
    if (!isfinite(inverse) || !isfinite(largest)) {
        round_to_nothing(largest, offset, y);
        return;
    }
    round_to(row, inverse, offset, y);
    memcpy(y + ATI_TURNED, &scale, sizeof scale);
}

/* The sum of all lanes, in one order. */
INLINE float sum_of(const lanes *of) {
    lanes x = *of;
    x += ACROSS_8(x);
    x += ACROSS_4(x);
    x += ACROSS_2(x);
    x += ACROSS_1(x);
    return x[0];
}

/* whole = the integers nearest to row * factor, ties to even. */
INLINE void round_lanes(const lanes *row, float factor, lanes *whole) {
    for (size_t i = 0; i < LANES; i++) {
        (*whole)[i] = fmaf((*row)[i], factor, TO_INTEGER);
    }
    *whole -= TO_INTEGER;
}

/* The sum of (row - the integers nearest to row * factor / factor)^2. */
INLINE float square_error(const lanes row[ROWS], float factor) {
    lanes sum = {0};
    for (size_t r = 0; r < ROWS; r++) {
        lanes whole;
        round_lanes(&row[r], factor, &whole);
        whole -= row[r] * factor;
        sum += whole * whole;
    }
    return sum_of(&sum) / (factor * factor);
}

/* The scale of the least square error for the integers that rows become. */
INLINE float scale_for(const lanes row[ROWS], float factor) {
    lanes products = {0}, squares = {0};
    for (size_t r = 0; r < ROWS; r++) {
        lanes whole;
        round_lanes(&row[r], factor, &whole);
        products += row[r] * whole;
        squares += whole * whole;
    }
    return sum_of(&products) / sum_of(&squares);
}

ATI_VECTOR_CLONES
void ati_round_turned_closely(const float x[ATI_TURNED], uint8_t y[ATI_ROUNDED]) {
    lanes row[ROWS];
    turn(x, row);
    float largest = largest_of(row), best = (float)LARGEST / largest;
    if (!isfinite(best) || !isfinite(largest)) {
        round_to_nothing(largest, 0, y);
        return;
    }
    float least = square_error(row, best);
    for (int step = 1; step < TRIES; step++) {
        float factor = ((float)LARGEST - 0.25F * (float)step) / largest;
        float error = square_error(row, factor);
        best = error < least ? factor : best;
        least = error < least ? error : least;
    }
    float scale = 0.125F * scale_for(row, best);
    round_to(row, best, 0, y);
    memcpy(y + ATI_TURNED, &scale, sizeof scale);
}

ATI_VECTOR_CLONES
void ati_turn(float x[ATI_TURNED]) {
    lanes row[ROWS];
    turn(x, row);
    for (size_t r = 0; r < ROWS; r++) {
        row[r] *= 0.125F;
    }
    memcpy(x, row, sizeof row);
}

ATI_VECTOR_CLONES
void ati_round_turned(const float *x, size_t n, uint8_t offset, uint8_t *y) {
    for (size_t group = 0; group < n; group++, x += ATI_TURNED, y += ATI_ROUNDED) {
        round_turned(x, offset, y);
    }
}
