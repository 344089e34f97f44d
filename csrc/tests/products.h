/* What the tests of formats, tiles and products share. */
#ifndef TEST_PRODUCTS_H
#define TEST_PRODUCTS_H

#include "kernel/kernel.h"

enum { TEST_MOST_GEMMS = 32 };

typedef struct {
    const char *kernel; /* the best that uses it */
    ati_precision precision;
    const ati_gemm *gemm;
} test_multiplier;

/* Every way of multiplying that this CPU runs, once each; opens OpenBLAS. */
size_t test_gemms(test_multiplier gemms[TEST_MOST_GEMMS]);

/* The plain C of the same format; of fp32 for OpenBLAS's. */
const ati_gemm *test_portable(const ati_gemm *gemm);

/* Values of all blocks together, padding included: at least layout->k. */
size_t test_whole(const ati_layout *layout);

/* x = H x for each 64 of n values, by the definition of a Hadamard matrix of 1/8 and -1/8. */
void test_turn(double *x, size_t n);

/* The largest |x[i]|. */
float test_max_abs(const float *x, size_t n);

/* Reads a row of x, or row number `row` of panels of w, as it was rounded: [test_whole]
 * values, of which those past k are padding. Those of int8 are turned. */
void test_read_x(const ati_layout *layout, const char *x, float *values);
void test_read_w(const ati_layout *layout, const char *panels, size_t row, float *values);

/* x [n_rows, k] and w [n, k] laid out for a product, and room for y. */
typedef struct {
    const ati_gemm *gemm;
    ati_layout layout;
    size_t n_rows, n, n_panels;
    size_t stride; /* floats from row to row of y, more than it has columns */
    char *x;       /* [ati_gemm_rows(n_rows), layout.row bytes] */
    char *panels;  /* [n_panels, layout.panel bytes] */
    float *y;      /* [ati_gemm_rows(n_rows) + 1, stride] */
} test_product;

/* What y holds before: none of the numbers of test_fill. */
#define TEST_UNWRITTEN 12345.0F

/* Packs numbers of test_fill. */
test_product test_product_new(const ati_gemm *gemm, size_t n_rows, size_t n, size_t k,
                              unsigned seed);

/* Packs x [k] as row `row` of x, or of w. */
void test_product_set_x(test_product *p, size_t row, const float *x);
void test_product_set_w(test_product *p, size_t row, const float *w);

/* Sets y to TEST_UNWRITTEN, then multiplies. */
void test_product_run(test_product *p);

void test_product_free(test_product *p);

#endif
