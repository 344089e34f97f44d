#include "model/weights_read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Norms ---- */

static void fill(float *x, size_t n, float value) {
    for (size_t i = 0; i < n; i++) {
        x[i] = value;
    }
}

/* A norm's weight and bias [n], as they multiply and are added. */
static ati_status visit_gain(ati_tensors *tensors, const char *pattern, size_t layer, size_t index,
                             size_t n, bool has_bias, float *weight, float *bias) {
    const ati_gain gain = tensors->config->stored.gain;
    char name[ATI_NAME_SIZE];
    ati_status status = ATI_OK;
    if (gain == ATI_GAIN_NONE) {
        if (!ati_only_checks(tensors)) {
            fill(weight, n, 1.0F);
        }
        return ATI_OK;
    }
    ati_tensor_name(tensors, pattern, layer, index, ".weight", name);
    status = ati_visit_vector(tensors, name, 1, &n, 0, n, weight);
    for (size_t i = 0; gain == ATI_GAIN_ONE_PLUS_WEIGHT && !ati_only_checks(tensors) && i < n;
         i++) {
        weight[i] += 1.0F;
    }
    if (status == ATI_OK && has_bias) {
        ati_tensor_name(tensors, pattern, layer, index, ".bias", name);
        status = ati_visit_vector(tensors, name, 1, &n, 0, n, bias);
    }
    return status;
}

static ati_status visit_norm(ati_tensors *tensors, const char *pattern, size_t layer,
                             const ati_norm *norm) {
    return pattern == NULL
               ? ATI_OK
               : visit_gain(tensors, pattern, layer, 0, tensors->config->hidden_size,
                            tensors->config->family->norm_bias, norm->weight, norm->bias);
}

/* Moves the elements of a head [head_dim] to their places; scratch [head_dim]. */
static void place_head(const ati_config *config, float *head, float *scratch) {
    memcpy(scratch, head, config->head_dim * sizeof *head);
    for (size_t i = 0; i < config->head_dim; i++) {
        head[ati_place_in_head(config, i)] = scratch[i];
    }
}

/* One tensor [head_dim] that all heads share: read for the first, copied to the rest. */
static ati_status visit_shared_norm(ati_tensors *tensors, const char *pattern, size_t layer,
                                    size_t n_heads, const ati_norm *norm) {
    size_t dim = tensors->config->head_dim;
    ati_status status = visit_gain(tensors, pattern, layer, 0, dim,
                                   tensors->config->family->qk_norm_bias, norm->weight, norm->bias);
    for (size_t head = 1; head < n_heads && !ati_only_checks(tensors); head++) {
        memcpy(norm->weight + head * dim, norm->weight, dim * sizeof(float));
        if (norm->bias != NULL) {
            memcpy(norm->bias + head * dim, norm->bias, dim * sizeof(float));
        }
    }
    return status;
}

/* A tensor for each head. */
static ati_status visit_listed_norm(ati_tensors *tensors, const char *pattern, size_t layer,
                                    size_t n_heads, const ati_norm *norm) {
    size_t dim = tensors->config->head_dim;
    ati_status status = ATI_OK;
    for (size_t head = 0; head < n_heads && status == ATI_OK; head++) {
        float *weight = !ati_only_checks(tensors) ? norm->weight + head * dim : NULL;
        status = visit_gain(tensors, pattern, layer, head, dim, false, weight, NULL);
    }
    return status;
}

/* One tensor [heads, head_dim]. */
static ati_status visit_stacked_norm(ati_tensors *tensors, const char *pattern, size_t layer,
                                     size_t n_heads, const ati_norm *norm) {
    size_t dims[] = {n_heads, tensors->config->head_dim};
    char name[ATI_NAME_SIZE];
    ati_tensor_name(tensors, pattern, layer, 0, ".weight", name);
    return ati_visit_vector(tensors, name, 2, dims, 0, dims[0] * dims[1], norm->weight);
}

/* The norm of queries, or of keys. */
static ati_status visit_head_norm(ati_tensors *tensors, const char *pattern, size_t layer,
                                  size_t n_heads, const ati_norm *norm) {
    const ati_config *config = tensors->config;
    ati_status status = ATI_OK;
    if (!config->qk_norm) {
        return ATI_OK;
    }
    switch (config->stored.qk_norm) {
    case ATI_QK_NORM_HEAD:
        status = visit_shared_norm(tensors, pattern, layer, n_heads, norm);
        break;
    case ATI_QK_NORM_EACH_HEAD:
        status = visit_stacked_norm(tensors, pattern, layer, n_heads, norm);
        break;
    case ATI_QK_NORM_LISTED:
        status = visit_listed_norm(tensors, pattern, layer, n_heads, norm);
        break;
    case ATI_QK_NORM_WHOLE:
        status = visit_gain(tensors, pattern, layer, 0, n_heads * config->head_dim,
                            config->family->qk_norm_bias, norm->weight, norm->bias);
        break;
    case ATI_QK_NORM_NONE:
        break;
    }
    for (size_t h = 0; status == ATI_OK && !ati_only_checks(tensors) && h < n_heads; h++) {
        place_head(config, norm->weight + h * config->head_dim, tensors->rows);
        if (norm->bias != NULL) {
            place_head(config, norm->bias + h * config->head_dim, tensors->rows);
        }
    }
    return status;
}

