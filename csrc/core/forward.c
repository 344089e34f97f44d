#include "forward.h"

#include "look.h"
#include "loss.h"
#include "masked.h"
#include "norm.h"
#include "product.h"
#include "rotary.h"
#include "vector.h"

#include <string.h>

_Static_assert(ATI_GATE_GROUP == 16, "as ati_silu_times has it");
_Static_assert(2 * ATI_GATE_GROUP % ATI_PANEL == 0, "groups fill panels");

/* Rows that go through a layer together. */
typedef struct {
    size_t first, count;
} row_block;

/* The rows of the first `readings` readings in blocks, this thread's one by one.
 * With tiles, whose bits no division changes, every thread gets as many as the next. */
static size_t count_blocks(const ati_part *part, size_t readings) {
    size_t rows = part->pass->pack->n_rows * readings, size = part->worker->size;
    size_t blocks = (rows + ATI_ROW_BLOCK - 1) / ATI_ROW_BLOCK;
    return ati_uses_blas(part->pass->model) ? blocks : ati_round_up(blocks, size);
}

static row_block find_block(const ati_part *part, size_t readings, size_t number) {
    size_t rows = part->pass->pack->n_rows * readings, blocks = count_blocks(part, readings);
    size_t each = ati_uses_blas(part->pass->model) ? ATI_ROW_BLOCK
                                                   : ati_gemm_rows((rows + blocks - 1) / blocks);
    size_t first = number * each < rows ? number * each : rows;
    return (row_block){first, rows - first < each ? rows - first : each};
}

/* Rows of a document, or of a head, that one thread handles at a time. */
enum { PIECE_ROWS = 2 * ATI_QUERY_ROWS };

/* hidden = embedding of each token, 0 in the rows between documents. */
static void embed_rows(const ati_part *part, const ati_segment *segment, size_t first) {
    const ati_matrix *embeddings = &part->pass->model->weights.embeddings;
    size_t width = part->pass->model->config.hidden_size;
    size_t last = first + PIECE_ROWS < segment->n_rows ? first + PIECE_ROWS : segment->n_rows;
    for (size_t t = first; t < last; t++) {
        float *row = part->pass->rows.hidden + (segment->row + t) * width;
        if (t < segment->document->n_tokens) {
            ati_unpack_row(&embeddings->layout, embeddings->panels,
                           (size_t)segment->document->ids[t], row);
        } else {
            memset(row, 0, width * sizeof(*row));
        }
    }
}

static void embed(const ati_part *part) {
    const ati_pack *pack = part->pass->pack;
    size_t task = 0;
    for (size_t s = 0; s < pack->n_segments; s++) {
        for (size_t first = 0; first < pack->segments[s].n_rows; first += PIECE_ROWS) {
            if (ati_is_mine(part, task++) && ati_worker_continue(part->worker)) {
                embed_rows(part, &pack->segments[s], first);
            }
        }
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

/* tiles->x = norm(hidden) for the rows of a block, laid out for w. */
static void norm_rows(const ati_part *part, row_block block, const float *norm,
                      const ati_matrix *w) {
    const ati_config *config = &part->pass->model->config;
    size_t width = config->hidden_size;
    const float *hidden = part->pass->rows.hidden + block.first * width;
    for (size_t row = 0; row < block.count; row++, hidden += width) {
        ati_rms_norm(hidden, width, norm, config->rms_norm_eps, part->tiles->row);
        ati_write_row(&w->layout, part->tiles->row, part->tiles->x + row * w->layout.row);
    }
}

/* qkv = rope(norm(hidden) W_qkv^T + b). */
static void project_qkv(const ati_part *part, const ati_layer_weights *layer, row_block block) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t columns = ati_qkv_columns(config);
    float *qkv = pass->rows.qkv + block.first * columns;
    norm_rows(part, block, layer->attention_norm, &layer->qkv);
    ati_product product = ati_product_of(part->tiles->x, block.count, &layer->qkv);
    while (ati_product_next(&product, part)) {
        for (size_t row = 0; row < block.count; row++) {
            float *to = qkv + row * columns + product.first;
            memcpy(to, part->tiles->product + row * product.stride, product.count * sizeof(*to));
            if (layer->qkv_bias != NULL) {
                ati_add_to(to, layer->qkv_bias + product.first, product.count);
            }
        }
    }
    for (size_t row = 0; row < block.count; row++) {
        size_t position = (block.first + row) % pass->pack->n_rows;
        ati_rotate(qkv + row * columns, config->n_heads + config->n_kv_heads, config->head_dim,
                   pass->rows.rope + position * config->head_dim);
    }
}

/* Packs the keys and values of every document and reading for attention. */
static void pack_keys(const ati_part *part, size_t readings) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t group = config->n_heads / config->n_kv_heads, task = 0;
    for (size_t place = 0; place < readings; place++) {
        for (size_t s = 0; s < pass->pack->n_segments; s++) {
            for (size_t head = 0; head < config->n_heads; head += group, task++) {
                if (ati_is_mine(part, task) && ati_worker_continue(part->worker)) {
                    ati_head_input input =
                        ati_segment_head(pass, &pass->pack->segments[s], place, head);
                    ati_pack_keys(pass->model->kernel->attention, &input);
                }
            }
        }
    }
}

