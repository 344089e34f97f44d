/*
 * Element-wise arithmetic over float arrays. Sums run in sixteen fixed lanes, so
 * that a compiler may use vectors of any width without changing a bit.
 */
#ifndef ATI_VECTOR_H
#define ATI_VECTOR_H

#include <stddef.h>
#include <stdint.h> /* defines __GLIBC__ where there is one */

/* Compiles a function for several instruction sets and picks one when the
 * library is loaded. Without contraction and with fixed lanes all of them give
 * the same bits. Sanitizers run before the resolvers they would instrument. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ATI_VECTOR_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ATI_VECTOR_CLONES
#endif

/* The sum of a[i] * b[i]. */
float ati_dot(const float *a /* [n] */, const float *b /* [n] */, size_t n);

/* The largest of x; n is at least 1. */
float ati_max(const float *x /* [n] */, size_t n);

/* Replaces x[i] by exp(x[i] - shift) and returns their sum. */
float ati_exp_sum(float *x /* [n] */, size_t n, float shift);

/* x[i] *= factor. */
void ati_scale(float *x /* [n] */, size_t n, float factor);

/* x[i] += y[i]. */
void ati_add_to(float *x /* [n] */, const float *y /* [n] */, size_t n);

/* gate[i] = silu(gate[i]) * up[i], silu(z) = z / (1 + exp(-z)). */
void ati_silu_times(float *restrict gate /* [n] */, const float *restrict up /* [n] */, size_t n);

#endif
