#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "model/weights.h"
#include "testing.h"

/* Element i of the kth tensor is k + i / 1024 (testing.h). */
enum { HIDDEN = 24, LONGEST_ROW = 40 };

static ati_status load(const char *folder, ati_precision precision, const char *kernel_name,
                       ati_config *config, ati_weights *weights, ati_error *error) {
    const ati_kernel *kernel;
    ati_status status = ati_kernel_find(precision, kernel_name, &kernel, error);
    if (status == ATI_OK) {
        status = ati_config_read(folder, config, error);
    }
    return status == ATI_OK ? ati_weights_load(folder, NULL, config, kernel, NULL, weights, error)
                            : status;
}

/* Loads weights that must load; false where they do not, which is a failure. */
static bool loads(const char *folder, ati_precision precision, const char *kernel,
                  ati_weights *weights) {
    ati_config config;
    ati_error error;
    ati_status status = load(folder, precision, kernel, &config, weights, &error);
    CHECK(status == ATI_OK);
    return status == ATI_OK;
}

static void refuse(test_model model, const char *why) {
    char *folder = test_folder();
    ati_config config;
    ati_weights weights = {0};
    ati_error error;
    test_write_model(folder, model);
    ati_status status = load(folder, ATI_FP32, "portable", &config, &weights, &error);
    CHECK_REFUSED(status, ATI_FORMAT, &error, why);
    CHECK(weights.memory == NULL && weights.layers == NULL);
}

static bool is_value(float value, size_t k, size_t i) {
    float expected = (float)k + (float)i / 1024;
    return memcmp(&value, &expected, sizeof value) == 0;
}

/* Row `row` of the matrix must be row t of the kth tensor, to within a share
 * `error` of the row's largest value. */
static bool holds_row(const ati_matrix *matrix, size_t row, size_t k, size_t t, float error) {
    float found[LONGEST_ROW];
    size_t width = matrix->layout.k;
    ati_unpack_row(&matrix->layout, matrix->panels, row, found);
    float largest = (float)k + (float)((t + 1) * width - 1) / 1024;
    for (size_t i = 0; i < width; i++) {
        float expected = (float)k + (float)(t * width + i) / 1024;
        if (!(fabsf(found[i] - expected) <= error * largest)) {
            return false;
        }
    }
    return true;
}

static bool holds_rows(const ati_matrix *matrix, size_t first, size_t k, size_t n, float error) {
    bool all = true;
    for (size_t t = 0; t < n; t++) {
        all = all && holds_row(matrix, first + t, k, t, error);
    }
    return all;
}

static bool is_zero_row(const ati_matrix *matrix, size_t row) {
    const float zeros[LONGEST_ROW] = {0};
    float found[LONGEST_ROW];
    ati_unpack_row(&matrix->layout, matrix->panels, row, found);
    return memcmp(found, zeros, matrix->layout.k * sizeof *found) == 0;
}

/* Gate's rows and up's by turns, ATI_GATE_GROUP of each, and zeros past the last. */
static void check_gate_up(const ati_matrix *matrix, size_t k, size_t ffn, float error) {
    size_t whole = (ffn + ATI_GATE_GROUP - 1) / ATI_GATE_GROUP * ATI_GATE_GROUP;
    CHECK(matrix->n == 2 * whole);
    for (size_t t = 0; t < whole; t++) {
        size_t gate = t / ATI_GATE_GROUP * 2 * ATI_GATE_GROUP + t % ATI_GATE_GROUP;
        size_t up = gate + ATI_GATE_GROUP;
        if (t < ffn) {
            CHECK(holds_row(matrix, gate, k, t, error) && holds_row(matrix, up, k + 1, t, error));
        } else {
            CHECK(is_zero_row(matrix, gate) && is_zero_row(matrix, up));
        }
    }
}

/* What a format may change of a value, as a share of the largest beside it. int8: turned, 64
 * equal values are one of eight times their size, and a step of it is 8/127 of them; turned
 * back, errors of either sign and of half a step each come to half a step. */