/* ---- Matrices ---- */

/* A matrix, or some rows of one, and where it goes. */
typedef struct {
    const char *pattern; /* NULL: there is none */
    size_t n, k;         /* [n, k] */
    ati_row_map *map;
    const ati_matrix *matrix;
    float *bias;
} linear_part;

/* With a bias or none, as the family stores matrices. */
static ati_status visit_linear(ati_tensors *tensors, size_t layer, size_t index,
                               const linear_part *part, bool has_bias) {
    ati_source source = {.n = part->n,
                         .k = part->k,
                         .map = part->map,
                         .transposed = tensors->config->stored.transposed};
    if (part->pattern == NULL) {
        return ATI_OK;
    }
    ati_tensor_name(tensors, part->pattern, layer, index, ".weight", source.weight);
    if (has_bias) {
        ati_tensor_name(tensors, part->pattern, layer, index, ".bias", source.bias);
    }
    return ati_visit_source(tensors, &source, part->matrix, part->bias);
}

static ati_status visit_qkv(ati_tensors *tensors, size_t layer, const ati_layer_weights *weights) {
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    size_t hidden = config->hidden_size;
    ati_row_map *whole = config->stored.qkv_by_heads ? ati_row_of_head_qkv : ati_row_of_qkv;
    const linear_part parts[] = {
        {names->query, q, hidden, ati_row_of_query, &weights->qkv, weights->qkv_bias},
        {names->key, kv, hidden, ati_row_of_key, &weights->qkv, weights->qkv_bias},
        {names->value, kv, hidden, ati_row_of_value, &weights->qkv, weights->qkv_bias},
        {names->qkv, q + 2 * kv, hidden, whole, &weights->qkv, weights->qkv_bias},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == ATI_OK; i++) {
        status = visit_linear(tensors, layer, 0, &parts[i], config->qkv_bias);
    }
    return status;
}

static ati_status visit_sinks(ati_tensors *tensors, size_t layer,
                              const ati_layer_weights *weights) {
    const char *pattern = tensors->config->stored.names.sinks;
    size_t n_heads = tensors->config->n_heads;
    char name[ATI_NAME_SIZE];
    if (pattern == NULL) {
        return ATI_OK;
    }
    ati_tensor_name(tensors, pattern, layer, 0, "", name);
    return ati_visit_vector(tensors, name, 1, &n_heads, 0, n_heads, weights->attention.sinks);
}

static ati_status visit_attention(ati_tensors *tensors, size_t layer,
                                  const ati_layer_weights *weights) {
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    const linear_part output = {
        names->output, config->hidden_size, config->n_heads * config->head_dim,
        ati_row_as_is, &weights->output,    weights->output_bias};
    ati_status status = visit_norm(tensors, names->attention_norm, layer, &weights->attention_norm);
    if (status == ATI_OK) {
        status = visit_qkv(tensors, layer, weights);
    }
    if (status == ATI_OK) {
        status = visit_head_norm(tensors, names->query_norm, layer, config->n_heads,
                                 &weights->query_norm);
    }
    if (status == ATI_OK) {
        status = visit_head_norm(tensors, names->key_norm, layer, config->n_kv_heads,
                                 &weights->key_norm);
    }
    if (status == ATI_OK) {
        status = visit_sinks(tensors, layer, weights);
    }
    if (status == ATI_OK) {
        status = visit_linear(tensors, layer, 0, &output, config->output_bias);
    }
    return status == ATI_OK ? visit_norm(tensors, names->attention_post_norm, layer,
                                         &weights->attention_post_norm)
                            : status;
}

/* ---- MLPs ---- */

static ati_status visit_dense(ati_tensors *tensors, size_t layer, const ati_mlp *mlp) {
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    size_t ffn = config->intermediate_size, hidden = config->hidden_size;
    ati_row_map *up = config->family->plain_mlp ? ati_row_as_is : ati_row_of_up;
    const linear_part parts[] = {
        {names->gate, ffn, hidden, ati_row_of_gate, &mlp->up, mlp->up_bias},
        {names->up, ffn, hidden, up, &mlp->up, mlp->up_bias},
        {names->gate_up, 2 * ffn, hidden, ati_row_of_gate_then_up, &mlp->up, mlp->up_bias},
        {names->down, hidden, ffn, ati_row_as_is, &mlp->down, mlp->down_bias},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == ATI_OK; i++) {
        status = visit_linear(tensors, layer, 0, &parts[i], config->mlp_bias);
    }
    return status;
}

