/*
 * Element-wise arithmetic over float arrays. Sums run in sixteen fixed lanes, so
 * that a compiler may use vectors of any width without changing a bit.
 */
#ifndef ATI_VECTOR_H
#define ATI_VECTOR_H

#include <stddef.h>
#include <stdint.h> /* defines __GLIBC__ where there is one */

#include "base/sanitizer.h"

#ifdef __FAST_MATH__
#error "bits and NaN are promised: build without fast-math flags"
#endif

/* Compiles a function for several instruction sets and picks one when the
 * library is loaded. Without contraction, with fixed lanes and with fmaf, which
 * rounds once everywhere, all of them give the same bits. Sanitizers run before the
 * resolvers they would instrument. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !ATI_SANITIZES_ADDRESS && !ATI_SANITIZES_THREADS
#if __GNUC__ >= 12
#define ATI_VECTOR_CLONES \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ATI_VECTOR_CLONES __attribute__((target_clones("avx512f", "fma", "default")))
#endif
#else
#define ATI_VECTOR_CLONES
#endif

/* The sum of a[i] * b[i]. */
float ati_dot(const float *a /* [n] */, const float *b /* [n] */, size_t n);

/* The sum of x[i]. */
float ati_sum(const float *x /* [n] */, size_t n);

/* The largest of x; n is at least 1. */
float ati_max(const float *x /* [n] */, size_t n);

/* Replaces x[i] by exp(x[i] - shift) and returns their sum. */
float ati_exp_sum(float *x /* [n] */, size_t n, float shift);

/* x[i] *= factor. */
void ati_scale(float *x /* [n] */, size_t n, float factor);

/* x[i] /= divisor. */
void ati_divide(float *x /* [n] */, size_t n, float divisor);

/* x[i] += y[i] * factor. */
void ati_add_scaled(float *restrict x /* [n] */, const float *restrict y /* [n] */, size_t n,
                    float factor);

/* x[i] becomes -bound or bound where it lies beyond; a NaN stays one. */
void ati_clamp(float *x /* [n] */, size_t n, float bound);

/* x[i] += y[i]. */
void ati_add_to(float *x /* [n] */, const float *y /* [n] */, size_t n);

/* y[i] = x[i] as bf16, to nearest, ties to even; a NaN stays one. */
void ati_round_bf16(const float *restrict x /* [n] */, size_t n, uint16_t *restrict y /* [n] */);

/* pairs[i] = even[i] in the lower half, odd[i] in the upper, both as bf16. */
void ati_round_bf16_pairs(const float *restrict even /* [n] */, const float *restrict odd /* [n] */,
                          size_t n, uint32_t *restrict pairs /* [n] */);

#endif
