#include "model/weights_memory.h"

#include "base/cursor.h"

/* What is laid out, and where: without gaps, as files of packed weights have it. */
typedef struct {
    const ati_config *config;
    const ati_kernel *kernel;
    ati_cursor memory;
} weight_layout;

static float *take_vector(weight_layout *w, size_t n) {
    return ati_take_floats(&w->memory, 1, n);
}

static ati_matrix take_matrix(weight_layout *w, const ati_gemm *gemm, size_t n, size_t k) {
    ati_matrix matrix = {.gemm = gemm, .layout = ati_layout_of(gemm->format, k), .n = n};
    matrix.panels = ati_take(&w->memory, ati_count_panels(n), matrix.layout.panel);
    return matrix;
}

static float *take_bias(weight_layout *w, bool has_bias, size_t n) {
    return has_bias ? take_vector(w, n) : NULL;
}

/* A norm of `width` values, or none where it has no name. */
static ati_norm take_norm(weight_layout *w, const char *name, size_t width, bool has_bias) {
    ati_norm norm = {.kind = w->config->family->norm, .epsilon = w->config->norm_eps};
    if (name != NULL) {
        norm.weight = take_vector(w, width);
        norm.bias = take_bias(w, has_bias, width);
    }
    return norm;
}

static ati_norm take_head_norm(weight_layout *w, const char *name, size_t n_heads) {
    return take_norm(w, w->config->qk_norm ? name : NULL, n_heads * w->config->head_dim,
                     w->config->family->qk_norm_bias);
}

static ati_mlp take_mlp(weight_layout *w, size_t ffn, bool is_gated, bool has_bias) {
    size_t hidden = w->config->hidden_size;
    size_t groups = (ffn + ATI_GATE_GROUP - 1) / ATI_GATE_GROUP;
    size_t rows = is_gated ? 2 * groups * ATI_GATE_GROUP : ffn;
    ati_mlp mlp = {.up = take_matrix(w, w->kernel->linear, rows, hidden)};
    mlp.up_bias = take_bias(w, has_bias, rows);
    mlp.down = take_matrix(w, w->kernel->linear, hidden, ffn);
    mlp.down_bias = take_bias(w, has_bias, hidden);
    return mlp;
}

static ati_activate take_activation(weight_layout *w) {
    const ati_config *config = w->config;
    ati_activate activate = {
        .kind = config->activation, .alpha = config->glu_alpha, .limit = config->glu_limit};
    if (activate.kind == ATI_ACTIVATION_XIELU) {
        activate.xielu = (ati_xielu *)(void *)ati_take(&w->memory, 1, sizeof *activate.xielu);
    }
    return activate;
}

static ati_attention_rule make_rule(const ati_config *config, size_t l) {
    float divisor = config->attention_scaled_by_layer ? (float)(l + 1) : 1.0F;
    return (ati_attention_rule){
        .scale = config->attention_scale / divisor,
        .soft_cap = config->attention_soft_cap,
        .window = config->layers[l].is_windowed ? config->window : 0,
    };
}

/* The rows of values have the attention's format, which is as wide as any: they are few,
 * and of what int8 rounds in a layer nothing else moves its output as much. */
static void take_qkv(weight_layout *w, size_t q, size_t kv, ati_layer_weights *layer) {
    const ati_kernel *kernel = w->kernel;
    size_t hidden = w->config->hidden_size;
    bool is_one = kernel->linear->format == kernel->attention->format;
    layer->qkv = take_matrix(w, kernel->linear, is_one ? q + 2 * kv : q + kv, hidden);
    layer->values = take_matrix(w, kernel->attention, is_one ? 0 : kv, hidden);
    layer->qkv.rest = is_one ? NULL : &layer->values;
}

