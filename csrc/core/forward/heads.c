#include "forward/heads.h"

#include "forward/masked.h"
#include "forward/product.h"
#include "forward/wanted.h"
#include "vector/rotary.h"
#include "vector/vector.h"

#include <math.h>
#include <string.h>

/* The norms of the queries and keys of one row, by heads or of all together. */
static void norm_heads(const ati_config *config, const ati_layer_weights *layer, float *queries) {
    bool whole = config->stored.qk_norm == ATI_QK_NORM_WHOLE;
    size_t dim = config->head_dim, q = config->n_heads, k = config->n_kv_heads;
    float *keys = queries + q * dim;
    ati_norm_parts(&layer->query_norm, queries, whole ? 1 : q, whole ? q * dim : dim);
    ati_norm_parts(&layer->key_norm, keys, whole ? 1 : k, whole ? k * dim : dim);
}

/* What becomes of the queries, keys and values of one row before they meet. */
static void prepare_row(const ati_pass *pass, size_t l, size_t position, float *queries) {
    const ati_config *config = &pass->model->config;
    const ati_layer_weights *layer = &pass->model->weights.layers[l];
    const ati_rope *rope = ati_layer_rope(config, l);
    bool norms_late = config->family->qk_norm_after_rope;
    if (config->qk_norm && !norms_late) {
        norm_heads(config, layer, queries);
    }
    if (config->clip_qkv > 0.0F) {
        ati_clamp(queries, ati_qkv_columns(config), config->clip_qkv);
    }
    if (rope != NULL) {
        const float *table = ati_rope_rows(pass, (size_t)(rope - config->ropes));
        ati_rotate(queries, config->n_heads + config->n_kv_heads, config->head_dim, rope->dim,
                   table + position * rope->dim);
    }
    if (config->qk_norm && norms_late) {
        norm_heads(config, layer, queries);
    }
}

/* The position within its document of a row of the pack. */
static size_t find_position(const ati_pack *pack, size_t row) {
    size_t s = 0;
    while (row >= pack->segments[s].row + pack->segments[s].n_rows) {
        s++;
    }
    return row - pack->segments[s].row;
}

/* Queries grow with their position within the document, period by period. */
static void grow_queries(const ati_part *part, ati_row_block block) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t columns = ati_qkv_columns(config);
    for (size_t row = block.first; row < block.first + block.count; row++) {
        size_t position = find_position(pass->pack, row % pass->pack->n_rows);
        float growth = (float)log(1.0 + (double)(position / config->query_period));
        ati_scale(pass->rows.qkv + row * columns, ati_query_columns(config),
                  1.0F + config->query_growth * growth);
    }
}

/* Columns of qkv = x W^T + b with x = norm(hidden), from column `first` on. */
static void multiply_columns(const ati_part *part, const ati_layer_weights *layer,
                             const ati_matrix *w, size_t first, ati_row_block block) {
    size_t columns = ati_qkv_columns(&part->pass->model->config);
    float *qkv = part->pass->rows.qkv + block.first * columns + first;
    ati_norm_rows(part, block, &layer->attention_norm, w);
    ati_product product = ati_product_of(part->scratch->x, block.count, w);
    while (ati_product_next(&product, part)) {
        for (size_t row = 0; row < block.count; row++) {
            float *to = qkv + row * columns + product.first;
            memcpy(to, part->scratch->product + row * product.stride, product.count * sizeof(*to));
            if (layer->qkv_bias != NULL) {
                ati_add_to(to, layer->qkv_bias + first + product.first, product.count);
            }
        }
    }
}

static void multiply_qkv(const ati_part *part, const ati_layer_weights *layer,
                         ati_row_block block) {
    size_t first = 0;
    for (const ati_matrix *w = &layer->qkv; w != NULL; first += w->n, w = w->rest) {
        multiply_columns(part, layer, w, first, block);
    }
}

void ati_project_heads(const ati_part *part, size_t l, ati_row_block block) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t columns = ati_qkv_columns(config);
    multiply_qkv(part, &pass->model->weights.layers[l], block);
    for (size_t row = block.first; row < block.first + block.count; row++) {
        prepare_row(pass, l, row % pass->pack->n_rows, pass->rows.qkv + row * columns);
    }
    if (config->query_growth > 0.0F) {
        grow_queries(part, block);
    }
}

void ati_pack_heads(const ati_part *part, size_t layer, size_t n_readings) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t group = config->n_heads / config->n_kv_heads, task = 0;
    for (size_t reading = 0; reading < n_readings; reading++) {
        for (size_t s = 0; s < pass->pack->n_segments; s++) {
            for (size_t head = 0; head < config->n_heads; head += group, task++) {
                if (ati_is_mine(part, task) && ati_worker_continue(part->worker)) {
                    ati_head_input input =
                        ati_segment_head(pass, layer, &pass->pack->segments[s], reading, head);
                    ati_pack_keys(pass->model->kernel->attention, &input);
                }
            }
        }
    }
}

