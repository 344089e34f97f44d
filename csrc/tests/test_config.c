#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

#define SIZES                                                               \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"hidden_size\":24," \
    "\"intermediate_size\":10,\"vocab_size\":11,\"max_position_embeddings\":64"
#define LLAMA "{\"model_type\":\"llama\"," SIZES

static ati_status parse(const char *text, ati_config *config, ati_error *error) {
    return ati_config_parse(text, strlen(text), "config.json", config, error);
}

/* `more` follows the fields of a small llama. */
static ati_config accept(const char *more) {
    char text[1024];
    ati_config config;
    ati_error error;
    snprintf(text, sizeof text, LLAMA "%s%s}", *more != '\0' ? "," : "", more);
    ati_status status = parse(text, &config, &error);
    if (status != ATI_OK) {
        printf("%s: %s\n", more, error.message);
    }
    CHECK(status == ATI_OK);
    return config;
}

static void refuse(const char *more, ati_status expected, const char *why) {
    char text[1024];
    ati_config config;
    ati_error error;
    snprintf(text, sizeof text, LLAMA ",%s}", more);
    CHECK_REFUSED(parse(text, &config, &error), expected, &error, why);
}

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-12 * fabs(b);
}

static void test_defaults(void) {
    ati_config config = accept("");
    CHECK(config.n_layers == 2 && config.n_heads == 4 && config.n_kv_heads == 4);
    CHECK(config.head_dim == 6 && config.ropes[0].dim == 6 && config.vocab_size == 11);
    CHECK(near((double)config.norm_eps, (double)1e-6f) && near(config.ropes[0].theta, 10000.0));
    CHECK(!config.tied && !config.qkv_bias && !config.mlp_bias);
    CHECK(config.ropes[0].type == ATI_ROPE_DEFAULT && near(config.ropes[0].attention_factor, 1.0));
    CHECK(strcmp(config.family->model_type, "llama") == 0);
    config = accept("\"head_dim\":10,\"num_key_value_heads\":1,\"tie_word_embeddings\":true,"
                    "\"attention_bias\":true,\"mlp_bias\":true,\"rms_norm_eps\":1e-05");
    CHECK(config.head_dim == 10 && config.n_kv_heads == 1 && config.tied);
    CHECK(config.qkv_bias && config.mlp_bias);
    config = accept("\"head_dim\":null,\"num_key_value_heads\":null,\"rope_scaling\":null,"
                    "\"sliding_window\":null,\"quantization_config\":null,\"pretraining_tp\":1,"
                    "\"layer_types\":[\"full_attention\",\"full_attention\"],\"is_causal\":true");
    CHECK(config.head_dim == 6);
}

static void test_sizes(void) {
    static const char *const keys[] = {"num_hidden_layers", "num_attention_heads",
                                       "hidden_size",       "intermediate_size",
                                       "vocab_size",        "max_position_embeddings"};
    static const char *const values[] = {
        "0", "-1", "1.5", "\"4\"", "null", "true", "[]", "99999999999999999999", "4294967296"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            char text[512], quoted[64];
            ati_config config;
            ati_error error;
            int used = snprintf(text, sizeof text, "{\"model_type\":\"llama\"");
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
                used += snprintf(text + used, sizeof text - (size_t)used, ",\"%s\":%s", keys[k],
                                 k == i ? values[j] : "8");
            }
            snprintf(text + used, sizeof text - (size_t)used, "}");
            snprintf(quoted, sizeof quoted, "'%s' is", keys[i]);
            CHECK_REFUSED(parse(text, &config, &error), ATI_FORMAT, &error, quoted);
        }
    }
}

