/*
 * Causal attention of one head over one document:
 *
 *     out[t] = sum over visible j of softmax_j(cap(scale * q[t] . k[j])) v[j]
 *
 * where j is visible when t - window < j <= t, and a sink, where there is one, has a
 * share of the softmax but no value.
 *
 * q, k, v and out are columns of wider matrices: pointers to the document's
 * first row, and the distance from row to row.
 */
#ifndef ATI_ATTENTION_H
#define ATI_ATTENTION_H

#include "batch/scratch.h"

typedef struct {
    const ati_attention_rule *rule;
    const float *sink;      /* the head's, or NULL */
    const float *q, *k, *v; /* [n_rows, head_dim] each, rows `stride` apart */
    size_t stride;
    size_t n_rows; /* rows past the document's end are never seen */
    size_t head_dim;

    /* k and v packed for products, n_rows up to whole panels of each. */
    char *keys;   /* panels [n / ATI_PANEL] of head_dim values */
    char *values; /* for each ATI_KEY_BLOCK keys, panels [head_dim / ATI_PANEL] of so many values */
} ati_head_input;

/* Fills head->keys and head->values. */
void ati_pack_keys(const ati_gemm *gemm, const ati_head_input *head);

/* Rows first..first + gemm->query_rows - 1 of out (fewer at the end), by blocks of
 * keys and an on-line softmax; first is a multiple of gemm->query_rows. */
void ati_attend(const ati_gemm *gemm, const ati_head_input *head, size_t first, float *out,
                size_t out_stride, const ati_scratch *scratch);

/* The first key that a row sees. */
static inline size_t ati_first_visible(const ati_head_input *head, size_t row) {
    size_t window = head->rule->window;
    return window > 0 && row >= window ? row + 1 - window : 0;
}

/* scores [row + 1]: the scaled and capped scores of the keys up to the row's own;
 * those before ati_first_visible are not written. */
void ati_attention_scores(const ati_head_input *head, size_t row, float *scores);

/* weights [row + 1]: the attention weights of one row, the naive way; 0 before
 * ati_first_visible. */
void ati_attention_weights(const ati_head_input *head, size_t row, float *weights);

#endif