/* Expert number `index`, with tensors of its own. */
static ati_status visit_listed_expert(ati_tensors *tensors, size_t layer, size_t index,
                                      const ati_mlp *mlp) {
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    size_t ffn = config->expert_size, hidden = config->hidden_size;
    const linear_part parts[] = {
        {names->expert_gate, ffn, hidden, ati_row_of_gate, &mlp->up, NULL},
        {names->expert_up, ffn, hidden, ati_row_of_up, &mlp->up, NULL},
        {names->expert_down, hidden, ffn, ati_row_as_is, &mlp->down, NULL},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == ATI_OK; i++) {
        status = visit_linear(tensors, layer, index, &parts[i], false);
    }
    return status;
}

/* A matrix of expert number `index` in a tensor of all of them, which stands under the name
 * that `pattern` and an ending make, and its bias, where the family has any. */
static ati_status visit_slab(ati_tensors *tensors, size_t layer, size_t index,
                             const linear_part *part, const char *const endings[2]) {
    const ati_config *config = tensors->config;
    bool transposed = config->stored.experts == ATI_EXPERTS_TRANSPOSED;
    ati_source source = {.n = part->n,
                         .k = part->k,
                         .slab = index,
                         .n_slabs = config->n_experts,
                         .transposed = transposed && !config->is_mxfp4,
                         .is_mxfp4 = config->is_mxfp4,
                         .map = part->map};
    ati_tensor_name(tensors, part->pattern, layer, 0, endings[0], source.weight);
    if (config->family->expert_bias) {
        ati_tensor_name(tensors, part->pattern, layer, 0, endings[1], source.bias);
    }
    return ati_visit_source(tensors, &source, part->matrix, part->bias);
}

/* Expert number `index` as a part of tensors that hold all of them. */
static ati_status visit_stacked_expert(ati_tensors *tensors, size_t layer, size_t index,
                                       const ati_mlp *mlp) {
    static const char *const in_full[] = {"", "_bias"}, *const usual[] = {".weight", ".bias"};
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    const bool apart = config->stored.experts == ATI_EXPERTS_APART;
    const size_t ffn = config->expert_size, hidden = config->hidden_size;
    ati_row_map *both = config->stored.experts == ATI_EXPERTS_TRANSPOSED ? ati_row_of_gate_beside_up
                                                                         : ati_row_of_gate_then_up;
    const linear_part parts[] = {
        {names->expert_gate, ffn, hidden, ati_row_of_gate, &mlp->up, mlp->up_bias},
        {names->expert_up, ffn, hidden, ati_row_of_up, &mlp->up, mlp->up_bias},
        {names->expert_gate_up, 2 * ffn, hidden, both, &mlp->up, mlp->up_bias},
        {names->expert_down, hidden, ffn, ati_row_as_is, &mlp->down, mlp->down_bias},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == ATI_OK; i++) {
        if (parts[i].pattern != NULL) {
            status = visit_slab(tensors, layer, index, &parts[i], apart ? usual : in_full);
        }
    }
    return status;
}

static ati_status visit_experts(ati_tensors *tensors, size_t layer,
                                const ati_layer_weights *weights) {
    const ati_config *config = tensors->config;
    const size_t dims[] = {config->n_experts, config->hidden_size};
    bool listed = config->stored.experts == ATI_EXPERTS_LISTED;
    char name[ATI_NAME_SIZE];
    ati_tensor_name(tensors, config->stored.names.router, layer, 0, ".weight", name);
    ati_status status =
        ati_visit_vector(tensors, name, 2, dims, 0, dims[0] * dims[1], weights->router);
    if (status == ATI_OK && config->family->expert_bias) {
        ati_tensor_name(tensors, config->stored.names.router, layer, 0, ".bias", name);
        status = ati_visit_vector(tensors, name, 1, dims, 0, dims[0], weights->router_bias);
    }
    /* Tensors that hold all experts are checked with the first. */
    size_t n = ati_only_checks(tensors) && !listed ? 1 : config->n_experts;
    for (size_t i = 0; i < n && status == ATI_OK; i++) {
        const ati_mlp *mlp = &weights->mlps[ati_only_checks(tensors) ? 0 : i];
        status = listed ? visit_listed_expert(tensors, layer, i, mlp)
                        : visit_stacked_expert(tensors, layer, i, mlp);
    }
    return status;
}

