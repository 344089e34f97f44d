/* A small model of any family, written from the family's row: which tensors it has, the
 * core itself says. */
#ifndef FAMILIES_H
#define FAMILIES_H

#include "config/config.h"

enum { FAMILY_LAYERS = 3, FAMILY_HEADS = 4, FAMILY_VOCAB = 31, FAMILY_CONTEXT = 64 };

/* One configuration; zeroed but for `family` is what its config.json leaves open. */
typedef struct {
    const ati_family *family;
    bool stated;        /* every number that the row has a key for, unlike what is usual */
    bool flipped;       /* every choice that the row has a key for is the other one */
    bool tied;          /* the unembedding is the embedding matrix */
    bool is_mxfp4;      /* experts are 4-bit floats; of a family that reads those */
    ati_rope_type rope; /* of a family that turns queries and keys */
} family_model;

/* Tensors that a model is to have. */
enum { FAMILY_MOST_TENSORS = 160, FAMILY_NAME = 160 };

typedef struct {
    char name[FAMILY_NAME];
    char shape[64]; /* "2, 3" */
    bool is_bytes;
} family_tensor;

typedef struct {
    family_tensor tensors[FAMILY_MOST_TENSORS];
    size_t n;
} family_tensors;

/* Adds the tensor that the core misses, or gives one the shape or the type that it
 * expects, as its sentence says; false where that says something else. */
bool family_follow(family_tensors *list, const char *message);

size_t family_count_bytes(const family_tensor *tensor);

/* Numbers of the order of those in models, as float32; of bytes, scales near 2^0. out
 * [family_count_bytes]. */
void family_fill(const family_tensor *tensor, unsigned seed, char *out);

/* Writes config.json and model.safetensors; false, with the reason, where the core
 * refuses such a model. */
bool family_write(const char *folder, const family_model *model, ati_error *error);

/* Writes config.json alone: of a model that differs in `rope` only, beside its tensors. */
void family_write_config(const char *folder, const family_model *model);

#endif
