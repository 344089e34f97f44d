/* Products of every kernel against sums in double precision over the values as they
 * were rounded, at edge sizes. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "products.h"
#include "testing.h"

/* How often a sum of k products is rounded, at most, by up to 2^-24 of the sum of
 * |x w| each time. fp32 rounds at each product and addition, or at each multiply-add;
 * products of bf16 are exact, additions are not. int8 sums the integers of a group without
 * error, which become floats, are scaled twice, the second time as they are added, and are
 * added block by block; and the scale times the integer that stands for a value of x or w
 * here is rounded, too. */
static double count_roundings(const ati_layout *layout) {
    double blocks = (double)layout->n_blocks, groups = (double)layout->steps / ATI_GROUP_STEPS;
    return layout->format == &ati_format_int8 ? 4 + groups + blocks
                                              : (double)layout->k + 1 + blocks;
}

/* The rows of x, or of w, as doubles [rows, whole]. */
static double *read_rows(const test_product *p, bool of_w) {
    size_t whole = test_whole(&p->layout), n = of_w ? p->n : p->n_rows;
    float *row = test_alloc(whole * sizeof *row);
    double *values = test_alloc(n * whole * sizeof *values);
    for (size_t r = 0; r < n; r++) {
        if (of_w) {
            test_read_w(&p->layout, p->panels, r, row);
        } else {
            test_read_x(&p->layout, p->x + r * p->layout.row, row);
        }
        for (size_t i = 0; i < whole; i++) {
            values[r * whole + i] = (double)row[i];
        }
    }
    free(row);
    return values;
}

/* The error of one sum of x [n] w [n], as a share of what it may be. Instructions of
 * bf16 take what is below FLT_MIN for 0. */
static double share_of_bound(float found, const double *x, const double *w, size_t n,
                             double roundings) {
    double expected = 0, magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        expected += x[i] * w[i];
        magnitude += fabs(x[i] * w[i]);
    }
    double bound = roundings * 0x1p-24 * magnitude + (double)n * (double)FLT_MIN;
    double error = fabs((double)found - expected);
    return isnan(error) ? INFINITY : error / bound;
}

/* The largest error of all sums of p, likewise. */
static double largest_error(const test_product *p) {
    double *x = read_rows(p, false), *w = read_rows(p, true), largest = 0;
    size_t whole = test_whole(&p->layout);
    for (size_t row = 0; row < p->n_rows; row++) {
        for (size_t column = 0; column < p->n; column++) {
            double share = share_of_bound(p->y[row * p->stride + column], x + row * whole,
                                          w + column * whole, whole, count_roundings(&p->layout));
            largest = fmax(largest, share);
        }
    }
    free(x);
    free(w);
    return largest;
}

/* Columns past n are 0, what lies past whole panels and tiles stays as it was. */
static bool keeps_within(const test_product *p) {
    size_t columns = p->n_panels * ATI_PANEL, n_wrong = 0;
    for (size_t row = 0; row <= ati_gemm_rows(p->n_rows); row++) {
        for (size_t column = 0; column < p->stride; column++) {
            float value = p->y[row * p->stride + column];
            bool outside = column >= columns || row == ati_gemm_rows(p->n_rows);
            bool zero = row < p->n_rows && column >= p->n;
            n_wrong += (outside && value != TEST_UNWRITTEN) || (!outside && zero && value != 0.0F);
        }
    }
    return n_wrong == 0;
}

static void check_size(const test_multiplier *g, size_t n_rows, size_t n, size_t k) {
    test_about("%s of format %d, %zu rows, n %zu, k %zu", g->kernel, (int)g->precision, n_rows, n,
               k);
    test_product p = test_product_new(g->gemm, n_rows, n, k, (unsigned)(n_rows + 7 * n + 31 * k));
    test_product_run(&p);
    CHECK(largest_error(&p) <= 1);
    CHECK(keeps_within(&p));
    test_product_free(&p);
}

/* 29 and 37 have no factor in common with 70, so that all rows and columns occur. */
static void check_sizes(const test_multiplier *g) {
    size_t block = ATI_MOST_STEPS * g->gemm->format->values_per_step;
    for (size_t k = 1; k <= 140; k++) {
        check_size(g, 1 + k * 29 % 70, 1 + k * 37 % 70, k);
    }
    const size_t larger[] = {577, block - 1, block, block + 1, 2 * block + 37, 3 * block + 1};
    for (size_t i = 0; i < sizeof larger / sizeof *larger; i++) {
        check_size(g, 1 + 5 * i, 33 - i, larger[i]);
    }
}

/* With values of sizes from 2^-40 to 2^40 beside each other, what is added to the
 * wrong sum shows, and so does what loses the exponent's last bits. */
static void check_spread(const test_multiplier *g) {
    enum { K = 200 };
    float values[K];
    test_about("%s of format %d, values far apart", g->kernel, (int)g->precision);
    test_product p = test_product_new(g->gemm, 25, 40, K, 1);
    for (size_t row = 0; row < 40; row++) {
        test_fill(values, K, (unsigned)row);
        for (size_t i = 0; i < K; i++) {
            values[i] = ldexpf(values[i], (int)((row * 17 + i * 13) % 81) - 40);
        }
        if (row < 25) {
            test_product_set_x(&p, row, values);
        }
        test_product_set_w(&p, 39 - row, values);
    }
    test_product_run(&p);
    CHECK(largest_error(&p) <= 1);
    test_product_free(&p);
}

void test_gemm(void) {
    test_multiplier gemms[TEST_MOST_GEMMS];
    size_t n = test_gemms(gemms);
    CHECK(n >= 4);
    for (size_t i = 0; i < n; i++) {
        check_sizes(&gemms[i]);
        check_spread(&gemms[i]);
    }
}
