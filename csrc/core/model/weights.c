#include "model/weights.h"

#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "model/packed.h"
#include "model/weights_read.h"

#define ALIGNMENT ((size_t)64) /* bytes; what a matrix begins on */

/* ---- Where everything lies ---- */

/* Hands out parts of a mapping, or, with base NULL, only adds them up. */
typedef struct {
    const ati_config *config;
    const ati_kernel *kernel;
    char *base;
    size_t used; /* bytes */
    bool fits;   /* the sum is a number so far */
} cursor;

/* count * size bytes, aligned; NULL while adding up. */
static char *take(cursor *c, size_t count, size_t size) {
    size_t bytes = 0, start = c->used;
    c->fits = c->fits && ati_mul(count, size, &bytes) && ati_add(bytes, ALIGNMENT - 1, &bytes) &&
              ati_add(c->used, bytes / ALIGNMENT * ALIGNMENT, &c->used);
    return c->base != NULL ? c->base + start : NULL;
}

static float *take_vector(cursor *c, size_t n) {
    return (float *)(void *)take(c, n, sizeof(float));
}

static ati_matrix take_matrix(cursor *c, const ati_gemm *gemm, size_t n, size_t k) {
    ati_matrix matrix = {.gemm = gemm, .layout = ati_layout_of(gemm->format, k), .n = n};
    matrix.panels = take(c, ati_count_panels(n), matrix.layout.panel);
    return matrix;
}

static float *take_bias(cursor *c, bool has_bias, size_t n) {
    return has_bias ? take_vector(c, n) : NULL;
}

/* A norm of `width` values, or none where it has no name. */
static ati_norm take_norm(cursor *c, const char *name, size_t width, bool has_bias) {
    ati_norm norm = {.kind = c->config->family->norm, .epsilon = c->config->norm_eps};
    if (name != NULL) {
        norm.weight = take_vector(c, width);
        norm.bias = take_bias(c, has_bias, width);
    }
    return norm;
}

static ati_norm take_head_norm(cursor *c, const char *name, size_t n_heads) {
    return take_norm(c, c->config->qk_norm ? name : NULL, n_heads * c->config->head_dim,
                     c->config->family->qk_norm_bias);
}

static ati_mlp take_mlp(cursor *c, size_t ffn, bool is_gated, bool has_bias) {
    size_t hidden = c->config->hidden_size;
    size_t groups = (ffn + ATI_GATE_GROUP - 1) / ATI_GATE_GROUP;
    size_t rows = is_gated ? 2 * groups * ATI_GATE_GROUP : ffn;
    ati_mlp mlp = {.up = take_matrix(c, c->kernel->linear, rows, hidden)};
    mlp.up_bias = take_bias(c, has_bias, rows);
    mlp.down = take_matrix(c, c->kernel->linear, hidden, ffn);
    mlp.down_bias = take_bias(c, has_bias, hidden);
    return mlp;
}

static ati_attention_rule make_rule(const ati_config *config, size_t l) {
    float divisor = config->attention_scaled_by_layer ? (float)(l + 1) : 1.0F;
    return (ati_attention_rule){
        .scale = config->attention_scale / divisor,
        .soft_cap = config->attention_soft_cap,
        .window = config->layers[l].is_windowed ? config->window : 0,
    };
}

static void lay_out_attention(cursor *c, size_t l, ati_layer_weights *layer) {
    const ati_config *config = c->config;
    const ati_family *family = config->family;
    size_t hidden = config->hidden_size;
    size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    layer->attention_norm = take_norm(c, family->names.attention_norm, hidden, family->norm_bias);
    layer->qkv = take_matrix(c, c->kernel->linear, q + 2 * kv, hidden);
    layer->qkv_bias = take_bias(c, config->qkv_bias, q + 2 * kv);
    layer->query_norm = take_head_norm(c, family->names.query_norm, config->n_heads);
    layer->key_norm = take_head_norm(c, family->names.key_norm, config->n_kv_heads);
    layer->attention = make_rule(config, l);
    layer->attention.sinks = take_bias(c, family->names.sinks != NULL, config->n_heads);
    layer->output = take_matrix(c, c->kernel->linear, hidden, q);
    layer->output_bias = take_bias(c, config->output_bias, hidden);
    layer->attention_post_norm =
        take_norm(c, family->names.attention_post_norm, hidden, family->norm_bias);
}

