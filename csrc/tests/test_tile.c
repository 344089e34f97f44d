/* What products promise beside being right: int8 tiles give the bits of the portable
 * one, and a row's bits depend on that row and w alone; in OpenBLAS on its place, too. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch/pack.h"
#include "products.h"
#include "testing.h"
#include "vector/turned.h"

/* Columns that all kinds of panels have, and the last of which is not full. */
enum { COLUMNS = 45 };

static const float *row_of(const test_product *p, size_t row) {
    return p->y + row * p->stride;
}

static bool is_same_row(const test_product *p, size_t row, const float *expected) {
    return memcmp(row_of(p, row), expected, p->n_panels * ATI_PANEL * sizeof *expected) == 0;
}

/* ---- int8 ---- */

/* p.gemm and the portable form must give the same bits. */
static void check_equal(const test_multiplier *g, test_product *p) {
    size_t bytes = p->n_rows * p->stride * sizeof *p->y;
    float *found = test_alloc(bytes);
    p->gemm = g->gemm;
    test_product_run(p);
    memcpy(found, p->y, bytes);
    p->gemm = test_portable(g->gemm);
    test_product_run(p);
    CHECK(memcmp(found, p->y, bytes) == 0);
    free(found);
}

static void check_equal_sizes(const test_multiplier *g) {
    const size_t block = 4 * ATI_MOST_STEPS, larger[] = {577, block, block + 1, 2 * block + 37};
    for (size_t k = 1; k <= 130; k++) {
        test_about("%s, k %zu", g->kernel, k);
        test_product p = test_product_new(g->gemm, 1 + k * 29 % 70, 1 + k * 37 % 70, k, 5);
        check_equal(g, &p);
        test_product_free(&p);
    }
    for (size_t i = 0; i < sizeof larger / sizeof *larger; i++) {
        test_about("%s, k %zu", g->kernel, larger[i]);
        test_product p = test_product_new(g->gemm, 13, 33, larger[i], 5);
        check_equal(g, &p);
        test_product_free(&p);
    }
}

/* What turns, without rounding, into values of one size and a sign that goes by `kind`, so
 * that all are 127 steps. */
static void fill_extreme(float *values, size_t k, unsigned kind) {
    for (size_t i = 0; i < k; i++) {
        bool negative = kind == 1 || (kind == 2 && i % 2 == 1) || (kind == 3 && i % 4 >= 2);
        values[i] = negative ? -127.0F : 127.0F;
    }
    for (size_t i = 0; i < k; i += ATI_TURNED) {
        ati_turn(values + i);
    }
}

/* The largest sums there are: of whole groups, all of x and w at an end. Sums of two
 * products do not fit 16 bits, which is what instructions without VNNI may offer. */
static void check_extremes(const test_multiplier *g) {
    enum { K = 4 * ATI_MOST_STEPS };
    static float values[4][K];
    test_about("%s, extremes", g->kernel);
    test_product p = test_product_new(g->gemm, 14, 40, K, 5);
    for (unsigned kind = 0; kind < 4; kind++) {
        fill_extreme(values[kind], K, kind);
    }
    for (size_t row = 0; row < 40; row++) {
        test_product_set_w(&p, row, values[row % 4]);
        if (row < 14) {
            test_product_set_x(&p, row, values[row / 4]);
        }
    }
    check_equal(g, &p);
    p.gemm = g->gemm;
    test_product_run(&p);
    for (size_t row = 0; row < 14; row++) {
        for (size_t column = 0; column < 40; column++) {
            double expected = 0;
            for (size_t i = 0; i < K; i++) {
                expected += (double)values[row / 4][i] * (double)values[column % 4][i];
            }
            CHECK((double)row_of(&p, row)[column] == expected);
        }
    }
    test_product_free(&p);
}

/* ---- Rows ---- */

/* What else may stand in a tile: numbers, NaN and infinity. */
static void fill_others(test_product *p, size_t except, unsigned kind) {
    float *values = test_alloc(p->layout.k * sizeof *values);
    for (size_t row = 0; row < p->n_rows; row++) {
        test_fill(values, p->layout.k, 1000 * kind + (unsigned)row);
        if (kind > 0) {
            values[row % p->layout.k] = kind == 1 ? NAN : -INFINITY;
        }
        if (row != except) {
            test_product_set_x(p, row, values);
        }
    }
    free(values);
}

