/* Which row of a packed matrix a row of a tensor becomes (tensors.h). */
#include "model/model.h"
#include "model/tensors.h"

size_t ati_place_in_head(const ati_config *config, size_t i) {
    size_t dim = ati_rotary_dim(config);
    bool moves = config->stored.rope_pairs && i < dim;
    return moves ? i / 2 + i % 2 * (dim / 2) : i;
}

/* Row r of q, k, v with the elements of queries and keys in their places. */
static size_t place_qkv(const ati_config *config, size_t r) {
    size_t head = r / config->head_dim, i = r % config->head_dim;
    bool turns = head < config->n_heads + config->n_kv_heads;
    return head * config->head_dim + (turns ? ati_place_in_head(config, i) : i);
}

size_t ati_row_as_is(const ati_config *config, size_t n, size_t t) {
    (void)config, (void)n;
    return t;
}

size_t ati_row_of_query(const ati_config *config, size_t n, size_t t) {
    (void)n;
    return place_qkv(config, t);
}

size_t ati_row_of_key(const ati_config *config, size_t n, size_t t) {
    (void)n;
    return place_qkv(config, config->n_heads * config->head_dim + t);
}

size_t ati_row_of_value(const ati_config *config, size_t n, size_t t) {
    (void)n;
    return place_qkv(config, (config->n_heads + config->n_kv_heads) * config->head_dim + t);
}

size_t ati_row_of_qkv(const ati_config *config, size_t n, size_t t) {
    (void)n;
    return place_qkv(config, t);
}

size_t ati_row_of_head_qkv(const ati_config *config, size_t n, size_t t) {
    (void)n;
    size_t dim = config->head_dim, head = t / (3 * dim), part = t / dim % 3;
    return place_qkv(config, (part * config->n_heads + head) * dim + t % dim);
}

size_t ati_row_of_gate(const ati_config *config, size_t n, size_t t) {
    (void)config, (void)n;
    return t / ATI_GATE_GROUP * 2 * ATI_GATE_GROUP + t % ATI_GATE_GROUP;
}

size_t ati_row_of_up(const ati_config *config, size_t n, size_t t) {
    return ati_row_of_gate(config, n, t) + ATI_GATE_GROUP;
}

size_t ati_row_of_gate_then_up(const ati_config *config, size_t n, size_t t) {
    return t < n / 2 ? ati_row_of_gate(config, n, t) : ati_row_of_up(config, n, t - n / 2);
}

size_t ati_row_of_gate_beside_up(const ati_config *config, size_t n, size_t t) {
    return t % 2 == 0 ? ati_row_of_gate(config, n, t / 2) : ati_row_of_up(config, n, t / 2);
}