static void test_heads(void) {
    refuse("\"num_key_value_heads\":3", ATI_FORMAT, "no multiple of num_key_value_heads 3");
    refuse("\"num_key_value_heads\":0", ATI_FORMAT, "'num_key_value_heads' is 0");
    refuse("\"num_key_value_heads\":8", ATI_FORMAT, "no multiple");
    refuse("\"head_dim\":7", ATI_FORMAT, "head_dim 7 times");
    refuse("\"head_dim\":65537", ATI_FORMAT, "'head_dim' is 65537");
    refuse("\"num_attention_heads_\":1,\"head_dim\":-2", ATI_FORMAT, "'head_dim'");
    ati_config config;
    ati_error error;
    CHECK_REFUSED(parse("{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":25,"
                        "\"num_attention_heads\":4,\"intermediate_size\":10,\"vocab_size\":11,"
                        "\"max_position_embeddings\":64}",
                        &config, &error),
                  ATI_FORMAT, &error, "hidden_size 25 is no multiple");
    CHECK_REFUSED(parse("{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":24,"
                        "\"num_attention_heads\":65536,\"head_dim\":65536,\"intermediate_size\":10,"
                        "\"vocab_size\":11,\"max_position_embeddings\":64}",
                        &config, &error),
                  ATI_FORMAT, &error, "times head_dim");
}

static void test_unsupported(void) {
    static const char *const fields[] = {
        "\"quantization_config\":{\"bits\":4}",
        "\"pretraining_tp\":2",
        "\"sliding_window\":4096",
        "\"partial_rotary_factor\":0.5",
        "\"rope_interleaved\":true",
        "\"no_rope_layers\":[0]",
        "\"attn_logit_softcapping\":50.0",
        "\"embedding_multiplier\":12",
        "\"num_experts\":8",
        "\"layer_types\":[\"sliding_attention\",\"full_attention\"]",
        "\"layer_types\":[\"full_attention\",\"chunked_attention\"]",
        "\"is_causal\":false",
        "\"hidden_act\":\"mish\"",
        "\"use_parallel_residual\":true",
        "\"mlp_only_layers\":[1]",
        "\"rope_parameters\":{\"rope_type\":\"banana\",\"factor\":2.0}",
        "\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(fields[i] + 1, "\""), fields[i] + 1);
        refuse(fields[i], ATI_UNSUPPORTED,
               strcmp(name, "rope_scaling") == 0 || strcmp(name, "rope_parameters") == 0 ? "rot"
                                                                                         : name);
    }
}

static void test_model_types(void) {
    ati_config config;
    ati_error error;
    CHECK_REFUSED(parse("{\"model_type\":\"mamba\"," SIZES "}", &config, &error), ATI_UNSUPPORTED,
                  &error, "model_type 'mamba' is not supported, expected llama");
    CHECK_REFUSED(parse("{" SIZES "}", &config, &error), ATI_FORMAT, &error, "'model_type' is");
    CHECK_REFUSED(parse("{\"model_type\":3," SIZES "}", &config, &error), ATI_FORMAT, &error,
                  "a number");
    CHECK_REFUSED(parse("{\"model_type\":\"llama\\u0000\"," SIZES "}", &config, &error), ATI_FORMAT,
                  &error, "'model_type' is");
    CHECK_REFUSED(parse("{\"model_type\":\"a\\nb\"}", &config, &error), ATI_UNSUPPORTED, &error,
                  "'a\\x0ab'");
    CHECK_REFUSED(parse("[]", &config, &error), ATI_FORMAT, &error, "an array");
}

/* The same small sizes under another model_type. */
static ati_status parse_family(const char *model_type, const char *more, ati_config *config,
                               ati_error *error) {
    char text[1024];
    snprintf(text, sizeof text, "{\"model_type\":\"%s\"," SIZES ",\"num_key_value_heads\":2%s%s}",
             model_type, *more != '\0' ? "," : "", more);
    return parse(text, config, error);
}

static ati_config accept_family(const char *model_type, const char *more) {
    ati_config config;
    ati_error error = {.message = ""};
    ati_status status = parse_family(model_type, more, &config, &error);
    if (status != ATI_OK) {
        printf("%s, %s: %s\n", model_type, more, error.message);
    }
    CHECK(status == ATI_OK);
    return config;
}

static void refuse_family(const char *model_type, const char *more, ati_status expected,
                          const char *why) {
    ati_config config;
    ati_error error;
    CHECK_REFUSED(parse_family(model_type, more, &config, &error), expected, &error, why);
}

