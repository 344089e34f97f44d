#include "forward.h"

#include "linear.h"
#include "look.h"
#include "loss.h"
#include "masked.h"
#include "norm.h"
#include "rotary.h"
#include "vector.h"

#include <string.h>

/* Row blocks that hold the first `readings` readings. */
static size_t count_blocks(const ati_pass *pass, size_t readings) {
    return ati_round_up(pass->pack->n_rows * readings, ATI_ROW_BLOCK) / ATI_ROW_BLOCK;
}

/* hidden = embedding of each token, 0 in the rows between documents. */
static void embed(const ati_part *part) {
    const ati_pass *pass = part->pass;
    size_t width = pass->model->config.hidden_size;
    for (size_t s = 0; s < pass->pack->n_segments; s++) {
        if (!ati_is_mine(part, s)) {
            continue;
        }
        const ati_segment *segment = &pass->pack->segments[s];
        const ati_document *document = segment->document;
        float *row = pass->rows.hidden + segment->row * width;
        for (size_t t = 0; t < document->n_tokens; t++, row += width) {
            const float *from = pass->model->weights.embeddings + (size_t)document->ids[t] * width;
            memcpy(row, from, width * sizeof(*row));
        }
        memset(row, 0, (segment->n_rows - document->n_tokens) * width * sizeof(*row));
    }
}

/* The rotary table of each document: it may depend on the document's length,
 * and must not on the batch's. */
static void tabulate_rope(const ati_part *part) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    for (size_t s = 0; s < pass->pack->n_segments; s++) {
        if (ati_is_mine(part, s)) {
            const ati_segment *segment = &pass->pack->segments[s];
            size_t n_tokens = segment->document->n_tokens;
            float *table = pass->rows.rope + segment->row * config->head_dim;
            ati_rope_table(&config->rope, n_tokens, table);
            memset(table + n_tokens * config->head_dim, 0,
                   (segment->n_rows - n_tokens) * config->head_dim * sizeof(*table));
        }
    }
}

/* qkv = rope(norm(hidden) W_qkv^T + b). */
static void project_qkv(const ati_part *part, const ati_layer_weights *layer, size_t readings) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t columns = ati_qkv_columns(config);
    for (size_t b = 0; b < count_blocks(pass, readings); b++) {
        if (!ati_is_mine(part, b) || !ati_worker_continue(part->worker)) {
            continue;
        }
        size_t first = b * ATI_ROW_BLOCK;
        float *qkv = pass->rows.qkv + first * columns;
        ati_rms_norm(pass->rows.hidden + first * config->hidden_size, ATI_ROW_BLOCK,
                     config->hidden_size, layer->attention_norm, config->rms_norm_eps,
                     part->tiles->normed);
        ati_linear(pass->model->blas, part->tiles->normed, config->hidden_size, layer->qkv,
                   layer->qkv_bias, columns, qkv, columns);
        for (size_t row = 0; row < ATI_ROW_BLOCK; row++) {
            size_t position = (first + row) % pass->pack->n_rows;
            ati_rotate(qkv + row * columns, config->n_heads + config->n_kv_heads, config->head_dim,
                       pass->rows.rope + position * config->head_dim);
        }
    }
}

/* heads = softmax(q k^T) v of one head, or what the mask puts in its place, with
 * the values of reading `from` for reading `to`. */
static void attend_head(const ati_part *part, const ati_segment *segment, size_t from, size_t to,
                        size_t head, const ati_variant *masked) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t columns = ati_query_columns(config);
    ati_head_input input = ati_segment_head(pass, segment, from, head);
    float *out =
        pass->rows.heads + ati_segment_row(pass, segment, to) * columns + head * config->head_dim;
    if (masked != NULL) {
        ati_masked_head(masked->mask, input.v, input.stride, input.n_rows, input.head_dim, out,
                        columns, part->tiles->sums);
        return;
    }
    for (size_t first = 0; first < input.n_rows; first += ATI_QUERY_BLOCK) {
        if (!ati_worker_continue(part->worker)) {
            return;
        }
        ati_attend(pass->model->blas, &input, first, out, columns, part->tiles);
    }
}

static void attend(const ati_part *part, size_t layer, size_t readings) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t task = 0;
    for (size_t place = 0; place < readings; place++) {
        const ati_variant *variant = place == 0 ? NULL : pass->branches[place - 1].variant;
        for (size_t s = 0; s < pass->pack->n_segments; s++) {
            for (size_t head = 0; head < config->n_heads; head++, task++) {
                if (ati_is_mine(part, task)) {
                    bool masked = variant != NULL && ati_is_masked(config, variant, layer, head);
                    attend_head(part, &pass->pack->segments[s], place, place, head,
                                masked ? variant : NULL);
                }
            }
        }
    }
}