/* The layer's MLP or experts, into mlps; returns what is left of them. */
static ati_mlp *lay_out_mlps(cursor *c, size_t l, ati_mlp *mlps, ati_layer_weights *layer) {
    const ati_config *config = c->config;
    const ati_family *family = config->family;
    bool is_sparse = config->layers[l].is_sparse;
    bool is_gated = is_sparse || !family->plain_mlp;
    bool has_bias = is_sparse ? family->experts == ATI_EXPERTS_TRANSPOSED : config->mlp_bias;
    size_t ffn = is_sparse ? config->expert_size : config->intermediate_size;
    layer->n_mlps = is_sparse ? config->n_experts : 1;
    layer->router = take_bias(c, is_sparse, layer->n_mlps * config->hidden_size);
    layer->router_bias = take_bias(c, is_sparse && has_bias, layer->n_mlps);
    layer->mlps = mlps;
    for (size_t i = 0; i < layer->n_mlps; i++) {
        mlps[i] = take_mlp(c, ffn, is_gated, has_bias);
    }
    return mlps + layer->n_mlps;
}

static ati_mlp *lay_out_layer(cursor *c, size_t l, ati_mlp *mlps, ati_layer_weights *layer) {
    const ati_config *config = c->config;
    const ati_family *family = config->family;
    size_t hidden = config->hidden_size;
    bool shares_norm =
        config->parallel && (family->parallel_shares_norm || !family->names.mlp_norm);
    lay_out_attention(c, l, layer);
    layer->mlp_norm = shares_norm ? layer->attention_norm
                                  : take_norm(c, family->names.mlp_norm, hidden, family->norm_bias);
    mlps = lay_out_mlps(c, l, mlps, layer);
    layer->mlp_post_norm = take_norm(c, family->names.mlp_post_norm, hidden, family->norm_bias);
    layer->activate = (ati_activate){
        .kind = config->activation, .alpha = config->glu_alpha, .limit = config->glu_limit};
    return mlps;
}

/* Sets every pointer of *weights; weights->layers and weights->mlps are there. The
 * unembedding serves as the embeddings too where they are tied, if it has the attention's
 * format, which is as wide as any: int8 would round what no product asks to be rounded. */
static void lay_out(cursor *c, ati_weights *weights) {
    const ati_config *config = c->config;
    const ati_family *family = config->family;
    size_t vocab = config->vocab_size, hidden = config->hidden_size;
    const ati_kernel *kernel = c->kernel;
    ati_mlp *mlps = weights->mlps;
    weights->unembedding = take_matrix(c, kernel->unembedding, vocab, hidden);
    bool shared = config->tied && kernel->unembedding->format == kernel->attention->format;
    weights->embeddings =
        shared ? weights->unembedding : take_matrix(c, kernel->attention, vocab, hidden);
    weights->unembedding_bias = take_bias(c, family->unembedding_bias, vocab);
    if (family->names.positions != NULL) {
        weights->positions =
            (float *)(void *)take(c, config->max_position_embeddings, hidden * sizeof(float));
    }
    weights->final_norm = take_norm(c, family->names.final_norm, hidden, family->norm_bias);
    for (size_t l = 0; l < config->n_layers; l++) {
        mlps = lay_out_layer(c, l, mlps, &weights->layers[l]);
    }
}

/* ---- What there should not be ---- */

static bool ends_with(const char *name, const char *ending) {
    size_t length = strlen(name), most = strlen(ending);
    return length >= most && strcmp(name + length - most, ending) == 0;
}

/* Whether a tensor without a place in the model may be there all the same. */
static bool is_harmless(const ati_tensors *tensors, const char *name) {
    const ati_config *config = tensors->config;
    for (const char *const *ending = config->family->ignored; *ending != NULL; ending++) {
        if (ends_with(name, *ending)) {
            return true;
        }
    }
    if (config->is_part && strncmp(name, tensors->body, strlen(tensors->body)) != 0) {
        return true;
    }
    return config->tied && strcmp(name, tensors->unembedding) == 0;
}

static ati_status fail_unexpected(const ati_tensors *tensors, const ati_safetensors *shard,
                                  const char *name) {
    const ati_config *config = tensors->config;
    bool tells_bias = ends_with(name, ".bias");
    return ati_fail(tensors->error, ATI_FORMAT,
                    "tensor '%.200s' in '%s' has no place in the model that config.json "
                    "describes (%s of %zu layers%s%s%s)",
                    name, shard->file.path, config->family->model_type, config->n_layers,
                    tells_bias && !config->qkv_bias ? ", no bias on queries, keys and values" : "",
                    tells_bias && !config->output_bias ? ", none on the attention's output" : "",
                    tells_bias && !config->mlp_bias ? ", none in the MLP" : "");
}