/* heads = softmax(q k^T) v of one head, from row `first` on. */
static void attend_rows(const ati_part *part, const ati_segment *segment, size_t place, size_t head,
                        size_t first) {
    const ati_pass *pass = part->pass;
    const ati_gemm *gemm = pass->model->kernel->attention;
    size_t columns = ati_query_columns(&pass->model->config);
    ati_head_input input = ati_segment_head(pass, segment, place, head);
    float *out =
        pass->rows.heads + ati_segment_row(pass, segment, place) * columns + head * input.head_dim;
    size_t last = first + PIECE_ROWS < input.n_rows ? first + PIECE_ROWS : input.n_rows;
    for (; first < last && ati_worker_continue(part->worker); first += gemm->query_rows) {
        ati_attend(gemm, &input, first, out, columns, part->tiles);
    }
}

/* What the mask puts in a head's place, with the values of reading `from` for
 * reading `to`. */
static void mask_head(const ati_part *part, const ati_segment *segment, size_t from, size_t to,
                      size_t head, ati_mask mask) {
    const ati_pass *pass = part->pass;
    size_t columns = ati_query_columns(&pass->model->config);
    ati_head_input input = ati_segment_head(pass, segment, from, head);
    float *out =
        pass->rows.heads + ati_segment_row(pass, segment, to) * columns + head * input.head_dim;
    ati_masked_head(mask, input.v, input.stride, input.n_rows, input.head_dim, out, columns,
                    part->tiles->sums);
}

static void attend_head(const ati_part *part, size_t layer, size_t place,
                        const ati_segment *segment, size_t head, size_t *task) {
    const ati_pass *pass = part->pass;
    const ati_variant *variant = place == 0 ? NULL : pass->branches[place - 1].variant;
    if (variant != NULL && ati_is_masked(&pass->model->config, variant, layer, head)) {
        if (ati_is_mine(part, (*task)++)) {
            mask_head(part, segment, place, place, head, variant->mask);
        }
        return;
    }
    for (size_t first = 0; first < segment->n_rows; first += PIECE_ROWS) {
        if (ati_is_mine(part, (*task)++)) {
            attend_rows(part, segment, place, head, first);
        }
    }
}

static void attend(const ati_part *part, size_t layer, size_t readings) {
    const ati_pass *pass = part->pass;
    size_t task = 0;
    for (size_t place = 0; place < readings; place++) {
        for (size_t s = 0; s < pass->pack->n_segments; s++) {
            for (size_t head = 0; head < pass->model->config.n_heads; head++) {
                attend_head(part, layer, place, &pass->pack->segments[s], head, &task);
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
                    mask_head(part, segment, 0, place, head, variant->mask);
                }
            }
        }
    }
}

/* hidden += x w^T + bias. */
static void add_product(const ati_part *part, row_block block, const char *x, const ati_matrix *w,
                        const float *bias) {
    size_t width = part->pass->model->config.hidden_size;
    float *hidden = part->pass->rows.hidden + block.first * width;
    ati_product product = ati_product_of(x, block.count, w);
    while (ati_product_next(&product, part)) {
        for (size_t row = 0; row < block.count; row++) {
            float *to = hidden + row * width + product.first;
            ati_add_to(to, part->tiles->product + row * product.stride, product.count);
            if (bias != NULL) {
                ati_add_to(to, bias + product.first, product.count);
            }
        }
    }
}

