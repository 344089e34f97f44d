#include "weights.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "checked.h"
#include "checkpoint.h"
#include "error.h"

#define ALIGNMENT ((size_t)64) /* bytes; what a matrix begins on */
#define NAME_SIZE 160          /* of a tensor's name */

/* ---- Where everything lies ---- */

/* Hands out parts of a mapping, or, with base NULL, only adds them up. */
typedef struct {
    char *base;
    size_t used; /* bytes */
    bool fits;   /* the sum is a number so far */
} cursor;

/* rows * columns floats, aligned; NULL while adding up. */
static float *take(cursor *c, size_t rows, size_t columns) {
    size_t bytes = 0, start = c->used;
    c->fits = c->fits && ati_mul(rows, columns, &bytes) && ati_mul(bytes, sizeof(float), &bytes) &&
              ati_add(bytes, ALIGNMENT - 1, &bytes) &&
              ati_add(c->used, bytes / ALIGNMENT * ALIGNMENT, &c->used);
    return c->base != NULL ? (float *)(void *)(c->base + start) : NULL;
}

static bool has_bias(const ati_config *config, ati_bias bias) {
    return (bias == ATI_BIAS_ATTENTION && config->attention_bias) ||
           (bias == ATI_BIAS_MLP && config->mlp_bias);
}

static float *take_bias(cursor *c, const ati_config *config, ati_bias bias, size_t rows) {
    return has_bias(config, bias) ? take(c, rows, 1) : NULL;
}

static void place_layer(const ati_config *config, cursor *c, ati_layer_weights *layer) {
    const ati_family *family = config->family;
    size_t hidden = config->hidden_size, ffn = config->intermediate_size;
    size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    layer->attention_norm = take(c, hidden, 1);
    layer->qkv = take(c, q + 2 * kv, hidden);
    layer->qkv_bias = take_bias(c, config, family->query.bias, q + 2 * kv);
    layer->output = take(c, hidden, q);
    layer->output_bias = take_bias(c, config, family->output.bias, hidden);
    layer->mlp_norm = take(c, hidden, 1);
    layer->gate_up = take(c, 2 * ffn, hidden);
    layer->gate_up_bias = take_bias(c, config, family->gate.bias, 2 * ffn);
    layer->down = take(c, hidden, ffn);
    layer->down_bias = take_bias(c, config, family->down.bias, hidden);
}

/* Sets every pointer of *weights; weights->layers is there. */
static void place(const ati_config *config, cursor *c, ati_weights *weights) {
    weights->embeddings = take(c, config->vocab_size, config->hidden_size);
    weights->head =
        config->tied ? weights->embeddings : take(c, config->vocab_size, config->hidden_size);
    weights->final_norm = take(c, config->hidden_size, 1);
    for (size_t i = 0; i < config->n_layers; i++) {
        place_layer(config, c, &weights->layers[i]);
    }
}

/* ---- What there is to read ---- */

/* Called for every tensor of the model: its shape dims [rank] and where it goes. */
typedef struct {
    const ati_config *config;
    const ati_checkpoint *checkpoint;
    unsigned char **seen; /* [n_shards] of [n_tensors]: has a place in the model */
    bool reading;         /* else only checking */
    ati_error *error;
} visit;

static ati_status visit_tensor(const visit *v, const char *name, size_t rank, const size_t *dims,
                               float *out) {
    const ati_safetensors *shard = NULL;
    if (v->reading) {
        return ati_checkpoint_read_f32(v->checkpoint, name, rank, dims, out, v->error);
    }
    ati_status status = ati_checkpoint_expect(v->checkpoint, name, rank, dims, v->error);
    if (status == ATI_OK) {
        const ati_tensor *tensor = ati_checkpoint_find(v->checkpoint, name, &shard);
        v->seen[shard - v->checkpoint->shards][tensor - shard->tensors] = 1;
    }
    return status;
}

/* `ending` after a layer's tensor name with its number filled in. */
static void write_name(const char *pattern, size_t layer, const char *ending, char *out) {
    const char *gap = strstr(pattern, "{}");
    int head = gap != NULL ? (int)(gap - pattern) : (int)strlen(pattern);
    const char *tail = gap != NULL ? gap + 2 : "";
    snprintf(out, NAME_SIZE, "%.*s%zu%s%s", head, pattern, layer, tail, ending);
}

