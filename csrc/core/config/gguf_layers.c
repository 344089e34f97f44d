/* What differs from layer to layer of a GGUF file, and which of its keys are read at all. */
#include <math.h>
#include <string.h>

#include "config/config.h"
#include "config/gguf_reader.h"

/* ---- Windows ---- */

static const char window_key[] = "attention.sliding_window";
static const char pattern_key[] = "attention.sliding_window_pattern";

/* Whether layer l has a window: an array says it of each, a number p of all but each p-th. */
static ati_status is_windowed(const ati_gguf_reader *r, const ati_gguf_value *pattern, size_t l,
                              bool *windowed) {
    size_t period = 0;
    if (pattern->type == ATI_GGUF_ARRAY && pattern->item == ATI_GGUF_BOOL) {
        return ati_gguf_bool_at(pattern, l, windowed, r->error);
    }
    bool is_array = pattern->type == ATI_GGUF_ARRAY;
    ati_status status = ati_gguf_size_at(pattern, is_array ? l : 0, &period, r->error);
    *windowed = is_array ? period != 0 : period == 0 || l % period + 1 < period;
    return status;
}

/* layer_types, where the file has a pattern. */
static ati_status write_pattern(ati_gguf_reader *r) {
    const ati_gguf_value *pattern = ati_gguf_key(r, pattern_key);
    ati_status status = ATI_OK;
    if (pattern == NULL || r->n_layers > ATI_MOST_LAYERS) {
        return ATI_OK;
    }
    if (pattern->type == ATI_GGUF_ARRAY && pattern->count != r->n_layers) {
        return ati_gguf_refuse(r, ATI_FORMAT, pattern_key,
                               "an array of %zu items, expected one for each of %zu layers",
                               pattern->count, r->n_layers);
    }
    ati_gguf_write(r, ",\"layer_types\":[");
    for (size_t l = 0; l < r->n_layers && status == ATI_OK; l++) {
        bool windowed = false;
        status = is_windowed(r, pattern, l, &windowed);
        ati_gguf_write(r, "%s\"%s_attention\"", l > 0 ? "," : "", windowed ? "sliding" : "full");
    }
    ati_gguf_write(r, "]");
    return status;
}

ati_status ati_gguf_write_windows(ati_gguf_reader *r) {
    size_t window = 0;
    /* A switch of config.json, which files leave out, decides which layers have it. */
    bool is_read = r->family->window != ATI_WINDOW_NONE && r->family->window_switch == NULL;
    ati_status status = ati_gguf_key_size(r, window_key, r->row->window, &window);
    if (status != ATI_OK || !is_read) {
        return status == ATI_OK && window > 0
                   ? ati_gguf_refuse(r, ATI_UNSUPPORTED, window_key,
                                     "%zu, which is not supported for a %s; expected it absent",
                                     window, r->family->model_type)
                   : status;
    }
    if (window == 0) {
        ati_gguf_write(r, ",\"sliding_window\":null");
        return ATI_OK;
    }
    ati_gguf_write_size(r, "sliding_window", window);
    return write_pattern(r);
}

/* ---- Experts ---- */

/* The width of an expert: under a key of its own, or the one width that there is. */
static ati_status write_expert_size(ati_gguf_reader *r) {
    static const char key[] = "expert_feed_forward_length";
    const char *name = r->family->expert_size_key;
    size_t size = 0, width = 0;
    if (ati_gguf_key(r, key) == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_key_size(r, key, 0, &size);
    if (status == ATI_OK && name == NULL) {
        status = ati_gguf_key_size(r, "feed_forward_length", size, &width);
        name = r->family->keys->intermediate_size;
        if (status == ATI_OK && ati_gguf_key(r, "feed_forward_length") != NULL) {
            return width == size
                       ? ATI_OK
                       : ati_gguf_refuse(r, ATI_UNSUPPORTED, key,
                                         "%zu, expected feed_forward_length, which is %zu, for a "
                                         "%s",
                                         size, width, r->family->model_type);
        }
    }
    ati_gguf_write_size(r, name, size);
    return status;
}

/* How the chosen experts are weighed: softmax, before or after the choice. */
static ati_status check_gating(const ati_gguf_reader *r) {
    enum { NOT_SAID = 0, SOFTMAX = 1, SOFTMAX_OF_CHOSEN = 3 };
    static const char key[] = "expert_gating_func";
    bool of_chosen = r->family->normalises_routing.key == NULL;
    size_t found = NOT_SAID;
    ati_status status = ati_gguf_key_size(r, key, NOT_SAID, &found);
    bool is_known =
        found == NOT_SAID || found == SOFTMAX || (found == SOFTMAX_OF_CHOSEN && of_chosen);
    return status == ATI_OK && !is_known
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, key, "%zu, expected %d, a softmax", found,
                                 SOFTMAX)
               : status;
}

