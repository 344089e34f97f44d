#include "weights.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "checked.h"
#include "checkpoint.h"
#include "error.h"

#define ALIGNMENT ((size_t)64)        /* bytes; what a matrix begins on */
#define NAME_SIZE 160                 /* of a tensor's name */
#define VALUES_READ ((size_t)1 << 18) /* values of a matrix held as float32 at a time */

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

static bool has_bias(const ati_config *config, ati_bias bias) {
    return (bias == ATI_BIAS_ATTENTION && config->attention_bias) ||
           (bias == ATI_BIAS_MLP && config->mlp_bias);
}

static float *take_bias(cursor *c, ati_bias bias, size_t n) {
    return has_bias(c->config, bias) ? take_vector(c, n) : NULL;
}

static size_t gate_up_rows(const ati_config *config) {
    return 2 * ((config->intermediate_size + ATI_GATE_GROUP - 1) / ATI_GATE_GROUP * ATI_GATE_GROUP);
}

static void place_layer(cursor *c, ati_layer_weights *layer) {
    const ati_config *config = c->config;
    const ati_family *family = config->family;
    const ati_gemm *linear = c->kernel->linear;
    size_t hidden = config->hidden_size, ffn = config->intermediate_size;
    size_t q = config->n_heads * config->head_dim, kv = config->n_kv_heads * config->head_dim;
    layer->attention_norm = take_vector(c, hidden);
    layer->qkv = take_matrix(c, linear, q + 2 * kv, hidden);
    layer->qkv_bias = take_bias(c, family->query.bias, q + 2 * kv);
    layer->output = take_matrix(c, linear, hidden, q);
    layer->output_bias = take_bias(c, family->output.bias, hidden);
    layer->mlp_norm = take_vector(c, hidden);
    layer->gate_up = take_matrix(c, linear, gate_up_rows(config), hidden);
    layer->gate_up_bias = take_bias(c, family->gate.bias, gate_up_rows(config));
    layer->down = take_matrix(c, linear, hidden, ffn);
    layer->down_bias = take_bias(c, family->down.bias, hidden);
}

/* Sets every pointer of *weights; weights->layers is there. The head serves as the
 * embeddings too where they are tied, if it has the attention's format, which is as
 * wide as any: int8 would round what no product asks to be rounded. */
static void place(cursor *c, ati_weights *weights) {
    size_t vocab = c->config->vocab_size, hidden = c->config->hidden_size;
    const ati_kernel *kernel = c->kernel;
    weights->head = take_matrix(c, kernel->head, vocab, hidden);
    bool shared = c->config->tied && kernel->head->format == kernel->attention->format;
    weights->embeddings = shared ? weights->head : take_matrix(c, kernel->attention, vocab, hidden);
    weights->final_norm = take_vector(c, hidden);
    for (size_t i = 0; i < c->config->n_layers; i++) {
        place_layer(c, &weights->layers[i]);
    }
}

/* ---- What there is to read ---- */

/* Called for every tensor of the model: its shape dims [rank] and where it goes. */
typedef struct {
    const ati_config *config;
    const ati_checkpoint *checkpoint;
    unsigned char **seen; /* [n_shards] of [n_tensors]: has a place in the model */
    float *rows;          /* [longest_row] read at a time; NULL: only checking */
    ati_error *error;
} visit;

/* Where row t of a tensor stands among the rows of a matrix: at first + t, or, in
 * groups, at (t / group) * 2 group + first + t % group. */
typedef struct {
    size_t first;
    size_t group; /* 0: the rows stand together */
} row_place;

static size_t row_of(row_place place, size_t t) {
    return place.group == 0 ? place.first + t
                            : t / place.group * 2 * place.group + place.first + t % place.group;
}

static ati_status check_tensor(const visit *v, const char *name, size_t rank, const size_t *dims) {
    const ati_safetensors *shard = NULL;
    ati_status status = ati_checkpoint_expect(v->checkpoint, name, rank, dims, v->error);
    if (status == ATI_OK) {
        const ati_tensor *tensor = ati_checkpoint_find(v->checkpoint, name, &shard);
        v->seen[shard - v->checkpoint->shards][tensor - shard->tensors] = 1;
    }
    return status;
}

static ati_status read_rows(const visit *v, const char *name, const size_t *dims, row_place place,
                            const ati_matrix *matrix) {
    size_t k = dims[1], at_a_time = VALUES_READ / k > 0 ? VALUES_READ / k : 1;
    ati_status status = ATI_OK;
    for (size_t first = 0; first < dims[0] && status == ATI_OK; first += at_a_time) {
        size_t n = dims[0] - first < at_a_time ? dims[0] - first : at_a_time;
        status = ati_checkpoint_read_f32(v->checkpoint, name, first * k, n * k, v->rows, v->error);
        for (size_t i = 0; i < n && status == ATI_OK; i++) {
            ati_pack_row(&matrix->layout, v->rows + i * k, matrix->panels,
                         row_of(place, first + i));
        }
    }
    return status;
}

static ati_status visit_named(const visit *v, const char *name, size_t n, row_place place,
                              const ati_matrix *matrix) {
    size_t dims[2] = {n, matrix->layout.k};
    return v->rows == NULL ? check_tensor(v, name, 2, dims)
                           : read_rows(v, name, dims, place, matrix);
}

/* A vector [n]; `name` in full. */
static ati_status visit_vector_named(const visit *v, const char *name, size_t n, float *out) {
    return v->rows == NULL ? check_tensor(v, name, 1, &n)
                           : ati_checkpoint_read_f32(v->checkpoint, name, 0, n, out, v->error);
}