static ati_status refuse_unexpected(const ati_tensors *tensors) {
    for (size_t i = 0; i < tensors->checkpoint->n_shards; i++) {
        const ati_safetensors *shard = &tensors->checkpoint->shards[i];
        for (size_t j = 0; j < shard->n_tensors; j++) {
            const char *name = shard->tensors[j].name;
            if (!tensors->seen[i][j] && !is_harmless(tensors, name)) {
                return fail_unexpected(tensors, shard, name);
            }
        }
    }
    return ATI_OK;
}

/* The values of a tensor; two to a byte of an MXFP4 block, whose scales are none. */
static size_t count_values(const ati_tensor *tensor) {
    switch (tensor->dtype) {
    case ATI_DTYPE_F32:
        return tensor->bytes / 4;
    case ATI_DTYPE_U8:
        return ends_with(tensor->name, "_blocks") ? tensor->bytes * 2 : 0;
    default:
        return tensor->bytes / 2;
    }
}

static size_t count_parameters(const ati_tensors *tensors) {
    size_t n = 0;
    for (size_t i = 0; i < tensors->checkpoint->n_shards; i++) {
        const ati_safetensors *shard = &tensors->checkpoint->shards[i];
        for (size_t j = 0; j < shard->n_tensors; j++) {
            n += tensors->seen[i][j] ? count_values(&shard->tensors[j]) : 0;
        }
    }
    return n;
}

/* A tied model may store its output projection too, if it is the same one. */
static ati_status check_tie(const ati_tensors *tensors) {
    const ati_checkpoint *checkpoint = tensors->checkpoint;
    char embeddings[ATI_NAME_SIZE];
    bool same = true;
    if (!tensors->config->tied ||
        ati_checkpoint_find(checkpoint, tensors->unembedding, NULL) == NULL) {
        return ATI_OK;
    }
    ati_tensor_name(tensors, tensors->config->family->names.embeddings, 0, 0, ".weight",
                    embeddings);
    ati_status status =
        ati_checkpoint_same(checkpoint, embeddings, tensors->unembedding, &same, tensors->error);
    if (status == ATI_OK && !same) {
        return ati_fail(tensors->error, ATI_FORMAT,
                        "config.json in '%s' says tie_word_embeddings, but tensor '%s' is there "
                        "and differs from '%s': set tie_word_embeddings to false, or remove it",
                        checkpoint->folder, tensors->unembedding, embeddings);
    }
    return status;
}

/* ---- Loading ---- */

/* Checks names, shapes and dtypes before anything large is allocated. */
static ati_status check_all(ati_tensors *tensors, ati_weights *weights) {
    size_t n_shards = tensors->checkpoint->n_shards;
    ati_status status = ATI_OK;
    tensors->seen = ati_calloc(n_shards, sizeof *tensors->seen);
    for (size_t i = 0; tensors->seen != NULL && i < n_shards; i++) {
        tensors->seen[i] = ati_calloc(tensors->checkpoint->shards[i].n_tensors, 1);
        if (tensors->seen[i] == NULL) {
            status = ATI_NOMEM;
        }
    }
    if (tensors->seen == NULL || status != ATI_OK) {
        status = ati_fail_memory(tensors->error, n_shards, "a table of tensors");
        goto exit;
    }
    status = ati_visit_weights(tensors, weights);
    if (status == ATI_OK) {
        status = refuse_unexpected(tensors);
    }
    if (status == ATI_OK) {
        status = check_tie(tensors);
    }
    weights->n_parameters = count_parameters(tensors);
exit:
    for (size_t i = 0; tensors->seen != NULL && i < n_shards; i++) {
        ati_free(tensors->seen[i]);
    }
    ati_free(tensors->seen);
    tensors->seen = NULL;
    return status;
}

/* Sets every pointer into the c->used bytes at `memory`, which the weights own now. */
static void settle(cursor *c, void *memory, ati_weights *weights) {
    weights->memory = memory;
    weights->bytes = c->used;
    *c = (cursor){.config = c->config, .kernel = c->kernel, .base = memory, .fits = true};
    lay_out(c, weights);
}

