#include "config.h"

#include <math.h>
#include <string.h>

#include "alloc.h"
#include "config_read.h"
#include "error.h"
#include "file.h"

#define MOST_CONFIG_BYTES ((size_t)16 << 20)

/* Bounds of what is taken for a model: far above any there is, low enough that
 * the products of a few of them are sizes and each fits BLAS's 32-bit integers. */
#define MOST_LAYERS ((size_t)1024)
#define MOST_HEADS ((size_t)1 << 16)
#define MOST_HEAD_DIM ((size_t)1 << 16)
#define MOST_HIDDEN ((size_t)1 << 20)
#define MOST_WIDE ((size_t)1 << 22) /* heads * head_dim, intermediate_size */
#define MOST_VOCAB ((size_t)1 << 24)
#define MOST_CONTEXT ((size_t)1 << 30)

/* Fields that change the computation where they are more than null, false, empty
 * or `neutral`. The families here compute without them. */
typedef struct {
    const char *key;
    double neutral;
    const char *remedy;
} inert_field;

static const inert_field inert_fields[] = {
    {"quantization_config", 0, "; save the model unquantized"},
    {"pretraining_tp", 1, "; 1 gives the same model, up to rounding"},
    {"sliding_window", 0, ""},
    {"partial_rotary_factor", 1, ""},
    {"rope_interleaved", 0, ""},
    {"no_rope_layers", 0, ""},
    {"alibi", 0, ""},
    {"attn_logit_softcapping", 0, ""},
    {"final_logit_softcapping", 0, ""},
    {"query_pre_attn_scalar", 0, ""},
    {"clip_qkv", 0, ""},
    {"qk_norm", 0, ""},
    {"use_qk_norm", 0, ""},
    {"qk_layernorm", 0, ""},
    {"embedding_multiplier", 1, ""},
    {"attention_multiplier", 0, ""},
    {"residual_multiplier", 1, ""},
    {"logits_scaling", 1, ""},
    {"logit_scale", 1, ""},
    {"num_experts", 0, ""},
    {"num_local_experts", 0, ""},
    {"is_encoder_decoder", 0, ""},
    {"add_cross_attention", 0, ""},
    {"use_bidirectional_attention", 0, ""},
};

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

static ati_status refuse_active(const ati_config_reader *r) {
    for (size_t i = 0; i < sizeof inert_fields / sizeof *inert_fields; i++) {
        const inert_field *field = &inert_fields[i];
        ati_json_value value = ati_json_get(r->json, ATI_JSON_ROOT, field->key);
        if (value != ATI_JSON_NONE && !is_inert(r, value, field->neutral)) {
            return ati_fail(r->error, ATI_UNSUPPORTED,
                            "'%s': '%s' is set, which is not supported; expected it absent%s",
                            r->path, field->key, field->remedy);
        }
    }
    return ATI_OK;
}

/* "layer_types" and "is_causal" say what every layer here is anyway, or are refused. */
static ati_status check_layers(const ati_config_reader *r) {
    ati_json_value types = ati_json_get(r->json, ATI_JSON_ROOT, "layer_types");
    ati_json_value causal = ati_json_get(r->json, ATI_JSON_ROOT, "is_causal");
    ati_json_value at = ati_json_first(r->json, types);
    for (; at != ATI_JSON_NONE; at = ati_json_next(r->json, types, at)) {
        if (!ati_json_is(r->json, at, "full_attention")) {
            return ati_fail(r->error, ATI_UNSUPPORTED,
                            "'%s': 'layer_types' holds something else than 'full_attention', "
                            "which is not supported",
                            r->path);
        }
    }
    if (causal != ATI_JSON_NONE && ati_json_type_of(r->json, causal) == ATI_JSON_FALSE) {
        return ati_fail(r->error, ATI_UNSUPPORTED, "'%s': 'is_causal' is false, expected true",
                        r->path);
    }
    return ATI_OK;
}

static ati_status read_family(const ati_config_reader *r, const ati_family **family) {
    const char *name = NULL;
    ati_status status = ati_config_text(r, ATI_JSON_ROOT, "model_type", NULL, &name);
    if (status != ATI_OK) {
        return status;
    }
    *family = ati_family_find(name);
    if (*family == NULL) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': model_type '%.200s' is not supported, expected %s", r->path, name,
                        ati_family_names());
    }
    return ATI_OK;
}

static ati_status check_activation(const ati_config_reader *r, const ati_family *family) {
    const char *name = NULL;
    ati_status status =
        ati_config_text(r, ATI_JSON_ROOT, "hidden_act", family->activation_name, &name);
    if (status == ATI_OK && strcmp(name, family->activation_name) != 0) {
        return ati_fail(r->error, ATI_UNSUPPORTED, "'%s': hidden_act is '%.200s', expected '%s'",
                        r->path, name, family->activation_name);
    }
    return status;
}