static float rounding_of(ati_precision precision) {
    return precision == ATI_FP32 ? 0.0F : precision == ATI_BF16 ? 0x1p-8F : 4.0F / 127;
}

/* int8 rounds no values and no embeddings: they have the attention's format. */
static float rounding_of_attention(ati_precision precision) {
    return rounding_of(precision == ATI_INT8 ? ATI_BF16 : precision);
}

static void check_values(const ati_layer_weights *layer, size_t k, ati_precision precision) {
    bool apart = layer->qkv.rest != NULL;
    const ati_matrix *values = apart ? &layer->values : &layer->qkv;
    CHECK(apart == (precision == ATI_INT8) && layer->values.n == (apart ? 12 : 0));
    CHECK(layer->qkv.n == (apart ? 36 : 48) && (!apart || layer->qkv.rest == values));
    CHECK(holds_rows(values, apart ? 0 : 36, k, 12, rounding_of_attention(precision)));
}

static void check_matrices(const ati_weights *w, size_t ffn, ati_precision precision) {
    const float error = rounding_of(precision);
    const ati_layer_weights *layer = &w->layers[1];
    size_t k = 10; /* where the second layer begins */
    CHECK(holds_rows(&w->unembedding, 0, 20, 11, error) && is_zero_row(&w->unembedding, 11));
    CHECK(is_zero_row(&w->unembedding, ATI_PANEL - 1));
    CHECK(holds_rows(&layer->qkv, 0, k + 1, 24, error));
    CHECK(holds_rows(&layer->qkv, 24, k + 2, 12, error));
    check_values(layer, k + 3, precision);
    CHECK(holds_rows(&layer->output, 0, k + 4, HIDDEN, error));
    check_gate_up(&layer->mlps[0].up, k + 6, ffn, error);
    CHECK(holds_rows(&layer->mlps[0].down, 0, k + 8, HIDDEN, error));
    CHECK((uintptr_t)layer->mlps[0].down.panels % 64 == 0 &&
          (uintptr_t)layer->mlps[0].up.panels % 64 == 0);
}

static void check_vectors(const ati_weights *w) {
    const ati_layer_weights *layer = &w->layers[1];
    CHECK(is_value(layer->attention_norm.weight[3], 10, 3) &&
          is_value(layer->mlp_norm.weight[7], 15, 7));
    CHECK(is_value(w->final_norm.weight[1], 19, 1));
    CHECK(layer->qkv_bias == NULL && layer->mlps[0].down_bias == NULL);
}

static void test_layout(ati_precision precision, const char *kernel, size_t n_shards, size_t ffn) {
    char *folder = test_folder();
    ati_weights w;
    test_about("precision %d, kernel %s, ffn %zu", (int)precision, kernel, ffn);
    test_write_model(folder, (test_model){.n_shards = n_shards, .ffn = ffn});
    if (!loads(folder, precision, kernel, &w)) {
        return;
    }
    CHECK(holds_rows(&w.embeddings, 0, 0, 11, rounding_of_attention(precision)));
    CHECK(w.embeddings.panels != w.unembedding.panels);
    check_matrices(&w, ffn, precision);
    check_vectors(&w);
    ati_weights_free(&w);
    CHECK(w.memory == NULL);
}

static void test_layouts(void) {
    const size_t sizes[] = {10, 16, 40};
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        const char *names[ATI_MOST_KERNELS];
        size_t n = ati_kernels(precision, names);
        for (size_t i = 0; i < n; i++) {
            test_layout(precision, names[i], 2 * i + 1, sizes[i % 3]);
            test_layout(precision, names[i], 2 * i + 1, sizes[(i + 1) % 3]);
        }
    }
}

