/* The weights of a model in one mapping, laid out for the forward pass: matrices
 * packed for their products (format.h), vectors as float32. */
#ifndef ATI_WEIGHTS_H
#define ATI_WEIGHTS_H

#include "config.h"
#include "kernel.h"

/* A matrix [n, k] that x [rows, k] is multiplied with: y = x w^T. */
typedef struct {
    const ati_gemm *gemm;
    ati_layout layout; /* of k */
    size_t n;
    char *panels; /* [ati_count_panels(n), layout.panel bytes]; rows past n are zeros */
} ati_matrix;

enum { ATI_GATE_GROUP = 16 }; /* rows of gate, then rows of up, by turns */

typedef struct {
    float *attention_norm; /* [hidden] */
    ati_matrix qkv;        /* [(heads + 2 * kv_heads) * head_dim, hidden]: rows q, k, v */
    float *qkv_bias;       /* [qkv.n], or NULL */
    ati_matrix output;     /* [hidden, heads * head_dim] */
    float *output_bias;    /* [hidden], or NULL */
    float *mlp_norm;       /* [hidden] */
    ati_matrix gate_up;    /* [2 * ffn, hidden]: ATI_GATE_GROUP rows of gate, as many of up, ...;
                              ffn up to a multiple of the group with rows of zeros */
    float *gate_up_bias;   /* [gate_up.n], or NULL */
    ati_matrix down;       /* [hidden, ffn] */
    float *down_bias;      /* [hidden], or NULL */
} ati_layer_weights;

typedef struct {
    void *memory;              /* the mapping that all pointers point into, but `layers` */
    size_t bytes;              /* its size */
    ati_matrix embeddings;     /* [vocab, hidden]; its rows are read one by one */
    ati_matrix head;           /* [vocab, hidden]; the same memory as embeddings where it can be */
    float *final_norm;         /* [hidden] */
    ati_layer_weights *layers; /* [n_layers] */
} ati_weights;

/* Reads the folder's tensors. Each must have exactly the shape that the config
 * demands and finite values; a missing tensor, or one with no place in the
 * model, is refused by name. On ATI_OK the caller owns what *weights holds;
 * otherwise it is zeroed. */
ati_status ati_weights_load(const char *folder, const ati_config *config, const ati_kernel *kernel,
                            ati_weights *weights, ati_error *error);

/* Zeroed is allowed; *weights is zeroed. */
void ati_weights_free(ati_weights *weights);

#endif
