/*
 * A model family as a row of data: how its folders name and lay out tensors, which
 * keys its config.json has, and how it departs from
 *
 *     x = norm(h);  h += W_o attention(rope(W_q x), rope(W_k x), W_v x)
 *     x = norm(h);  h += W_down (silu(W_gate x) * W_up x)
 *
 * What is zero or NULL in a row is as in Llama. A new family is a new row and, where it
 * has a part that no family had before, one more field that reading config.json, reading
 * weights or the forward pass asks for.
 */
#ifndef ATI_FAMILY_H
#define ATI_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    ATI_NORM_RMS,   /* x / sqrt(mean(x^2) + eps) */
    ATI_NORM_LAYER, /* (x - mean(x)) / sqrt(var(x) + eps) */
} ati_norm_kind;

/* What multiplies a normalised row. */
typedef enum {
    ATI_GAIN_WEIGHT,          /* the tensor */
    ATI_GAIN_ONE_PLUS_WEIGHT, /* 1 + the tensor */
    ATI_GAIN_NONE,            /* nothing: there is no tensor */
} ati_gain;

typedef enum {
    ATI_QK_NORM_NONE,
    ATI_QK_NORM_HEAD,      /* every head by itself, one weight [head_dim] for all */
    ATI_QK_NORM_EACH_HEAD, /* with a weight [heads, head_dim] */
    ATI_QK_NORM_LISTED,    /* with a tensor for each head */
    ATI_QK_NORM_WHOLE,     /* all query heads together, all key heads together */
} ati_qk_norm;

/* How the weights of experts stand in the checkpoint; the family's MLP is gated. */
typedef enum {
    ATI_EXPERTS_NONE,
    ATI_EXPERTS_LISTED,     /* tensors for each expert; "{}" twice in their names */
    ATI_EXPERTS_STACKED,    /* [experts, 2 ffn, hidden], gate first, and [experts, hidden, ffn] */
    ATI_EXPERTS_TRANSPOSED, /* [experts, hidden, 2 ffn], gate and up by turns,
                               and [experts, ffn, hidden] */
    ATI_EXPERTS_APART,      /* [experts, ffn, hidden], gate and up each, and
                               [experts, hidden, ffn] */
} ati_experts_layout;

/* Which layers see a window, where config.json has no layer_types. */
typedef enum {
    ATI_WINDOW_NONE,
    ATI_WINDOW_ALL,     /* every layer, where there is a sliding_window; layer_types mean nothing */
    ATI_WINDOW_TYPED,   /* every layer, where there is a sliding_window */
    ATI_WINDOW_LATER,   /* from layer max_window_layers on */
    ATI_WINDOW_PERIOD,  /* all but each window_period-th */
    ATI_WINDOW_NO_ROPE, /* the layers without rotary embedding */
} ati_window_rule;

/* Which layers turn queries and keys. */
typedef enum {
    ATI_ROPE_EVERY_LAYER,
    ATI_ROPE_LISTED,         /* no_rope_layers, or all but each no_rope_layer_interval-th */
    ATI_ROPE_WINDOWED,       /* those with a window */
    ATI_ROPE_WINDOWED_IF_ANY /* the same, but all where there is no sliding_window */
} ati_rope_rule;

/* A choice that config.json makes under `key`; `otherwise` where it does not, and
 * always where key is NULL. */
typedef struct {
    const char *key;
    bool otherwise;
} ati_choice;

/* Keys of config.json; NULL where there is none. */
typedef struct {
    const char *n_layers, *n_heads, *n_kv_heads, *head_dim, *hidden_size, *intermediate_size;
    const char *context;
    const char *activation;
} ati_config_keys;

/* Sizes as config.json states them. */
typedef struct {
    size_t n_layers, n_heads, n_kv_heads, hidden_size, intermediate_size, vocab_size, context,
        window;
} ati_sizes;

/* Names of tensors after the body's prefix, "{}" for the number of the layer;
 * ".weight" and ".bias" are appended. NULL: there is no such tensor. */
typedef struct {
    const char *embeddings;          /* [vocab, hidden] */
    const char *positions;           /* [positions, hidden], added to the embeddings */
    const char *final_norm;          /* [hidden] */
    const char *attention_norm;      /* [hidden], of what attention reads */
    const char *attention_post_norm; /* [hidden], of what attention adds */
    const char *query, *key, *value; /* [heads * head_dim, hidden] */
    const char *qkv;                 /* the three in one */
    const char *query_norm, *key_norm;
    const char *sinks;         /* [heads], in full: one more logit, of no key */
    const char *output;        /* [hidden, heads * head_dim] */
    const char *mlp_norm;      /* [hidden], of what the MLP reads */
    const char *mlp_post_norm; /* [hidden], of what the MLP adds */
    const char *gate, *up;     /* [ffn, hidden] */
    const char *gate_up;       /* the two in one */
    const char *down;          /* [hidden, ffn] */
    const char *router;        /* [experts, hidden] */
    const char *expert_gate, *expert_up, *expert_gate_up, *expert_down;
    const char *activation; /* parameters of the activation */
} ati_names;

