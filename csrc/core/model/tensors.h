/* From the tensors of a checkpoint to packed matrices and vectors: names, shapes, and
 * which row goes where. */
#ifndef ATI_TENSORS_H
#define ATI_TENSORS_H

#include "checkpoint/checkpoint.h"
#include "model/weights.h"

enum { ATI_NAME_SIZE = 160 }; /* of a tensor's name */

/* Called for every tensor of the model, first to check it and then to read it. */
typedef struct {
    const ati_config *config;
    const ati_checkpoint *checkpoint;
    const char *body;        /* what names begin with in this checkpoint */
    const char *unembedding; /* the name of the output projection in it */
    unsigned char *seen;     /* [n_tensors]: has a place in the model */
    float *rows;             /* [ati_longest_read] read at a time; NULL: only checking */
    char prefixed[64];       /* what body points to where the family's has one before it */
    ati_error *error;
} ati_tensors;

/* The row of a matrix that row t of a tensor of n rows becomes. */
typedef size_t ati_row_map(const ati_config *config, size_t n, size_t t);

/* A matrix [n, k] and its bias as they stand in a checkpoint. */
typedef struct {
    char weight[ATI_NAME_SIZE];
    char bias[ATI_NAME_SIZE]; /* "": none */
    size_t n, k;
    size_t slab, n_slabs; /* number of it in a stack of n_slabs matrices; 0: no stack */
    bool transposed;      /* [k, n] */
    bool is_mxfp4;        /* two tensors of bytes: weight and "_blocks", "_scales" */
    ati_row_map *map;
} ati_source;

/* Whether tensors are only checked, and not yet read. */
static inline bool ati_only_checks(const ati_tensors *tensors) {
    return tensors->rows == NULL;
}

/* Finds how this checkpoint begins its names, and how it calls the unembedding. */
void ati_tensors_find_names(ati_tensors *tensors);

/* Values of the longest row, or vector, that is read whole. */
size_t ati_longest_read(const ati_config *config);

/* body, then `pattern` with its gaps filled by the layer's number and `index`, then
 * `ending`. */
void ati_tensor_name(const ati_tensors *tensors, const char *pattern, size_t layer, size_t index,
                     const char *ending, char out[ATI_NAME_SIZE]);

/* Checks or reads a matrix and, where it has one, its bias [matrix->n]. */
ati_status ati_visit_source(ati_tensors *tensors, const ati_source *source,
                            const ati_matrix *matrix, float *bias);

/* Checks or reads the tensor `name` of the shape dims [rank], or its elements from
 * `first` on, into out [n]. */
ati_status ati_visit_vector(ati_tensors *tensors, const char *name, size_t rank, const size_t *dims,
                            size_t first, size_t n, float *out);

/* Row maps. */
size_t ati_row_as_is(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_query(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_key(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_value(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_qkv(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_head_qkv(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_gate(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_up(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_gate_then_up(const ati_config *config, size_t n, size_t t);
size_t ati_row_of_gate_beside_up(const ati_config *config, size_t n, size_t t);

/* Where element i of a head stands for the rotary embedding, which wants pairs half
 * its dimensions apart. */
size_t ati_place_in_head(const ati_config *config, size_t i);

#endif
