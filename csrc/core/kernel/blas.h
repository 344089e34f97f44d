/*
 * The one door to OpenBLAS. It is opened when first asked for, told to use one
 * thread, and stays open for the life of the process.
 */
#ifndef ATI_BLAS_H
#define ATI_BLAS_H

#include "ati.h"

/* Opens OpenBLAS. Thread-safe. */
ati_status ati_blas_open(ati_error *error);

/* For example "openblas-0.3.34-SkylakeX"; "" before it is open. */
const char *ati_blas_name(void);

/*
 * Says that n_threads more threads are about to call BLAS. Each caller makes
 * OpenBLAS map a buffer, and OpenBLAS retries for ever when it cannot, so the
 * room is tried here first. Pair with ati_blas_release.
 */
ati_status ati_blas_reserve(size_t n_threads, ati_error *error);
void ati_blas_release(size_t n_threads);

/* c = a b^T;  a [m, k], b [n, k], c [m, n], row-major, with the given row strides.
 * OpenBLAS is open. */
void ati_sgemm_nt(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *b,
                  size_t b_stride, float *c, size_t c_stride);

#endif
