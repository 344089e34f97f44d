#include "forward/masked.h"

#include <string.h>

static void running_mean(const float *v, size_t v_stride, size_t n_rows, size_t window,
                         size_t head_dim, float *out, size_t out_stride, double *sums) {
    memset(sums, 0, head_dim * sizeof(*sums));
    for (size_t row = 0; row < n_rows; row++, v += v_stride, out += out_stride) {
        bool drops = window > 0 && row >= window;
        const float *dropped = drops ? v - window * v_stride : NULL;
        double weight = 1.0 / (double)(drops ? window : row + 1);
        for (size_t i = 0; i < head_dim; i++) {
            sums[i] += (double)v[i] - (drops ? (double)dropped[i] : 0.0);
            out[i] = (float)(sums[i] * weight);
        }
    }
}

void ati_masked_head(ati_mask mask, const float *v, size_t v_stride, size_t n_rows, size_t window,
                     size_t head_dim, float *out, size_t out_stride, double *sums) {
    if (mask == ATI_MASK_UNIFORM) {
        running_mean(v, v_stride, n_rows, window, head_dim, out, out_stride, sums);
        return;
    }
    for (size_t row = 0; row < n_rows; row++) {
        memset(out + row * out_stride, 0, head_dim * sizeof(*out));
    }
}
