/* Tiles for AVX2 with FMA: sums of 6 x 16 or 4 x 16 floats fill its 16 registers. */
#include "kernel/tile.h"

#ifdef ATI_HAS_X86_TILES

#include "kernel/format.h"
#include "kernel/tile_int8.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL_ROWS _Pragma("GCC unroll 6")

enum { FP32_ROWS = 6, PAIR_ROWS = 4, QUAD_ROWS = 4 };

INLINE int step_at(const char *x) {
    int step;
    memcpy(&step, x, sizeof(step));
    return step;
}

AVX2 INLINE void store(__m256 sum[][2], size_t n_rows, bool add, float *y, size_t y_stride) {
    UNROLL_ROWS
    for (size_t row = 0; row < n_rows; row++, y += y_stride) {
        if (add) {
            sum[row][0] = _mm256_add_ps(_mm256_loadu_ps(y), sum[row][0]);
            sum[row][1] = _mm256_add_ps(_mm256_loadu_ps(y + 8), sum[row][1]);
        }
        _mm256_storeu_ps(y, sum[row][0]);
        _mm256_storeu_ps(y + 8, sum[row][1]);
    }
}

/* FP32_ROWS by 16. */
AVX2 INLINE void multiply_fp32(const char *x, size_t stride, const char *w, size_t steps, bool add,
                               float *y, size_t y_stride) {
    __m256 sum[FP32_ROWS][2];
    const char *x3 = x + 3 * stride;
    UNROLL_ROWS
    for (size_t row = 0; row < FP32_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm256_setzero_ps();
    }
    for (size_t s = 0; s < steps; s++, w += 128, x += ATI_STEP_BYTES, x3 += ATI_STEP_BYTES) {
        __m256 w0 = _mm256_loadu_ps((const void *)w), w1 = _mm256_loadu_ps((const void *)(w + 32));
        UNROLL_ROWS
        for (size_t row = 0; row < FP32_ROWS; row++) {
            const char *from = row < 3 ? x + row * stride : x3 + (row - 3) * stride;
            __m256 value = _mm256_broadcast_ss((const void *)from);
            sum[row][0] = _mm256_fmadd_ps(value, w0, sum[row][0]);
            sum[row][1] = _mm256_fmadd_ps(value, w1, sum[row][1]);
        }
    }
    store(sum, FP32_ROWS, add, y, y_stride);
}

AVX2 void ati_tile_fp32_avx2(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                             float *y, size_t y_stride) {
    for (size_t column = 0; column < ATI_PANEL; column += 16) {
        for (size_t row = 0; row < ATI_TILE_ROWS; row += FP32_ROWS) {
            multiply_fp32(x + row * x_stride, x_stride, w + column * ATI_STEP_BYTES, steps, add,
                          y + row * y_stride + column, y_stride);
        }
    }
}

/* The floats in the lower and in the upper halves of 8 pairs. */
AVX2 INLINE __m256 lower(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

AVX2 INLINE __m256 upper(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000U)));
}

/* PAIR_ROWS by 16. */
AVX2 INLINE void multiply_bf16(const char *x, size_t stride, const char *w, size_t steps, bool add,
                               float *y, size_t y_stride) {
    __m256 sum[PAIR_ROWS][2];
    const char *x2 = x + 2 * stride;
    UNROLL_ROWS
    for (size_t row = 0; row < PAIR_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm256_setzero_ps();
    }
    for (size_t s = 0; s < steps; s++, w += 128, x += ATI_STEP_BYTES, x2 += ATI_STEP_BYTES) {
        __m256i w0 = _mm256_loadu_si256((const void *)w);
        __m256i w1 = _mm256_loadu_si256((const void *)(w + 32));
        UNROLL_ROWS
        for (size_t row = 0; row < PAIR_ROWS; row++) {
            const char *from = row < 2 ? x + row * stride : x2 + (row - 2) * stride;
            __m256i pair = _mm256_set1_epi32(step_at(from));
            sum[row][0] = _mm256_fmadd_ps(lower(pair), lower(w0), sum[row][0]);
            sum[row][1] = _mm256_fmadd_ps(lower(pair), lower(w1), sum[row][1]);
            sum[row][0] = _mm256_fmadd_ps(upper(pair), upper(w0), sum[row][0]);
            sum[row][1] = _mm256_fmadd_ps(upper(pair), upper(w1), sum[row][1]);
        }
    }
    store(sum, PAIR_ROWS, add, y, y_stride);
}

AVX2 void ati_tile_bf16_avx2(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                             float *y, size_t y_stride) {
    for (size_t column = 0; column < ATI_PANEL; column += 16) {
        for (size_t row = 0; row < ATI_TILE_ROWS; row += PAIR_ROWS) {
            multiply_bf16(x + row * x_stride, x_stride, w + column * ATI_STEP_BYTES, steps, add,
                          y + row * y_stride + column, y_stride);
        }
    }
}

/* QUAD_ROWS by 8: products of 16 bits, two added at a time. Columns 0..3 and 4..7
 * have their sums of k 0, 1 and k 2, 3 side by side until the end. */
AVX2 INLINE void add_quads(const char *x, size_t stride, const char *w,
                           int32_t *totals /* [QUAD_ROWS, ATI_PANEL] */) {
    __m256i sum[QUAD_ROWS][2];
    const char *x2 = x + 2 * stride;
    UNROLL_ROWS
    for (size_t row = 0; row < QUAD_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm256_setzero_si256();
    }
    for (size_t s = 0; s < ATI_GROUP_STEPS; s++) {
        __m256i w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)w));
        __m256i w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(w + 16)));
        UNROLL_ROWS
        for (size_t row = 0; row < QUAD_ROWS; row++) {
            const char *from = row < 2 ? x + row * stride : x2 + (row - 2) * stride;
            __m256i quad = _mm256_cvtepu8_epi16(_mm_set1_epi32(step_at(from)));
            sum[row][0] = _mm256_add_epi32(sum[row][0], _mm256_madd_epi16(quad, w0));
            sum[row][1] = _mm256_add_epi32(sum[row][1], _mm256_madd_epi16(quad, w1));
        }
        w += ATI_PANEL * ATI_STEP_BYTES;
        x += ATI_STEP_BYTES;
        x2 += ATI_STEP_BYTES;
    }
    UNROLL_ROWS
    for (size_t row = 0; row < QUAD_ROWS; row++) {
        __m256i columns = _mm256_hadd_epi32(sum[row][0], sum[row][1]);
        _mm256_storeu_si256((void *)(totals + row * ATI_PANEL),
                            _mm256_permute4x64_epi64(columns, 0xd8));
    }
}

AVX2 void ati_tile_int8_avx2(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                             float *y, size_t y_stride) {
    int32_t totals[ATI_TILE_ROWS][ATI_PANEL];
    float sums[ATI_TILE_ROWS][ATI_PANEL] = {{0}};
    for (size_t s = 0; s < steps; s += ATI_GROUP_STEPS) {
        for (size_t row = 0; row < ATI_TILE_ROWS; row += QUAD_ROWS) {
            for (size_t column = 0; column < ATI_PANEL; column += 8) {
                add_quads(x + row * x_stride, x_stride, w + column * ATI_STEP_BYTES,
                          totals[row] + column);
            }
        }
        ati_add_totals(totals, x, x_stride, w, sums);
        x += ATI_NEXT_ROW;
        w += ATI_NEXT_PANEL;
    }
    ati_store_sums(sums, add, y, y_stride);
}

#endif
