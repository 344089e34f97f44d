/*
 * Tiles for AVX-512: 24 sums of 16 floats in registers, one broadcast of x for
 * two multiply-adds. avx512 needs F, BW and VL alone; avx512_bf16 and avx512_vnni
 * have the instruction that does a whole step.
 */
#include "kernel/tile.h"

#ifdef ATI_HAS_X86_TILES

#include "kernel/format.h"
#include "kernel/tile_int8.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL_ROWS _Pragma("GCC unroll 12")

/* Row 3 * i + j of x is at rows.every_third[i] + j * stride: few enough pointers to
 * stay in registers. */
typedef struct {
    const char *every_third[ATI_TILE_ROWS / 3];
    size_t stride;
} tile_rows;

INLINE tile_rows rows_of(const char *x, size_t stride) {
    return (tile_rows){{x, x + 3 * stride, x + 6 * stride, x + 9 * stride}, stride};
}

INLINE int step_of(const tile_rows *rows, size_t row) {
    int step;
    memcpy(&step, rows->every_third[row / 3] + row % 3 * rows->stride, sizeof(step));
    return step;
}

INLINE void next_step(tile_rows *rows) {
    for (size_t i = 0; i < ATI_TILE_ROWS / 3; i++) {
        rows->every_third[i] += ATI_STEP_BYTES;
    }
}

AVX512 INLINE void store(__m512 sum[][2], size_t n_rows, bool add, float *y, size_t y_stride) {
    UNROLL_ROWS
    for (size_t row = 0; row < n_rows; row++, y += y_stride) {
        if (add) {
            sum[row][0] = _mm512_add_ps(_mm512_loadu_ps(y), sum[row][0]);
            sum[row][1] = _mm512_add_ps(_mm512_loadu_ps(y + 16), sum[row][1]);
        }
        _mm512_storeu_ps(y, sum[row][0]);
        _mm512_storeu_ps(y + 16, sum[row][1]);
    }
}

AVX512 void ati_tile_fp32_avx512(const char *x, size_t x_stride, const char *w, size_t steps,
                                 bool add, float *y, size_t y_stride) {
    __m512 sum[ATI_TILE_ROWS][2];
    tile_rows rows = rows_of(x, x_stride);
    UNROLL_ROWS
    for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm512_setzero_ps();
    }
    for (size_t s = 0; s < steps; s++, w += 128, next_step(&rows)) {
        __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + 64);
        UNROLL_ROWS
        for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
            __m512 value = _mm512_castsi512_ps(_mm512_set1_epi32(step_of(&rows, row)));
            sum[row][0] = _mm512_fmadd_ps(value, w0, sum[row][0]);
            sum[row][1] = _mm512_fmadd_ps(value, w1, sum[row][1]);
        }
    }
    store(sum, ATI_TILE_ROWS, add, y, y_stride);
}

AVX512_BF16 void ati_tile_bf16_avx512_bf16(const char *x, size_t x_stride, const char *w,
                                           size_t steps, bool add, float *y, size_t y_stride) {
    __m512 sum[ATI_TILE_ROWS][2];
    tile_rows rows = rows_of(x, x_stride);
    UNROLL_ROWS
    for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm512_setzero_ps();
    }
    for (size_t s = 0; s < steps; s++, w += 128, next_step(&rows)) {
        __m512bh w0 = (__m512bh)_mm512_loadu_si512(w), w1 = (__m512bh)_mm512_loadu_si512(w + 64);
        UNROLL_ROWS
        for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
            __m512bh pair = (__m512bh)_mm512_set1_epi32(step_of(&rows, row));
            sum[row][0] = _mm512_dpbf16_ps(sum[row][0], pair, w0);
            sum[row][1] = _mm512_dpbf16_ps(sum[row][1], pair, w1);
        }
    }
    store(sum, ATI_TILE_ROWS, add, y, y_stride);
}

/* The floats in the lower and in the upper halves of 16 pairs. */
AVX512 INLINE __m512 lower(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
}

AVX512 INLINE __m512 upper(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_and_epi32(pairs, _mm512_set1_epi32((int)0xffff0000U)));
}

AVX512 void ati_tile_bf16_avx512(const char *x, size_t x_stride, const char *w, size_t steps,
                                 bool add, float *y, size_t y_stride) {
    __m512 sum[ATI_TILE_ROWS][2];
    tile_rows rows = rows_of(x, x_stride);
    UNROLL_ROWS
    for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm512_setzero_ps();
    }
    for (size_t s = 0; s < steps; s++, w += 128, next_step(&rows)) {
        __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
        UNROLL_ROWS
        for (size_t row = 0; row < ATI_TILE_ROWS; row++) {
            __m512i pair = _mm512_set1_epi32(step_of(&rows, row));
            sum[row][0] = _mm512_fmadd_ps(lower(pair), lower(w0), sum[row][0]);
            sum[row][1] = _mm512_fmadd_ps(lower(pair), lower(w1), sum[row][1]);
            sum[row][0] = _mm512_fmadd_ps(upper(pair), upper(w0), sum[row][0]);
            sum[row][1] = _mm512_fmadd_ps(upper(pair), upper(w1), sum[row][1]);
        }
    }
    store(sum, ATI_TILE_ROWS, add, y, y_stride);
}

/* Rows whose sums, those of a group and those of all groups, stay in registers. */
enum { GROUPED_ROWS = 6 };

/* _mm512_dpbusd_epi32, of whose sums GCC 12 keeps copies in memory: a fifth more time. */
AVX512_VNNI INLINE __m512i add_products(__m512i sum, __m512i x, __m512i w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

/* sum += total * w_scale * x_scale. */
AVX512 INLINE __m512 add_scaled(__m512 sum, __m512i total, __m512 w_scale, __m512 x_scale) {
    return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(total), w_scale), x_scale, sum);
}