/* The readings after this layer's attention. */
static size_t count_readings(const ati_pass *pass, size_t layer) {
    size_t readings = 1;
    while (readings <= pass->n_branches && pass->branches[readings - 1].first_layer <= layer) {
        readings++;
    }
    return readings;
}

/* The variants whose first masked head is in this layer leave the base reading:
 * up to here, and in this layer's other heads, they are the same. */
static void branch(const ati_part *part, size_t layer, size_t readings, size_t more_readings) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t width = config->hidden_size, columns = ati_query_columns(config), task = 0;
    for (size_t place = readings; place < more_readings; place++) {
        const ati_variant *variant = pass->branches[place - 1].variant;
        for (size_t s = 0; s < pass->pack->n_segments; s++, task++) {
            if (!ati_is_mine(part, task)) {
                continue;
            }
            const ati_segment *segment = &pass->pack->segments[s];
            size_t from = segment->row, to = ati_segment_row(pass, segment, place);
            memcpy(pass->rows.hidden + to * width, pass->rows.hidden + from * width,
                   segment->n_rows * width * sizeof(float));
            memcpy(pass->rows.heads + to * columns, pass->rows.heads + from * columns,
                   segment->n_rows * columns * sizeof(float));
            for (size_t head = 0; head < config->n_heads; head++) {
                if (ati_is_masked(config, variant, layer, head)) {
                    attend_head(part, segment, 0, place, head, variant);
                }
            }
        }
    }
}

/* added = x w^T + bias; hidden += added. */
static void add_linear(const ati_part *part, const float *x, size_t k, const float *w,
                       const float *bias, float *hidden) {
    size_t width = part->pass->model->config.hidden_size;
    ati_linear(part->pass->model->blas, x, k, w, bias, width, part->tiles->added, width);
    ati_add_to(hidden, part->tiles->added, ATI_ROW_BLOCK * width);
}

/* silu(gate) * up, [ATI_ROW_BLOCK, intermediate_size], moved together at the
 * start of tiles->gate_up. */
static void activate(const ati_part *part) {
    size_t width = part->pass->model->config.intermediate_size;
    float *gate_up = part->tiles->gate_up;
    for (size_t row = 0; row < ATI_ROW_BLOCK; row++) {
        float *gate = gate_up + row * 2 * width;
        ati_silu_times(gate, gate + width, width);
        memmove(gate_up + row * width, gate, width * sizeof(*gate));
    }
}

/* hidden += heads W_o^T; hidden += (silu(x W_gate^T) * x W_up^T) W_down^T with
 * x = norm(hidden). */
static void add_heads_and_mlp(const ati_part *part, const ati_layer_weights *layer,
                              size_t readings) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t width = config->hidden_size, columns = ati_query_columns(config);
    size_t inner = config->intermediate_size;
    for (size_t b = 0; b < count_blocks(pass, readings); b++) {
        if (!ati_is_mine(part, b) || !ati_worker_continue(part->worker)) {
            continue;
        }
        float *hidden = pass->rows.hidden + b * ATI_ROW_BLOCK * width;
        add_linear(part, pass->rows.heads + b * ATI_ROW_BLOCK * columns, columns, layer->output,
                   layer->output_bias, hidden);
        ati_rms_norm(hidden, ATI_ROW_BLOCK, width, layer->mlp_norm, config->rms_norm_eps,
                     part->tiles->normed);
        ati_linear(pass->model->blas, part->tiles->normed, width, layer->gate_up,
                   layer->gate_up_bias, 2 * inner, part->tiles->gate_up, 2 * inner);
        activate(part);
        add_linear(part, part->tiles->gate_up, inner, layer->down, layer->down_bias, hidden);
    }
}

void ati_forward(const ati_part *part) {
    const ati_pass *pass = part->pass;
    size_t n_layers = pass->model->config.n_layers;
    size_t readings = 1;

    embed(part);
    tabulate_rope(part);
    if (!ati_worker_barrier(part->worker)) {
        return;
    }
    for (size_t l = 0; l < n_layers; l++) {
        const ati_layer_weights *layer = &pass->model->weights.layers[l];
        size_t more_readings = count_readings(pass, l);

        project_qkv(part, layer, readings);
        if (!ati_worker_barrier(part->worker)) {
            return;
        }
        attend(part, l, readings);
        ati_look(part, l);
        if (!ati_worker_barrier(part->worker)) {
            return;
        }
        if (more_readings > readings) {
            branch(part, l, readings, more_readings);
            readings = more_readings;
            if (!ati_worker_barrier(part->worker)) {
                return;
            }
        }
        add_heads_and_mlp(part, layer, readings);
    }
    if (ati_worker_barrier(part->worker)) {
        ati_losses(part, readings);
    }
}
