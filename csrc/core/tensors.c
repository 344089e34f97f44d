#include "tensors.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "error.h"

#define VALUES_READ ((size_t)1 << 18) /* values of a matrix held as float32 at a time */

/* ---- Names ---- */

static bool has_tensor(const ati_tensors *tensors, const char *prefix, const char *name) {
    char full[2 * ATI_NAME_SIZE];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return ati_checkpoint_find(tensors->checkpoint, full, NULL) != NULL;
}

/* The whole model's prefix, none (the body saved alone), or those of the text part of a
 * larger checkpoint, as transformers 4 and 5 name it. */
static void find_body(ati_tensors *tensors) {
    static const char *const before[] = {"", "language_model."};
    static const char *const instead[] = {"", "decoder.", "model.language_model.",
                                          "language_model."};
    const ati_family *family = tensors->config->family;
    char embeddings[ATI_NAME_SIZE];
    snprintf(embeddings, sizeof embeddings, "%s.weight", family->names.embeddings);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        snprintf(tensors->prefixed, sizeof tensors->prefixed, "%s%s", before[i], family->body);
        if (has_tensor(tensors, tensors->prefixed, embeddings)) {
            tensors->body = tensors->prefixed;
            return;
        }
    }
    for (size_t i = 0; i < sizeof instead / sizeof *instead; i++) {
        if (has_tensor(tensors, instead[i], embeddings)) {
            tensors->body = instead[i];
            return;
        }
    }
}

void ati_tensors_find_names(ati_tensors *tensors) {
    static const char *const heads[] = {"lm_head.weight", "language_model.lm_head.weight"};
    tensors->body = tensors->config->family->body;
    tensors->head = tensors->config->family->head;
    find_body(tensors);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (!has_tensor(tensors, "", tensors->head) && has_tensor(tensors, "", heads[i])) {
            tensors->head = heads[i];
        }
    }
}

void ati_tensor_name(const ati_tensors *tensors, const char *pattern, size_t layer, size_t index,
                     const char *ending, char out[ATI_NAME_SIZE]) {
    const size_t numbers[] = {layer, index};
    size_t used = (size_t)snprintf(out, ATI_NAME_SIZE, "%s", tensors->body);
    for (size_t i = 0; i < 2; i++) {
        const char *gap = strstr(pattern, "{}");
        if (gap != NULL && used < ATI_NAME_SIZE) {
            used += (size_t)snprintf(out + used, ATI_NAME_SIZE - used, "%.*s%zu",
                                     (int)(gap - pattern), pattern, numbers[i]);
            pattern = gap + 2;
        }
    }
    if (used < ATI_NAME_SIZE) {
        snprintf(out + used, ATI_NAME_SIZE - used, "%s%s", pattern, ending);
    }
}

/* ---- Checking and reading ---- */

static ati_status check_tensor(const ati_tensors *tensors, const char *name, size_t rank,
                               const size_t *dims) {
    const ati_safetensors *shard = NULL;
    ati_status status =
        ati_checkpoint_expect(tensors->checkpoint, name, rank, dims, tensors->error);
    if (status == ATI_OK) {
        const ati_tensor *tensor = ati_checkpoint_find(tensors->checkpoint, name, &shard);
        tensors->seen[shard - tensors->checkpoint->shards][tensor - shard->tensors] = 1;
    }
    return status;
}

ati_status ati_visit_vector(ati_tensors *tensors, const char *name, size_t rank, const size_t *dims,
                            size_t first, size_t n, float *out) {
    return tensors->rows == NULL
               ? check_tensor(tensors, name, rank, dims)
               : ati_checkpoint_read_f32(tensors->checkpoint, name, first, n, out, tensors->error);
}

/* Rows as they are stored, some at a time. */
static ati_status read_rows(ati_tensors *tensors, const ati_source *source,
                            const ati_matrix *matrix) {
    size_t k = matrix->layout.k, at_a_time = VALUES_READ / k > 0 ? VALUES_READ / k : 1;
    size_t slab = source->slab * source->n * k;
    ati_status status = ATI_OK;
    for (size_t first = 0; first < source->n && status == ATI_OK; first += at_a_time) {
        size_t n = source->n - first < at_a_time ? source->n - first : at_a_time;
        status = ati_checkpoint_read_f32(tensors->checkpoint, source->weight, slab + first * k,
                                         n * k, tensors->rows, tensors->error);
        for (size_t i = 0; i < n && status == ATI_OK; i++) {
            ati_pack_row(&matrix->layout, tensors->rows + i * k, matrix->panels,
                         source->map(tensors->config, source->n, first + i));
        }
    }
    return status;
}

/* Rows that are stored as columns: the whole matrix is read, and turned row by row. */
static ati_status read_columns(ati_tensors *tensors, const ati_source *source,
                               const ati_matrix *matrix) {
    size_t k = matrix->layout.k, n = source->n;
    float *whole = ati_calloc(n * k, sizeof *whole);
    if (whole == NULL) {
        return ati_fail_memory(tensors->error, n * k * sizeof *whole, "reading a tensor");
    }
    ati_status status = ati_checkpoint_read_f32(tensors->checkpoint, source->weight,
                                                source->slab * n * k, n * k, whole, tensors->error);
    for (size_t t = 0; t < n && status == ATI_OK; t++) {
        for (size_t i = 0; i < k; i++) {
            tensors->rows[i] = whole[i * n + t];
        }
        ati_pack_row(&matrix->layout, tensors->rows, matrix->panels,
                     source->map(tensors->config, n, t));
    }
    ati_free(whole);
    return status;
}

static ati_status visit_bias(ati_tensors *tensors, const ati_source *source, float *bias) {
    const size_t dims[] = {source->n_slabs, source->n};
    bool stacked = source->n_slabs > 0;
    ati_status status =
        ati_visit_vector(tensors, source->bias, stacked ? 2 : 1, stacked ? dims : dims + 1,
                         source->slab * source->n, source->n, tensors->rows);
    for (size_t t = 0; t < source->n && tensors->rows != NULL && status == ATI_OK; t++) {
        bias[source->map(tensors->config, source->n, t)] = tensors->rows[t];
    }
    return status;
}

ati_status ati_visit_source(ati_tensors *tensors, const ati_source *source,
                            const ati_matrix *matrix, float *bias) {
    const size_t k = matrix->layout.k;
    const size_t dims[] = {source->n_slabs, source->transposed ? k : source->n,
                           source->transposed ? source->n : k};
    bool stacked = source->n_slabs > 0;
    ati_status status =
        tensors->rows == NULL
            ? check_tensor(tensors, source->weight, stacked ? 3 : 2, stacked ? dims : dims + 1)
        : source->transposed ? read_columns(tensors, source, matrix)
                             : read_rows(tensors, source, matrix);
    return status == ATI_OK && source->bias[0] != '\0' ? visit_bias(tensors, source, bias) : status;
}

size_t ati_longest_read(const ati_config *config) {
    const size_t lengths[] = {
        VALUES_READ,
        config->hidden_size,
        2 * config->intermediate_size,
        2 * config->expert_size,
        (config->n_heads + 2 * config->n_kv_heads) * config->head_dim,
    };
    size_t longest = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    return longest;
}
