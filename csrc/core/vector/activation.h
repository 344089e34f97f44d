/* What stands between the two products of an MLP, and the soft cap of logits. */
#ifndef ATI_ACTIVATION_H
#define ATI_ACTIVATION_H

#include <stddef.h>

#include "config/config.h"

/* The parameters of an xIELU: alpha_p and alpha_n as they multiply, beta, eps (below 0). */
typedef struct {
    float positive, negative, slope, least;
} ati_xielu;

/* The activation of one layer. */
typedef struct {
    ati_activation kind;
    float alpha, limit; /* of a clamped GLU */
    ati_xielu *xielu;   /* NULL: it is none */
} ati_activate;

/* y [16 n_groups] = act(gate) * up; gate_up [32 n_groups] holds 16 of gate, 16 of up,
 * and so on. */
void ati_activate_gated(const ati_activate *activate, const float *restrict gate_up,
                        size_t n_groups, float *restrict y);

/* y [n] = act(x). */
void ati_activate_plain(const ati_activate *activate, const float *restrict x, size_t n,
                        float *restrict y);

/* x[i] = cap * tanh(x[i] / cap). */
void ati_soft_cap(float *x /* [n] */, size_t n, float cap);

#endif