static ati_status visit_vector(const visit *v, const ati_layer_tensor *part, size_t layer,
                               size_t rows, float *out) {
    char name[NAME_SIZE];
    write_name(part->name, layer, ".weight", name);
    return visit_tensor(v, name, 1, &rows, out);
}

/* A matrix [rows, columns] at weight and, where there is one, its bias [rows].
 * `first` rows of both belong to others. */
static ati_status visit_matrix(const visit *v, const ati_layer_tensor *part, size_t layer,
                               size_t rows, size_t columns, float *weight, float *bias,
                               size_t first) {
    char name[NAME_SIZE];
    size_t dims[2] = {rows, columns};
    write_name(part->name, layer, ".weight", name);
    float *to = v->reading ? weight + first * columns : NULL;
    ati_status status = visit_tensor(v, name, 2, dims, to);
    if (status == ATI_OK && has_bias(v->config, part->bias)) {
        write_name(part->name, layer, ".bias", name);
        status = visit_tensor(v, name, 1, &rows, v->reading ? bias + first : NULL);
    }
    return status;
}

static ati_status visit_attention(const visit *v, size_t i, const ati_layer_weights *layer) {
    const ati_family *family = v->config->family;
    size_t hidden = v->config->hidden_size;
    size_t q = v->config->n_heads * v->config->head_dim;
    size_t kv = v->config->n_kv_heads * v->config->head_dim;
    float *qkv = layer->qkv, *bias = layer->qkv_bias;
    ati_status status = visit_vector(v, &family->attention_norm, i, hidden, layer->attention_norm);
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->query, i, q, hidden, qkv, bias, 0);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->key, i, kv, hidden, qkv, bias, q);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->value, i, kv, hidden, qkv, bias, q + kv);
    }
    if (status == ATI_OK) {
        status =
            visit_matrix(v, &family->output, i, hidden, q, layer->output, layer->output_bias, 0);
    }
    return status;
}

static ati_status visit_mlp(const visit *v, size_t i, const ati_layer_weights *layer) {
    const ati_family *family = v->config->family;
    size_t hidden = v->config->hidden_size, ffn = v->config->intermediate_size;
    float *gate_up = layer->gate_up, *bias = layer->gate_up_bias;
    ati_status status = visit_vector(v, &family->mlp_norm, i, hidden, layer->mlp_norm);
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->gate, i, ffn, hidden, gate_up, bias, 0);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->up, i, ffn, hidden, gate_up, bias, ffn);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->down, i, hidden, ffn, layer->down, layer->down_bias, 0);
    }
    return status;
}

static ati_status visit_all(const visit *v, const ati_weights *weights) {
    const ati_config *config = v->config;
    size_t dims[2] = {config->vocab_size, config->hidden_size};
    ati_status status = visit_tensor(v, config->family->embeddings, 2, dims, weights->embeddings);
    if (status == ATI_OK && !config->tied) {
        status = visit_tensor(v, config->family->head, 2, dims, weights->head);
    }
    if (status == ATI_OK) {
        status = visit_tensor(v, config->family->final_norm, 1, &dims[1], weights->final_norm);
    }
    for (size_t i = 0; i < config->n_layers && status == ATI_OK; i++) {
        status = visit_attention(v, i, &weights->layers[i]);
        if (status == ATI_OK) {
            status = visit_mlp(v, i, &weights->layers[i]);
        }
    }
    return status;
}

/* ---- What there should not be ---- */

static bool ends_with(const char *name, const char *ending) {
    size_t length = strlen(name), most = strlen(ending);
    return length >= most && strcmp(name + length - most, ending) == 0;
}

/* Whether a tensor without a place in the model may be there all the same. */
static bool is_harmless(const ati_config *config, const char *name) {
    for (const char *const *ending = config->family->ignored; *ending != NULL; ending++) {
        if (ends_with(name, *ending)) {
            return true;
        }
    }
    return config->tied && strcmp(name, config->family->head) == 0;
}

static ati_status fail_unexpected(const visit *v, const ati_safetensors *shard, const char *name) {
    bool bias = ends_with(name, ".bias");
    return ati_fail(v->error, ATI_FORMAT,
                    "tensor '%.200s' in '%s' has no place in the model that config.json "
                    "describes (%s of %zu layers%s)",
                    name, shard->file.path, v->config->family->model_type, v->config->n_layers,
                    !bias                                              ? ""
                    : v->config->attention_bias && v->config->mlp_bias ? ""
                    : v->config->attention_bias                        ? ", mlp_bias false"
                    : v->config->mlp_bias ? ", attention_bias false"
                                          : ", attention_bias and mlp_bias false");
}

