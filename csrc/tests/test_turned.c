/* Groups turned by a Hadamard matrix, worked out here by its definition, and rounded. */
#include "vector/turned.h"

#include <math.h>
#include <string.h>

#include "products.h"
#include "testing.h"

enum { N = ATI_TURNED };

static void check_turned(const float *values) {
    double expected[N];
    float x[N], largest = 0;
    memcpy(x, values, sizeof x);
    for (size_t i = 0; i < N; i++) {
        expected[i] = (double)values[i];
        largest = fmaxf(largest, fabsf(values[i]));
    }
    test_turn(expected, N);
    ati_turn(x);
    for (size_t i = 0; i < N; i++) { /* six additions, each rounded */
        CHECK(fabs((double)x[i] - expected[i]) <= 6 * 8 * 0x1p-24 * (double)largest);
    }
    ati_turn(x);
    for (size_t i = 0; i < N; i++) {
        CHECK(fabsf(x[i] - values[i]) <= 100 * 0x1p-24F * largest);
    }
}

/* Each value alone, so that no place nor sign can be another's; and all together. */
static void check_turn(void) {
    float x[N];
    for (size_t place = 0; place < N; place++) {
        memset(x, 0, sizeof x);
        x[place] = 8.0F;
        check_turned(x);
        ati_turn(x);
        for (size_t i = 0; i < N; i++) {
            CHECK(fabsf(x[i]) == 1.0F);
        }
    }
    for (unsigned seed = 0; seed < 20; seed++) {
        test_fill(x, N, seed);
        check_turned(x);
    }
}

static float scale_of(const uint8_t y[ATI_ROUNDED]) {
    float scale;
    memcpy(&scale, y + N, sizeof scale);
    return scale;
}

/* What is rounded is what ati_turn gives, once: in double precision the product is exact. */
static void check_rounded(const float *values, uint8_t offset) {
    float turned[N], largest = 0;
    uint8_t y[ATI_ROUNDED + 1];
    memcpy(turned, values, sizeof turned);
    ati_turn(turned);
    for (size_t i = 0; i < N; i++) {
        largest = fmaxf(largest, fabsf(turned[i]));
    }
    float inverse = 127.0F / largest;
    y[ATI_ROUNDED] = 0x55;
    ati_round_turned(values, 1, offset, y);
    CHECK(scale_of(y) == largest / 127.0F);
    for (size_t i = 0; i < N; i++) {
        int whole = (int)nearbyint((double)turned[i] * (double)inverse);
        CHECK(y[i] == (uint8_t)(whole + (int)offset));
    }
    CHECK(y[ATI_ROUNDED] == 0x55);
}

/* Several groups are rounded as each of them is alone. */
static void check_groups(void) {
    enum { GROUPS = 5 };
    float x[GROUPS * N];
    uint8_t together[GROUPS * ATI_ROUNDED], alone[ATI_ROUNDED];
    test_fill(x, GROUPS * N, 7);
    x[2 * N] = NAN;
    ati_round_turned(x, GROUPS, 128, together);
    for (size_t group = 0; group < GROUPS; group++) {
        ati_round_turned(x + group * N, 1, 128, alone);
        CHECK(memcmp(together + group * ATI_ROUNDED, alone, sizeof alone) == 0);
    }
}

static void check_all_rounded(void) {
    float x[N];
    for (unsigned seed = 0; seed < 50; seed++) {
        test_fill(x, N, seed);
        x[seed] *= seed % 2 == 0 ? 100.0F : 1.0F;
        check_rounded(x, 0);
        check_rounded(x, 128);
    }
}

/* Halves go to the even neighbour, and the largest value, of whichever sign and wherever it
 * is, is 127 steps: turned back and forth, multiples of 1/2 are exact. */
static void check_halves(void) {
    for (size_t place = 0; place < N; place++) {
        float x[N];
        uint8_t y[ATI_ROUNDED];
        for (size_t i = 0; i < N; i++) {
            x[i] = (float)i - 31.5F;
        }
        x[place] = place % 2 == 0 ? -127.0F : 127.0F;
        ati_turn(x);
        ati_round_turned(x, 1, 128, y);
        CHECK(scale_of(y) == 1.0F);
        for (size_t i = 0; i < N; i++) {
            int expected = (int)nearbyint((double)i - 31.5);
            expected = i == place ? (place % 2 == 0 ? -127 : 127) : expected;
            CHECK(y[i] == expected + 128);
        }
    }
}

/* One NaN or infinity, wherever it is, makes a group of none; nothing is 0 steps of 0. */
static void check_no_numbers(void) {
    const float values[] = {NAN, -NAN, INFINITY, -INFINITY};
    float x[N] = {0};
    uint8_t y[ATI_ROUNDED];
    ati_round_turned(x, 1, 128, y);
    CHECK(scale_of(y) == 0.0F && y[0] == 128 && y[N - 1] == 128);
    for (size_t place = 0; place < N; place++) {
        for (size_t v = 0; v < 4; v++) {
            test_fill(x, N, (unsigned)place);
            x[place] = values[v];
            ati_round_turned(x, 1, 128, y);
            CHECK(isnan(scale_of(y)) && y[0] == 128 && y[N - 1] == 128);
        }
    }
}

/* Sum of (x - y)^2 over a group turned, and y what it was rounded to, in squares of the plain
 * scale. */
static double error_of(const float *values, const uint8_t y[ATI_ROUNDED]) {
    float turned[N], largest = 0;
    double sum = 0;
    memcpy(turned, values, sizeof turned);
    ati_turn(turned);
    for (size_t i = 0; i < N; i++) {
        largest = fmaxf(largest, fabsf(turned[i]));
        double error = (double)turned[i] - (double)scale_of(y) * (double)(int8_t)y[i];
        sum += error * error;
    }
    return sum * 127 * 127 / ((double)largest * (double)largest);
}

/* Never worse than the plain scale, a tenth better in squares over all, and the plain scale
 * itself where that leaves no error. */
static void check_closely(void) {
    float x[N];
    uint8_t plain[ATI_ROUNDED], close[ATI_ROUNDED + 1];
    double plainly = 0, closely = 0;
    for (unsigned seed = 0; seed < 200; seed++) {
        test_fill(x, N, seed);
        ati_round_turned(x, 1, 0, plain);
        close[ATI_ROUNDED] = 0x55;
        ati_round_turned_closely(x, close);
        CHECK(close[ATI_ROUNDED] == 0x55);
        CHECK(error_of(x, close) <= error_of(x, plain) * (1 + 1e-5));
        plainly += error_of(x, plain);
        closely += error_of(x, close);
    }
    CHECK(closely < 0.92 * plainly);
    for (size_t i = 0; i < N; i++) {
        x[i] = i == 5 ? -127.0F : (float)i - 31.0F;
    }
    ati_turn(x);
    ati_round_turned(x, 1, 0, plain);
    ati_round_turned_closely(x, close);
    CHECK(memcmp(plain, close, sizeof plain) == 0);
}

/* As of activations. */
static void check_nothing_closely(void) {
    float x[N] = {0};
    uint8_t y[ATI_ROUNDED];
    ati_round_turned_closely(x, y);
    CHECK(scale_of(y) == 0.0F && y[0] == 0 && y[N - 1] == 0);
    x[9] = INFINITY;
    ati_round_turned_closely(x, y);
    CHECK(isnan(scale_of(y)) && y[0] == 0);
}

void test_turned(void) {
    check_turn();
    check_all_rounded();
    check_groups();
    check_halves();
    check_no_numbers();
    check_closely();
    check_nothing_closely();
}
