/* What an opened model is made of. */
#ifndef ATI_MODEL_H
#define ATI_MODEL_H

#include "config/config.h"
#include "model/weights.h"

struct ati_model {
    ati_config config;
    ati_weights weights;
    const ati_kernel *kernel;
};

static inline bool ati_uses_blas(const ati_model *model) {
    return model->kernel->linear->tile == NULL;
}

/* Columns of the query/key/value matrix: every query head, then the keys, then
 * the values. */
static inline size_t ati_qkv_columns(const ati_config *config) {
    return (config->n_heads + 2 * config->n_kv_heads) * config->head_dim;
}

static inline size_t ati_query_columns(const ati_config *config) {
    return config->n_heads * config->head_dim;
}

/* The key/value head that a query head reads. */
static inline size_t ati_kv_head(const ati_config *config, size_t head) {
    return head / (config->n_heads / config->n_kv_heads);
}

#endif