/* Every row of the table can be read, knows its names, and is found by its own. */
static void test_families(void) {
    const ati_family *family;
    size_t n = 0;
    for (; (family = ati_family_at(n)) != NULL; n++) {
        test_about("family %s", family->model_type);
        CHECK(ati_family_find(family->model_type) == family);
        CHECK(family->stored.names.embeddings != NULL && family->stored.names.final_norm != NULL);
        CHECK((family->stored.names.qkv != NULL) != (family->stored.names.query != NULL));
        CHECK((family->stored.names.query_norm != NULL) ==
              (family->stored.qk_norm != ATI_QK_NORM_NONE));
        CHECK((family->stored.names.router != NULL) ==
              (family->stored.experts != ATI_EXPERTS_NONE));
        CHECK((family->window == ATI_WINDOW_PERIOD) == (family->window_period > 0));
    }
    test_about("%s", "families");
    CHECK(n == 40);
}

static void test_windows(void) {
    ati_config config = accept_family("mistral", "\"sliding_window\":8");
    CHECK(config.window == 8 && config.layers[0].is_windowed && config.layers[1].is_windowed);
    config = accept_family("mistral", "\"sliding_window\":null");
    CHECK(config.window == 0 && !config.layers[0].is_windowed);
    refuse_family("mistral", "\"a\":1", ATI_FORMAT, "'sliding_window' is");
    refuse_family("mistral",
                  "\"sliding_window\":8,\"layer_types\":[\"full_attention\","
                  "\"full_attention\"]",
                  ATI_UNSUPPORTED, "counts for all layers");
    config = accept_family("ministral", "\"sliding_window\":8,\"layer_types\":[\"full_attention\","
                                        "\"sliding_attention\"]");
    CHECK(!config.layers[0].is_windowed && config.layers[1].is_windowed);
    config = accept_family("qwen2", "\"sliding_window\":8,\"use_sliding_window\":true,"
                                    "\"max_window_layers\":1");
    CHECK(!config.layers[0].is_windowed && config.layers[1].is_windowed);
    config = accept_family("qwen2", "\"sliding_window\":8,\"max_window_layers\":0");
    CHECK(config.window == 0 && !config.layers[0].is_windowed && !config.layers[1].is_windowed);
    config = accept_family("gemma2", "\"sliding_window\":8");
    CHECK(config.layers[0].is_windowed && !config.layers[1].is_windowed);
    refuse_family("gemma2",
                  "\"sliding_window\":null,\"layer_types\":[\"full_attention\","
                  "\"sliding_attention\"]",
                  ATI_UNSUPPORTED, "there is no sliding_window");
    config = accept_family("cohere2", "\"sliding_window\":8,\"sliding_window_pattern\":2");
    CHECK(config.layers[0].rotates && !config.layers[1].rotates);
    config = accept_family("smollm3", "\"no_rope_layers\":[0,1]");
    CHECK(!config.layers[0].rotates && config.layers[1].rotates);
    refuse_family("smollm3", "\"no_rope_layers\":[0]", ATI_FORMAT, "has 1 items");
    refuse_family("smollm3", "\"no_rope_layers\":[0,-1]", ATI_FORMAT, "integers");
    refuse_family("smollm3", "\"no_rope_layers\":3", ATI_FORMAT, "expected an array");
}

static void test_experts(void) {
    ati_config config = accept_family(
        "qwen3_moe", "\"num_experts\":4,\"num_experts_per_tok\":2,\"moe_intermediate_size\":6,"
                     "\"mlp_only_layers\":[1,7,18446744073709551615]");
    CHECK(config.n_experts == 4 && config.experts_per_token == 2 && config.expert_size == 6);
    CHECK(config.layers[0].is_sparse && !config.layers[1].is_sparse);
    CHECK(!config.normalises_routing);
    config = accept_family("mixtral", "\"num_local_experts\":4,\"num_experts_per_tok\":2");
    CHECK(config.normalises_routing && config.expert_size == 10 && config.layers[1].is_sparse);
    refuse_family("mixtral", "\"num_local_experts\":4,\"num_experts_per_tok\":5", ATI_FORMAT,
                  "num_experts_per_tok 5 is above num_local_experts 4");
    refuse_family("mixtral", "\"num_local_experts\":0,\"num_experts_per_tok\":1", ATI_FORMAT,
                  "'num_local_experts' is 0");
    refuse_family("mixtral", "\"num_local_experts\":4", ATI_FORMAT, "'num_experts_per_tok' is");
}

