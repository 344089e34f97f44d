#include "model/tensors.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "checkpoint/mxfp4.h"

#define VALUES_READ ((size_t)1 << 18) /* values of a matrix held as float32 at a time */

/* ---- Names ---- */

static bool has_tensor(const ati_tensors *tensors, const char *prefix, const char *name) {
    char full[2 * ATI_NAME_SIZE];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return ati_checkpoint_find(tensors->checkpoint, full) != NULL;
}

/* The whole model's prefix, none (the body saved alone), or those of the text part of a
 * larger checkpoint, as transformers 4 and 5 name it. */
static void find_body(ati_tensors *tensors) {
    static const char *const before[] = {"", "language_model."};
    static const char *const instead[] = {"", "decoder.", "model.language_model.",
                                          "language_model."};
    const ati_stored *stored = &tensors->config->stored;
    char embeddings[ATI_NAME_SIZE];
    snprintf(embeddings, sizeof embeddings, "%s.weight", stored->names.embeddings);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        snprintf(tensors->prefixed, sizeof tensors->prefixed, "%s%s", before[i], stored->body);
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
    static const char *const names[] = {"lm_head.weight", "language_model.lm_head.weight"};
    tensors->body = tensors->config->stored.body;
    tensors->unembedding = tensors->config->stored.unembedding;
    find_body(tensors);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!has_tensor(tensors, "", tensors->unembedding) && has_tensor(tensors, "", names[i])) {
            tensors->unembedding = names[i];
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

/* Notes that a tensor, which is there, has a place in the model. */
static void mark_seen(const ati_tensors *tensors, const char *name) {
    const ati_checkpoint *checkpoint = tensors->checkpoint;
    tensors->seen[ati_checkpoint_find(checkpoint, name) - checkpoint->tensors] = 1;
}

static ati_status check_tensor(const ati_tensors *tensors, const char *name, size_t rank,
                               const size_t *dims) {
    ati_status status =
        ati_checkpoint_expect(tensors->checkpoint, name, rank, dims, tensors->error);
    if (status == ATI_OK) {
        mark_seen(tensors, name);
    }
    return status;
}

ati_status ati_visit_vector(ati_tensors *tensors, const char *name, size_t rank, const size_t *dims,
                            size_t first, size_t n, float *out) {
    return ati_only_checks(tensors)
               ? check_tensor(tensors, name, rank, dims)
               : ati_checkpoint_read_f32(tensors->checkpoint, name, first, n, out, tensors->error);
}

/* Packs tensors->rows [n, k], which are the rows of the source from `first` on. */
static void pack_rows(const ati_tensors *tensors, const ati_source *source,
                      const ati_matrix *matrix, size_t first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const ati_matrix *to = matrix;
        size_t row = source->map(tensors->config, source->n, first + i);
        for (; to->rest != NULL && row >= to->n; to = to->rest) {
            row -= to->n;
        }
        ati_pack_row(&to->layout, tensors->rows + i * source->k, to->panels, row);
    }
}

/* Rows as they are stored, some at a time. */
static ati_status read_rows(ati_tensors *tensors, const ati_source *source,
                            const ati_matrix *matrix) {
    size_t k = source->k, at_a_time = VALUES_READ / k > 0 ? VALUES_READ / k : 1;
    size_t slab = source->slab * source->n * k;
    ati_status status = ATI_OK;
    for (size_t first = 0; first < source->n && status == ATI_OK; first += at_a_time) {
        size_t n = source->n - first < at_a_time ? source->n - first : at_a_time;
        status = ati_checkpoint_read_f32(tensors->checkpoint, source->weight, slab + first * k,
                                         n * k, tensors->rows, tensors->error);
        if (status == ATI_OK) {
            pack_rows(tensors, source, matrix, first, n);
        }
    }
    return status;
}

/* Rows that are stored as columns: the whole matrix is read, and turned row by row. */
static ati_status read_columns(ati_tensors *tensors, const ati_source *source,
                               const ati_matrix *matrix) {
    size_t k = source->k, n = source->n;
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
        pack_rows(tensors, source, matrix, t, 1);
        status = ati_poller_check(tensors->checkpoint->poller, tensors->error);
    }
    ati_free(whole);
    return status;
}

/* ---- Matrices of 4-bit floats ---- */

/* The names of the two tensors of bytes. */
static void mxfp4_names(const ati_source *source, char blocks[ATI_NAME_SIZE + 8],
                        char scales[ATI_NAME_SIZE + 8]) {
    snprintf(blocks, ATI_NAME_SIZE + 8, "%s_blocks", source->weight);
    snprintf(scales, ATI_NAME_SIZE + 8, "%s_scales", source->weight);
}

