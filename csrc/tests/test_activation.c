/* Activations against the C library's functions in double precision. */
#include <math.h>

#include "testing.h"
#include "vector/activation.h"

enum { COUNT = 1000 };

static ati_xielu of_xielu = {.positive = 0.9F, .negative = 1.3F, .slope = 0.5F, .least = -1e-6F};

static const ati_activate parameters = {.alpha = 1.7F, .limit = 3.0F, .xielu = &of_xielu};

static double expected(ati_activation kind, double x) {
    const double root = sqrt(2.0 / 3.14159265358979323846);
    double rise = (double)of_xielu.positive * x * x;
    double fall = (expm1(fmin(x, (double)of_xielu.least)) - x) * (double)of_xielu.negative;
    switch (kind) {
    case ATI_ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case ATI_ACTIVATION_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case ATI_ACTIVATION_GELU_TANH:
        return 0.5 * x * (1 + tanh(root * (x + 0.044715 * x * x * x)));
    case ATI_ACTIVATION_RELU:
        return fmax(x, 0.0);
    case ATI_ACTIVATION_RELU_SQUARED:
        return fmax(x, 0.0) * fmax(x, 0.0);
    case ATI_ACTIVATION_XIELU:
        return (x > 0 ? rise : fall) + (double)of_xielu.slope * x;
    case ATI_ACTIVATION_CLAMPED_GLU:
        break;
    }
    return NAN;
}

/* Within a few units in the last place of x, or of the value where that is larger. */
static bool is_near(double found, double wanted, double x) {
    return fabs(found - wanted) <= 4e-7 * fmax(fabs(wanted), fmax(fabs(x), 1e-6));
}

static void check_kind(ati_activation kind) {
    float x[COUNT], y[COUNT + 1], gate_up[2 * COUNT];
    ati_activate activate = parameters;
    activate.kind = kind;
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = ((float)i - COUNT / 2) * 0.025F;
    }
    y[COUNT] = 77.0F;
    ati_activate_plain(&activate, x, COUNT, y);
    CHECK(y[COUNT] == 77.0F);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(is_near((double)y[i], expected(kind, (double)x[i]), (double)x[i]));
    }
    for (size_t i = 0; i < 2 * COUNT / 32 * 32; i++) {
        gate_up[i] = i % 32 < 16 ? x[i / 2] : (float)(i % 7) - 3.0F;
    }
    ati_activate_gated(&activate, gate_up, 2 * COUNT / 32, y);
    for (size_t i = 0; i < 2 * COUNT / 32 * 16; i++) {
        size_t gate = i / 16 * 32 + i % 16;
        double up = (double)gate_up[gate + 16];
        double wanted = expected(kind, (double)gate_up[gate]) * up;
        CHECK(is_near((double)y[i], wanted, (double)gate_up[gate] * up));
    }
}

/* Far out an activation is x or 0, never NaN; a NaN stays one. */
static void check_edges(ati_activation kind) {
    float x[] = {-1000.0F, 1000.0F, 0.0F, NAN}, y[4];
    ati_activate activate = parameters;
    activate.kind = kind;
    ati_activate_plain(&activate, x, 4, y);
    CHECK(fabsf(y[0]) < 1e-30F && y[1] == (kind == ATI_ACTIVATION_RELU_SQUARED ? 1e6F : 1000.0F));
    CHECK(y[2] == 0.0F && isnan(y[3]));
}

static void check_clamped_glu(void) {
    float gate_up[32], y[16];
    ati_activate activate = parameters;
    activate.kind = ATI_ACTIVATION_CLAMPED_GLU;
    for (size_t i = 0; i < 16; i++) {
        gate_up[i] = ((float)i - 8) * 0.7F;
        gate_up[16 + i] = (8 - (float)i) * 0.9F;
    }
    ati_activate_gated(&activate, gate_up, 1, y);
    for (size_t i = 0; i < 16; i++) {
        double gate = fmin((double)gate_up[i], 3.0);
        double up = fmax(fmin((double)gate_up[16 + i], 3.0), -3.0);
        double wanted = (up + 1) * gate / (1 + exp(-(double)parameters.alpha * gate));
        CHECK(is_near((double)y[i], wanted, gate));
    }
}

static void check_soft_cap(void) {
    float x[COUNT], y[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = y[i] = ((float)i - COUNT / 2) * 0.4F;
    }
    ati_soft_cap(y, COUNT, 30.0F);
    for (size_t i = 0; i < COUNT; i++) {
        double wanted = 30.0 * tanh((double)x[i] / 30.0);
        CHECK(fabs((double)y[i] - wanted) <= 3e-7 * fmax(fabs(wanted), 1e-3));
    }
    float edges[] = {INFINITY, -INFINITY, NAN, 1e-20F};
    ati_soft_cap(edges, 4, 30.0F);
    CHECK(edges[0] == 30.0F && edges[1] == -30.0F && isnan(edges[2]));
    CHECK(fabsf(edges[3] / 1e-20F - 1.0F) < 1e-6F);
}

void test_activation(void) {
    const ati_activation kinds[] = {ATI_ACTIVATION_SILU,         ATI_ACTIVATION_GELU,
                                    ATI_ACTIVATION_GELU_TANH,    ATI_ACTIVATION_RELU,
                                    ATI_ACTIVATION_RELU_SQUARED, ATI_ACTIVATION_XIELU};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        test_about("activation %zu", i);
        check_kind(kinds[i]);
        if (kinds[i] != ATI_ACTIVATION_XIELU) {
            check_edges(kinds[i]);
        }
    }
    test_about("%s", "clamped glu");
    check_clamped_glu();
    test_about("%s", "soft cap");
    check_soft_cap();
}