/* One parameter of an xIELU: a tensor of the shape [1] or []. */
static ati_status visit_parameter(ati_tensors *tensors, size_t layer, const char *ending,
                                  size_t rank, float *out) {
    const size_t one = 1;
    char name[ATI_NAME_SIZE];
    ati_tensor_name(tensors, tensors->config->stored.names.activation, layer, 0, ending, name);
    return ati_visit_vector(tensors, name, rank, &one, 0, 1, out);
}

static float softplus(float x) {
    return (float)(x > 20.0F ? (double)x : log1p(exp((double)x)));
}

static ati_status visit_activation(ati_tensors *tensors, size_t layer, ati_xielu *xielu) {
    if (tensors->config->activation != ATI_ACTIVATION_XIELU) {
        return ATI_OK;
    }
    ati_xielu read = {0};
    ati_status status = visit_parameter(tensors, layer, ".alpha_p", 1, &read.positive);
    if (status == ATI_OK) {
        status = visit_parameter(tensors, layer, ".alpha_n", 1, &read.negative);
    }
    if (status == ATI_OK) {
        status = visit_parameter(tensors, layer, ".beta", 0, &read.slope);
    }
    if (status == ATI_OK) {
        status = visit_parameter(tensors, layer, ".eps", 0, &read.least);
    }
    if (!ati_only_checks(tensors)) {
        read.positive = softplus(read.positive);
        read.negative = read.slope + softplus(read.negative);
        *xielu = read;
    }
    return status;
}

static ati_status visit_mlp(ati_tensors *tensors, size_t layer, const ati_layer_weights *weights) {
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    bool shares_norm = config->parallel && config->family->parallel_shares_norm;
    ati_status status =
        visit_norm(tensors, shares_norm ? NULL : names->mlp_norm, layer, &weights->mlp_norm);
    if (status == ATI_OK) {
        status = config->layers[layer].is_sparse ? visit_experts(tensors, layer, weights)
                                                 : visit_dense(tensors, layer, weights->mlps);
    }
    if (status == ATI_OK) {
        status = visit_activation(tensors, layer, weights->activate.xielu);
    }
    return status == ATI_OK
               ? visit_norm(tensors, names->mlp_post_norm, layer, &weights->mlp_post_norm)
               : status;
}

/* ---- Ends ---- */

static ati_status visit_ends(ati_tensors *tensors, const ati_weights *weights) {
    const ati_config *config = tensors->config;
    const ati_names *names = &config->stored.names;
    size_t vocab = config->vocab_size, hidden = config->hidden_size;
    const size_t positions[] = {config->max_position_embeddings + config->family->first_position,
                                hidden};
    ati_source embeddings = {.n = vocab, .k = hidden, .map = ati_row_as_is};
    ati_source unembedding = embeddings;
    char name[ATI_NAME_SIZE];
    ati_tensor_name(tensors, names->embeddings, 0, 0, ".weight", embeddings.weight);
    snprintf(unembedding.weight, sizeof unembedding.weight, "%s",
             config->tied ? embeddings.weight : tensors->unembedding);
    ati_status status = ati_visit_source(tensors, &embeddings, &weights->embeddings, NULL);
    if (status == ATI_OK &&
        (!config->tied || weights->unembedding.panels != weights->embeddings.panels)) {
        status = ati_visit_source(tensors, &unembedding, &weights->unembedding, NULL);
    }
    if (status == ATI_OK && names->positions != NULL) {
        ati_tensor_name(tensors, names->positions, 0, 0, ".weight", name);
        status =
            ati_visit_vector(tensors, name, 2, positions, config->family->first_position * hidden,
                             config->max_position_embeddings * hidden, weights->positions);
    }
    if (status == ATI_OK && config->family->unembedding_bias) {
        /* "lm_head.bias" beside "lm_head.weight". */
        size_t stem = strlen(tensors->unembedding) - strlen(".weight");
        snprintf(name, sizeof name, "%.*s.bias", (int)stem, tensors->unembedding);
        status = ati_visit_vector(tensors, name, 1, &vocab, 0, vocab, weights->unembedding_bias);
    }
    return status == ATI_OK ? visit_norm(tensors, names->final_norm, 0, &weights->final_norm)
                            : status;
}

ati_status ati_visit_weights(ati_tensors *tensors, const ati_weights *weights) {
    ati_status status = visit_ends(tensors, weights);
    for (size_t l = 0; l < tensors->config->n_layers && status == ATI_OK; l++) {
        ati_layer_weights *layer = &weights->layers[ati_only_checks(tensors) ? 0 : l];
        status = visit_attention(tensors, l, layer);
        if (status == ATI_OK) {
            status = visit_mlp(tensors, l, layer);
        }
    }
    return status;
}
