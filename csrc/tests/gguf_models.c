#include "gguf_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf_value.h"
#include "gguf_files.h"
#include "testing.h"

/* ---- Keys ---- */

static gguf_entry *find_entry(gguf_model *model, const char *key) {
    for (size_t i = 0; i < model->n_keys; i++) {
        if (strcmp(model->keys[i].key, key) == 0) {
            return &model->keys[i];
        }
    }
    return model->n_keys < GGUF_MOST_KEYS ? &model->keys[model->n_keys++] : NULL;
}

void gguf_model_set_array(gguf_model *model, const char *key, uint32_t item, uint64_t count,
                          const void *data, size_t bytes) {
    gguf_entry *entry = find_entry(model, key);
    if (entry != NULL && bytes <= sizeof entry->data) {
        *entry = (gguf_entry){.type = ATI_GGUF_ARRAY, .item = item, .count = count, .bytes = bytes};
        snprintf(entry->key, sizeof entry->key, "%s", key);
        memcpy(entry->data, data, bytes);
    }
}

void gguf_model_set(gguf_model *model, const char *key, uint32_t type, const void *data,
                    size_t bytes) {
    gguf_model_set_array(model, key, type, 1, data, bytes);
    gguf_entry *entry = find_entry(model, key);
    if (entry != NULL) {
        entry->type = type;
    }
}

void gguf_model_set_u32(gguf_model *model, const char *key, uint32_t number) {
    gguf_model_set(model, key, ATI_GGUF_UINT32, &number, sizeof number);
}

void gguf_model_set_f32(gguf_model *model, const char *key, float number) {
    gguf_model_set(model, key, ATI_GGUF_FLOAT32, &number, sizeof number);
}

void gguf_model_begin(gguf_model *model, const ati_gguf_family *row) {
    const ati_family *family = ati_family_find(row->model_type);
    bool has_window = family->window != ATI_WINDOW_NONE && family->window_switch == NULL;
    memset(model, 0, sizeof *model);
    model->architecture = row->name;
    gguf_model_set_u32(model, "block_count", GGUF_MODEL_LAYERS);
    gguf_model_set_u32(model, "context_length", FAMILY_CONTEXT);
    gguf_model_set_u32(model, "embedding_length", 16);
    gguf_model_set_u32(model, "feed_forward_length", 12);
    gguf_model_set_u32(model, "attention.head_count", 4);
    gguf_model_set_u32(model, "attention.head_count_kv", family->keys->n_kv_heads ? 2 : 4);
    gguf_model_set_f32(model, "attention.layer_norm_epsilon", 1e-5F);
    gguf_model_set_f32(model, "attention.layer_norm_rms_epsilon", 1e-5F);
    gguf_model_set_f32(model, "rope.freq_base", 7000);
    if (has_window && (row->where == NULL || strcmp(row->name, "mistral3") != 0)) {
        gguf_model_set_u32(model, "attention.sliding_window", 5);
    }
    if (row->where != NULL && strcmp(row->where, "attention.temperature_scale") == 0) {
        gguf_model_set_f32(model, row->where, 0.1F);
        gguf_model_set_u32(model, "rope.scaling.original_context_length", 16);
    }
    if (family->stored.experts != ATI_EXPERTS_NONE) {
        gguf_model_set_u32(model, "expert_count", 4);
        gguf_model_set_u32(model, "expert_used_count", 2);
        gguf_model_set_u32(model, "expert_feed_forward_length", 12);
    }
}

/* ---- Tensors and the file ---- */

void gguf_model_add(gguf_model *model, const char *name, const char *shape) {
    family_tensors *list = &model->tensors;
    if (list->n < FAMILY_MOST_TENSORS) {
        family_tensor *tensor = &list->tensors[list->n++];
        *tensor = (family_tensor){.name = ""};
        snprintf(tensor->name, sizeof tensor->name, "%s", name);
        snprintf(tensor->shape, sizeof tensor->shape, "%s", shape);
    }
}

/* The dimensions of "2, 3", the innermost first; returns how many there are. */
static uint32_t read_dims(const char *shape, uint64_t dims[4]) {
    uint64_t outer[4] = {1};
    uint32_t rank = 0;
    for (const char *at = shape; *at != '\0' && rank < 4; at += strspn(at, ", ")) {
        char *end;
        outer[rank++] = strtoul(at, &end, 10);
        at = end;
    }
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = outer[rank - 1 - i];
    }
    return rank;
}

static void put_keys(const gguf_model *model, gguf_file *file) {
    char name[128];
    gguf_put_key(file, "general.architecture", ATI_GGUF_STRING);
    gguf_put_string(file, model->architecture);
    for (size_t i = 0; i < model->n_keys; i++) {
        const gguf_entry *entry = &model->keys[i];
        snprintf(name, sizeof name, "%s.%s", model->architecture, entry->key);
        gguf_put_key(file, name, entry->type);
        if (entry->type == ATI_GGUF_ARRAY) {
            gguf_put_u32(file, entry->item);
            gguf_put_u64(file, entry->count);
        }
        gguf_put(file, entry->data, entry->bytes);
    }
}

void gguf_model_write(const gguf_model *model, const char *folder) {
    static gguf_file file;
    static char values[1 << 16];
    const family_tensors *list = &model->tensors;
    uint64_t offset = 0, dims[4];
    gguf_begin(&file, 3, list->n, model->n_keys + 1);
    put_keys(model, &file);
    for (size_t i = 0; i < list->n; i++) {
        uint32_t rank = read_dims(list->tensors[i].shape, dims);
        gguf_put_tensor(&file, list->tensors[i].name, rank, dims, 0, offset);
        offset += (family_count_bytes(&list->tensors[i]) + 31) / 32 * 32;
    }
    gguf_put_data(&file, 0);
    for (size_t i = 0; i < list->n; i++) {
        size_t bytes = family_count_bytes(&list->tensors[i]);
        if (bytes > sizeof values) {
            abort();
        }
        memset(values, 0, sizeof values);
        family_fill(&list->tensors[i], (unsigned)i + 1, values);
        gguf_put(&file, values, (bytes + 31) / 32 * 32);
    }
    gguf_write(&file, folder, "model.gguf");
}

bool gguf_model_complete(gguf_model *model, const char *folder, ati_error *error) {
    char path[512];
    ati_model *opened = NULL;
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    do {
        gguf_model_write(model, folder);
        if (test_open(path, ATI_FP32, "portable", &opened, error) == ATI_OK) {
            ati_model_free(opened);
            return true;
        }
    } while (family_follow(&model->tensors, error->message));
    return false;
}
