#include "family.h"

#include <stddef.h>
#include <string.h>

static const char *const llama_ignored[] = {
    ".rotary_emb.inv_freq", /* a buffer that old checkpoints saved; computed from config.json */
    NULL,
};

static const ati_family families[] = {
    {
        .model_type = "llama",
        .embeddings = "model.embed_tokens.weight",
        .final_norm = "model.norm.weight",
        .head = "lm_head.weight",
        .attention_norm = {"model.layers.{}.input_layernorm", ATI_BIAS_NEVER},
        .query = {"model.layers.{}.self_attn.q_proj", ATI_BIAS_ATTENTION},
        .key = {"model.layers.{}.self_attn.k_proj", ATI_BIAS_ATTENTION},
        .value = {"model.layers.{}.self_attn.v_proj", ATI_BIAS_ATTENTION},
        .output = {"model.layers.{}.self_attn.o_proj", ATI_BIAS_ATTENTION},
        .mlp_norm = {"model.layers.{}.post_attention_layernorm", ATI_BIAS_NEVER},
        .gate = {"model.layers.{}.mlp.gate_proj", ATI_BIAS_MLP},
        .up = {"model.layers.{}.mlp.up_proj", ATI_BIAS_MLP},
        .down = {"model.layers.{}.mlp.down_proj", ATI_BIAS_MLP},
        .ignored = llama_ignored,
        .norm = ATI_NORM_RMS,
        .activation_name = "silu",
        .activation = ATI_ACTIVATION_SILU,
    },
};

const ati_family *ati_family_find(const char *model_type) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (strcmp(families[i].model_type, model_type) == 0) {
            return &families[i];
        }
    }
    return NULL;
}

const char *ati_family_names(void) {
    return "llama";
}
