/* NumPy arrays as plain pointers and sizes. */
#ifndef ATI_ARRAYS_H
#define ATI_ARRAYS_H

#include "binding.h"

/* The documents of a call: a batch that points into arrays it keeps alive. */
typedef struct {
    PyObject *ids;           /* tuple of int32 arrays, or NULL */
    ati_document *documents; /* [n_documents] */
    size_t n_documents;
} id_batch;

/* O& converter from a sequence of arrays of integers that fit int32; cleans up after
 * itself (Py_CLEANUP_SUPPORTED). first_scored is 1. */
int ati_convert_ids(PyObject *object, void *batch);
void ati_id_batch_clear(id_batch *batch);

/* Variants [n_variants, n_layers, n_heads] as pointers into one boolean array. */
typedef struct {
    PyObject *array;       /* or NULL when there are none */
    ati_variant *variants; /* [n_variants] */
    size_t n_variants;
} variant_set;

/* Fills `set` from None or booleans in 3 dimensions (or 2: one variant). Returns
 * 0, or -1 with an exception set. Clear it in either case. */
int ati_take_variants(PyObject *object, const char *mask, const ati_model *model, variant_set *set);
void ati_variant_set_clear(variant_set *set);

/* A C-contiguous int64 array [count] from a sequence of integers, or, with
 * columns > 0, [count, columns]; NULL with an exception set when it is none. */
PyObject *ati_take_integers(PyObject *object, const char *name, size_t count, size_t columns);

#endif
