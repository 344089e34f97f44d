/* A model in a GGUF file whose keys are almost sound. The input: which architecture, which
 * tensors beside those that the core asks for, then keys with values of any type, each in place
 * of the one that there is. */
#include <stdio.h>
#include <string.h>

#include "config/config_gguf.h"
#include "fuzz.h"
#include "gguf/gguf_value.h"
#include "tests/gguf_models.h"
#include "tests/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "expert_feed_forward_length",
    "expert_count",
    "expert_used_count",
    "expert_gating_func",
    "expert_weights_norm",
    "expert_shared_count",
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
    "attention.causal",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
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
    "unknown",
    "rope.local.freq_base",
};

static const struct {
    const char *name, *shape;
} tensors[] = {
    {"rope_freqs.weight", "2"},          {"rope_factors_long.weight", "2"},
    {"rope_factors_short.weight", "2"},  {"output.weight", "31, 16"},
    {"blk.0.attn_qkv.weight", "32, 16"}, {"blk.0.attn_q.bias", "16"},
    {"blk.0.ffn_down.bias", "16"},       {"token_embd.weight", "9, 16"},
};

static void set_key(gguf_model *model, fuzz_bytes *bytes) {
    static const char *const texts[] = {"none", "linear", "yarn", "longrope", "", "banana"};
    const char *key = keys[fuzz_below(bytes, sizeof keys / sizeof *keys)];
    const char *text;
    unsigned char value[64];
    uint64_t length;
    size_t kind = fuzz_below(bytes, 8), n = 0;
    switch (kind) {
    case 0:
    case 1:
        gguf_model_set_u32(model, key, (uint32_t)(kind == 0 ? fuzz_byte(bytes) : fuzz_long(bytes)));
        break;
    case 2:
        gguf_model_set_f32(model, key, (float)fuzz_short(bytes) / 64 - 4);
        break;
    case 3:
        for (n = 0; n < 4; n++) {
            value[n] = fuzz_byte(bytes);
        }
        gguf_model_set(model, key, ATI_GGUF_FLOAT32, value, n);
        break;
    case 4:
        value[0] = fuzz_byte(bytes) & 1;
        gguf_model_set(model, key, ATI_GGUF_BOOL, value, 1);
        break;
    case 5:
        text = texts[fuzz_below(bytes, sizeof texts / sizeof *texts)];
        length = n = strlen(text);
        memcpy(value, &length, sizeof length);
        memcpy(value + sizeof length, text, n);
        gguf_model_set(model, key, ATI_GGUF_STRING, value, sizeof length + n);
        break;
    default:
        length = fuzz_below(bytes, 5);
        for (n = 0; n < length * (kind == 6 ? 1 : 4); n++) {
            value[n] = kind == 6 ? fuzz_byte(bytes) & 1 : n % 4 == 0 ? fuzz_byte(bytes) & 7 : 0;
        }
        gguf_model_set_array(model, key, kind == 6 ? ATI_GGUF_BOOL : ATI_GGUF_UINT32, length, value,
                             n);
        break;
    }
}

/* The config of the file, which then is opened with the tensors that it asks for. */
static void open_file(gguf_model *model, const char *folder, const char *path) {
    static ati_config config;
    ati_error error = {.message = ""};
    ati_gguf gguf;
    gguf_model_write(model, folder);
    fuzz_succeeds(ati_gguf_open(path, NULL, &gguf, &error), &error);
    ati_status status = ati_config_from_gguf(&gguf, &config, &error);
    ati_gguf_close(&gguf);
    if (status != ATI_OK) {
        fuzz_refused(status, &error);
        return;
    }
    fuzz_check_config(&config);
    bool is_small = config.n_layers <= 4 && config.hidden_size <= 64 && config.n_heads <= 8 &&
                    config.head_dim <= 64 && config.n_experts <= 8 && config.vocab_size <= 64 &&
                    config.intermediate_size <= 64 && config.expert_size <= 64 &&
                    config.max_position_embeddings <= 256;
    ati_model *opened = NULL;
    if (is_small && gguf_model_complete(model, folder, &error) &&
        fuzz_open(path, ATI_FP32, "portable", NULL, NULL, &opened, &error) == ATI_OK) {
        fuzz_read(opened);
    }
    ati_model_free(opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *folder;
    static char path[512];
    static gguf_model model;
    fuzz_bytes bytes = {data, size};
    size_t n_rows = 0;
    if (folder == NULL) {
        folder = fuzz_folder();
        snprintf(path, sizeof path, "%s/model.gguf", folder);
    }
    while (ati_gguf_family_at(n_rows) != NULL) {
        n_rows++;
    }
    gguf_model_begin(&model, ati_gguf_family_at(fuzz_below(&bytes, n_rows)));
    uint8_t chosen = fuzz_byte(&bytes);
    if (!(chosen & 128)) {
        gguf_model_add(&model, "token_embd.weight", "31, 16");
    }
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        if (chosen >> i & 1) {
            gguf_model_add(&model, tensors[i].name, tensors[i].shape);
        }
    }
    while (bytes.left > 0) {
        set_key(&model, &bytes);
    }
    open_file(&model, folder, path);
    return 0;
}
