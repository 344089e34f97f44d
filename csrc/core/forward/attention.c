#include "forward/attention.h"

#include "vector/activation.h"
#include "vector/vector.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* The keys of a block that a row sees. */
typedef struct {
    size_t first, last; /* first..last - 1; none where they are equal */
} key_range;

/*
 * One row of the on-line softmax. scores [n_keys] become weights relative to the
 * row's largest score so far, 0 where the key is not seen; what was mixed and totalled
 * under the old largest is scaled to the new.
 */
static void soften_row(float *scores, key_range seen, size_t n_keys, float *largest, float *total,
                       float *mixed /* [head_dim] */, size_t head_dim) {
    float *first = scores + seen.first;
    size_t visible = seen.last - seen.first;
    memset(scores, 0, seen.first * sizeof(*scores));
    memset(scores + seen.last, 0, (n_keys - seen.last) * sizeof(*scores));
    if (visible == 0) {
        return;
    }
    float block_largest = ati_max(first, visible);
    if (block_largest > *largest) {
        float correction = *largest - block_largest;
        (void)ati_exp_sum(&correction, 1, 0.0F); /* expf's bits are the C library's */
        *total *= correction;
        ati_scale(mixed, head_dim, correction);
        *largest = block_largest;
    }
    *total += ati_exp_sum(first, visible, *largest);
}

/* Keys of the block that begins with key `first`, up to whole panels. */
static size_t count_keys(const ati_head_input *head, size_t first) {
    size_t rest = ati_round_up(head->n_rows, ATI_PANEL) - first;
    return rest < ATI_KEY_BLOCK ? rest : ATI_KEY_BLOCK;
}

/* The values of a block of keys: panels of `stride` bytes. */
typedef struct {
    char *panels;
    size_t stride;
} value_block;

static value_block find_values(const ati_format *format, const ati_head_input *head, size_t first) {
    size_t key = ATI_PANEL * ATI_STEP_BYTES / format->values_per_step;
    size_t before = first * ati_count_panels(head->head_dim);
    return (value_block){head->values + before * key, count_keys(head, first) * key};
}

static void pack_values(const ati_format *format, const ati_head_input *head, size_t first) {
    value_block block = find_values(format, head, first);
    size_t keys = count_keys(head, first), rest = head->n_rows - first;
    for (size_t column = 0; column < head->head_dim; column += ATI_PANEL) {
        size_t more = head->head_dim - column;
        format->pack_transposed(head->v + first * head->stride + column, head->stride,
                                rest < keys ? rest : keys, more < ATI_PANEL ? more : ATI_PANEL,
                                block.panels + column / ATI_PANEL * block.stride,
                                keys / format->values_per_step);
    }
}

/* Keys past the document's end stay as they were: no row sees their scores. */
void ati_pack_keys(const ati_gemm *gemm, const ati_head_input *head) {
    ati_layout layout = ati_layout_of(gemm->format, head->head_dim);
    size_t whole = ati_round_up(head->n_rows, ATI_PANEL);
    for (size_t row = 0; row < head->n_rows; row++) {
        ati_pack_row(&layout, head->k + row * head->stride, head->keys, row);
    }
    for (size_t first = 0; first < whole; first += ATI_KEY_BLOCK) {
        pack_values(gemm->format, head, first);
    }
}

/* Where the rows of a block of queries stand in their on-line softmax. */
typedef struct {
    float largest[ATI_QUERY_ROWS], total[ATI_QUERY_ROWS];
    size_t first, count; /* rows of the document */
    size_t columns;      /* of scratch->mixed */
} query_block;

static void start_rows(const ati_layout *layout, const ati_head_input *head, query_block *block,
                       const ati_scratch *scratch) {
    for (size_t row = 0; row < block->count; row++) {
        memcpy(scratch->mixed, head->q + (block->first + row) * head->stride,
               head->head_dim * sizeof(float));
        ati_scale(scratch->mixed, head->head_dim, head->rule->scale);
        ati_write_row(layout, scratch->mixed, scratch->queries + row * layout->row);
        block->largest[row] = head->sink != NULL ? *head->sink : -INFINITY;
        block->total[row] = head->sink != NULL ? 1.0F : 0.0F;
    }
    memset(scratch->mixed, 0, block->count * block->columns * sizeof(float));
}

