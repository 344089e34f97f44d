/* Fields of config.json that would change the computation. */
#include <string.h>

#include "base/error.h"
#include "config/config_read.h"

bool ati_config_is_mxfp4(const ati_config_reader *r) {
    ati_json_value settings = ati_json_get(r->json, r->root, "quantization_config");
    ati_json_value method = ati_json_get(r->json, settings, "quant_method");
    return r->family->stored.experts == ATI_EXPERTS_TRANSPOSED && method != ATI_JSON_NONE &&
           ati_json_is(r->json, method, "mxfp4");
}

static bool reads_window(const ati_config_reader *r) {
    return r->family->window != ATI_WINDOW_NONE;
}

static bool reads_partial(const ati_config_reader *r) {
    return r->family->partial > 0;
}

static bool reads_rope_layers(const ati_config_reader *r) {
    return r->family->rope_layers == ATI_ROPE_LISTED;
}

static bool reads_experts(const ati_config_reader *r) {
    return r->family->stored.experts != ATI_EXPERTS_NONE;
}

static bool reads_dense_layers(const ati_config_reader *r) {
    return reads_experts(r) && r->family->stored.names.gate != NULL;
}

/* A field that is refused where it is more than null, false, empty or `neutral`, unless
 * the family reads it: by its row's name for it, or as `is_read` says. */
typedef struct {
    const char *key;
    double neutral;
    const char *remedy;
    bool (*is_read)(const ati_config_reader *r);
} inert_field;

static const inert_field inert_fields[] = {
    {"quantization_config", 0, "; save the model unquantized", ati_config_is_mxfp4},
    {"pretraining_tp", 1, "; 1 gives the same model, up to rounding", NULL},
    {"sliding_window", 0, "", reads_window},
    {"partial_rotary_factor", 1, "", reads_partial},
    {"rotary_pct", 1, "", NULL},
    {"rope_interleaved", 0, "", NULL},
    {"no_rope_layers", 0, "", reads_rope_layers},
    {"alibi", 0, "", NULL},
    {"attn_logit_softcapping", 0, "", NULL},
    {"final_logit_softcapping", 0, "", NULL},
    {"query_pre_attn_scalar", 0, "", NULL},
    {"clip_qkv", 0, "", NULL},
    {"qk_norm", 0, "", NULL},
    {"use_qk_norm", 0, "", NULL},
    {"qk_layernorm", 0, "", NULL},
    {"embedding_multiplier", 1, "", NULL},
    {"attention_multiplier", 0, "", NULL},
    {"residual_multiplier", 1, "", NULL},
    {"logits_scaling", 1, "", NULL},
    {"logit_scale", 1, "", NULL},
    {"num_experts", 0, "", reads_experts},
    {"num_local_experts", 0, "", reads_experts},
    {"mlp_only_layers", 0, "", reads_dense_layers},
    {"decoder_sparse_step", 1, "", reads_dense_layers},
    {"use_parallel_residual", 0, "", NULL},
    {"scale_attn_by_inverse_layer_idx", 0, "", NULL},
    {"is_encoder_decoder", 0, "", NULL},
    {"add_cross_attention", 0, "", NULL},
    {"use_bidirectional_attention", 0, "", NULL},
    {"_remove_final_layer_norm", 0, "", NULL},
    {"per_layer_config", 0, "", NULL},
};

/* The same for fields that are true of every model here, and of theirs where absent. */
static const char *const true_fields[] = {"is_causal", "do_layer_norm_before",
                                          "layer_norm_elementwise_affine"};

/* null, false, an empty array or object, or the number that changes nothing. */
static bool is_inert(const ati_config_reader *r, ati_json_value value, double neutral) {
    double number;
    switch (ati_json_type_of(r->json, value)) {
    case ATI_JSON_NULL:
    case ATI_JSON_FALSE:
        return true;
    case ATI_JSON_ARRAY:
    case ATI_JSON_OBJECT:
        return ati_json_count(r->json, value) == 0;
    case ATI_JSON_NUMBER:
        return ati_json_double(r->json, value, &number) && !(number < neutral) &&
               !(number > neutral);
    default:
        return false;
    }
}

/* Whether the family's row has this key for something that it reads. */
static bool names_key(const ati_family *family, const char *key) {
    const char *const keys[] = {
        family->qk_norm_key,
        family->clip_key,
        family->query_scalar_key,
        family->attention_scale_key,
        family->attention_scaled_by_layer.key,
        family->attention_soft_cap_key,
        family->parallel.key,
        family->residual_multiplier_key,
        family->embedding_multiplier_key,
        family->logit_multiplier_key,
        family->logit_divisor_key,
        family->logit_soft_cap_key,
        family->partial_key,
        family->unread,
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (keys[i] != NULL && strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

ati_status ati_config_refuse_active(const ati_config_reader *r) {
    for (size_t i = 0; i < sizeof inert_fields / sizeof *inert_fields; i++) {
        const inert_field *field = &inert_fields[i];
        ati_json_value value = ati_json_get(r->json, r->root, field->key);
        bool is_known =
            names_key(r->family, field->key) || (field->is_read != NULL && field->is_read(r));
        if (value != ATI_JSON_NONE && !is_known && !is_inert(r, value, field->neutral)) {
            return ati_fail(r->error, ATI_UNSUPPORTED,
                            "'%s': '%s' is set, which is not supported; expected it absent%s",
                            r->path, field->key, field->remedy);
        }
    }
    for (size_t i = 0; i < sizeof true_fields / sizeof *true_fields; i++) {
        ati_json_value value = ati_json_get(r->json, r->root, true_fields[i]);
        if (value != ATI_JSON_NONE && ati_json_type_of(r->json, value) == ATI_JSON_FALSE) {
            return ati_fail(r->error, ATI_UNSUPPORTED, "'%s': '%s' is false, expected true",
                            r->path, true_fields[i]);
        }
    }
    return ATI_OK;
}