/* hidden += heads W_o^T + b. */
static void add_heads(const ati_part *part, const ati_layer_weights *layer, row_block block) {
    const ati_layout *layout = &layer->output.layout;
    const float *heads = part->pass->rows.heads + block.first * layout->k;
    for (size_t row = 0; row < block.count; row++) {
        ati_write_row(layout, heads + row * layout->k, part->tiles->x + row * layout->row);
    }
    add_product(part, block, part->tiles->x, &layer->output, layer->output_bias);
}

/* tiles->activated [rows, width] = silu(gate) * up of the columns in tiles->product,
 * which alternate in groups; `width` columns from `first` on are wanted. */
static void activate(const ati_part *part, const ati_layer_weights *layer,
                     const ati_product *product, size_t first, size_t width) {
    for (size_t row = 0; row < product->n_rows; row++) {
        float *gate = part->tiles->product + row * product->stride;
        float *to = part->tiles->activated + row * width + product->first / 2 - first;
        if (layer->gate_up_bias != NULL) {
            ati_add_to(gate, layer->gate_up_bias + product->first, product->count);
        }
        ati_silu_times(gate, product->count / (2 * ATI_GATE_GROUP), to);
    }
}

/* hidden += (silu(x W_gate^T) * x W_up^T) W_down^T with x = norm(hidden), block by
 * block of the inner columns. */
static void add_mlp(const ati_part *part, const ati_layer_weights *layer, row_block block) {
    const ati_layout *inner = &layer->down.layout;
    size_t width = ati_round_up(ati_block_values(inner), ATI_GATE_GROUP);
    norm_rows(part, block, layer->mlp_norm, &layer->gate_up);
    for (size_t b = 0; b < inner->n_blocks; b++) {
        size_t first = b * width, count = inner->k - first < width ? inner->k - first : width;
        ati_product product = ati_product_part(part->tiles->x, block.count, &layer->gate_up,
                                               2 * first, 2 * (first + width));
        while (ati_product_next(&product, part)) {
            activate(part, layer, &product, first, width);
        }
        for (size_t row = 0; row < block.count; row++) {
            inner->format->write_block(part->tiles->activated + row * width, count,
                                       part->tiles->inner + row * inner->row + b * inner->row_block,
                                       inner->steps);
        }
    }
    add_product(part, block, part->tiles->inner, &layer->down, layer->down_bias);
}

typedef void block_step(const ati_part *part, const ati_layer_weights *layer, row_block block);

/* Takes this thread's blocks of the first `readings` readings through a step. */
static void each_block(const ati_part *part, const ati_layer_weights *layer, size_t readings,
                       block_step *step) {
    size_t blocks = count_blocks(part, readings);
    for (size_t b = 0; b < blocks; b++) {
        row_block block = find_block(part, readings, b);
        if (ati_is_mine(part, b) && block.count > 0 && ati_worker_continue(part->worker)) {
            step(part, layer, block);
        }
    }
}

static void add_heads_and_mlp(const ati_part *part, const ati_layer_weights *layer,
                              row_block block) {
    add_heads(part, layer, block);
    add_mlp(part, layer, block);
}

/* One layer; `readings` grows by the variants whose first masked head is in it.
 * False once the run is cancelled. */
static bool run_layer(const ati_part *part, size_t l, size_t *readings) {
    const ati_layer_weights *layer = &part->pass->model->weights.layers[l];
    size_t more_readings = count_readings(part->pass, l);
    each_block(part, layer, *readings, project_qkv);
    if (!ati_worker_barrier(part->worker)) {
        return false;
    }
    pack_keys(part, *readings);
    if (!ati_worker_barrier(part->worker)) {
        return false;
    }
    attend(part, l, *readings);
    ati_look(part, l);
    if (!ati_worker_barrier(part->worker)) {
        return false;
    }
    if (more_readings > *readings) {
        branch(part, l, *readings, more_readings);
        *readings = more_readings;
        if (!ati_worker_barrier(part->worker)) {
            return false;
        }
    }
    each_block(part, layer, *readings, add_heads_and_mlp);
    return true;
}

void ati_forward(const ati_part *part) {
    size_t readings = 1;
    embed(part);
    tabulate_rope(part);
    if (!ati_worker_barrier(part->worker)) {
        return;
    }
    for (size_t l = 0; l < part->pass->model->config.n_layers; l++) {
        if (!run_layer(part, l, &readings)) {
            return;
        }
    }
    if (ati_worker_barrier(part->worker)) {
        ati_losses(part, readings);
    }
}
