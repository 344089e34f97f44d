/* config.json of a model folder, in the dialects of transformers 4 and 5, as
 * numbers that fit each other. */
#ifndef ATI_CONFIG_H
#define ATI_CONFIG_H

#include "ati.h"
#include "config/family.h"
#include "config/rope.h"

enum {
    ATI_MOST_LAYERS = 1024,
    ATI_MOST_EXPERTS = 4096,
};

typedef enum {
    ATI_ACTIVATION_SILU,
    ATI_ACTIVATION_GELU,
    ATI_ACTIVATION_GELU_TANH,
    ATI_ACTIVATION_RELU,
    ATI_ACTIVATION_RELU_SQUARED,
    ATI_ACTIVATION_XIELU,       /* with parameters of each layer */
    ATI_ACTIVATION_CLAMPED_GLU, /* silu with glu_alpha and glu_limit, and up + 1 */
} ati_activation;

/* What one layer has that others may not. */
typedef struct {
    bool is_windowed; /* sees the last `window` keys only */
    bool rotates;     /* turns queries and keys */
    bool is_sparse;   /* has experts */
} ati_layer_kind;

typedef struct {
    const ati_family *family; /* static */
    ati_stored stored;        /* the checkpoint's tensors; what it points to is static */
    const char *described_by; /* "config.json", or what stands for it; static */
    bool is_part;             /* of a checkpoint of more than text */
    size_t n_layers;
    size_t n_heads; /* a multiple of n_kv_heads */
    size_t n_kv_heads;
    size_t head_dim;
    size_t hidden_size;
    size_t intermediate_size;
    size_t vocab_size;
    size_t max_position_embeddings;
    float norm_eps;
    bool tied; /* the output projection is the embedding matrix */
    bool parallel;
    bool qkv_bias, output_bias, mlp_bias;
    bool qk_norm;

    ati_activation activation;
    float glu_alpha, glu_limit;

    size_t n_experts; /* 0: none */
    size_t experts_per_token;
    size_t expert_size; /* intermediate_size of an expert */
    bool normalises_routing;
    bool is_mxfp4; /* experts' matrices are 4-bit floats (mxfp4.h) */

    float attention_scale;          /* of scores */
    bool attention_scaled_by_layer; /* and that over 1 + the layer's number */
    float attention_soft_cap;       /* 0: none */
    float clip_qkv;                 /* 0: none */
    float query_growth;             /* query t times 1 + growth * log(1 + t / query_period); */
    size_t query_period;            /* whole numbers */
    size_t window;                  /* keys, of the layers with one */

    float embedding_multiplier, residual_multiplier;
    float logit_multiplier, logit_divisor;
    float logit_soft_cap; /* 0: none */

    size_t n_ropes;    /* 0, 1, or 2: layers without a window, then those with one */
    ati_rope ropes[2]; /* of the same dim */
    ati_layer_kind layers[ATI_MOST_LAYERS];
} ati_config;

/* Reads folder/config.json. Refuses, by name, whatever this library would have
 * to guess: an unknown model_type or rope type, sizes missing or out of range,
 * and fields that change the computation. Plain data: nothing to free. */
ati_status ati_config_read(const char *folder, ati_config *config, ati_error *error);

/* The same from text[0..length); `path` names it in errors. */
ati_status ati_config_parse(const char *text, size_t length, const char *path, ati_config *config,
                            ati_error *error);

/* The rotary settings of layer l; NULL where it turns nothing. */
static inline const ati_rope *ati_layer_rope(const ati_config *config, size_t l) {
    bool second = config->n_ropes > 1 && config->layers[l].is_windowed;
    return config->layers[l].rotates ? &config->ropes[second] : NULL;
}

/* Dimensions of a head that turn. */
static inline size_t ati_rotary_dim(const ati_config *config) {
    return config->n_ropes > 0 ? config->ropes[0].dim : 0;
}

#endif
