/* The weights of a model in float32, in one mapping, laid out for the forward
 * pass: matrices are [out, in] row-major, each starting on 64 bytes. */
#ifndef ATI_WEIGHTS_H
#define ATI_WEIGHTS_H

#include "config.h"

typedef struct {
    float *attention_norm; /* [hidden] */
    float *qkv;            /* [(heads + 2 * kv_heads) * head_dim, hidden]: rows q, then k, then v */
    float *qkv_bias;       /* [(heads + 2 * kv_heads) * head_dim], or NULL */
    float *output;         /* [hidden, heads * head_dim] */
    float *output_bias;    /* [hidden], or NULL */
    float *mlp_norm;       /* [hidden] */
    float *gate_up;        /* [2 * ffn, hidden]: rows gate, then up */
    float *gate_up_bias;   /* [2 * ffn], or NULL */
    float *down;           /* [hidden, ffn] */
    float *down_bias;      /* [hidden], or NULL */
} ati_layer_weights;

typedef struct {
    void *memory;              /* the mapping that all pointers point into, but `layers` */
    size_t bytes;              /* its size */
    float *embeddings;         /* [vocab, hidden] */
    float *head;               /* [vocab, hidden]; == embeddings when tied */
    float *final_norm;         /* [hidden] */
    ati_layer_weights *layers; /* [n_layers] */
} ati_weights;

/* Reads the folder's tensors. Each must have exactly the shape that the config
 * demands and finite values; a missing tensor, or one with no place in the
 * model, is refused by name. On ATI_OK the caller owns what *weights holds;
 * otherwise it is zeroed. */
ati_status ati_weights_load(const char *folder, const ati_config *config, ati_weights *weights,
                            ati_error *error);

/* Zeroed is allowed; *weights is zeroed. */
void ati_weights_free(ati_weights *weights);

#endif
