#include "config/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "config/config_read.h"

#define MOST_CONFIG_BYTES ((size_t)4 << 20) /* read well within the time of a poll */

/* Bounds of what is taken for a model: far above any there is, low enough that
 * the products of a few of them are sizes and each fits BLAS's 32-bit integers. */
#define MOST_HEADS ((size_t)1 << 16)
#define MOST_HEAD_DIM ((size_t)1 << 16)
#define MOST_HIDDEN ((size_t)1 << 20)
#define MOST_WIDE ((size_t)1 << 22) /* heads * head_dim, intermediate_size */
#define MOST_VOCAB ((size_t)1 << 24)
#define MOST_CONTEXT ((size_t)1 << 30)
#define MOST_FACTOR 1e6 /* a multiplier, a soft cap, a bound */

/* ---- Family ---- */

/* "llama, mistral, ... or apertus". */
static void list_families(char *out, size_t size) {
    size_t used = 0;
    const ati_family *family;
    for (size_t i = 0; (family = ati_family_at(i)) != NULL && used < size; i++) {
        const char *before = i == 0 ? "" : ati_family_at(i + 1) == NULL ? " or " : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%s", before, family->model_type);
    }
}

/* Finds the family, and the object that describes the text model: the root, or its
 * text_config where the checkpoint is of more than text. */
static ati_status read_family(ati_config_reader *r, ati_config *config) {
    const char *name = NULL;
    ati_status status = ati_config_text(r, r->root, "model_type", NULL, &name);
    ati_json_value text = ati_json_get(r->json, r->root, "text_config");
    if (status == ATI_OK && text != ATI_JSON_NONE && ati_family_is_wrapper(name)) {
        r->root = text;
        config->is_part = true;
        status = ati_config_text(r, r->root, "model_type", NULL, &name);
    }
    if (status != ATI_OK) {
        return status;
    }
    config->family = r->family = ati_family_find(name);
    if (config->family == NULL) {
        char names[640];
        list_families(names, sizeof names);
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': model_type '%.100s' is not supported, expected %s", r->path, name,
                        names);
    }
    config->stored = config->family->stored;
    return ATI_OK;
}

/* ---- Choices and numbers ---- */

static ati_status read_choice(const ati_config_reader *r, ati_choice choice, bool *out) {
    *out = choice.otherwise;
    return choice.key == NULL ? ATI_OK
                              : ati_config_flag(r, r->root, choice.key, choice.otherwise, out);
}

/* A positive number under a key that may be NULL or absent. */
static ati_status read_factor(const ati_config_reader *r, const char *key, double otherwise,
                              float *out) {
    double number = otherwise;
    ati_status status = ATI_OK;
    if (key != NULL) {
        status = ati_config_number(r, r->root, key, 1e-6, MOST_FACTOR, otherwise, &number);
    }
    *out = (float)number;
    return status;
}

/* The same where null stands for none, which is 0. */
static ati_status read_bound(const ati_config_reader *r, const char *key, double otherwise,
                             float *out) {
    bool is_null = key != NULL && ati_config_lacks(r, r->root, key) &&
                   ati_json_get(r->json, r->root, key) != ATI_JSON_NONE;
    return read_factor(r, is_null ? NULL : key, is_null ? 0.0 : otherwise, out);
}

static const struct {
    const char *name;
    ati_activation activation;
} activations[] = {
    {"silu", ATI_ACTIVATION_SILU},
    {"swish", ATI_ACTIVATION_SILU},
    {"gelu", ATI_ACTIVATION_GELU},
    {"gelu_new", ATI_ACTIVATION_GELU_TANH},
    {"gelu_pytorch_tanh", ATI_ACTIVATION_GELU_TANH},
    {"gelu_fast", ATI_ACTIVATION_GELU_TANH},
    {"relu", ATI_ACTIVATION_RELU},
    {"relu2", ATI_ACTIVATION_RELU_SQUARED},
    {"xielu", ATI_ACTIVATION_XIELU},
};

static ati_status find_activation(const ati_config_reader *r, const ati_family *family,
                                  const char *name, ati_activation *activation) {
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        bool has_parameters = activations[i].activation == ATI_ACTIVATION_XIELU;
        if (strcmp(activations[i].name, name) == 0 &&
            (!has_parameters || family->stored.names.activation != NULL)) {
            *activation = activations[i].activation;
            return ATI_OK;
        }
    }
    return ati_fail(r->error, ATI_UNSUPPORTED,
                    "'%s': %s is '%.100s', expected silu, gelu, gelu_new, gelu_pytorch_tanh, relu, "
                    "relu2%s",
                    r->path, family->keys->activation, name,
                    family->stored.names.activation != NULL ? " or xielu" : "");
}