static ati_status refuse_unexpected(const visit *v) {
    for (size_t i = 0; i < v->checkpoint->n_shards; i++) {
        const ati_safetensors *shard = &v->checkpoint->shards[i];
        for (size_t j = 0; j < shard->n_tensors; j++) {
            const char *name = shard->tensors[j].name;
            if (!v->seen[i][j] && !is_harmless(v->config, name)) {
                return fail_unexpected(v, shard, name);
            }
        }
    }
    return ATI_OK;
}

/* A tied model may store its output projection too, if it is the same one. */
static ati_status check_tie(const visit *v) {
    const ati_family *family = v->config->family;
    bool same = true;
    if (!v->config->tied || ati_checkpoint_find(v->checkpoint, family->head, NULL) == NULL) {
        return ATI_OK;
    }
    ati_status status =
        ati_checkpoint_same(v->checkpoint, family->embeddings, family->head, &same, v->error);
    if (status == ATI_OK && !same) {
        return ati_fail(v->error, ATI_FORMAT,
                        "config.json in '%s' says tie_word_embeddings, but tensor '%s' is there "
                        "and differs from '%s': set tie_word_embeddings to false, or remove it",
                        v->checkpoint->folder, family->head, family->embeddings);
    }
    return status;
}

/* ---- Loading ---- */

/* Checks names, shapes and dtypes before anything large is allocated. */
static ati_status check_all(visit *v, const ati_weights *weights) {
    size_t n_shards = v->checkpoint->n_shards;
    ati_status status = ATI_OK;
    v->seen = ati_calloc(n_shards, sizeof *v->seen);
    for (size_t i = 0; v->seen != NULL && i < n_shards; i++) {
        v->seen[i] = ati_calloc(v->checkpoint->shards[i].n_tensors, 1);
        if (v->seen[i] == NULL) {
            status = ATI_NOMEM;
        }
    }
    if (v->seen == NULL || status != ATI_OK) {
        status = ati_fail_memory(v->error, n_shards, "a table of tensors");
        goto exit;
    }
    status = visit_all(v, weights);
    if (status == ATI_OK) {
        status = refuse_unexpected(v);
    }
    if (status == ATI_OK) {
        status = check_tie(v);
    }
exit:
    for (size_t i = 0; v->seen != NULL && i < n_shards; i++) {
        ati_free(v->seen[i]);
    }
    ati_free(v->seen);
    v->seen = NULL;
    return status;
}

static ati_status map_weights(const ati_config *config, ati_weights *weights, ati_error *error) {
    cursor sum = {.fits = true};
    place(config, &sum, weights);
    if (!sum.fits) {
        return ati_fail(error, ATI_FORMAT,
                        "the model's weights take more memory than there can be");
    }
    weights->memory = ati_map(sum.used);
    if (weights->memory == NULL) {
        return ati_fail_memory(error, sum.used, "the model's weights in float32");
    }
    weights->bytes = sum.used;
    cursor c = {.base = weights->memory, .fits = true};
    place(config, &c, weights);
    return ATI_OK;
}

ati_status ati_weights_load(const char *folder, const ati_config *config, ati_weights *weights,
                            ati_error *error) {
    ati_checkpoint checkpoint = {0};
    visit v = {.config = config, .checkpoint = &checkpoint, .error = error};
    *weights = (ati_weights){0};
    ati_status status = ati_checkpoint_open(folder, &checkpoint, error);
    if (status != ATI_OK) {
        goto exit;
    }
    weights->layers = ati_calloc(config->n_layers, sizeof *weights->layers);
    if (weights->layers == NULL) {
        status = ati_fail_memory(error, config->n_layers * sizeof *weights->layers, "layers");
        goto exit;
    }
    status = check_all(&v, weights);
    if (status == ATI_OK) {
        status = map_weights(config, weights, error);
    }
    if (status == ATI_OK) {
        v.reading = true;
        status = visit_all(&v, weights);
    }
exit:
    ati_checkpoint_close(&checkpoint);
    if (status != ATI_OK) {
        ati_weights_free(weights);
    }
    return status;
}

void ati_weights_free(ati_weights *weights) {
    ati_unmap(weights->memory, weights->bytes);
    ati_free(weights->layers);
    *weights = (ati_weights){0};
}
