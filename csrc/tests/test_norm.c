/* Norms against their definitions in double precision. */
#include <math.h>
#include <string.h>

#include "testing.h"
#include "vector/norm.h"

enum { WIDEST = 70 };

static double expected(const ati_norm *norm, const float *x, size_t width, size_t i) {
    double mean = 0, squares = 0;
    for (size_t j = 0; j < width && norm->kind == ATI_NORM_LAYER; j++) {
        mean += (double)x[j] / (double)width;
    }
    for (size_t j = 0; j < width; j++) {
        squares += ((double)x[j] - mean) * ((double)x[j] - mean) / (double)width;
    }
    double y = ((double)x[i] - mean) / sqrt(squares + (double)norm->epsilon);
    return y * (double)norm->weight[i] + (norm->bias != NULL ? (double)norm->bias[i] : 0.0);
}

static void check_row(ati_norm_kind kind, size_t width, bool has_bias) {
    float x[WIDEST], y[WIDEST], weight[WIDEST], bias[WIDEST];
    ati_norm norm = {kind, 1e-3F, weight, has_bias ? bias : NULL};
    test_fill(x, width, 1);
    test_fill(weight, width, 2);
    test_fill(bias, width, 3);
    ati_norm_row(&norm, x, width, y);
    for (size_t i = 0; i < width; i++) {
        CHECK(fabs((double)y[i] - expected(&norm, x, width, i)) < 4e-6);
    }
    ati_norm_row(&norm, x, width, x);
    CHECK(memcmp(x, y, width * sizeof *x) == 0);
}

/* Parts of a row are rows, with their own part of weight and bias. */
static void check_parts(ati_norm_kind kind, bool has_bias) {
    enum { PARTS = 5, WIDTH = 14 };
    float row[PARTS * WIDTH], y[WIDTH], given[PARTS * WIDTH], weight[WIDEST], bias[WIDEST];
    ati_norm norm = {kind, 1e-6F, weight, has_bias ? bias : NULL};
    test_fill(given, PARTS * WIDTH, 1);
    test_fill(weight, PARTS * WIDTH, 2);
    test_fill(bias, PARTS * WIDTH, 3);
    memcpy(row, given, sizeof row);
    ati_norm_parts(&norm, row, PARTS, WIDTH);
    for (size_t p = 0; p < PARTS; p++) {
        ati_norm part = {kind, 1e-6F, weight + p * WIDTH, has_bias ? bias + p * WIDTH : NULL};
        ati_norm_row(&part, given + p * WIDTH, WIDTH, y);
        CHECK(memcmp(y, row + p * WIDTH, sizeof y) == 0);
    }
}

void test_norm(void) {
    for (size_t width = 1; width <= WIDEST; width++) {
        test_about("norms of %zu", width);
        check_row(ATI_NORM_RMS, width, false);
        check_row(ATI_NORM_LAYER, width, width % 2 == 0);
    }
    test_about("%s", "norms of parts");
    check_parts(ATI_NORM_RMS, false);
    check_parts(ATI_NORM_LAYER, false);
    check_parts(ATI_NORM_LAYER, true);
}