/* mlp_only_layers of n items, all `item`, for a model of 2 layers. */
static ati_status parse_dense(size_t n, const char *item, ati_config *config, ati_error *error) {
    enum { ITEM = 8 };
    char *text = malloc(1024 + n * ITEM);
    if (text == NULL) {
        abort();
    }
    size_t used = (size_t)snprintf(
        text, 1024,
        "{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":4,"
        "\"num_experts_per_tok\":2,\"moe_intermediate_size\":6,\"mlp_only_layers\":[");
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, ITEM, "%s%s", i > 0 ? "," : "", item);
    }
    snprintf(text + used, ITEM, "]}");
    ati_status status = parse(text, config, error);
    free(text);
    return status;
}

/* However long a list is, it costs no more than to be read: it ends at a length. */
static void test_long_lists(void) {
    ati_config config;
    ati_error error;
    CHECK(parse_dense(ATI_MOST_LAYERS, "1", &config, &error) == ATI_OK);
    CHECK(config.layers[0].is_sparse && !config.layers[1].is_sparse);
    CHECK_REFUSED(parse_dense(ATI_MOST_LAYERS + 1, "1", &config, &error), ATI_FORMAT, &error,
                  "'mlp_only_layers' has 1025 items, expected at most 1024");
    CHECK_REFUSED(parse_dense(100000, "9", &config, &error), ATI_FORMAT, &error,
                  "'mlp_only_layers' has 100000 items");
    CHECK_REFUSED(parse_dense(3, "1.5", &config, &error), ATI_FORMAT, &error,
                  "'mlp_only_layers' holds something else than integers");
}

static void test_family_fields(void) {
    ati_config config =
        accept_family("granite", "\"attention_multiplier\":0.5,"
                                 "\"embedding_multiplier\":3,\"residual_multiplier\":0.25,"
                                 "\"logits_scaling\":8");
    CHECK(config.attention_scale == 0.5F && config.embedding_multiplier == 3.0F);
    CHECK(config.residual_multiplier == 0.25F && config.logit_divisor == 8.0F);
    config = accept_family("gemma2", "\"sliding_window\":8,\"query_pre_attn_scalar\":64,"
                                     "\"final_logit_softcapping\":null");
    CHECK(config.attention_scale == 0.125F && config.attention_soft_cap == 50.0F);
    CHECK(config.logit_soft_cap == 0.0F && config.tied && config.head_dim == 256);
    config = accept_family("gemma", "\"hidden_act\":\"gelu\"");
    CHECK(config.activation == ATI_ACTIVATION_GELU_TANH);
    config = accept_family("llama", "\"hidden_act\":\"gelu\"");
    CHECK(config.activation == ATI_ACTIVATION_GELU);
    refuse_family("llama", "\"hidden_act\":\"xielu\"", ATI_UNSUPPORTED, "'xielu'");
    refuse_family("gpt_oss", "\"num_experts\":2,\"num_experts_per_tok\":1,\"hidden_act\":\"relu\"",
                  ATI_UNSUPPORTED, "expected 'silu'");
    refuse_family("ministral3", "\"sliding_window\":null", ATI_FORMAT, "'llama_4_scaling_beta' is");
    config = accept_family("gpt_neox", "\"rotary_pct\":1.0");
    refuse_family("gpt_neox", "\"head_dim\":99,\"rotary_pct\":1.0", ATI_UNSUPPORTED,
                  "'head_dim' is 99");
    CHECK(config.n_kv_heads == 4 && config.head_dim == 6 && config.ropes[0].dim == 6);
    refuse_family("gpt_neox", "\"rotary_pct\":0.5", ATI_FORMAT, "is 3, which is odd");
    refuse_family("opt", "\"ffn_dim\":10,\"do_layer_norm_before\":false", ATI_UNSUPPORTED,
                  "'do_layer_norm_before' is false");
    refuse_family("opt", "\"ffn_dim\":10,\"word_embed_proj_dim\":12", ATI_UNSUPPORTED,
                  "'word_embed_proj_dim' is 12");
}