/* Row 0 alone, then at every place of up to n_rows rows and among all sorts of others. */
static void check_places(const ati_gemm *gemm, size_t n_rows, size_t k) {
    float *values = test_alloc(k * sizeof *values);
    test_product alone = test_product_new(gemm, 1, COLUMNS, k, 9);
    test_product p = test_product_new(gemm, n_rows, COLUMNS, k, 9);
    test_fill(values, k, 77);
    test_product_set_x(&alone, 0, values);
    test_product_run(&alone);
    for (size_t place = 0; place < n_rows; place++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            test_product_set_x(&p, place, values);
            fill_others(&p, place, kind);
            test_product_run(&p);
            CHECK(is_same_row(&p, place, row_of(&alone, 0)));
            size_t other = place == 0 ? n_rows - 1 : place - 1;
            CHECK(n_rows == 1 || kind == 0 || !isfinite(row_of(&p, other)[0]));
        }
    }
    test_product_free(&p);
    test_product_free(&alone);
    free(values);
}

/* A NaN in w reaches its own column and no other. */
static void check_columns(const ati_gemm *gemm, size_t k) {
    float *values = test_alloc(k * sizeof *values);
    test_product p = test_product_new(gemm, 5, COLUMNS, k, 3);
    for (size_t column = 0; column < COLUMNS; column++) {
        test_fill(values, k, (unsigned)column);
        float kept = values[k - 1];
        values[k - 1] = NAN;
        test_product_set_w(&p, column, values);
        test_product_run(&p);
        for (size_t c = 0; c < COLUMNS; c++) {
            CHECK(!isnan(row_of(&p, 4)[c]) == (c != column));
        }
        values[k - 1] = kept;
        test_product_set_w(&p, column, values);
    }
    test_product_free(&p);
    free(values);
}

/* ---- Sums ---- */

/* With `add`, y becomes what it was plus what it would become without, rounded once. */
static void check_add(const ati_gemm *gemm, size_t k) {
    test_product p = test_product_new(gemm, 30, COLUMNS, k, 11);
    size_t n_floats = p.n_rows * p.stride, n_wrong = 0;
    float *before = test_alloc(n_floats * sizeof *before);
    test_product_run(&p);
    float *product = test_alloc(n_floats * sizeof *product);
    memcpy(product, p.y, n_floats * sizeof *product);
    test_fill(before, n_floats, 13);
    memcpy(p.y, before, n_floats * sizeof *before);
    ati_multiply_block(gemm, p.x, p.layout.row, p.n_rows, p.panels, p.layout.panel, p.n_panels,
                       p.layout.steps, true, p.y, p.stride);
    for (size_t i = 0; i < n_floats; i++) {
        bool inside = i % p.stride < p.n_panels * ATI_PANEL;
        float expected = inside ? before[i] + product[i] : before[i];
        n_wrong += memcmp(&p.y[i], &expected, sizeof expected) != 0;
    }
    CHECK(n_wrong == 0);
    test_product_free(&p);
    free(before);
    free(product);
}

static void check_tile(const test_multiplier *g) {
    const size_t block = ATI_MOST_STEPS * g->gemm->format->values_per_step;
    test_about("%s of format %d", g->kernel, (int)g->precision);
    check_places(g->gemm, 12, 77);
    check_places(g->gemm, 24, 5);
    check_places(g->gemm, 13, block + 3);
    check_places(g->gemm, 31, 2);
    check_columns(g->gemm, 1);
    check_columns(g->gemm, 66);
    for (size_t k = 1; k <= 66; k += 13) {
        check_add(g->gemm, k);
    }
    if (g->gemm->format == &ati_format_int8) {
        check_equal_sizes(g);
        check_extremes(g);
    }
}

/* Among as many rows as every call has, OpenBLAS gives equal rows equal bits where they
 * are a multiple of row_tile apart. */
static void check_row_tile(const test_multiplier *g, size_t n, size_t k) {
    size_t rows = ATI_ROW_BLOCK, tile = g->gemm->row_tile, n_wrong = 0;
    float *values = test_alloc(k * sizeof *values);
    test_about("%s, n %zu, k %zu", g->kernel, n, k);
    test_product p = test_product_new(g->gemm, rows, n, k, 1);
    for (size_t row = 0; row < rows; row++) {
        test_fill(values, k, (unsigned)(row % tile));
        test_product_set_x(&p, row, values);
    }
    test_product_run(&p);
    for (size_t row = tile; row < rows; row++) {
        n_wrong += !is_same_row(&p, row, row_of(&p, row % tile));
    }
    CHECK(n_wrong == 0);
    test_product_free(&p);
    free(values);
}

void test_tile(void) {
    test_multiplier gemms[TEST_MOST_GEMMS];
    size_t n = test_gemms(gemms), n_tiles = 0;
    for (size_t i = 0; i < n; i++) {
        if (gemms[i].gemm->tile != NULL) {
            check_tile(&gemms[i]);
            n_tiles++;
        } else {
            check_row_tile(&gemms[i], 32, 24);
            check_row_tile(&gemms[i], 96, 577);
            check_row_tile(&gemms[i], ATI_MOST_CHUNK, 130);
        }
    }
    CHECK(n_tiles >= 3);
}