static ati_status check_mxfp4(ati_tensors *tensors, const ati_source *source) {
    const size_t k = source->k;
    const size_t dims[] = {source->n_slabs, source->n, k / ATI_MXFP4_BLOCK, ATI_MXFP4_BYTES};
    char names[2][ATI_NAME_SIZE + 8];
    mxfp4_names(source, names[0], names[1]);
    ati_status status = ATI_OK;
    if (k % ATI_MXFP4_BLOCK != 0) {
        return ati_fail(tensors->error, ATI_FORMAT,
                        "tensor '%s': its rows of %zu values are no multiple of the %d that share "
                        "a scale in mxfp4",
                        names[0], k, ATI_MXFP4_BLOCK);
    }
    for (size_t i = 0; i < 2 && status == ATI_OK; i++) {
        status =
            ati_checkpoint_expect_bytes(tensors->checkpoint, names[i], 4 - i, dims, tensors->error);
        if (status == ATI_OK) {
            mark_seen(tensors, names[i]);
        }
    }
    return status;
}

/* The blocks and scales of n rows from row `first` on, as values [n, k] in
 * tensors->rows. bytes [n * k / 2 + n * k / 32] is scratch. */
static ati_status read_mxfp4_values(ati_tensors *tensors, const ati_source *source, size_t first,
                                    size_t n, size_t k, uint8_t *bytes) {
    size_t row_blocks = k / ATI_MXFP4_BLOCK, n_blocks = n * row_blocks;
    size_t before = (source->slab * source->n + first) * row_blocks;
    uint8_t *scales = bytes + n_blocks * ATI_MXFP4_BYTES;
    char names[2][ATI_NAME_SIZE + 8];
    mxfp4_names(source, names[0], names[1]);
    ati_status status =
        ati_checkpoint_read_bytes(tensors->checkpoint, names[0], before * ATI_MXFP4_BYTES,
                                  n_blocks * ATI_MXFP4_BYTES, bytes, tensors->error);
    if (status == ATI_OK) {
        status = ati_checkpoint_read_bytes(tensors->checkpoint, names[1], before, n_blocks, scales,
                                           tensors->error);
    }
    if (status == ATI_OK && !ati_mxfp4_unpack(bytes, scales, n_blocks, tensors->rows)) {
        status = ati_fail(tensors->error, ATI_FORMAT,
                          "tensor '%s' holds a scale that makes values of matrix %zu infinite",
                          names[1], source->slab);
    }
    return status;
}

static ati_status read_mxfp4(ati_tensors *tensors, const ati_source *source,
                             const ati_matrix *matrix) {
    size_t k = source->k, at_a_time = VALUES_READ / k > 0 ? VALUES_READ / k : 1;
    uint8_t *bytes = ati_calloc(at_a_time, k);
    if (bytes == NULL) {
        return ati_fail_memory(tensors->error, at_a_time * k, "reading a tensor");
    }
    ati_status status = ATI_OK;
    for (size_t first = 0; first < source->n && status == ATI_OK; first += at_a_time) {
        size_t n = source->n - first < at_a_time ? source->n - first : at_a_time;
        status = read_mxfp4_values(tensors, source, first, n, k, bytes);
        if (status == ATI_OK) {
            pack_rows(tensors, source, matrix, first, n);
        }
    }
    ati_free(bytes);
    return status;
}

/* ---- Matrices and their biases ---- */

static ati_status visit_bias(ati_tensors *tensors, const ati_source *source, float *bias) {
    const size_t dims[] = {source->n_slabs, source->n};
    bool stacked = source->n_slabs > 0;
    ati_status status =
        ati_visit_vector(tensors, source->bias, stacked ? 2 : 1, stacked ? dims : dims + 1,
                         source->slab * source->n, source->n, tensors->rows);
    for (size_t t = 0; t < source->n && !ati_only_checks(tensors) && status == ATI_OK; t++) {
        bias[source->map(tensors->config, source->n, t)] = tensors->rows[t];
    }
    return status;
}

static ati_status check_source(ati_tensors *tensors, const ati_source *source) {
    const size_t n = source->n, k = source->k;
    const size_t dims[] = {source->n_slabs, source->transposed ? k : n, source->transposed ? n : k};
    bool stacked = source->n_slabs > 0;
    return source->is_mxfp4
               ? check_mxfp4(tensors, source)
               : check_tensor(tensors, source->weight, stacked ? 3 : 2, stacked ? dims : dims + 1);
}

ati_status ati_visit_source(ati_tensors *tensors, const ati_source *source,
                            const ati_matrix *matrix, float *bias) {
    assert(ati_only_checks(tensors) || source->k == matrix->layout.k);
    ati_status status = ati_only_checks(tensors) ? check_source(tensors, source)
                        : source->is_mxfp4       ? read_mxfp4(tensors, source, matrix)
                        : source->transposed     ? read_columns(tensors, source, matrix)
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
