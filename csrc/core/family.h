/* A model family as a row of data: how its folders name tensors and what its
 * layers are made of. A new family is a new row (and, where it has a part that
 * no family had before, a new value of an enum that the forward pass reads). */
#ifndef ATI_FAMILY_H
#define ATI_FAMILY_H

#include <stdbool.h>

typedef enum {
    ATI_NORM_RMS, /* x / sqrt(mean(x^2) + eps) * w */
} ati_norm;

typedef enum {
    ATI_ACTIVATION_SILU, /* down(silu(gate x) * up x) */
} ati_activation;

/* Whether a projection has a bias. */
typedef enum {
    ATI_BIAS_NEVER,
    ATI_BIAS_ATTENTION, /* where config.json says attention_bias */
    ATI_BIAS_MLP,       /* where config.json says mlp_bias */
} ati_bias;

/* A tensor of every layer: "{}" is the layer's number; ".weight" and ".bias" are
 * appended. */
typedef struct {
    const char *name;
    ati_bias bias;
} ati_layer_tensor;

typedef struct {
    const char *model_type;          /* as in config.json */
    const char *embeddings;          /* [vocab, hidden] */
    const char *final_norm;          /* [hidden] */
    const char *head;                /* [vocab, hidden], absent when tied */
    ati_layer_tensor attention_norm; /* [hidden] */
    ati_layer_tensor query;          /* [heads * head_dim, hidden] */
    ati_layer_tensor key, value;     /* [kv_heads * head_dim, hidden] */
    ati_layer_tensor output;         /* [hidden, heads * head_dim] */
    ati_layer_tensor mlp_norm;       /* [hidden] */
    ati_layer_tensor gate, up;       /* [ffn, hidden] */
    ati_layer_tensor down;           /* [hidden, ffn] */
    const char *const *ignored;      /* endings of names without meaning, NULL at the end */
    ati_norm norm;
    const char *activation_name; /* the hidden_act that `activation` is */
    ati_activation activation;
} ati_family;

/* The family of that model_type, or NULL. Static. */
const ati_family *ati_family_find(const char *model_type);

/* The model_types known, as "a, b and c"; static. */
const char *ati_family_names(void);

#endif
