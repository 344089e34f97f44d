/* What a masked head gives (METHOD.md section 3). */
#ifndef ATI_MASKED_H
#define ATI_MASKED_H

#include "ati.h"

/*
 * ATI_MASK_UNIFORM: out[t] = mean of the last `window` of v[0..t] (of all where it is
 * 0), the attention output under equal weights; a running mean, since no query or key
 * has a say.
 * ATI_MASK_ZERO: out[t] = 0.
 *
 * v and out are [n_rows, head_dim], rows v_stride and out_stride apart;
 * sums [head_dim] is scratch.
 */
void ati_masked_head(ati_mask mask, const float *v, size_t v_stride, size_t n_rows, size_t window,
                     size_t head_dim, float *out, size_t out_stride, double *sums);

#endif
