/* The weights of a model in one mapping, laid out for the forward pass: matrices
 * packed for their products (format.h), vectors as float32. */
#ifndef ATI_WEIGHTS_H
#define ATI_WEIGHTS_H

#include "base/poll.h"
#include "config/config.h"
#include "gguf/gguf.h"
#include "kernel/kernel.h"
#include "vector/activation.h"
#include "vector/norm.h"

/* A matrix [n, k] that x [rows, k] is multiplied with: y = x w^T. */
typedef struct ati_matrix {
    const ati_gemm *gemm;
    ati_layout layout; /* of k */
    size_t n;
    char *panels; /* [ati_count_panels(n), layout.panel bytes]; rows past n are zeros */
    const struct ati_matrix *rest; /* the rows from n on, of another format, or NULL */
} ati_matrix;

enum { ATI_GATE_GROUP = 16 }; /* rows of gate, then rows of up, by turns */

/* One MLP, or one expert. */
typedef struct {
    ati_matrix up;    /* [ffn, hidden]; gated [2 * ffn, hidden]: ATI_GATE_GROUP rows of gate, as
                         many of up, ...; ffn up to a multiple of the group with rows of zeros */
    float *up_bias;   /* [up.n], or NULL */
    ati_matrix down;  /* [hidden, ffn] */
    float *down_bias; /* [hidden], or NULL */
} ati_mlp;

/* Whether `up` holds gates as well: padded to groups, it then has more rows than that. */
static inline bool ati_mlp_is_gated(const ati_mlp *mlp) {
    return mlp->up.n > mlp->down.layout.k;
}

/* How the heads of a layer attend (attention.h). */
typedef struct {
    float scale;    /* of scores */
    float soft_cap; /* cap(s) = soft_cap * tanh(s / soft_cap); 0: cap(s) = s */
    size_t window;  /* keys that a row sees; 0: all up to its own */
    float *sinks;   /* [heads] logits of no key, or NULL */
} ati_attention_rule;

typedef struct {
    ati_norm attention_norm;      /* [hidden], of what attention reads */
    ati_norm attention_post_norm; /* [hidden], of what it adds */
    ati_matrix qkv;               /* [(heads + 2 * kv_heads) * head_dim, hidden]: rows q, k, v */
    ati_matrix values;            /* those of v where they are qkv.rest, else of no row */
    float *qkv_bias;              /* [rows of qkv and its rest], or NULL */
    ati_norm query_norm;          /* [heads * head_dim] */
    ati_norm key_norm;            /* [kv_heads * head_dim] */
    ati_attention_rule attention;
    ati_matrix output;      /* [hidden, heads * head_dim] */
    float *output_bias;     /* [hidden], or NULL */
    ati_norm mlp_norm;      /* [hidden], of what the MLP reads */
    ati_norm mlp_post_norm; /* [hidden], of what it adds */
    float *router;          /* [experts, hidden]; NULL: one MLP, which every row takes */
    float *router_bias;     /* [experts], or NULL */
    ati_mlp *mlps;          /* [1 or experts] */
    size_t n_mlps;
    ati_activate activate;
} ati_layer_weights;

typedef struct {
    void *memory;              /* the mapping that all pointers point into, but layers and mlps;
                                  it holds all that is read from tensors */
    size_t bytes;              /* its size */
    bool is_file;              /* it is a file's, which may not be written to (packed.h) */
    size_t n_parameters;       /* values of the tensors read */
    ati_matrix embeddings;     /* [vocab, hidden]; its rows are read one by one */
    float *positions;          /* [max_position_embeddings, hidden], or NULL */
    ati_matrix unembedding;    /* [vocab, hidden]; the memory of embeddings where it can be */
    float *unembedding_bias;   /* [vocab], or NULL */
    ati_norm final_norm;       /* [hidden] */
    ati_layer_weights *layers; /* [n_layers] */
    ati_mlp *mlps;             /* of all layers */
} ati_weights;

/* Reads the tensors of `gguf`, whose path `path` is, or of the folder at `path` where that is
 * NULL. Each must have exactly the shape that the config demands and finite values; a missing
 * tensor, or one with no place in the model, is refused by name. On ATI_OK the caller owns what *weights holds;
 * otherwise it is zeroed. `poller` may be NULL. */
ati_status ati_weights_load(const char *path, const ati_gguf *gguf, const ati_config *config,
                            const ati_kernel *kernel, ati_poller *poller, ati_weights *weights,
                            ati_error *error);

/* The same without those tensors, from the file of packed weights at `path`, whose
 * key must be `key` (packed.h). */
ati_status ati_weights_map(const char *path, const char *key, const ati_config *config,
                           const ati_kernel *kernel, ati_poller *poller, ati_weights *weights,
                           ati_error *error);

/* The bytes that the weights of such a model take for a kernel; 0 where they are no
 * number. Takes no memory. */
size_t ati_weights_measure(const ati_config *config, const ati_kernel *kernel);

/* Zeroed is allowed; *weights is zeroed. */
void ati_weights_free(ati_weights *weights);

#endif