/* total = the sums of the group that w and `rows`, which go on to its end, begin with. */
AVX512_VNNI INLINE void sum_group(tile_rows *rows, const char *w, __m512i total[GROUPED_ROWS][2]) {
    const char *offsets = w + ATI_GROUP_PANEL + ATI_PANEL * sizeof(float);
    UNROLL_ROWS
    for (size_t row = 0; row < GROUPED_ROWS; row++) {
        total[row][0] = _mm512_loadu_si512(offsets);
        total[row][1] = _mm512_loadu_si512(offsets + 64);
    }
    for (size_t s = 0; s < ATI_GROUP_STEPS; s++, w += 128) {
        __m512i w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 64);
        UNROLL_ROWS
        for (size_t row = 0; row < GROUPED_ROWS; row++) {
            __m512i quad = _mm512_set1_epi32(step_of(rows, row));
            total[row][0] = add_products(total[row][0], quad, w0);
            total[row][1] = add_products(total[row][1], quad, w1);
        }
        rows->every_third[0] += ATI_STEP_BYTES;
        rows->every_third[1] += ATI_STEP_BYTES;
    }
}

/* GROUPED_ROWS by ATI_PANEL. */
AVX512_VNNI INLINE void multiply_vnni(const char *x, size_t x_stride, const char *w, size_t steps,
                                      bool add, float *y, size_t y_stride) {
    __m512 sum[GROUPED_ROWS][2];
    __m512i total[GROUPED_ROWS][2];
    tile_rows rows = {{x, x + 3 * x_stride}, x_stride};
    UNROLL_ROWS
    for (size_t row = 0; row < GROUPED_ROWS; row++) {
        sum[row][0] = sum[row][1] = _mm512_setzero_ps();
    }
    for (size_t s = 0; s < steps; s += ATI_GROUP_STEPS, w += ATI_NEXT_PANEL) {
        sum_group(&rows, w, total);
        __m512 scale0 = _mm512_loadu_ps(w + ATI_GROUP_PANEL);
        __m512 scale1 = _mm512_loadu_ps(w + ATI_GROUP_PANEL + 64);
        UNROLL_ROWS
        for (size_t row = 0; row < GROUPED_ROWS; row++) {
            __m512 x_scale = _mm512_castsi512_ps(_mm512_set1_epi32(step_of(&rows, row)));
            sum[row][0] = add_scaled(sum[row][0], total[row][0], scale0, x_scale);
            sum[row][1] = add_scaled(sum[row][1], total[row][1], scale1, x_scale);
        }
        rows.every_third[0] += sizeof(float);
        rows.every_third[1] += sizeof(float);
    }
    store(sum, GROUPED_ROWS, add, y, y_stride);
}

AVX512_VNNI void ati_tile_int8_avx512_vnni(const char *x, size_t x_stride, const char *w,
                                           size_t steps, bool add, float *y, size_t y_stride) {
    for (size_t row = 0; row < ATI_TILE_ROWS; row += GROUPED_ROWS) {
        multiply_vnni(x + row * x_stride, x_stride, w, steps, add, y + row * y_stride, y_stride);
    }
}

/* Sums of neighbours: columns 0..7 of k 0, 1 and k 2, 3 by turns, then columns
 * 8..15 likewise, become columns 0..15. */
AVX512 INLINE __m512i add_neighbours(__m512i first, __m512i second) {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd =
        _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_add_epi32(_mm512_permutex2var_epi32(first, even, second),
                            _mm512_permutex2var_epi32(first, odd, second));
}

/* Six rows by 16 columns, without VNNI: products of 16 bits, two added at a time. */
AVX512 INLINE void add_quads(const char *x, size_t x_stride, const char *w,
                             int32_t *totals /* [6, ATI_PANEL] */) {
    __m512i sum[6][2];
    tile_rows rows = {{x, x + 3 * x_stride}, x_stride};
    UNROLL_ROWS
    for (size_t row = 0; row < 6; row++) {
        sum[row][0] = sum[row][1] = _mm512_setzero_si512();
    }
    for (size_t s = 0; s < ATI_GROUP_STEPS; s++, w += 128) {
        __m512i w0 = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)w));
        __m512i w1 = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(w + 32)));
        UNROLL_ROWS
        for (size_t row = 0; row < 6; row++) {
            __m512i quad = _mm512_cvtepu8_epi16(_mm256_set1_epi32(step_of(&rows, row)));
            sum[row][0] = _mm512_add_epi32(sum[row][0], _mm512_madd_epi16(quad, w0));
            sum[row][1] = _mm512_add_epi32(sum[row][1], _mm512_madd_epi16(quad, w1));
        }
        rows.every_third[0] += ATI_STEP_BYTES;
        rows.every_third[1] += ATI_STEP_BYTES;
    }
    UNROLL_ROWS
    for (size_t row = 0; row < 6; row++) {
        _mm512_storeu_si512(totals + row * ATI_PANEL, add_neighbours(sum[row][0], sum[row][1]));
    }
}

AVX512 void ati_tile_int8_avx512(const char *x, size_t x_stride, const char *w, size_t steps,
                                 bool add, float *y, size_t y_stride) {
    int32_t totals[ATI_TILE_ROWS][ATI_PANEL];
    float sums[ATI_TILE_ROWS][ATI_PANEL] = {{0}};
    for (size_t s = 0; s < steps; s += ATI_GROUP_STEPS) {
        for (size_t row = 0; row < ATI_TILE_ROWS; row += 6) {
            for (size_t column = 0; column < ATI_PANEL; column += 16) {
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
