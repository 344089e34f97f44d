/* Element-wise arithmetic against libm in double precision, at every length
 * around the lanes. */
#include <math.h>
#include <string.h>

#include "testing.h"
#include "vector/vector.h"

enum { LONGEST = 200 };

static bool is_close(double found, double expected, double scale) {
    return fabs(found - expected) <= 1e-6 * scale;
}

static void check_length(size_t n) {
    float a[LONGEST], b[LONGEST], softened[LONGEST];
    double dot = 0, magnitude = 1, total = 0;
    float largest = -INFINITY;
    test_fill(a, n, (unsigned)n);
    test_fill(b, n, (unsigned)n + 1000);
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
}

static void check_edges_of_exp(void) {
    float x[6] = {-INFINITY, -87.5F, -86.9F, 0.0F, 87.9F, NAN};
    float sum = ati_exp_sum(x, 6, 0.0F);
    CHECK(x[0] == 0.0F && x[1] == 0.0F && x[3] == 1.0F && isnan(x[5]) && isnan(sum));
    CHECK(fabs((double)x[2] / exp((double)-86.9F) - 1) < 1e-6);
    CHECK(fabs((double)x[4] / exp((double)87.9F) - 1) < 1e-6);
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The nearer of the two bf16 beside the float of these bits, the even one in the
 * middle; infinity lies where the next one would be. */
static uint16_t nearest_bf16(uint32_t bits) {
    uint32_t below = bits >> 16, rest = bits & 0xffff;
    bool up = rest > 0x8000 || (rest == 0x8000 && below % 2 == 1);
    return (uint16_t)(up ? below + 1 : below);
}

/* Every upper half with lower halves around the edge of rounding. */
static void check_bf16(void) {
    const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { N = 6 };
    size_t n_wrong = 0;
    for (uint32_t upper = 0; upper < 0x10000; upper++) {
        float x[N], others[N];
        uint16_t y[N];
        uint32_t pairs[N];
        for (size_t i = 0; i < N; i++) {
            x[i] = float_of(upper << 16 | lower[i]);
            others[i] = float_of((upper ^ 0x5555) << 16 | lower[N - 1 - i]);
        }
        ati_round_bf16(x, N, y);
        ati_round_bf16_pairs(x, others, N, pairs);
        for (size_t i = 0; i < N; i++) {
            uint16_t other;
            ati_round_bf16(&others[i], 1, &other);
            bool right = isnan(x[i]) ? isnan(float_of((uint32_t)y[i] << 16))
                                     : y[i] == nearest_bf16(upper << 16 | lower[i]);
            n_wrong += !right || pairs[i] != ((uint32_t)other << 16 | (uint32_t)y[i]);
        }
    }
    CHECK(n_wrong == 0);
}

static void check_bf16_lengths(void) {
    float even[LONGEST], odd[LONGEST];
    uint16_t y[LONGEST + 1], z[LONGEST];
    uint32_t pairs[LONGEST + 1], bits;
    test_fill(even, LONGEST, 1);
    test_fill(odd, LONGEST, 2);
    for (size_t n = 0; n <= LONGEST; n++) {
        size_t n_wrong = 0;
        y[n] = 0x1234;
        pairs[n] = 0x12345678;
        ati_round_bf16(even, n, y);
        ati_round_bf16(odd, n, z);
        ati_round_bf16_pairs(even, odd, n, pairs);
        for (size_t i = 0; i < n; i++) {
            memcpy(&bits, &even[i], sizeof bits);
            n_wrong +=
                y[i] != nearest_bf16(bits) || pairs[i] != ((uint32_t)z[i] << 16 | (uint32_t)y[i]);
        }
        CHECK(n_wrong == 0 && y[n] == 0x1234 && pairs[n] == 0x12345678);
    }
}

/* Clamping keeps NaN; dividing and adding a multiple are single roundings. */
static void check_clamp_divide_add(size_t n) {
    float x[LONGEST], y[LONGEST], z[LONGEST];
    test_fill(x, n, 3);
    memcpy(y, x, sizeof y);
    memcpy(z, x, sizeof z);
    ati_clamp(y, n, 0.5F);
    ati_divide(z, n, 3.0F);
    for (size_t i = 0; i < n; i++) {
        CHECK(y[i] == fmaxf(fminf(x[i], 0.5F), -0.5F));
        CHECK(z[i] == x[i] / 3.0F);
    }
    ati_add_scaled(z, x, n, 0.25F);
    for (size_t i = 0; i < n; i++) {
        float third = x[i] / 3.0F;
        CHECK(z[i] == third + x[i] * 0.25F);
    }
    float edges[] = {NAN, INFINITY, -INFINITY};
    ati_clamp(edges, 3, 2.0F);
    CHECK(isnan(edges[0]) && edges[1] == 2.0F && edges[2] == -2.0F);
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        total += (double)x[i];
    }
    CHECK(fabs((double)ati_sum(x, n) - total) < 1e-5);
}

static void check_scale_and_add(size_t n) {
    float x[LONGEST + 1], y[LONGEST];
    test_fill(x, LONGEST + 1, 3);
    test_fill(y, LONGEST, 4);
    float first = x[0], last = n > 0 ? x[n - 1] : 0.0F, next = x[n];
    ati_scale(x, n, 0.3F);
    CHECK(n == 0 || (x[0] == first * 0.3F && x[n - 1] == last * 0.3F));
    ati_add_to(x, y, n);
    CHECK(n == 0 || (x[0] == first * 0.3F + y[0] && x[n - 1] == last * 0.3F + y[n - 1]));
    CHECK(x[n] == next);
}

void test_vector(void) {
    for (size_t n = 1; n <= LONGEST; n++) {
        check_length(n);
        check_scale_and_add(n);
        check_clamp_divide_add(n);
    }
    check_edges_of_exp();
    check_bf16();
    check_bf16_lengths();
}