/* heads = softmax(q k^T) v of one head, from row `first` on. */
static void attend_rows(const ati_part *part, size_t layer, const ati_segment *segment,
                        size_t reading, size_t head, size_t first) {
    const ati_pass *pass = part->pass;
    const ati_gemm *gemm = pass->model->kernel->attention;
    size_t columns = ati_query_columns(&pass->model->config);
    ati_head_input input = ati_segment_head(pass, layer, segment, reading, head);
    float *out = pass->rows.heads + ati_segment_row(pass, segment, reading) * columns +
                 head * input.head_dim;
    size_t last = first + ATI_PIECE_ROWS < input.n_rows ? first + ATI_PIECE_ROWS : input.n_rows;
    for (; first < last && ati_worker_continue(part->worker); first += gemm->query_rows) {
        ati_attend(gemm, &input, first, out, columns, part->scratch);
    }
}

/* What the mask puts in a head's place, with the values of reading `from` for
 * reading `to`. */
static void mask_head(const ati_part *part, size_t layer, const ati_segment *segment, size_t from,
                      size_t to, size_t head, ati_mask mask) {
    const ati_pass *pass = part->pass;
    size_t columns = ati_query_columns(&pass->model->config);
    ati_head_input input = ati_segment_head(pass, layer, segment, from, head);
    float *out =
        pass->rows.heads + ati_segment_row(pass, segment, to) * columns + head * input.head_dim;
    ati_masked_head(mask, input.v, input.stride, input.n_rows, input.rule->window, input.head_dim,
                    out, columns, part->scratch->sums);
}

static void attend_head(const ati_part *part, size_t layer, size_t reading,
                        const ati_segment *segment, size_t head, size_t *task) {
    const ati_pass *pass = part->pass;
    const ati_variant *variant = reading == 0 ? NULL : pass->branches[reading - 1].variant;
    if (variant != NULL && ati_is_masked(&pass->model->config, variant, layer, head)) {
        if (ati_is_mine(part, (*task)++)) {
            mask_head(part, layer, segment, reading, reading, head, variant->mask);
        }
        return;
    }
    for (size_t first = 0; first < segment->n_rows; first += ATI_PIECE_ROWS) {
        if (ati_is_last(pass, layer) &&
            !ati_is_wanted(segment->document, 1 + pass->n_branches, first, ATI_PIECE_ROWS)) {
            continue;
        }
        if (ati_is_mine(part, (*task)++)) {
            attend_rows(part, layer, segment, reading, head, first);
        }
    }
}

void ati_attend_heads(const ati_part *part, size_t layer, size_t n_readings) {
    const ati_pass *pass = part->pass;
    size_t task = 0;
    for (size_t reading = 0; reading < n_readings; reading++) {
        for (size_t s = 0; s < pass->pack->n_segments; s++) {
            for (size_t head = 0; head < pass->model->config.n_heads; head++) {
                attend_head(part, layer, reading, &pass->pack->segments[s], head, &task);
            }
        }
    }
}

size_t ati_count_readings(const ati_pass *pass, size_t layer) {
    size_t n_readings = 1;
    while (n_readings <= pass->n_branches && pass->branches[n_readings - 1].first_layer <= layer) {
        n_readings++;
    }
    return n_readings;
}

void ati_branch_heads(const ati_part *part, size_t layer, size_t n_before, size_t n_after) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t width = config->hidden_size, columns = ati_query_columns(config), task = 0;
    for (size_t reading = n_before; reading < n_after; reading++) {
        const ati_variant *variant = pass->branches[reading - 1].variant;
        for (size_t s = 0; s < pass->pack->n_segments; s++, task++) {
            if (!ati_is_mine(part, task)) {
                continue;
            }
            const ati_segment *segment = &pass->pack->segments[s];
            size_t from = segment->row, to = ati_segment_row(pass, segment, reading);
            memcpy(pass->rows.hidden + to * width, pass->rows.hidden + from * width,
                   segment->n_rows * width * sizeof(float));
            memcpy(pass->rows.heads + to * columns, pass->rows.heads + from * columns,
                   segment->n_rows * columns * sizeof(float));
            for (size_t head = 0; head < config->n_heads; head++) {
                if (ati_is_masked(config, variant, layer, head)) {
                    mask_head(part, layer, segment, 0, reading, head, variant->mask);
                }
            }
        }
    }
}

void ati_add_heads(const ati_part *part, size_t l, ati_row_block block) {
    const ati_layer_weights *layer = &part->pass->model->weights.layers[l];
    const ati_layout *layout = &layer->output.layout;
    const float *heads = part->pass->rows.heads + block.first * layout->k;
    for (size_t row = 0; row < block.count; row++) {
        ati_write_row(layout, heads + row * layout->k, part->scratch->x + row * layout->row);
    }
    ati_addition addition = ati_begin_addend(part, block, &layer->attention_post_norm);
    ati_add_product(part, part->scratch->x, block.count, &layer->output, layer->output_bias,
                    &addition);
    ati_end_addend(part, block, &layer->attention_post_norm);
}
