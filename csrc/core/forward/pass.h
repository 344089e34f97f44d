/* One pack on its way through the model, shared by the threads that work on it. */
#ifndef ATI_PASS_H
#define ATI_PASS_H

#include "batch/scratch.h"
#include "batch/team.h"
#include "forward/attention.h"

typedef struct {
    const ati_model *model;
    const ati_branch *branches; /* [n_branches], see pack.h */
    size_t n_branches;
    const ati_pack *pack;
    ati_rows rows;
} ati_pass;

/* A thread's part in a pass. */
typedef struct {
    const ati_pass *pass;
    ati_worker *worker;
    const ati_scratch *scratch;
} ati_part;

/* The first row of a segment in a reading: 0 is the base, 1 + b branch b (pack.h). */
static inline size_t ati_segment_row(const ati_pass *pass, const ati_segment *segment,
                                     size_t reading) {
    return reading * pass->pack->n_rows + segment->row;
}

/* Table number `number` of the pass: of the rotary settings config.ropes[number]. */
static inline float *ati_rope_rows(const ati_pass *pass, size_t number) {
    return pass->rows.rope + number * pass->pack->n_rows * ati_rotary_dim(&pass->model->config);
}

/* Queries, keys and values of one head of a layer, for the segment in a reading.
 * The packed ones are those of the head's group. */
static inline ati_head_input ati_segment_head(const ati_pass *pass, size_t layer,
                                              const ati_segment *segment, size_t reading,
                                              size_t head) {
    const ati_config *config = &pass->model->config;
    size_t columns = ati_qkv_columns(config), width = config->head_dim;
    size_t kv_head = ati_kv_head(config, head);
    const ati_attention_rule *rule = &pass->model->weights.layers[layer].attention;
    const float *row = pass->rows.qkv + ati_segment_row(pass, segment, reading) * columns;
    size_t key = (reading * config->n_kv_heads + kv_head) * pass->pack->n_keys + segment->key;
    return (ati_head_input){
        .rule = rule,
        .sink = rule->sinks != NULL ? rule->sinks + head : NULL,
        .q = row + head * width,
        .k = row + (config->n_heads + kv_head) * width,
        .v = row + (config->n_heads + config->n_kv_heads + kv_head) * width,
        .stride = columns,
        .n_rows = segment->n_rows,
        .head_dim = width,
        .keys = pass->rows.keys + key * ati_key_bytes(pass->model),
        .values = pass->rows.values + key * ati_value_bytes(pass->model),
    };
}

/* Whether piece number `task` of the work is this thread's. */
static inline bool ati_is_mine(const ati_part *part, size_t task) {
    return task % part->worker->size == part->worker->rank;
}

#endif
