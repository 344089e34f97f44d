#include "vector/activation.h"

#include "vector/exponential.h"
#include "vector/vector.h"

enum { GROUP = 16 };

#define INLINE static inline __attribute__((always_inline))

/* ---- Functions of one float, of both branches, so that loops become vectors ---- */

INLINE float sigmoid(float x) {
    return 1.0F / (1.0F + ati_exp_of(-x));
}

/* An odd polynomial near 0, where the other form would cancel; absolute and relative
 * error below 2e-7. */
INLINE float tanh_of(float x) {
    float square = x * x, size = fabsf(x);
    float p = fmaf(2.221828189e-3F, square, -8.279786173e-3F);
    p = fmaf(p, square, 2.174890361e-2F);
    p = fmaf(p, square, -5.395676071e-2F);
    p = fmaf(p, square, 1.333329293e-1F);
    p = fmaf(p, square, -3.333333310e-1F);
    float near = fmaf(x * square, p, x);
    float far = copysignf(1.0F - 2.0F / (ati_exp_of(2.0F * size) + 1.0F), x);
    float value = size < 0.65F ? near : far;
    return x == x ? value : x;
}

/* An odd polynomial up to 1, beyond it 1 - exp of a polynomial; absolute error below
 * 2e-7. */
INLINE float erf_of(float x) {
    float square = x * x, size = fabsf(x), bounded = size < 4.0F ? size : 4.0F;
    float p = fmaf(-9.680140601e-6F, square, 1.127054595e-4F);
    p = fmaf(p, square, -8.484711649e-4F);
    p = fmaf(p, square, 5.221074892e-3F);
    p = fmaf(p, square, -2.686544583e-2F);
    p = fmaf(p, square, 1.128378275e-1F);
    p = fmaf(p, square, -3.761263848e-1F);
    p = fmaf(p, square, 1.128379167F);
    float q = fmaf(7.845263752e-7F, bounded, -1.245287651e-5F);
    q = fmaf(q, bounded, 6.434210962e-5F);
    q = fmaf(q, bounded, 1.017576800e-4F);
    q = fmaf(q, bounded, -3.360263928e-3F);
    q = fmaf(q, bounded, 2.383649971e-2F);
    q = fmaf(q, bounded, -1.069614879e-1F);
    q = fmaf(q, bounded, -6.341961309e-1F);
    q = fmaf(q, bounded, -1.129203851F);
    q = fmaf(q, bounded, 1.252929887e-4F);
    float far = copysignf(1.0F - ati_exp_of(q), x);
    float value = size < 1.0F ? x * p : far;
    return x == x ? value : x;
}

INLINE float silu(const ati_activate *a, float x) {
    (void)a;
    return x / (1.0F + ati_exp_of(-x));
}

INLINE float gelu(const ati_activate *a, float x) {
    (void)a;
    return 0.5F * x * (1.0F + erf_of(x * 0.707106781F));
}

/* x (1 + tanh(u)) / 2, which is x sigmoid(2u). */
INLINE float gelu_tanh(const ati_activate *a, float x) {
    (void)a;
    return x * sigmoid(1.595769122F * (x + 0.044715F * x * x * x));
}

INLINE float relu(const ati_activate *a, float x) {
    (void)a;
    return x < 0.0F ? 0.0F : x;
}

INLINE float relu_squared(const ati_activate *a, float x) {
    return relu(a, x) * relu(a, x);
}

/* exp(x) - 1 - x, by its series near 0, where the other form would cancel. */
INLINE float exp_above_line(float x) {
    float p = fmaf(1.0F / 5040.0F, x, 1.0F / 720.0F);
    p = fmaf(p, x, 1.0F / 120.0F);
    p = fmaf(p, x, 1.0F / 24.0F);
    p = fmaf(p, x, 1.0F / 6.0F);
    p = fmaf(p, x, 0.5F);
    return fabsf(x) < 0.35F ? x * x * p : ati_exp_of(x) - 1.0F - x;
}

INLINE float xielu(const ati_activate *a, float x) {
    const ati_xielu *p = a->xielu;
    float below = x < p->least ? x : p->least;
    float rise = p->positive * x * x;
    float fall = (exp_above_line(below) + (below - x)) * p->negative;
    return (x > 0.0F ? rise : fall) + p->slope * x;
}

