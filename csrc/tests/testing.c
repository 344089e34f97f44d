#define _XOPEN_SOURCE 700 /* mkdtemp, nftw, posix_memalign */

#include "testing.h"

#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FOLDERS 512

static int n_failures, n_folders;
static char folders[MOST_FOLDERS][64];
static char about[200];

void test_about(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(about, sizeof about, format, arguments);
    va_end(arguments);
}

void test_check(bool passed, const char *what, const char *file, int line) {
    if (!passed) {
        printf("%s:%d: not true: %s%s%s\n", file, line, what, about[0] != '\0' ? ", with " : "",
               about);
        n_failures++;
    }
}

void test_check_refused(ati_status found, ati_status expected, const ati_error *error,
                        const char *text, const char *file, int line) {
    if (found == ATI_OK) {
        printf("%s:%d: not refused, expected '%s'\n", file, line, text);
        n_failures++;
    } else if (found != expected || strstr(error->message, text) == NULL) {
        printf("%s:%d: status %d, expected %d; message '%s', expected '%s' in it\n", file, line,
               (int)found, (int)expected, error->message, text);
        n_failures++;
    }
}

/* The harness itself cannot go on. */
static void give_up(const char *what) {
    perror(what);
    exit(2);
}

void *test_alloc(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes) != 0) {
        give_up("posix_memalign");
    }
    return memory;
}

void test_fill(float *x, size_t n, unsigned seed) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(seed >> 8) / (float)(1U << 20) - 8.0F;
    }
}

char *test_folder(void) {
    if (n_folders == MOST_FOLDERS) {
        give_up("too many folders");
    }
    char *path = folders[n_folders++];
    bool in_memory = access("/dev/shm", W_OK) == 0;
    snprintf(path, sizeof *folders, "%s/ati-test-XXXXXX", in_memory ? "/dev/shm" : "/tmp");
    if (mkdtemp(path) == NULL) {
        give_up(path);
    }
    return path;
}

static FILE *create(const char *folder, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        give_up(path);
    }
    return file;
}

static void put(FILE *file, const void *bytes, size_t size) {
    if (size > 0 && fwrite(bytes, 1, size, file) != size) {
        give_up("fwrite");
    }
}

void test_write(const char *folder, const char *name, const void *bytes, size_t size) {
    FILE *file = create(folder, name);
    put(file, bytes, size);
    fclose(file);
}

void test_write_text(const char *folder, const char *name, const char *text) {
    test_write(folder, name, text, strlen(text));
}

static void put_length(FILE *file, size_t length) {
    for (int i = 0; i < 8; i++) {
        fputc((int)((uint64_t)length >> (8 * i) & 255), file);
    }
}

void test_write_safetensors(const char *folder, const char *name, const char *header,
                            size_t n_data) {
    FILE *file = create(folder, name);
    put_length(file, strlen(header));
    put(file, header, strlen(header));
    for (size_t i = 0; i < n_data; i++) {
        fputc(0, file);
    }
    fclose(file);
}

/* ---- Model folders ---- */

typedef struct {
    char name[96];
    size_t rows, columns; /* columns 0: a vector */
} tensor;

typedef struct {
    tensor tensors[64];
    size_t n;
    const char *without;
} tensor_list;

static void add(tensor_list *list, const char *name, size_t rows, size_t columns) {
    if (list->without == NULL || strcmp(name, list->without) != 0) {
        tensor *t = &list->tensors[list->n++];
        snprintf(t->name, sizeof t->name, "%s", name);
        t->rows = rows;
        t->columns = columns;
    }
}

static void add_linear(tensor_list *list, size_t layer, const char *part, size_t rows,
                       size_t columns, bool bias) {
    char name[96];
    snprintf(name, sizeof name, "model.layers.%zu.%s.weight", layer, part);
    add(list, name, rows, columns);
    if (bias) {
        snprintf(name, sizeof name, "model.layers.%zu.%s.bias", layer, part);
        add(list, name, rows, 0);
    }
}

static void list_tensors(tensor_list *list, test_model model) {
    add(list, "model.embed_tokens.weight", model.vocab, 24);
    for (size_t i = 0; i < 2; i++) {
        add_linear(list, i, "input_layernorm", 24, 0, false);
        add_linear(list, i, "self_attn.q_proj", 24, 24, model.attention_bias);
        add_linear(list, i, "self_attn.k_proj", 12, 24, model.attention_bias);
        add_linear(list, i, "self_attn.v_proj", 12, 24, model.attention_bias);
        add_linear(list, i, "self_attn.o_proj", 24, 24, model.attention_bias);
        add_linear(list, i, "post_attention_layernorm", 24, 0, false);
        add_linear(list, i, "mlp.gate_proj", model.ffn, 24, model.mlp_bias);
        add_linear(list, i, "mlp.up_proj", model.ffn, 24, model.mlp_bias);
        add_linear(list, i, "mlp.down_proj", 24, model.ffn, model.mlp_bias);
    }
    add(list, "model.norm.weight", 24, 0);
    if (!model.tied) {
        add(list, "lm_head.weight", model.vocab, 24);
    }
    if (model.beside != NULL) {
        add(list, model.beside, 2, 0);
    }
}

