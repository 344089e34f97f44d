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
    CHECK(config.head_dim == 6 && config.rope.dim == 6 && config.vocab_size == 11);
    CHECK(near((double)config.rms_norm_eps, (double)1e-6f) && near(config.rope.theta, 10000.0));
    CHECK(!config.tied && !config.attention_bias && !config.mlp_bias);
    CHECK(config.rope.type == ATI_ROPE_DEFAULT && near(config.rope.attention_factor, 1.0));
    CHECK(strcmp(config.family->model_type, "llama") == 0);
    config = accept("\"head_dim\":10,\"num_key_value_heads\":1,\"tie_word_embeddings\":true,"
                    "\"attention_bias\":true,\"mlp_bias\":true,\"rms_norm_eps\":1e-05");
    CHECK(config.head_dim == 10 && config.n_kv_heads == 1 && config.tied);
    CHECK(config.attention_bias && config.mlp_bias);
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
    refuse("\"head_dim\":7", ATI_FORMAT, "head_dim 7 is odd");
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
        "\"layer_types\":[\"sliding_attention\"]",
        "\"is_causal\":false",
        "\"hidden_act\":\"gelu\"",
        "\"rope_scaling\":{\"type\":\"longrope\",\"factor\":2.0}",
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
    CHECK(config.rope.type == ATI_ROPE_LINEAR && near(config.rope.factor, 2.0));
    CHECK(near(config.rope.theta, 5e5));
    config = accept("\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":\"dynamic\","
                    "\"rope_theta\":2e4,\"factor\":4.0},\"dtype\":\"bfloat16\"");
    CHECK(config.rope.type == ATI_ROPE_DYNAMIC && near(config.rope.theta, 2e4));
    config = accept("\"rope_scaling\":{\"type\":\"x\",\"rope_type\":\"llama3\",\"factor\":8.0,"
                    "\"low_freq_factor\":1,\"high_freq_factor\":4,"
                    "\"original_max_position_embeddings\":32}");
    CHECK(config.rope.type == ATI_ROPE_LLAMA3 && config.rope.original_context == 32);
    config = accept("\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0}");
    CHECK(near(config.rope.attention_factor, 0.1 * log(4.0) + 1.0) && config.rope.truncate);
    CHECK(near(config.rope.beta_fast, 32) && near(config.rope.beta_slow, 1));
    CHECK(config.rope.original_context == 64);
    config = accept("\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":40,\"mscale\":0.707,"
                    "\"mscale_all_dim\":1,\"truncate\":false}");
    CHECK(near(config.rope.attention_factor,
               (0.1 * 0.707 * log(40.0) + 1.0) / (0.1 * log(40.0) + 1.0)));
    CHECK(!config.rope.truncate);
}

void test_config(void) {
    test_defaults();
    test_sizes();
    test_heads();
    test_unsupported();
    test_model_types();
    test_other_fields();
    test_dialects();
}