static void lay_out_attention(weight_layout *w, size_t l, ati_layer_weights *layer) {
    const ati_config *config = w->config;
    const ati_family *family = config->family;
    size_t hidden = config->hidden_size;
    size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    layer->attention_norm =
        take_norm(w, config->stored.names.attention_norm, hidden, family->norm_bias);
    take_qkv(w, q, kv, layer);
    layer->qkv_bias = take_bias(w, config->qkv_bias, q + 2 * kv);
    layer->query_norm = take_head_norm(w, config->stored.names.query_norm, config->n_heads);
    layer->key_norm = take_head_norm(w, config->stored.names.key_norm, config->n_kv_heads);
    layer->attention = make_rule(config, l);
    layer->attention.sinks = take_bias(w, config->stored.names.sinks != NULL, config->n_heads);
    layer->output = take_matrix(w, w->kernel->linear, hidden, q);
    layer->output_bias = take_bias(w, config->output_bias, hidden);
    layer->attention_post_norm =
        take_norm(w, config->stored.names.attention_post_norm, hidden, family->norm_bias);
}

/* The layer's MLP or experts, into mlps where they are not NULL; returns what is left of
 * them. */
static ati_mlp *lay_out_mlps(weight_layout *w, size_t l, ati_mlp *mlps, ati_layer_weights *layer) {
    const ati_config *config = w->config;
    const ati_family *family = config->family;
    bool is_sparse = config->layers[l].is_sparse;
    bool is_gated = is_sparse || !family->plain_mlp;
    bool has_bias = is_sparse ? family->expert_bias : config->mlp_bias;
    size_t ffn = is_sparse ? config->expert_size : config->intermediate_size;
    layer->n_mlps = is_sparse ? config->n_experts : 1;
    layer->router = take_bias(w, is_sparse, layer->n_mlps * config->hidden_size);
    layer->router_bias = take_bias(w, is_sparse && has_bias, layer->n_mlps);
    layer->mlps = mlps;
    for (size_t i = 0; i < layer->n_mlps; i++) {
        ati_mlp mlp = take_mlp(w, ffn, is_gated, has_bias);
        if (mlps != NULL) {
            *mlps++ = mlp;
        }
    }
    return mlps;
}

static ati_mlp *lay_out_layer(weight_layout *w, size_t l, ati_mlp *mlps, ati_layer_weights *layer) {
    const ati_config *config = w->config;
    const ati_family *family = config->family;
    size_t hidden = config->hidden_size;
    bool shares_norm =
        config->parallel && (family->parallel_shares_norm || !config->stored.names.mlp_norm);
    lay_out_attention(w, l, layer);
    layer->mlp_norm = shares_norm
                          ? layer->attention_norm
                          : take_norm(w, config->stored.names.mlp_norm, hidden, family->norm_bias);
    mlps = lay_out_mlps(w, l, mlps, layer);
    layer->mlp_post_norm =
        take_norm(w, config->stored.names.mlp_post_norm, hidden, family->norm_bias);
    layer->activate = take_activation(w);
    return mlps;
}

/* The unembedding serves as the embeddings too where they are tied, if it has the
 * attention's format, which is as wide as any: int8 would round what no product asks to
 * be rounded. */
static void lay_out(weight_layout *w, ati_weights *weights) {
    const ati_config *config = w->config;
    const ati_family *family = config->family;
    size_t vocab = config->vocab_size, hidden = config->hidden_size;
    const ati_kernel *kernel = w->kernel;
    ati_mlp *mlps = weights->mlps;
    ati_layer_weights unkept;
    weights->unembedding = take_matrix(w, kernel->unembedding, vocab, hidden);
    bool shared = config->tied && kernel->unembedding->format == kernel->attention->format;
    weights->embeddings =
        shared ? weights->unembedding : take_matrix(w, kernel->attention, vocab, hidden);
    weights->unembedding_bias = take_bias(w, family->unembedding_bias, vocab);
    if (config->stored.names.positions != NULL) {
        weights->positions = ati_take_floats(&w->memory, config->max_position_embeddings, hidden);
    }
    weights->final_norm = take_norm(w, config->stored.names.final_norm, hidden, family->norm_bias);
    for (size_t l = 0; l < config->n_layers; l++) {
        mlps = lay_out_layer(w, l, mlps, weights->layers != NULL ? &weights->layers[l] : &unkept);
    }
}

bool ati_weights_lay_out(const ati_config *config, const ati_kernel *kernel, void *memory,
                         ati_weights *weights, size_t *bytes) {
    weight_layout w = {
        .config = config, .kernel = kernel, .memory = {.memory = memory, .fits = true}};
    lay_out(&w, weights);
    *bytes = w.memory.used;
    return w.memory.fits;
}