static ati_status check_fits(const cursor *c, ati_error *error) {
    return c->fits ? ATI_OK
                   : ati_fail(error, ATI_FORMAT,
                              "the model's weights take more memory than there can be");
}

static ati_status make_room(cursor *c, ati_weights *weights, ati_error *error) {
    ati_status status = check_fits(c, error);
    if (status != ATI_OK) {
        return status;
    }
    void *memory = ati_map(c->used);
    if (memory == NULL) {
        return ati_fail_memory(error, c->used, "the model's weights");
    }
    settle(c, memory, weights);
    return ATI_OK;
}

static ati_status read_all(ati_tensors *tensors, const ati_weights *weights) {
    size_t values = ati_longest_read(tensors->config);
    tensors->rows = ati_calloc(values, sizeof *tensors->rows);
    if (tensors->rows == NULL) {
        return ati_fail_memory(tensors->error, values * sizeof *tensors->rows, "reading a tensor");
    }
    ati_status status = ati_visit_weights(tensors, weights);
    ati_free(tensors->rows);
    return status;
}

/* Room for the layers and their MLPs, still without weights. */
static ati_status make_layers(const ati_config *config, ati_weights *weights, ati_error *error) {
    size_t n_mlps = 0;
    for (size_t l = 0; l < config->n_layers; l++) {
        n_mlps += config->layers[l].is_sparse ? config->n_experts : 1;
    }
    weights->layers = ati_calloc(config->n_layers, sizeof *weights->layers);
    weights->mlps = ati_calloc(n_mlps, sizeof *weights->mlps);
    return weights->layers != NULL && weights->mlps != NULL
               ? ATI_OK
               : ati_fail_memory(error, n_mlps * sizeof *weights->mlps, "layers");
}

ati_status ati_weights_load(const char *folder, const ati_config *config, const ati_kernel *kernel,
                            ati_weights *weights, ati_error *error) {
    ati_checkpoint checkpoint = {0};
    ati_tensors tensors = {.config = config, .checkpoint = &checkpoint, .error = error};
    cursor c = {.config = config, .kernel = kernel, .fits = true};
    *weights = (ati_weights){0};
    ati_status status = ati_checkpoint_open(folder, &checkpoint, error);
    if (status == ATI_OK) {
        status = make_layers(config, weights, error);
    }
    if (status == ATI_OK) {
        ati_tensors_find_names(&tensors);
        lay_out(&c, weights);
        status = check_all(&tensors, weights);
    }
    if (status == ATI_OK) {
        status = make_room(&c, weights, error);
    }
    if (status == ATI_OK) {
        status = read_all(&tensors, weights);
    }
    ati_checkpoint_close(&checkpoint);
    if (status != ATI_OK) {
        ati_weights_free(weights);
    }
    return status;
}

ati_status ati_weights_map(const char *path, const char *key, const ati_config *config,
                           const ati_kernel *kernel, ati_weights *weights, ati_error *error) {
    cursor c = {.config = config, .kernel = kernel, .fits = true};
    void *memory = NULL;
    *weights = (ati_weights){0};
    ati_status status = make_layers(config, weights, error);
    if (status == ATI_OK) {
        lay_out(&c, weights);
        status = check_fits(&c, error);
    }
    ati_packed packed = {
        .precision = ati_precision_name(kernel->precision),
        .kernel = ati_kernel_name(kernel),
        .key = key,
        .bytes = c.used,
    };
    if (status == ATI_OK) {
        status = ati_packed_map(path, &packed, &memory, error);
    }
    if (status != ATI_OK) {
        ati_weights_free(weights);
        return status;
    }
    settle(&c, memory, weights);
    weights->is_file = true;
    weights->n_parameters = packed.n_parameters;
    return ATI_OK;
}

size_t ati_weights_measure(const ati_config *config, const ati_kernel *kernel) {
    ati_weights weights = {0};
    ati_error error;
    cursor c = {.config = config, .kernel = kernel, .fits = true};
    if (make_layers(config, &weights, &error) == ATI_OK) {
        lay_out(&c, &weights);
    }
    ati_weights_free(&weights);
    return c.used;
}

void ati_weights_free(ati_weights *weights) {
    if (weights->is_file) {
        ati_packed_unmap(weights->memory, weights->bytes);
    } else {
        ati_unmap(weights->memory, weights->bytes);
    }
    ati_free(weights->layers);
    ati_free(weights->mlps);
    *weights = (ati_weights){0};
}