static ati_status read_activation(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    const char *name = NULL;
    ati_status status =
        ati_config_text(r, r->root, family->keys->activation, family->activation, &name);
    if (status == ATI_OK) {
        status = find_activation(r, family, name, &config->activation);
    }
    if (status != ATI_OK) {
        return status;
    }
    if (config->activation == ATI_ACTIVATION_GELU && family->gelu_is_tanh) {
        config->activation = ATI_ACTIVATION_GELU_TANH;
    }
    if (!family->clamped_glu) {
        return ATI_OK;
    }
    if (config->activation != ATI_ACTIVATION_SILU) {
        return ati_fail(r->error, ATI_UNSUPPORTED, "'%s': %s is '%.100s', expected 'silu'", r->path,
                        family->keys->activation, name);
    }
    config->activation = ATI_ACTIVATION_CLAMPED_GLU;
    status = read_factor(r, "swiglu_alpha", 1.702, &config->glu_alpha);
    return status == ATI_OK ? read_factor(r, "swiglu_limit", 7.0, &config->glu_limit) : status;
}

/* ---- Sizes ---- */

static ati_status read_sizes(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    const ati_config_keys *keys = family->keys;
    const ati_sizes none = {0},
                    *implied = config->is_part && family->implied ? family->implied : &none;
    const struct {
        const char *key;
        size_t most, implied, *out;
    } sizes[] = {
        {keys->n_layers, ATI_MOST_LAYERS, implied->n_layers, &config->n_layers},
        {keys->n_heads, MOST_HEADS, implied->n_heads, &config->n_heads},
        {keys->hidden_size, MOST_HIDDEN, implied->hidden_size, &config->hidden_size},
        {"vocab_size", MOST_VOCAB, implied->vocab_size, &config->vocab_size},
        {keys->context, MOST_CONTEXT, implied->context, &config->max_position_embeddings},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == ATI_OK; i++) {
        status = ati_config_size(r, r->root, sizes[i].key, sizes[i].most, sizes[i].implied,
                                 sizes[i].out);
    }
    size_t ffn = family->ffn_factor > 0 ? family->ffn_factor * config->hidden_size
                                        : implied->intermediate_size;
    if (status == ATI_OK) {
        status = ati_config_size(r, r->root, keys->intermediate_size, MOST_WIDE, ffn,
                                 &config->intermediate_size);
    }
    if (status != ATI_OK || keys->n_kv_heads == NULL) {
        config->n_kv_heads = config->n_heads;
        return status;
    }
    /* Where it is absent and transformers has another default, shapes will not fit. */
    bool absent = ati_json_get(r->json, r->root, keys->n_kv_heads) == ATI_JSON_NONE;
    size_t kv_heads = absent && implied->n_kv_heads > 0 ? implied->n_kv_heads : config->n_heads;
    return ati_config_size(r, r->root, keys->n_kv_heads, MOST_HEADS, kv_heads, &config->n_kv_heads);
}

static ati_status read_head_dim(const ati_config_reader *r, ati_config *config) {
    const char *key = config->family->keys->head_dim;
    size_t share = config->hidden_size / config->n_heads, otherwise = config->family->head_dim;
    if (otherwise == 0 && (key == NULL || ati_config_lacks(r, r->root, key)) &&
        share * config->n_heads != config->hidden_size) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': %s %zu is no multiple of %s %zu, and there is no head_dim", r->path,
                        config->family->keys->hidden_size, config->hidden_size,
                        config->family->keys->n_heads, config->n_heads);
    }
    otherwise = otherwise > 0 ? otherwise : share > 0 ? share : 1;
    ati_status status = ati_config_size(r, r->root, key != NULL ? key : "head_dim", MOST_HEAD_DIM,
                                        otherwise, &config->head_dim);
    if (status == ATI_OK && key == NULL && config->head_dim != otherwise) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'head_dim' is %zu, expected %s / %s, which is %zu in a %s", r->path,
                        config->head_dim, config->family->keys->hidden_size,
                        config->family->keys->n_heads, otherwise, config->family->model_type);
    }
    return status;
}

static ati_status check_heads(const ati_config_reader *r, ati_config *config) {
    if (config->n_heads % config->n_kv_heads != 0) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': num_attention_heads %zu is no multiple of num_key_value_heads %zu",
                        r->path, config->n_heads, config->n_kv_heads);
    }
    if (config->n_heads * config->head_dim > MOST_WIDE) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': num_attention_heads %zu times head_dim %zu is above %zu", r->path,
                        config->n_heads, config->head_dim, MOST_WIDE);
    }
    size_t projected = config->hidden_size;
    ati_status status =
        ati_config_size(r, r->root, "word_embed_proj_dim", MOST_HIDDEN, projected, &projected);
    if (status == ATI_OK && projected != config->hidden_size) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'word_embed_proj_dim' is %zu, expected the hidden_size %zu", r->path,
                        projected, config->hidden_size);
    }
    return status;
}

/* ---- The rest ---- */