/* What `row` sees of the n_keys keys from `key` on. */
static key_range find_seen(const ati_head_input *head, size_t row, size_t key, size_t n_keys) {
    size_t first = ati_first_visible(head, row), last = row + 1 - key;
    key_range seen = {first > key ? first - key : 0, last < n_keys ? last : n_keys};
    seen.first = seen.first < seen.last ? seen.first : seen.last;
    return seen;
}

/* Scores [count, n_keys] of the keys from `key` on become weights, as rows of the
 * product with the values. */
static void soften(const ati_layout *layout, const ati_head_input *head, query_block *block,
                   size_t key, size_t n_keys, const ati_scratch *scratch) {
    for (size_t row = 0; row < block->count; row++) {
        float *scores = scratch->scores + row * ATI_KEY_BLOCK;
        key_range seen = find_seen(head, block->first + row, key, n_keys);
        if (head->rule->soft_cap > 0.0F) {
            ati_soft_cap(scores + seen.first, seen.last - seen.first, head->rule->soft_cap);
        }
        soften_row(scores, seen, n_keys, &block->largest[row], &block->total[row],
                   scratch->mixed + row * block->columns, head->head_dim);
        layout->format->write_block(scores, n_keys, scratch->weights + row * layout->row,
                                    n_keys / layout->format->values_per_step);
    }
}

void ati_attend(const ati_gemm *gemm, const ati_head_input *head, size_t first, float *out,
                size_t out_stride, const ati_scratch *scratch) {
    const ati_layout queries = ati_layout_of(gemm->format, head->head_dim);
    const ati_layout weights = ati_layout_of(gemm->format, ATI_KEY_BLOCK);
    size_t rest = head->n_rows - first, panels = ati_count_panels(head->head_dim);
    query_block block = {.first = first, .columns = panels * ATI_PANEL};
    block.count = rest < gemm->query_rows ? rest : gemm->query_rows;
    assert(first % gemm->query_rows == 0);

    start_rows(&queries, head, &block, scratch);
    size_t unseen = ati_first_visible(head, first) / ATI_KEY_BLOCK * ATI_KEY_BLOCK;
    for (size_t key = unseen; key < first + block.count; key += ATI_KEY_BLOCK) {
        size_t ahead = ati_round_up(first + block.count - key, ATI_PANEL);
        size_t n_keys = ahead < ATI_KEY_BLOCK ? ahead : ATI_KEY_BLOCK;
        value_block values = find_values(gemm->format, head, key);
        ati_multiply(gemm, &queries, scratch->queries, block.count,
                     head->keys + key / ATI_PANEL * queries.panel, n_keys / ATI_PANEL,
                     scratch->scores, ATI_KEY_BLOCK);
        soften(&weights, head, &block, key, n_keys, scratch);
        ati_multiply_block(gemm, scratch->weights, weights.row, block.count, values.panels,
                           values.stride, panels, n_keys / gemm->format->values_per_step, false,
                           scratch->added, block.columns);
        ati_add_to(scratch->mixed, scratch->added, block.count * block.columns);
    }
    for (size_t row = 0; row < block.count; row++) {
        float *to = out + (first + row) * out_stride;
        memcpy(to, scratch->mixed + row * block.columns, head->head_dim * sizeof(*to));
        ati_scale(to, head->head_dim, 1.0F / block.total[row]);
    }
}

void ati_attention_scores(const ati_head_input *head, size_t row, float *scores) {
    const float *query = head->q + row * head->stride;
    size_t first = ati_first_visible(head, row);
    for (size_t key = first; key <= row; key++) {
        scores[key] =
            ati_dot(query, head->k + key * head->stride, head->head_dim) * head->rule->scale;
    }
    if (head->rule->soft_cap > 0.0F) {
        ati_soft_cap(scores + first, row + 1 - first, head->rule->soft_cap);
    }
}

void ati_attention_weights(const ati_head_input *head, size_t row, float *weights) {
    size_t first = ati_first_visible(head, row), count = row + 1 - first;
    ati_attention_scores(head, row, weights);
    memset(weights, 0, first * sizeof(*weights));
    float largest = ati_max(weights + first, count), sink = 0.0F;
    if (head->sink != NULL) {
        largest = *head->sink > largest ? *head->sink : largest;
        sink = *head->sink;
        sink = ati_exp_sum(&sink, 1, largest);
    }
    float total = ati_exp_sum(weights + first, count, largest) + sink;
    ati_scale(weights + first, count, 1.0F / total);
}