INLINE float clamped_glu(const ati_activate *a, float gate, float up) {
    float g = gate > a->limit ? a->limit : gate;
    float u = up > a->limit ? a->limit : up;
    u = u < -a->limit ? -a->limit : u;
    return (u + 1.0F) * (g * sigmoid(g * a->alpha));
}

/* ---- Over rows ---- */

#define ACTIVATION(name)                                                                      \
    ATI_VECTOR_CLONES                                                                         \
    static void name##_gated(const ati_activate *a, const float *restrict gate_up,            \
                             size_t n_groups, float *restrict y) {                            \
        for (size_t group = 0; group < n_groups; group++, gate_up += 2 * GROUP, y += GROUP) { \
            for (size_t i = 0; i < GROUP; i++) {                                              \
                y[i] = name(a, gate_up[i]) * gate_up[GROUP + i];                              \
            }                                                                                 \
        }                                                                                     \
    }                                                                                         \
    ATI_VECTOR_CLONES                                                                         \
    static void name##_plain(const ati_activate *a, const float *restrict x, size_t n,        \
                             float *restrict y) {                                             \
        for (size_t i = 0; i < n; i++) {                                                      \
            y[i] = name(a, x[i]);                                                             \
        }                                                                                     \
    }

ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)
ACTIVATION(relu)
ACTIVATION(relu_squared)
ACTIVATION(xielu)

ATI_VECTOR_CLONES
static void clamped_glu_gated(const ati_activate *a, const float *restrict gate_up, size_t n_groups,
                              float *restrict y) {
    for (size_t group = 0; group < n_groups; group++, gate_up += 2 * GROUP, y += GROUP) {
        for (size_t i = 0; i < GROUP; i++) {
            y[i] = clamped_glu(a, gate_up[i], gate_up[GROUP + i]);
        }
    }
}

void ati_activate_gated(const ati_activate *activate, const float *restrict gate_up,
                        size_t n_groups, float *restrict y) {
    switch (activate->kind) {
    case ATI_ACTIVATION_SILU:
        silu_gated(activate, gate_up, n_groups, y);
        break;
    case ATI_ACTIVATION_GELU:
        gelu_gated(activate, gate_up, n_groups, y);
        break;
    case ATI_ACTIVATION_GELU_TANH:
        gelu_tanh_gated(activate, gate_up, n_groups, y);
        break;
    case ATI_ACTIVATION_RELU:
        relu_gated(activate, gate_up, n_groups, y);
        break;
    case ATI_ACTIVATION_RELU_SQUARED:
        relu_squared_gated(activate, gate_up, n_groups, y);
        break;
    case ATI_ACTIVATION_XIELU:
        xielu_gated(activate, gate_up, n_groups, y);
        break;
    case ATI_ACTIVATION_CLAMPED_GLU:
        clamped_glu_gated(activate, gate_up, n_groups, y);
        break;
    }
}

/* A clamped GLU is always gated. */
void ati_activate_plain(const ati_activate *activate, const float *restrict x, size_t n,
                        float *restrict y) {
    switch (activate->kind) {
    case ATI_ACTIVATION_SILU:
    case ATI_ACTIVATION_CLAMPED_GLU:
        silu_plain(activate, x, n, y);
        break;
    case ATI_ACTIVATION_GELU:
        gelu_plain(activate, x, n, y);
        break;
    case ATI_ACTIVATION_GELU_TANH:
        gelu_tanh_plain(activate, x, n, y);
        break;
    case ATI_ACTIVATION_RELU:
        relu_plain(activate, x, n, y);
        break;
    case ATI_ACTIVATION_RELU_SQUARED:
        relu_squared_plain(activate, x, n, y);
        break;
    case ATI_ACTIVATION_XIELU:
        xielu_plain(activate, x, n, y);
        break;
    }
}

ATI_VECTOR_CLONES
void ati_soft_cap(float *x, size_t n, float cap) {
    for (size_t i = 0; i < n; i++) {
        x[i] = tanh_of(x[i] / cap) * cap;
    }
}