ati_status ati_gguf_write_experts(ati_gguf_reader *r) {
    static const char count_key[] = "expert_count", used_key[] = "expert_used_count";
    size_t count = 0, used = 0;
    ati_status status = ati_gguf_key_size(r, count_key, 0, &count);
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, used_key, 0, &used);
    }
    if (status != ATI_OK || r->family->stored.experts == ATI_EXPERTS_NONE) {
        return status == ATI_OK && count > 0
                   ? ati_gguf_refuse(r, ATI_UNSUPPORTED, count_key, "%zu, but a %s has no experts",
                                     count, r->family->model_type)
                   : status;
    }
    ati_gguf_write_size(r, "num_local_experts", count);
    ati_gguf_write_size(r, "num_experts_per_tok", used);
    status = check_gating(r);
    return status == ATI_OK ? write_expert_size(r) : status;
}

/* ---- What is not read ---- */

/* Read by one of the files that write the text, or without meaning for the numbers. */
static const char *const known_keys[] = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "expert_feed_forward_length",
    "expert_count",
    "expert_used_count",
    "expert_gating_func",
    "expert_weights_norm",
    "use_parallel_residual",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.clamp_kqv",
    "attention.scale",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.temperature_scale",
    "attention.temperature_length",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.local.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "vocab_size",
    "pooling_type",
    "tensor_data_layout",
};

/* Keys of parts that no family here has, which say so with one of two values. */
static const struct {
    const char *key;
    double neutral, also;
} inert_keys[] = {
    {"attention.causal", 1, 1},          {"attention.max_alibi_bias", 0, 0},
    {"attention.output_scale", 0, 1},    {"attention.shared_kv_layers", 0, 0},
    {"expert_shared_count", 0, 0},       {"expert_shared_feed_forward_length", 0, 0},
    {"expert_weights_scale", 0, 1},      {"expert_group_count", 0, 1},
    {"expert_group_used_count", 0, 1},   {"interleave_moe_layer_step", 0, 1},
    {"leading_dense_block_count", 0, 0}, {"moe_every_n_layers", 0, 1},
    {"nextn_predict_layers", 0, 0},      {"router_logit_softcapping", 0, 0},
};

static bool is_known(const char *key) {
    for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++) {
        if (strcmp(known_keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* A number, or true as 1 and false as 0. */
static ati_status take_either(const ati_gguf_value *value, double *out, ati_error *error) {
    bool flag = false;
    if (value->type != ATI_GGUF_BOOL) {
        return ati_gguf_number(value, out, error);
    }
    ati_status status = ati_gguf_bool(value, &flag, error);
    *out = flag ? 1 : 0;
    return status;
}

/* Refuses what is neither known nor says that there is no such part. */
static ati_status check_key(const ati_gguf_reader *r, const char *key,
                            const ati_gguf_value *value) {
    double number = 0;
    if (is_known(key)) {
        return ATI_OK;
    }
    for (size_t i = 0; i < sizeof inert_keys / sizeof *inert_keys; i++) {
        if (strcmp(inert_keys[i].key, key) == 0) {
            ati_status status = take_either(value, &number, r->error);
            bool is_inert =
                fabs(number - inert_keys[i].neutral) <= 0 || fabs(number - inert_keys[i].also) <= 0;
            return status == ATI_OK && !is_inert
                       ? ati_gguf_refuse(r, ATI_UNSUPPORTED, key,
                                         "%g, which is not supported; expected %g or it absent",
                                         number, inert_keys[i].neutral)
                       : status;
        }
    }
    return ati_gguf_refuse(r, ATI_UNSUPPORTED, key,
                           "a key that is not known and may change the numbers; expected it "
                           "absent");
}

ati_status ati_gguf_refuse_unread(const ati_gguf_reader *r) {
    const ati_gguf_part *first = &r->gguf->files[0];
    size_t length = strlen(r->row->name);
    ati_status status = ATI_OK;
    for (size_t i = 0; i < first->n_values && status == ATI_OK; i++) {
        const ati_gguf_value *value = &first->values[i];
        if (strncmp(value->key, r->row->name, length) == 0 && value->key[length] == '.') {
            status = check_key(r, value->key + length + 1, value);
        }
    }
    return status;
}