static size_t count(const tensor *t) {
    return t->rows * (t->columns > 0 ? t->columns : 1);
}

/* The kth tensor's numbers. */
static void put_tensor(FILE *file, const tensor *t, size_t k, test_model model) {
    size_t n = count(t);
    float *values = test_alloc(n * sizeof *values);
    test_fill(values, n, (unsigned)k);
    for (size_t i = 0; i < n; i++) {
        values[i] = model.random ? values[i] / 16 : (float)k + (float)i / 1024;
    }
    if (model.not_finite != NULL && strcmp(model.not_finite, t->name) == 0) {
        values[1] = INFINITY;
    }
    put(file, values, n * sizeof *values);
    free(values);
}

/* Tensors first, first + step, ... of the list as one file. */
static void write_shard(const char *folder, const char *name, const tensor_list *list, size_t first,
                        size_t step, test_model model) {
    char header[16384] = "{";
    size_t used = 1, offset = 0;
    for (size_t i = first; i < list->n; i += step) {
        const tensor *t = &list->tensors[i];
        char shape[48];
        snprintf(shape, sizeof shape, t->columns > 0 ? "%zu,%zu" : "%zu", t->rows, t->columns);
        used +=
            (size_t)snprintf(header + used, sizeof header - used,
                             "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":"
                             "[%zu,%zu]}",
                             i > first ? "," : "", t->name, shape, offset, offset + 4 * count(t));
        offset += 4 * count(t);
    }
    used += (size_t)snprintf(header + used, sizeof header - used, "}");
    FILE *file = create(folder, name);
    put_length(file, used);
    put(file, header, used);
    for (size_t i = first; i < list->n; i += step) {
        put_tensor(file, &list->tensors[i], i, model);
    }
    fclose(file);
}

static void write_shards(const char *folder, const tensor_list *list, test_model model) {
    char index[16384], name[48];
    size_t used = (size_t)snprintf(index, sizeof index, "{\"weight_map\":{");
    for (size_t i = 0; i < list->n; i++) {
        used +=
            (size_t)snprintf(index + used, sizeof index - used, "%s\"%s\":\"part-%zu.safetensors\"",
                             i > 0 ? "," : "", list->tensors[i].name, i % model.n_shards);
    }
    snprintf(index + used, sizeof index - used, "}}");
    test_write_text(folder, "model.safetensors.index.json", index);
    for (size_t i = 0; i < model.n_shards; i++) {
        snprintf(name, sizeof name, "part-%zu.safetensors", i);
        write_shard(folder, name, list, i, model.n_shards, model);
    }
}

void test_write_model(const char *folder, test_model model) {
    char config[512];
    tensor_list list = {.without = model.without};
    model.ffn = model.ffn > 0 ? model.ffn : 10;
    model.vocab = model.vocab > 0 ? model.vocab : 11;
    const char *words[] = {"false", "true"};
    snprintf(config, sizeof config,
             "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"num_attention_heads\":4,"
             "\"num_key_value_heads\":2,\"hidden_size\":24,\"intermediate_size\":%zu,"
             "\"vocab_size\":%zu,\"max_position_embeddings\":64,\"tie_word_embeddings\":%s,"
             "\"attention_bias\":%s,\"mlp_bias\":%s}",
             model.ffn, model.vocab, words[model.tied], words[model.attention_bias],
             words[model.mlp_bias]);
    test_write_text(folder, "config.json", config);
    list_tensors(&list, model);
    if (model.n_shards > 1) {
        write_shards(folder, &list, model);
    } else {
        write_shard(folder, "model.safetensors", &list, 0, 1, model);
    }
}

int test_answer(void *context) {
    test_caller *self = context;
    return ++self->asked == self->last;
}

ati_status test_open(const char *folder, ati_precision precision, const char *kernel,
                     ati_model **model, ati_error *error) {
    const ati_opening from = {.path = folder, .precision = precision, .kernel = kernel};
    return ati_model_open(&from, model, error);
}

void test_claim_experts(const char *folder, const char *model_type) {
    char config[1024];
    bool is_gpt_oss = strcmp(model_type, "gpt_oss") == 0;
    snprintf(config, sizeof config,
             "{\"model_type\":\"%s\",\"num_hidden_layers\":1024,\"num_attention_heads\":4,"
             "\"num_key_value_heads\":2,\"hidden_size\":24,\"intermediate_size\":10,"
             "\"moe_intermediate_size\":10,\"vocab_size\":11,\"max_position_embeddings\":64,"
             "\"head_dim\":6,\"num_local_experts\":4096,\"num_experts_per_tok\":2%s}",
             model_type,
             is_gpt_oss ? ",\"sliding_window\":8,\"quantization_config\":{\"quant_method\":"
                          "\"mxfp4\"},\"rope_parameters\":{\"rope_type\":\"default\"}"
                        : "");
    test_write_text(folder, "config.json", config);
}

/* ---- The end ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

int test_finish(void) {
    for (int i = 0; i < n_folders; i++) {
        (void)nftw(folders[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    return n_failures;
}
