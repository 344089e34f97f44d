#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "testing.h"
#include "weights.h"

static ati_status load(const char *folder, ati_config *config, ati_weights *weights,
                       ati_error *error) {
    ati_status status = ati_config_read(folder, config, error);
    return status == ATI_OK ? ati_weights_load(folder, config, weights, error) : status;
}

static void refuse(test_model model, const char *why) {
    char *folder = test_folder();
    ati_config config;
    ati_weights weights = {0};
    ati_error error;
    test_write_model(folder, model);
    CHECK_REFUSED(load(folder, &config, &weights, &error), ATI_FORMAT, &error, why);
    CHECK(weights.memory == NULL && weights.layers == NULL);
}

/* Element i of the kth tensor of the folder. */
static bool is_value(float value, size_t k, size_t i) {
    float expected = (float)k + (float)i / 1024;
    return memcmp(&value, &expected, sizeof value) == 0;
}

static void test_layout(size_t n_shards) {
    char *folder = test_folder();
    ati_config config;
    ati_weights w;
    ati_error error;
    test_write_model(folder, (test_model){.n_shards = n_shards});
    CHECK(load(folder, &config, &w, &error) == ATI_OK);
    CHECK(is_value(w.embeddings[11 * 24 - 1], 0, 11 * 24 - 1));
    const ati_layer_weights *layer = &w.layers[1];
    size_t k = 10; /* where the second layer begins */
    CHECK(is_value(layer->attention_norm[3], k, 3));
    CHECK(is_value(layer->qkv[5], k + 1, 5));
    CHECK(is_value(layer->qkv[24 * 24 + 5], k + 2, 5));
    CHECK(is_value(layer->qkv[36 * 24 + 5], k + 3, 5));
    CHECK(is_value(layer->qkv[48 * 24 - 1], k + 3, 12 * 24 - 1));
    CHECK(is_value(layer->output[7], k + 4, 7) && is_value(layer->mlp_norm[7], k + 5, 7));
    CHECK(is_value(layer->gate_up[7], k + 6, 7));
    CHECK(is_value(layer->gate_up[10 * 24 + 7], k + 7, 7));
    CHECK(is_value(layer->down[24 * 10 - 1], k + 8, 24 * 10 - 1));
    CHECK(is_value(w.final_norm[1], 19, 1) && is_value(w.head[1], 20, 1));
    CHECK(layer->qkv_bias == NULL && layer->down_bias == NULL);
    CHECK((uintptr_t)layer->down % 64 == 0 && (uintptr_t)layer->gate_up % 64 == 0);
    ati_weights_free(&w);
    CHECK(w.memory == NULL);
}

static void test_biases_and_tying(void) {
    char *folder = test_folder();
    ati_config config;
    ati_weights w;
    ati_error error;
    test_write_model(folder,
                     (test_model){.tied = true,
                                  .attention_bias = true,
                                  .mlp_bias = true,
                                  .beside = "model.layers.0.self_attn.rotary_emb.inv_freq"});
    CHECK(load(folder, &config, &w, &error) == ATI_OK);
    CHECK(w.head == w.embeddings);
    const ati_layer_weights *layer = &w.layers[0];
    CHECK(is_value(layer->qkv_bias[1], 3, 1) && is_value(layer->qkv_bias[24 + 1], 5, 1));
    CHECK(is_value(layer->qkv_bias[36 + 1], 7, 1) && is_value(layer->output_bias[1], 9, 1));
    CHECK(is_value(layer->gate_up_bias[1], 12, 1) && is_value(layer->gate_up_bias[10 + 1], 14, 1));
    CHECK(is_value(layer->down_bias[1], 16, 1));
    ati_weights_free(&w);
}

static void test_refusals(void) {
    refuse((test_model){.without = "model.layers.1.mlp.up_proj.weight"},
           "tensor 'model.layers.1.mlp.up_proj.weight' is missing");
    refuse((test_model){.without = "lm_head.weight"}, "tensor 'lm_head.weight' is missing");
    refuse((test_model){.attention_bias = true, .without = "model.layers.0.self_attn.o_proj.bias"},
           "'model.layers.0.self_attn.o_proj.bias' is missing");
    refuse((test_model){.beside = "model.layers.0.mlp.up_proj.bias"},
           "'model.layers.0.mlp.up_proj.bias' in");
    refuse((test_model){.beside = "model.layers.2.input_layernorm.weight"}, "has no place");
    refuse((test_model){.beside = "lm_head.bias"}, "attention_bias and mlp_bias false");
    refuse((test_model){.tied = true, .beside = "lm_head.weight"}, "differs from");
    refuse((test_model){.not_finite = "model.layers.0.self_attn.k_proj.weight"},
           "'model.layers.0.self_attn.k_proj.weight' holds inf at [0, 1]");
    refuse((test_model){.n_shards = 3, .not_finite = "model.norm.weight"},
           "'model.norm.weight' holds inf at [1]");
    refuse((test_model){.n_shards = 2, .without = "model.norm.weight"}, "in none of its shards");
}

/* A config of the largest sizes there may be asks for nothing: the file is
 * compared with it first. */
static void test_absurd_config(void) {
    char *folder = test_folder();
    ati_config config;
    ati_weights weights = {0};
    ati_error error;
    test_write_model(folder, (test_model){0});
    test_write_text(folder, "config.json",
                    "{\"model_type\":\"llama\",\"num_hidden_layers\":1024,"
                    "\"num_attention_heads\":64,\"head_dim\":65536,\"hidden_size\":1048576,"
                    "\"intermediate_size\":4194304,\"vocab_size\":16777216,"
                    "\"max_position_embeddings\":1073741824}");
    ati_fail_allocation(0, false);
    CHECK_REFUSED(load(folder, &config, &weights, &error), ATI_FORMAT, &error,
                  "expected shape [16777216, 1048576], found [11, 24]");
}

void test_weights(void) {
    test_layout(1);
    test_layout(2);
    test_layout(5);
    test_biases_and_tying();
    test_refusals();
    test_absurd_config();
}
