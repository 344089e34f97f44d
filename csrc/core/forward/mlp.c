#include "forward/mlp.h"

#include "forward/product.h"
#include "vector/activation.h"
#include "vector/vector.h"

#include <math.h>
#include <string.h>

_Static_assert(ATI_GATE_GROUP == 16, "as ati_activate_gated has it");
_Static_assert(2 * ATI_GATE_GROUP % ATI_PANEL == 0, "groups fill panels");

/* Inner columns that go through an MLP together: those of a block of the second
 * product's rows. */
typedef struct {
    size_t first, width;
    bool is_gated; /* two columns of the first product make one of these */
} inner_block;

/* scratch->activated [rows, width] = act of the columns in scratch->product. */
static void activate(const ati_part *part, const ati_activate *activate, const ati_mlp *mlp,
                     const ati_product *product, const inner_block *inner) {
    size_t shared = inner->is_gated ? 2 : 1;
    for (size_t row = 0; row < product->n_rows; row++) {
        float *from = part->scratch->product + row * product->stride;
        float *to =
            part->scratch->activated + row * inner->width + product->first / shared - inner->first;
        if (mlp->up_bias != NULL) {
            ati_add_to(from, mlp->up_bias + product->first, product->count);
        }
        if (inner->is_gated) {
            ati_activate_gated(activate, from, product->count / (2 * ATI_GATE_GROUP), to);
        } else {
            ati_activate_plain(activate, from, product->count, to);
        }
    }
}

/* to += factor * (act(x W_up^T) W_down^T), block by block of the inner columns; x has
 * n_rows rows. */
static void run_mlp(const ati_part *part, const ati_layer_weights *layer, const ati_mlp *mlp,
                    const char *x, size_t n_rows, const ati_addition *addition) {
    const ati_layout *layout = &mlp->down.layout;
    bool is_gated = ati_mlp_is_gated(mlp);
    size_t shared = is_gated ? 2 : 1;
    inner_block inner = {.width = ati_round_up(ati_block_values(layout), ATI_PANEL / shared),
                         .is_gated = is_gated};
    for (size_t b = 0; b < layout->n_blocks; b++) {
        inner.first = b * inner.width;
        size_t rest = layout->k - inner.first, count = rest < inner.width ? rest : inner.width;
        ati_product product = ati_product_part(x, n_rows, &mlp->up, shared * inner.first,
                                               shared * (inner.first + inner.width));
        while (ati_product_next(&product, part)) {
            activate(part, &layer->activate, mlp, &product, &inner);
        }
        for (size_t row = 0; row < n_rows; row++) {
            layout->format->write_block(
                part->scratch->activated + row * inner.width, count,
                part->scratch->inner + row * layout->row + b * layout->row_block, layout->steps);
        }
    }
    ati_add_product(part, part->scratch->inner, n_rows, &mlp->down, mlp->down_bias, addition);
}

/* ---- Experts ---- */

/* Turns the logits [n_experts] of one row into its experts and their factors
 * [experts_per_token]: those of the largest logits, the first of equal ones. */
static void choose_experts(const ati_config *config, float *logits, uint16_t *experts,
                           float *factors) {
    size_t n = config->n_experts, k = config->experts_per_token;
    float total = ati_exp_sum(logits, n, ati_max(logits, n)), chosen = 0.0F;
    for (size_t i = 0; i < k; i++) {
        size_t best = 0;
        for (size_t e = 1; e < n; e++) {
            best = logits[e] > logits[best] ? e : best;
        }
        experts[i] = (uint16_t)best;
        factors[i] = logits[best];
        chosen += logits[best];
        logits[best] = -1.0F;
    }
    ati_scale(factors, k, 1.0F / (config->normalises_routing ? chosen : total));
}

/* scratch->x = norm(hidden), laid out for the experts, and which of them each row takes. */
static void route(const ati_part *part, const ati_layer_weights *layer, ati_row_block block) {
    const ati_config *config = &part->pass->model->config;
    const ati_scratch *scratch = part->scratch;
    const ati_layout *layout = &layer->mlps[0].up.layout;
    size_t width = config->hidden_size, k = config->experts_per_token;
    for (size_t row = 0; row < block.count; row++) {
        const float *x = ati_normed_row(part, &layer->mlp_norm, block.first + row);
        ati_write_row(layout, x, scratch->x + row * layout->row);
        for (size_t e = 0; e < layer->n_mlps; e++) {
            float bias = layer->router_bias != NULL ? layer->router_bias[e] : 0.0F;
            scratch->logits[e] = ati_dot(layer->router + e * width, x, width) + bias;
        }
        choose_experts(config, scratch->logits, scratch->experts + row * k,
                       scratch->factors + row * k);
    }
}

/* The factor of an expert for a row of the block; 0 where the row does not take it. */
static float find_factor(const ati_part *part, size_t row, size_t expert) {
    size_t k = part->pass->model->config.experts_per_token;
    for (size_t i = row * k; i < (row + 1) * k; i++) {
        if (part->scratch->experts[i] == expert) {
            return part->scratch->factors[i];
        }
    }
    return 0.0F;
}

/* Gathers the rows of scratch->x that take an expert in scratch->gathered; returns how many.
 * OpenBLAS's bits depend on a row's place: there all rows stay where they are, and those
 * that do not take it have the factor 0. */
static size_t gather_rows(const ati_part *part, ati_row_block block, size_t expert,
                          size_t row_bytes) {
    const ati_scratch *scratch = part->scratch;
    bool stay = ati_uses_blas(part->pass->model), any = false;
    size_t n = 0;
    for (size_t row = 0; row < block.count; row++) {
        float factor = find_factor(part, row, expert);
        any = any || factor > 0.0F;
        if (stay || factor > 0.0F) {
            memcpy(scratch->gathered + n * row_bytes, scratch->x + row * row_bytes, row_bytes);
            scratch->gathered_rows[n] = (uint16_t)row;
            scratch->gathered_factors[n] = factor;
            n++;
        }
    }
    return any ? n : 0;
}

static void add_experts(const ati_part *part, const ati_layer_weights *layer, ati_row_block block,
                        ati_addition addition) {
    route(part, layer, block);
    addition.rows = part->scratch->gathered_rows;
    addition.factors = part->scratch->gathered_factors;
    for (size_t e = 0; e < layer->n_mlps; e++) {
        size_t n = gather_rows(part, block, e, layer->mlps[e].up.layout.row);
        if (n > 0 && ati_worker_continue(part->worker)) {
            run_mlp(part, layer, &layer->mlps[e], part->scratch->gathered, n, &addition);
        }
    }
}

void ati_add_mlp(const ati_part *part, size_t l, ati_row_block block) {
    const ati_layer_weights *layer = &part->pass->model->weights.layers[l];
    ati_addition addition = ati_begin_addend(part, block, &layer->mlp_post_norm);
    if (layer->router != NULL) {
        add_experts(part, layer, block, addition);
    } else {
        ati_norm_rows(part, block, &layer->mlp_norm, &layer->mlps[0].up);
        run_mlp(part, layer, &layer->mlps[0], part->scratch->x, block.count, &addition);
    }
    ati_end_addend(part, block, &layer->mlp_post_norm);
}