/* Two sets of rotary settings, in both dialects. */
static void test_two_ropes(void) {
    ati_config config = accept_family(
        "gemma3_text", "\"sliding_window\":8,\"rope_theta\":5e4,\"rope_local_base_freq\":300,"
                       "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}");
    CHECK(config.n_ropes == 2 && config.ropes[0].type == ATI_ROPE_LINEAR);
    CHECK(near(config.ropes[0].theta, 5e4) && near(config.ropes[1].theta, 300));
    CHECK(config.ropes[1].type == ATI_ROPE_DEFAULT);
    config = accept_family(
        "olmo3",
        "\"sliding_window\":8,\"rope_parameters\":{\"full_attention\":{\"rope_theta\":7e4,"
        "\"rope_type\":\"yarn\",\"factor\":4},\"sliding_attention\":{\"rope_theta\":9e4}}");
    CHECK(config.ropes[0].type == ATI_ROPE_YARN && near(config.ropes[0].theta, 7e4));
    CHECK(config.ropes[1].type == ATI_ROPE_DEFAULT && near(config.ropes[1].theta, 9e4));
    CHECK(ati_layer_rope(&config, 0) == &config.ropes[1]);
    refuse_family("olmo3", "\"sliding_window\":8,\"rope_parameters\":{\"rope_theta\":7e4}",
                  ATI_FORMAT, "neither 'full_attention' nor");
    refuse_family("olmo3", "\"sliding_window\":8,\"rope_parameters\":{\"full_attention\":[1,{}]}",
                  ATI_FORMAT, "'full_attention' is an array, expected an object or null");
    refuse_family("olmo3",
                  "\"sliding_window\":8,\"rope_parameters\":{\"full_attention\":null,"
                  "\"sliding_attention\":7}",
                  ATI_FORMAT, "'sliding_attention' is a number, expected an object or null");
}

/* A number that is refused goes into nothing: no size or float has room for these. */
static void test_numbers_too_large(void) {
    static const char *const values[] = {"1e300", "-1e300", "1e999"};
    static const struct {
        const char *model_type, *key, *more;
    } fields[] = {
        {"phi", "partial_rotary_factor", ""},
        {"phi", "layer_norm_eps", ""},
        {"gpt_neox", "rotary_pct", ""},
        {"llama", "rope_theta", ""},
        {"llama", "rms_norm_eps", ""},
        {"granite", "logits_scaling", ""},
        {"gemma2", "final_logit_softcapping", "\"sliding_window\":8,"},
        {"qwen2", "max_window_layers", "\"sliding_window\":8,\"use_sliding_window\":true,"},
        {"ministral3", "llama_4_scaling_beta", "\"sliding_window\":null,"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            char more[256], name[64];
            test_about("%s %s", fields[i].key, values[j]);
            snprintf(more, sizeof more, "%s\"%s\":%s,\"rope_parameters\":{\"%s\":%s}",
                     fields[i].more, fields[i].key, values[j], fields[i].key, values[j]);
            snprintf(name, sizeof name, "'%s' is", fields[i].key);
            refuse_family(fields[i].model_type, more, ATI_FORMAT, name);
        }
    }
    test_about("%s", "");
}

static void test_longrope(void) {
    ati_config config = accept_family(
        "phi3", "\"original_max_position_embeddings\":16,\"rope_scaling\":{\"type\":\"su\","
                "\"short_factor\":[1,1.5,2],\"long_factor\":[2,3,4]}");
    CHECK(config.ropes[0].type == ATI_ROPE_LONGROPE && config.ropes[0].long_factors[2] == 4.0F);
    CHECK(near(config.ropes[0].attention_factor, sqrt(1 + log(4.0) / log(16.0))));
    refuse_family("phi3",
                  "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1.5],"
                  "\"long_factor\":[2,3,4]}",
                  ATI_FORMAT, "'short_factor' is an array of 2 items");
    refuse_family("phi3",
                  "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,0,2],"
                  "\"long_factor\":[2,3,4]}",
                  ATI_FORMAT, "item 1 of rotary 'short_factor'");
    refuse_family("phi3", "\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,2,2]}",
                  ATI_FORMAT, "'long_factor' is nothing");
}