static ati_status read_sizes(const ati_config_reader *r, ati_config *config) {
    const struct {
        const char *key;
        size_t most, *out;
    } sizes[] = {
        {"num_hidden_layers", MOST_LAYERS, &config->n_layers},
        {"num_attention_heads", MOST_HEADS, &config->n_heads},
        {"hidden_size", MOST_HIDDEN, &config->hidden_size},
        {"intermediate_size", MOST_WIDE, &config->intermediate_size},
        {"vocab_size", MOST_VOCAB, &config->vocab_size},
        {"max_position_embeddings", MOST_CONTEXT, &config->max_position_embeddings},
    };
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == ATI_OK; i++) {
        status = ati_config_size(r, ATI_JSON_ROOT, sizes[i].key, sizes[i].most, 0, sizes[i].out);
    }
    if (status == ATI_OK) {
        status = ati_config_size(r, ATI_JSON_ROOT, "num_key_value_heads", MOST_HEADS,
                                 config->n_heads, &config->n_kv_heads);
    }
    if (status != ATI_OK) {
        return status;
    }
    /* Without a head_dim of its own a head has an equal part of the hidden size. */
    size_t share = config->hidden_size / config->n_heads;
    status = ati_config_size(r, ATI_JSON_ROOT, "head_dim", MOST_HEAD_DIM, share > 0 ? share : 1,
                             &config->head_dim);
    bool given = ati_json_type_of(r->json, ati_json_get(r->json, ATI_JSON_ROOT, "head_dim")) ==
                 ATI_JSON_NUMBER;
    if (status == ATI_OK && !given && share * config->n_heads != config->hidden_size) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': hidden_size %zu is no multiple of num_attention_heads %zu, and "
                        "there is no head_dim",
                        r->path, config->hidden_size, config->n_heads);
    }
    return status;
}

static ati_status check_heads(const ati_config_reader *r, const ati_config *config) {
    if (config->n_heads % config->n_kv_heads != 0) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': num_attention_heads %zu is no multiple of num_key_value_heads %zu",
                        r->path, config->n_heads, config->n_kv_heads);
    }
    if (config->head_dim % 2 != 0) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': head_dim %zu is odd, expected an even number, since rotary "
                        "embeddings turn pairs",
                        r->path, config->head_dim);
    }
    if (config->n_heads * config->head_dim > MOST_WIDE) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': num_attention_heads %zu times head_dim %zu is above %zu", r->path,
                        config->n_heads, config->head_dim, MOST_WIDE);
    }
    return ATI_OK;
}

static ati_status read_rest(const ati_config_reader *r, ati_config *config) {
    double eps = 0;
    ati_status status = ati_config_number(r, ATI_JSON_ROOT, "rms_norm_eps", 1e-12, 1, 1e-6, &eps);
    config->rms_norm_eps = (float)eps;
    const struct {
        const char *key;
        bool *out;
    } flags[] = {
        {"tie_word_embeddings", &config->tied},
        {"attention_bias", &config->attention_bias},
        {"mlp_bias", &config->mlp_bias},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags && status == ATI_OK; i++) {
        status = ati_config_flag(r, ATI_JSON_ROOT, flags[i].key, false, flags[i].out);
    }
    return status;
}

static ati_status read_config(const ati_config_reader *r, ati_config *config) {
    if (ati_json_type_of(r->json, ATI_JSON_ROOT) != ATI_JSON_OBJECT) {
        return ati_fail(r->error, ATI_FORMAT, "'%s' holds %s, expected an object", r->path,
                        ati_json_describe(r->json, ATI_JSON_ROOT));
    }
    ati_status status = read_family(r, &config->family);
    if (status == ATI_OK) {
        status = refuse_active(r);
    }
    if (status == ATI_OK) {
        status = check_layers(r);
    }
    if (status == ATI_OK) {
        status = check_activation(r, config->family);
    }
    if (status == ATI_OK) {
        status = read_sizes(r, config);
    }
    if (status == ATI_OK) {
        status = check_heads(r, config);
    }
    if (status == ATI_OK) {
        status = read_rest(r, config);
    }
    if (status == ATI_OK) {
        status = ati_config_rope(r, config);
    }
    return status;
}

ati_status ati_config_parse(const char *text, size_t length, const char *path, ati_config *config,
                            ati_error *error) {
    ati_json *json = NULL;
    *config = (ati_config){0};
    ati_status status = ati_json_parse(text, length, path, &json, error);
    if (status == ATI_OK) {
        ati_config_reader r = {.json = json, .path = path, .error = error};
        status = read_config(&r, config);
    }
    ati_json_free(json);
    return status;
}

ati_status ati_config_read(const char *folder, ati_config *config, ati_error *error) {
    char *text = NULL, *path = NULL;
    size_t length = 0;
    *config = (ati_config){0};
    ati_status status =
        ati_file_read_all(folder, "config.json", MOST_CONFIG_BYTES, &text, &length, &path, error);
    if (status == ATI_OK) {
        status = ati_config_parse(text, length, path, config, error);
    }
    ati_free(text);
    ati_free(path);
    return status;
}
