/* Element-wise arithmetic against libm in double precision, at every length
 * around the lanes. */
#include <math.h>
#include <stdlib.h>

#include "testing.h"
#include "vector.h"

enum { LONGEST = 70 };

/* Numbers in -8..8 with no pattern that a swapped lane would keep. */
static void fill(float *x, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(seed >> 8) / (float)(1U << 20) - 8.0F;
    }
}

static bool is_close(double found, double expected, double scale) {
    return fabs(found - expected) <= 1e-6 * scale;
}

static void check_length(size_t n) {
    float a[LONGEST], b[LONGEST], softened[LONGEST];
    double dot = 0, magnitude = 1, total = 0;
    float largest = -INFINITY;
    fill(a, n, (unsigned)n);
    fill(b, n, (unsigned)n + 1000);
    for (size_t i = 0; i < n; i++) {
        dot += (double)a[i] * (double)b[i];
        magnitude += fabs((double)a[i] * (double)b[i]);
        largest = a[i] > largest ? a[i] : largest;
        softened[i] = a[i];
    }
    CHECK(is_close((double)ati_dot(a, b, n), dot, magnitude));
    CHECK(ati_max(a, n) == largest);
    float sum = ati_exp_sum(softened, n, largest);
    for (size_t i = 0; i < n; i++) {
        double expected = exp((double)a[i] - (double)largest);
        total += expected;
        CHECK(is_close((double)softened[i], expected, 1));
    }
    CHECK(is_close((double)sum, total, total));

    ati_silu_times(softened, b, n);
    fill(softened, n, (unsigned)n);
    ati_silu_times(softened, b, n);
    for (size_t i = 0; i < n; i++) {
        double z = (double)a[i];
        CHECK(is_close((double)softened[i], z / (1 + exp(-z)) * (double)b[i], 64));
    }
}

static void check_edges_of_exp(void) {
    float x[6] = {-INFINITY, -87.5F, -86.9F, 0.0F, 87.9F, NAN};
    float sum = ati_exp_sum(x, 6, 0.0F);
    CHECK(x[0] == 0.0F && x[1] == 0.0F && x[3] == 1.0F && isnan(x[5]) && isnan(sum));
    CHECK(fabs((double)x[2] / exp((double)-86.9F) - 1) < 1e-6);
    CHECK(fabs((double)x[4] / exp((double)87.9F) - 1) < 1e-6);
}

void test_vector(void) {
    for (size_t n = 1; n <= LONGEST; n++) {
        check_length(n);
    }
    check_edges_of_exp();
}
