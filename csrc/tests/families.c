#include "families.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

enum { HEAD_DIM = 8, HIDDEN = HEAD_DIM * FAMILY_HEADS };

/* ---- config.json ---- */

typedef struct {
    char text[4096];
    size_t used;
} json_text;

static void add(json_text *json, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(json_text *json, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    json->used += (size_t)vsnprintf(json->text + json->used, sizeof json->text - json->used, format,
                                    arguments);
    va_end(arguments);
}

/* Begins an item; false where there is no such key, or it is there already. */
static bool add_key(json_text *json, const char *key) {
    char quoted[FAMILY_NAME];
    snprintf(quoted, sizeof quoted, "\"%s\":", key != NULL ? key : "");
    if (key == NULL || strstr(json->text, quoted) != NULL) {
        return false;
    }
    add(json, "%s%s", json->text[json->used - 1] == '{' ? "" : ",", quoted);
    return true;
}

static void add_number(json_text *json, const char *key, double number) {
    if (add_key(json, key)) {
        add(json, "%g", number);
    }
}

static void add_flag(json_text *json, const char *key, bool flag) {
    if (add_key(json, key)) {
        add(json, "%s", flag ? "true" : "false");
    }
}

static void add_sizes(json_text *json, const family_model *model) {
    const ati_config_keys *keys = model->family->keys;
    add_number(json, keys->n_layers, FAMILY_LAYERS);
    add_number(json, keys->n_heads, FAMILY_HEADS);
    add_number(json, keys->n_kv_heads, 2);
    add_number(json, keys->head_dim, HEAD_DIM);
    add_number(json, keys->hidden_size, HIDDEN);
    add_number(json, keys->intermediate_size, model->is_mxfp4 ? 32 : 20);
    add_number(json, keys->context, FAMILY_CONTEXT);
    add_number(json, "vocab_size", FAMILY_VOCAB);
}

static void add_choices(json_text *json, const family_model *model) {
    const ati_family *family = model->family;
    const ati_choice choices[] = {
        family->qkv_bias,
        family->output_bias,
        family->mlp_bias,
        family->parallel,
        family->normalises_routing,
        family->attention_scaled,
        family->attention_scaled_by_layer,
        {family->qk_norm_key, false},
    };
    for (size_t i = 0; model->flipped && i < sizeof choices / sizeof *choices; i++) {
        add_flag(json, choices[i].key, !choices[i].otherwise);
    }
    add_flag(json, "tie_word_embeddings", model->tied);
}

static void add_factors(json_text *json, const ati_family *family) {
    add_number(json, family->eps_key, 1e-3);
    add_number(json, family->query_scalar_key, 11);
    add_number(json, family->attention_scale_key, 0.3);
    add_number(json, family->embedding_multiplier_key, 1.7);
    add_number(json, family->residual_multiplier_key, 0.6);
    add_number(json, family->logit_multiplier_key, 0.8);
    add_number(json, family->logit_divisor_key, 1.3);
    add_number(json, family->attention_soft_cap_key, 2);
    add_number(json, family->logit_soft_cap_key, 3);
    add_number(json, family->clip_key, 0.7);
}

static void add_layers(json_text *json, const family_model *model) {
    const ati_family *family = model->family;
    if (family->window != ATI_WINDOW_NONE && (model->stated || family->states_window)) {
        add_number(json, "sliding_window", 5);
        add_flag(json, family->window_switch, true);
    }
    if (model->stated) {
        add_number(json, family->window_period_key, 2);
        add_number(json, family->window == ATI_WINDOW_LATER ? "max_window_layers" : NULL, 1);
    }
    if (family->stored.experts != ATI_EXPERTS_NONE) {
        bool has_dense = model->stated && family->stored.names.gate != NULL;
        add_number(json, "num_local_experts", 4);
        add_number(json, "num_experts_per_tok", 2);
        add_number(json, family->expert_size_key, 12);
        add_number(json, has_dense ? "decoder_sparse_step" : NULL, 2);
    }
    if (model->is_mxfp4) {
        add(json, ",\"quantization_config\":{\"quant_method\":\"mxfp4\"}");
    }
}

/* Of a longrope: one factor for each pair of dimensions that turns. */
static void add_pair_factors(json_text *json, const ati_family *family, const char *key) {
    double share = family->partial > 0 ? family->partial : 1;
    add(json, ",\"%s\":[", key);
    for (size_t i = 0; i < (size_t)(HEAD_DIM * share) / 2; i++) {
        add(json, "%s%zu.5", i > 0 ? "," : "", i + 1);
    }
    add(json, "]");
}

static void add_rope(json_text *json, const ati_family *family, ati_rope_type type) {
    add(json, "{\"rope_type\":\"%s\",\"rope_theta\":7000", ati_rope_name(type));
    if (type == ATI_ROPE_LONGROPE) {
        add_pair_factors(json, family, "short_factor");
        add_pair_factors(json, family, "long_factor");
    } else if (type != ATI_ROPE_DEFAULT) {
        add(json, ",\"factor\":3");
    }
    if (type == ATI_ROPE_LLAMA3) {
        add(json, ",\"low_freq_factor\":1,\"high_freq_factor\":4");
    }
    if (type != ATI_ROPE_LINEAR && type != ATI_ROPE_DYNAMIC) {
        add(json, ",\"original_max_position_embeddings\":16");
    }
    if (family->query_growth_key != NULL) {
        add(json, ",\"%s\":0.2", family->query_growth_key);
    }
    add(json, "}");
}

static void add_ropes(json_text *json, const family_model *model) {
    const ati_family *family = model->family;
    bool is_needed = family->rope_stated || family->query_growth_key != NULL;
    if (family->stored.names.positions != NULL ||
        (model->rope == ATI_ROPE_DEFAULT && !model->stated && !is_needed)) {
        return;
    }
    add(json, ",\"rope_parameters\":%s", family->rope_by_window ? "{\"full_attention\":" : "");
    add_rope(json, family, model->rope);
    if (family->rope_by_window) {
        add(json, ",\"sliding_attention\":");
        add_rope(json, family, ATI_ROPE_DEFAULT);
        add(json, "}");
    }
}

void family_write_config(const char *folder, const family_model *model) {
    json_text json = {.text = "{", .used = 1};
    add_key(&json, "model_type");
    add(&json, "\"%s\"", model->family->model_type);
    add_sizes(&json, model);
    add_choices(&json, model);
    if (model->stated) {
        add_factors(&json, model->family);
    }
    add_layers(&json, model);
    add_ropes(&json, model);
    add(&json, "}");
    test_write_text(folder, "config.json", json.text);
}

/* ---- Tensors ---- */

static size_t count_values(const family_tensor *t) {
    size_t n = 1;
    for (const char *at = t->shape; *at != '\0'; at += strspn(at, ", ")) {
        char *end;
        n *= strtoul(at, &end, 10);
        at = end;
    }
    return n;
}

size_t family_count_bytes(const family_tensor *t) {
    return count_values(t) * (t->is_bytes ? 1 : sizeof(float));
}

/* The header of a file of these tensors; returns the bytes behind it. */
static size_t write_header(const family_tensors *list, char *header, size_t size) {
    size_t used = (size_t)snprintf(header, size, "{"), offset = 0;
    for (size_t i = 0; i < list->n; i++) {
        const family_tensor *t = &list->tensors[i];
        size_t end = offset + family_count_bytes(t);
        used += (size_t)snprintf(header + used, size - used,
                                 "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":"
                                 "[%zu,%zu]}",
                                 i > 0 ? "," : "", t->name, t->is_bytes ? "U8" : "F32", t->shape,
                                 offset, end);
        offset = end;
    }
    snprintf(header + used, size - used, "}");
    return offset;
}

bool family_follow(family_tensors *list, const char *message) {
    char name[FAMILY_NAME] = "", shape[sizeof list->tensors->shape] = "";
    const char *expected = strstr(message, "expected shape [");
    if (sscanf(message, "tensor '%159[^']'", name) != 1) {
        return false;
    }
    family_tensor *t = list->tensors;
    while (t < list->tensors + list->n && strcmp(t->name, name) != 0) {
        t++;
    }
    if (strstr(message, "' is missing from") != NULL && list->n < FAMILY_MOST_TENSORS) {
        *t = (family_tensor){.shape = "1"};
        memcpy(t->name, name, sizeof name);
        list->n++;
        return true;
    }
    if (expected != NULL) {
        (void)sscanf(expected, "expected shape [%63[^]]", shape);
        memcpy(t->shape, shape, sizeof shape);
        return true;
    }
    t->is_bytes = strstr(message, "expected dtype U8") != NULL;
    return t->is_bytes;
}

void family_fill(const family_tensor *t, unsigned seed, char *out) {
    size_t n = count_values(t);
    float *values = test_alloc(n * sizeof *values);
    test_fill(values, n, seed);
    for (size_t i = 0; i < n; i++) {
        float value = values[i] / 16;
        if (t->is_bytes) {
            out[i] = (char)(125 + (int)(value * 8));
        } else {
            memcpy(out + i * sizeof value, &value, sizeof value);
        }
    }
    free(values);
}

static void write_tensors(const char *folder, const family_tensors *list) {
    static char header[FAMILY_MOST_TENSORS * (FAMILY_NAME + 128)];
    size_t bytes = write_header(list, header, sizeof header), length = strlen(header);
    char *file = calloc(8 + length + bytes, 1), *at = file + 8 + length;
    for (size_t i = 0; i < 8; i++) {
        file[i] = (char)((uint64_t)length >> (8 * i) & 255);
    }
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < list->n; i++) {
        family_fill(&list->tensors[i], (unsigned)i + 1, at);
        at += family_count_bytes(&list->tensors[i]);
    }
    test_write(folder, "model.safetensors", file, 8 + length + bytes);
    free(file);
}

bool family_write(const char *folder, const family_model *model, ati_error *error) {
    static family_tensors list;
    ati_model *opened = NULL;
    list.n = 0;
    family_write_config(folder, model);
    do {
        write_tensors(folder, &list);
        if (test_open(folder, ATI_FP32, "portable", &opened, error) == ATI_OK) {
            ati_model_free(opened);
            return true;
        }
    } while (family_follow(&list, error->message));
    return false;
}