/* The text part of a larger checkpoint, and what transformers leaves out of it. */
static void test_text_part(void) {
    ati_config config;
    ati_error error;
    CHECK(parse("{\"model_type\":\"llava\",\"text_config\":{\"model_type\":\"llama\","
                "\"hidden_size\":64},\"tie_word_embeddings\":true,\"vision_config\":{}}",
                &config, &error) == ATI_OK);
    CHECK(config.is_part && config.tied && config.n_layers == 32 && config.head_dim == 2);
    CHECK(config.intermediate_size == 11008);
    CHECK_REFUSED(parse("{\"model_type\":\"llama\",\"hidden_size\":64}", &config, &error),
                  ATI_FORMAT, &error, "'num_hidden_layers'");
    CHECK_REFUSED(parse("{\"model_type\":\"paligemma\",\"text_config\":{\"model_type\":\"gemma\"}}",
                        &config, &error),
                  ATI_UNSUPPORTED, &error, "model_type 'paligemma'");
    CHECK_REFUSED(parse("{\"model_type\":\"llava\",\"text_config\":3}", &config, &error),
                  ATI_FORMAT, &error, "'model_type' is");
}

static void test_other_fields(void) {
    refuse("\"tie_word_embeddings\":1", ATI_FORMAT, "expected true or false");
    refuse("\"attention_bias\":\"no\"", ATI_FORMAT, "expected true or false");
    refuse("\"rms_norm_eps\":0", ATI_FORMAT, "'rms_norm_eps' is 0");
    refuse("\"rms_norm_eps\":-1e-6", ATI_FORMAT, "'rms_norm_eps'");
    refuse("\"rms_norm_eps\":1e999", ATI_FORMAT, "'rms_norm_eps'");
    refuse("\"rope_theta\":0", ATI_FORMAT, "'rope_theta' is 0");
    refuse("\"rope_theta\":\"x\"", ATI_FORMAT, "'rope_theta' is a string");
    refuse("\"rope_scaling\":7", ATI_FORMAT, "'rope_scaling' is a number");
    refuse("\"rope_scaling\":{\"type\":\"linear\"}", ATI_FORMAT, "'factor' is nothing");
    refuse("\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}", ATI_FORMAT, "'factor' is 0.5");
    refuse("\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
           "\"high_freq_factor\":1}",
           ATI_FORMAT, "not above low_freq_factor");
    refuse("\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,\"beta_fast\":1,\"beta_slow\":2}",
           ATI_FORMAT, "below beta_slow");
    refuse("\"head_dim\":2,\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":8}", ATI_UNSUPPORTED,
           "above 2");
}

static void test_dialects(void) {
    ati_config config =
        accept("\"rope_theta\":5e5,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}");
    CHECK(config.ropes[0].type == ATI_ROPE_LINEAR && near(config.ropes[0].factor, 2.0));
    CHECK(near(config.ropes[0].theta, 5e5));
    config = accept("\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":\"dynamic\","
                    "\"rope_theta\":2e4,\"factor\":4.0},\"dtype\":\"bfloat16\"");
    CHECK(config.ropes[0].type == ATI_ROPE_DYNAMIC && near(config.ropes[0].theta, 2e4));
    config = accept("\"rope_scaling\":{\"type\":\"x\",\"rope_type\":\"llama3\",\"factor\":8.0,"
                    "\"low_freq_factor\":1,\"high_freq_factor\":4,"
                    "\"original_max_position_embeddings\":32}");
    CHECK(config.ropes[0].type == ATI_ROPE_LLAMA3 && config.ropes[0].original_context == 32);
    config = accept("\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0}");
    CHECK(near(config.ropes[0].attention_factor, 0.1 * log(4.0) + 1.0) && config.ropes[0].truncate);
    CHECK(near(config.ropes[0].beta_fast, 32) && near(config.ropes[0].beta_slow, 1));
    CHECK(config.ropes[0].original_context == 64);
    config = accept("\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":40,\"mscale\":0.707,"
                    "\"mscale_all_dim\":1,\"truncate\":false}");
    CHECK(near(config.ropes[0].attention_factor,
               (0.1 * 0.707 * log(40.0) + 1.0) / (0.1 * log(40.0) + 1.0)));
    CHECK(!config.ropes[0].truncate);
}

void test_config(void) {
    test_defaults();
    test_sizes();
    test_heads();
    test_unsupported();
    test_model_types();
    test_other_fields();
    test_dialects();
    test_families();
    test_windows();
    test_experts();
    test_long_lists();
    test_family_fields();
    test_two_ropes();
    test_numbers_too_large();
    test_longrope();
    test_text_part();
}