static ati_status read_flags(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    const ati_choice scaled =
        family->attention_scaled.key != NULL ? family->attention_scaled : (ati_choice){NULL, true};
    bool is_scaled = true;
    const struct {
        ati_choice choice;
        bool *out;
    } flags[] = {
        {{"tie_word_embeddings", family->tied}, &config->tied},
        {family->qkv_bias, &config->qkv_bias},
        {family->output_bias, &config->output_bias},
        {family->mlp_bias, &config->mlp_bias},
        {family->parallel, &config->parallel},
        {family->normalises_routing, &config->normalises_routing},
        {family->attention_scaled_by_layer, &config->attention_scaled_by_layer},
        {{family->qk_norm_key, family->qk_norm_key == NULL}, &config->qk_norm},
        {scaled, &is_scaled},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof flags / sizeof *flags && status == ATI_OK; i++) {
        status = read_choice(r, flags[i].choice, flags[i].out);
    }
    config->qk_norm = config->qk_norm && family->stored.qk_norm != ATI_QK_NORM_NONE;
    config->attention_scale = is_scaled ? (float)(1.0 / sqrt((double)config->head_dim)) : 1.0F;
    /* Of a checkpoint of more than text, its own word on the tie goes first. */
    return status == ATI_OK && config->is_part
               ? ati_config_flag(r, ATI_JSON_ROOT, "tie_word_embeddings", config->tied,
                                 &config->tied)
               : status;
}

static ati_status read_factors(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    float query_scalar = 0, attention_scale = 1;
    double eps = family->eps;
    const double embedding = family->scales_embeddings ? sqrt((double)config->hidden_size) : 1.0;
    const double logits = family->logit_multiplier > 0 ? family->logit_multiplier : 1.0;
    const struct {
        const char *key;
        double otherwise;
        float *out;
    } factors[] = {
        {family->query_scalar_key, 256, &query_scalar},
        {family->attention_scale_key, 1, &attention_scale},
        {family->embedding_multiplier_key, embedding, &config->embedding_multiplier},
        {family->residual_multiplier_key, 1, &config->residual_multiplier},
        {family->logit_multiplier_key, logits, &config->logit_multiplier},
        {family->logit_divisor_key, 1, &config->logit_divisor},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof factors / sizeof *factors && status == ATI_OK; i++) {
        status = read_factor(r, factors[i].key, factors[i].otherwise, factors[i].out);
    }
    if (status == ATI_OK && family->eps_key != NULL) {
        status = ati_config_number(r, r->root, family->eps_key, 1e-12, 1, family->eps, &eps);
    }
    config->norm_eps = (float)eps;
    if (family->attention_scale_key != NULL) {
        config->attention_scale = attention_scale;
    }
    if (family->query_scalar_key != NULL) {
        config->attention_scale = (float)(1.0 / sqrt((double)query_scalar));
    }
    return status;
}

static ati_status read_bounds(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    ati_status status = read_bound(r, family->attention_soft_cap_key, family->attention_soft_cap,
                                   &config->attention_soft_cap);
    if (status == ATI_OK) {
        status = read_bound(r, family->logit_soft_cap_key, family->logit_soft_cap,
                            &config->logit_soft_cap);
    }
    return status == ATI_OK ? read_bound(r, family->clip_key, 0, &config->clip_qkv) : status;
}

typedef ati_status read_step(const ati_config_reader *r, ati_config *config);

static ati_status read_config(ati_config_reader *r, ati_config *config) {
    static read_step *const steps[] = {
        read_activation, read_sizes,  read_head_dim,     check_heads,      read_flags,
        read_factors,    read_bounds, ati_config_layers, ati_config_ropes,
    };
    if (ati_json_type_of(r->json, ATI_JSON_ROOT) != ATI_JSON_OBJECT) {
        return ati_fail(r->error, ATI_FORMAT, "'%s' holds %s, expected an object", r->path,
                        ati_json_describe(r->json, ATI_JSON_ROOT));
    }
    ati_status status = read_family(r, config);
    if (status == ATI_OK) {
        config->is_mxfp4 = ati_config_is_mxfp4(r);
        status = ati_config_refuse_active(r);
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == ATI_OK; i++) {
        status = steps[i](r, config);
    }
    return status;
}

ati_status ati_config_parse(const char *text, size_t length, const char *path, ati_config *config,
                            ati_error *error) {
    ati_json *json = NULL;
    *config = (ati_config){.described_by = "config.json"};
    ati_status status = ati_json_parse(text, length, path, NULL, &json, error);
    if (status == ATI_OK) {
        ati_config_reader r = {.json = json, .path = path, .root = ATI_JSON_ROOT, .error = error};
        status = read_config(&r, config);
    }
    ati_json_free(json);
    return status;
}

ati_status ati_config_read(const char *folder, ati_config *config, ati_error *error) {
    char *text = NULL, *path = NULL;
    size_t length = 0;
    *config = (ati_config){0};
    ati_status status = ati_file_read_all(folder, "config.json", MOST_CONFIG_BYTES, NULL, &text,
                                          &length, &path, error);
    if (status == ATI_OK) {
        status = ati_config_parse(text, length, path, config, error);
    }
    ati_free(text);
    ati_free(path);
    return status;
}
