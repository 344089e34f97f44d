#include "attention.h"

#include "vector.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static float scale_of(const ati_head_input *head) {
    return 1.0F / sqrtf((float)head->head_dim);
}

/*
 * One row of the on-line softmax. scores [n_keys] become weights relative to the
 * row's largest score so far, 0 from `visible` on; what was mixed and totalled
 * under the old largest is scaled to the new.
 */
static void soften_row(float *scores, size_t visible, size_t n_keys, float *largest, float *total,
                       float *mixed /* [head_dim] */, size_t head_dim) {
    float block_largest = ati_max(scores, visible);
    if (block_largest > *largest) {
        float correction = expf(*largest - block_largest);
        *total *= correction;
        ati_scale(mixed, head_dim, correction);
        *largest = block_largest;
    }
    *total += ati_exp_sum(scores, visible, *largest);
    memset(scores + visible, 0, (n_keys - visible) * sizeof(*scores));
}

void ati_attend(const ati_blas *blas, const ati_head_input *head, size_t first, float *out,
                size_t out_stride, const ati_tiles *tiles) {
    float largest[ATI_QUERY_BLOCK], total[ATI_QUERY_BLOCK];
    size_t width = head->head_dim, stride = head->stride;
    size_t rest = head->n_rows - first;
    size_t count = rest < ATI_QUERY_BLOCK ? rest : ATI_QUERY_BLOCK;
    assert(first % ATI_QUERY_BLOCK == 0 && head->n_rows % ATI_ROW_TILE == 0);

    for (size_t row = 0; row < count; row++) {
        largest[row] = -INFINITY;
        total[row] = 0.0F;
    }
    memset(tiles->mixed, 0, count * width * sizeof(float));
    for (size_t key = 0; key < first + count; key += ATI_KEY_BLOCK) {
        size_t ahead = first + count - key;
        size_t n_keys = ahead < ATI_KEY_BLOCK ? ahead : ATI_KEY_BLOCK;
        ati_sgemm_nt(blas, count, n_keys, width, scale_of(head), head->q + first * stride, stride,
                     head->k + key * stride, stride, 0.0F, tiles->scores, ATI_KEY_BLOCK);
        for (size_t row = 0; row < count; row++) {
            size_t seen = first + row + 1 - key;
            soften_row(tiles->scores + row * ATI_KEY_BLOCK, seen < n_keys ? seen : n_keys, n_keys,
                       &largest[row], &total[row], tiles->mixed + row * width, width);
        }
        ati_sgemm_nn(blas, count, width, n_keys, 1.0F, tiles->scores, ATI_KEY_BLOCK,
                     head->v + key * stride, stride, 1.0F, tiles->mixed, width);
    }
    for (size_t row = 0; row < count; row++) {
        float *to = out + (first + row) * out_stride;
        memcpy(to, tiles->mixed + row * width, width * sizeof(*to));
        ati_scale(to, width, 1.0F / total[row]);
    }
}

void ati_attention_scores(const ati_head_input *head, size_t row, float *scores) {
    const float *query = head->q + row * head->stride;
    for (size_t key = 0; key <= row; key++) {
        scores[key] = ati_dot(query, head->k + key * head->stride, head->head_dim) * scale_of(head);
    }
}

void ati_attention_weights(const ati_head_input *head, size_t row, float *weights) {
    ati_attention_scores(head, row, weights);
    float total = ati_exp_sum(weights, row + 1, ati_max(weights, row + 1));
    ati_scale(weights, row + 1, 1.0F / total);
}
