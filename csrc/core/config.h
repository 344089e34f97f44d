/* config.json of a model folder, in the dialects of transformers 4 and 5, as
 * numbers that fit each other. */
#ifndef ATI_CONFIG_H
#define ATI_CONFIG_H

#include "ati.h"
#include "family.h"
#include "rope.h"

typedef struct {
    size_t n_layers;
    size_t n_heads; /* a multiple of n_kv_heads */
    size_t n_kv_heads;
    size_t head_dim; /* even */
    size_t hidden_size;
    size_t intermediate_size;
    size_t vocab_size;
    size_t max_position_embeddings;
    float rms_norm_eps;
    bool tied;                /* the output projection is the embedding matrix */
    bool attention_bias;      /* on q, k, v and output */
    bool mlp_bias;            /* on gate, up and down */
    const ati_family *family; /* static */
    ati_rope rope;
} ati_config;

/* Reads folder/config.json. Refuses, by name, whatever this library would have
 * to guess: an unknown model_type or rope type, sizes missing or out of range,
 * and fields that change the computation. Plain data: nothing to free. */
ati_status ati_config_read(const char *folder, ati_config *config, ati_error *error);

/* The same from text[0..length); `path` names it in errors. */
ati_status ati_config_parse(const char *text, size_t length, const char *path, ati_config *config,
                            ati_error *error);

#endif