/* How a checkpoint names its tensors and lays them out. */
typedef struct {
    const char *body;           /* prefix of the names below */
    const char *unembedding;    /* [vocab, hidden], in full; absent when tied */
    const char *const *ignored; /* endings of names without meaning, NULL at the end */
    ati_names names;
    bool transposed;   /* all matrices but embeddings and unembedding are stored [in, out] */
    bool qkv_by_heads; /* names.qkv holds each head's query, key and value, not all queries first */
    bool rope_pairs;   /* pairs that turn are neighbours, not a half apart */
    ati_gain gain;
    ati_qk_norm qk_norm;
    ati_experts_layout experts;
} ati_stored;

typedef struct {
    const char *model_type; /* as in config.json */
    ati_stored stored;      /* in a model folder */
    const char *unread;     /* a key refused elsewhere that means nothing here */
    const ati_config_keys *keys;
    const ati_sizes *implied; /* what a text_config leaves out; NULL: nothing */

    /* Norms */
    ati_norm_kind norm;
    bool norm_bias;
    const char *eps_key; /* NULL: always the default */
    double eps;          /* where the key is absent */

    /* Attention */
    size_t head_dim;   /* where config.json has none; 0: hidden / heads */
    size_t ffn_factor; /* of hidden_size, where config.json has no intermediate_size */
    ati_choice qkv_bias, output_bias;
    const char *qk_norm_key; /* that turns it on; NULL: always */
    bool qk_norm_bias;
    bool qk_norm_after_rope;
    const char *clip_key;            /* bounds queries, keys and values */
    const char *query_scalar_key;    /* scores are divided by its root */
    const char *attention_scale_key; /* scores are multiplied by it; 1 where it is absent */
    ati_choice attention_scaled;     /* scores are divided by the root of head_dim; NULL: true */
    ati_choice attention_scaled_by_layer; /* and divided by 1 + the number of the layer */
    ati_window_rule window;
    const char *window_switch; /* the flag that makes sliding_window count; NULL: it does */
    bool states_window;        /* without sliding_window, a folder is refused */
    size_t window_period;
    const char *window_period_key;
    const char *attention_soft_cap_key;
    double attention_soft_cap; /* where the key is absent; 0: none */

    /* Positions */
    size_t first_position; /* rows of `positions` before that of the first token */
    ati_rope_rule rope_layers;
    bool rope_by_window;     /* layers with and without a window have their own */
    bool rope_reversed;      /* turns the other way */
    bool rope_stated;        /* without rotary settings, a folder is refused */
    bool rope_alpha;         /* "dynamic" with an alpha has a fixed base */
    bool rope_is_long;       /* any scaling is longrope, which is also called "su" and "yarn" */
    size_t original_context; /* where it is not beside the rotary settings; 0: as they say */
    double theta, window_theta;
    const char *theta_key, *window_theta_key; /* in the older dialect */
    double partial; /* share of a head that turns, where config.json says nothing; 0: 1 */
    const char *partial_key;
    const char *query_growth_key; /* among the rotary settings */

    /* Layers */
    ati_choice parallel;       /* attention and MLP read the same h */
    bool parallel_shares_norm; /* and then there is no mlp_norm */
    const char *residual_multiplier_key;
    bool plain_mlp; /* down(act(up x)), without a gate */
    ati_choice mlp_bias;
    const char *activation;        /* where config.json has none */
    bool gelu_is_tanh;             /* "gelu" means its tanh form */
    const char *expert_size_key;   /* NULL: intermediate_size */
    bool expert_bias;              /* and one of the router */
    ati_choice normalises_routing; /* weights of the chosen experts sum to 1 */
    bool clamped_glu; /* (up + 1) * gate * sigmoid(swiglu_alpha gate), clamped to swiglu_limit */

    /* Ends */
    bool tied;              /* where config.json says nothing */
    bool scales_embeddings; /* by the root of hidden_size */
    const char *embedding_multiplier_key;
    bool norms_embeddings;
    bool unembedding_bias;
    const char *logit_multiplier_key, *logit_divisor_key;
    double logit_multiplier; /* where the key is absent */
    const char *logit_soft_cap_key;
    double logit_soft_cap; /* where the key is absent; 0: none */
} ati_family;

/* The family of that model_type, or NULL. Static. */
const ati_family *ati_family_find(const char *model_type);

/* Family number i, or NULL past the last. */
const ati_family *ati_family_at(size_t i);

/* Whether a config of that model_type has the text part under "text_config". */
bool ati_family_is_wrapper(const char *model_type);

#endif