/* A tied unembedding serves as the embeddings where it has their format. */
static void test_tying(void) {
    char *folder = test_folder();
    ati_weights w;
    test_write_model(folder, (test_model){.tied = true});
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        test_about("precision %d", (int)precision);
        if (!loads(folder, precision, NULL, &w)) {
            return;
        }
        CHECK((w.unembedding.panels == w.embeddings.panels) ==
              (w.unembedding.gemm->format == w.embeddings.gemm->format));
        CHECK(holds_rows(&w.unembedding, 0, 0, 11, rounding_of(precision)));
        CHECK(holds_rows(&w.embeddings, 0, 0, 11, rounding_of(ATI_BF16)));
        ati_weights_free(&w);
    }
}

/* More values than are read at a time. */
static void test_many_rows(void) {
    char *folder = test_folder();
    ati_weights w;
    const size_t vocab = 23000;
    test_write_model(folder, (test_model){.tied = true, .vocab = vocab});
    if (!loads(folder, ATI_FP32, "portable", &w)) {
        return;
    }
    CHECK(w.unembedding.n == vocab && holds_rows(&w.unembedding, 0, 0, vocab, 0.0F));
    ati_weights_free(&w);
}

static void test_biases(void) {
    char *folder = test_folder();
    ati_weights w;
    test_write_model(folder,
                     (test_model){.tied = true,
                                  .attention_bias = true,
                                  .mlp_bias = true,
                                  .ffn = 20,
                                  .beside = "model.layers.0.self_attn.rotary_emb.inv_freq"});
    if (!loads(folder, ATI_BF16, NULL, &w)) {
        return;
    }
    const ati_layer_weights *layer = &w.layers[0];
    CHECK(is_value(layer->qkv_bias[1], 3, 1) && is_value(layer->qkv_bias[24 + 1], 5, 1));
    CHECK(is_value(layer->qkv_bias[36 + 1], 7, 1) && is_value(layer->output_bias[1], 9, 1));
    CHECK(is_value(layer->mlps[0].up_bias[1], 12, 1) &&
          is_value(layer->mlps[0].up_bias[32 + 3], 12, 19));
    CHECK(is_value(layer->mlps[0].up_bias[16 + 1], 14, 1));
    CHECK(is_value(layer->mlps[0].up_bias[48 + 3], 14, 19) &&
          layer->mlps[0].up_bias[48 + 4] == 0.0F);
    CHECK(layer->mlps[0].up_bias[32 + 4] == 0.0F && is_value(layer->mlps[0].down_bias[1], 16, 1));
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
    refuse((test_model){.beside = "lm_head.bias"}, "no bias on queries, keys and values");
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
    ati_status status = load(folder, ATI_INT8, NULL, &config, &weights, &error);
    CHECK_REFUSED(status, ATI_FORMAT, &error, "expected shape [16777216, 1048576], found [11, 24]");
}

/* Experts in tensors of their own, in tensors of all, in 4-bit floats: nothing is allocated
 * for them while the file has none, and what is missing is told. */
static void test_claimed_experts(void) {
    static const char *const layouts[] = {"qwen3_moe", "mixtral", "gpt_oss"};
    char *folder = test_folder();
    test_write_model(folder, (test_model){0});
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        ati_config config;
        ati_weights weights = {0};
        ati_error error;
        test_about("%s", layouts[i]);
        test_claim_experts(folder, layouts[i]);
        ati_fail_allocation(0, false);
        ati_status status = load(folder, ATI_FP32, "portable", &config, &weights, &error);
        CHECK_REFUSED(status, ATI_FORMAT, &error, "tensor 'model.layers.0.");
        CHECK_REFUSED(status, ATI_FORMAT, &error, "is missing");
        CHECK(config.n_layers * config.n_experts == (size_t)1 << 22);
        CHECK(ati_allocations_largest() < (size_t)1 << 20 && ati_allocations_live() == 0);
    }
    test_about("%s", "");
}

void test_weights(void) {
    test_layouts();
    test_tying();
    test_many_rows();
    test_biases();
    test_about("%s", "");
    test_refusals();
    test_absurd_config();
    test_claimed_experts();
}