/* `ending` after a layer's tensor name with its number filled in. */
static void write_name(const char *pattern, size_t layer, const char *ending, char *out) {
    const char *gap = strstr(pattern, "{}");
    int head = gap != NULL ? (int)(gap - pattern) : (int)strlen(pattern);
    const char *tail = gap != NULL ? gap + 2 : "";
    snprintf(out, NAME_SIZE, "%.*s%zu%s%s", head, pattern, layer, tail, ending);
}

static ati_status visit_vector(const visit *v, const ati_layer_tensor *part, size_t layer, size_t n,
                               float *out) {
    char name[NAME_SIZE];
    write_name(part->name, layer, ".weight", name);
    return visit_vector_named(v, name, n, out);
}

/* n rows of a matrix and, where there is one, of its bias. */
static ati_status visit_matrix(const visit *v, const ati_layer_tensor *part, size_t layer, size_t n,
                               row_place place, const ati_matrix *matrix, float *bias) {
    char name[NAME_SIZE];
    write_name(part->name, layer, ".weight", name);
    ati_status status = visit_named(v, name, n, place, matrix);
    if (status != ATI_OK || !has_bias(v->config, part->bias)) {
        return status;
    }
    write_name(part->name, layer, ".bias", name);
    status = visit_vector_named(v, name, n, v->rows);
    for (size_t t = 0; t < n && v->rows != NULL && status == ATI_OK; t++) {
        bias[row_of(place, t)] = v->rows[t];
    }
    return status;
}

static ati_status visit_attention(const visit *v, size_t i, const ati_layer_weights *layer) {
    const ati_family *family = v->config->family;
    size_t hidden = v->config->hidden_size;
    size_t q = v->config->n_heads * v->config->head_dim;
    size_t kv = v->config->n_kv_heads * v->config->head_dim;
    const struct {
        const ati_layer_tensor *tensor;
        size_t n, first;
    } parts[] = {{&family->query, q, 0}, {&family->key, kv, q}, {&family->value, kv, q + kv}};
    ati_status status = visit_vector(v, &family->attention_norm, i, hidden, layer->attention_norm);
    for (size_t p = 0; p < sizeof parts / sizeof *parts && status == ATI_OK; p++) {
        status = visit_matrix(v, parts[p].tensor, i, parts[p].n, (row_place){parts[p].first, 0},
                              &layer->qkv, layer->qkv_bias);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->output, i, hidden, (row_place){0, 0}, &layer->output,
                              layer->output_bias);
    }
    return status;
}

static ati_status visit_mlp(const visit *v, size_t i, const ati_layer_weights *layer) {
    const ati_family *family = v->config->family;
    const row_place gate = {0, ATI_GATE_GROUP}, up = {ATI_GATE_GROUP, ATI_GATE_GROUP};
    size_t hidden = v->config->hidden_size, ffn = v->config->intermediate_size;
    ati_status status = visit_vector(v, &family->mlp_norm, i, hidden, layer->mlp_norm);
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->gate, i, ffn, gate, &layer->gate_up, layer->gate_up_bias);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->up, i, ffn, up, &layer->gate_up, layer->gate_up_bias);
    }
    if (status == ATI_OK) {
        status = visit_matrix(v, &family->down, i, hidden, (row_place){0, 0}, &layer->down,
                              layer->down_bias);
    }
    return status;
}

static ati_status visit_all(const visit *v, const ati_weights *weights) {
    const ati_config *config = v->config;
    const ati_family *family = config->family;
    const char *head = config->tied ? family->embeddings : family->head;
    const row_place whole = {0, 0};
    size_t vocab = config->vocab_size, hidden = config->hidden_size;
    ati_status status = visit_named(v, family->embeddings, vocab, whole, &weights->embeddings);
    if (status == ATI_OK && (!config->tied || weights->head.panels != weights->embeddings.panels)) {
        status = visit_named(v, head, vocab, whole, &weights->head);
    }
    if (status == ATI_OK) {
        status = visit_vector_named(v, family->final_norm, hidden, weights->final_norm);
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

static ati_status map_weights(cursor *c, ati_weights *weights, ati_error *error) {
    if (!c->fits) {
        return ati_fail(error, ATI_FORMAT,
                        "the model's weights take more memory than there can be");
    }
    weights->memory = ati_map(c->used);
    if (weights->memory == NULL) {
        return ati_fail_memory(error, c->used, "the model's weights");
    }
    weights->bytes = c->used;
    *c = (cursor){.config = c->config, .kernel = c->kernel, .base = weights->memory, .fits = true};
    place(c, weights);
    return ATI_OK;
}

/* Values of the longest row, or vector, that is read whole. */
static size_t longest_row(const ati_config *config) {
    const size_t lengths[] = {VALUES_READ, config->hidden_size, config->intermediate_size,
                              config->n_heads * config->head_dim,
                              config->n_kv_heads * config->head_dim};
    size_t longest = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    return longest;
}

static ati_status read_all(visit *v, const ati_weights *weights) {
    size_t values = longest_row(v->config);
    v->rows = ati_calloc(values, sizeof *v->rows);
    if (v->rows == NULL) {
        return ati_fail_memory(v->error, values * sizeof *v->rows, "reading a tensor");
    }
    ati_status status = visit_all(v, weights);
    ati_free(v->rows);
    return status;
}

ati_status ati_weights_load(const char *folder, const ati_config *config, const ati_kernel *kernel,
                            ati_weights *weights, ati_error *error) {
    ati_checkpoint checkpoint = {0};
    visit v = {.config = config, .checkpoint = &checkpoint, .error = error};
    cursor c = {.config = config, .kernel = kernel, .fits = true};
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
    place(&c, weights);
    status = check_all(&v, weights);
    if (status == ATI_OK) {
        status = map_weights(&c, weights, error);
    }
    if (status == ATI_OK) {
        status = read_all(&v, weights);
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
