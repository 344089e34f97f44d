#include "arrays.h"

#include <stdio.h>
#include <string.h>

/* Whether int64s are int32s too; otherwise an exception is set. */
static bool fit_int32(PyArrayObject *wide, const char *name) {
    const int64_t *numbers = PyArray_DATA(wide);
    for (npy_intp i = 0; i < PyArray_SIZE(wide); i++) {
        if (numbers[i] < INT32_MIN || numbers[i] > INT32_MAX) {
            PyErr_Format(PyExc_ValueError, "%s: %lld is no integer of 32 bits", name,
                         (long long)numbers[i]);
            return false;
        }
    }
    return true;
}

/* A new C-contiguous array of `type` (NPY_INT32, NPY_INT64 or NPY_BOOL) from integers, or
 * from booleans: other values are refused by `name`, not rounded, cut or taken for true.
 * A copy, since its owner may write to it once the GIL is given up. */
static PyObject *take_values(PyObject *object, int type, const char *name) {
    const int flags = NPY_ARRAY_IN_ARRAY | NPY_ARRAY_ENSURECOPY | NPY_ARRAY_FORCECAST;
    PyObject *wide = NULL, *taken = NULL, *found = PyArray_FROM_O(object);
    if (found == NULL) {
        return NULL;
    }
    int found_type = PyArray_TYPE((PyArrayObject *)found);
    bool fits = type == NPY_BOOL ? PyTypeNum_ISBOOL(found_type)
                                 : PyTypeNum_ISINTEGER(found_type) &&
                                       PyArray_CanCastSafely(found_type, NPY_INT64);
    if (!fits && PyArray_SIZE((PyArrayObject *)found) > 0) {
        PyErr_Format(PyExc_TypeError, "%s: expected %s, found %S", name,
                     type == NPY_BOOL ? "booleans" : "integers that int64 holds",
                     PyArray_DESCR((PyArrayObject *)found));
        goto exit;
    }
    if (type == NPY_INT32 && !PyArray_CanCastSafely(found_type, type)) {
        wide = PyArray_FROM_OTF(found, NPY_INT64, flags);
        if (wide == NULL || !fit_int32((PyArrayObject *)wide, name)) {
            goto exit;
        }
    }
    taken = PyArray_FROM_OTF(found, type, flags);

exit:
    Py_DECREF(found);
    Py_XDECREF(wide);
    return taken;
}

void ati_id_batch_clear(id_batch *batch) {
    Py_CLEAR(batch->ids);
    PyMem_Free(batch->documents);
    batch->documents = NULL;
}

/* Keeps a copy of item number `index` as an int32 array; returns 0, or -1 with an
 * exception. */
static int take_document(id_batch *batch, PyObject *item, Py_ssize_t index) {
    char name[48];
    (void)snprintf(name, sizeof(name), "ids of document %zd", index);
    PyObject *array = take_values(item, NPY_INT32, name);
    if (array == NULL) {
        return -1;
    }
    PyTuple_SET_ITEM(batch->ids, index, array);
    if (PyArray_NDIM((PyArrayObject *)array) != 1) {
        PyErr_Format(PyExc_ValueError,
                     "document %zd: expected token ids [tokens], found %d dimensions", index,
                     PyArray_NDIM((PyArrayObject *)array));
        return -1;
    }
    batch->documents[index] = (ati_document){
        .ids = PyArray_DATA((PyArrayObject *)array),
        .n_tokens = (size_t)PyArray_SIZE((PyArrayObject *)array),
        .first_scored = 1,
    };
    return 0;
}

int ati_convert_ids(PyObject *object, void *batch_pointer) {
    id_batch *batch = batch_pointer;
    if (object == NULL) {
        ati_id_batch_clear(batch);
        return 1;
    }
    /* A tuple, since an item's __array__ could change the caller's list. */
    PyObject *items = PySequence_Tuple(object);
    if (items == NULL) {
        return 0;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    batch->n_documents = (size_t)count;
    batch->ids = PyTuple_New(count);
    batch->documents = PyMem_Calloc((size_t)count + 1, sizeof(*batch->documents));
    if (batch->documents == NULL) {
        (void)PyErr_NoMemory();
    }
    bool taken = batch->ids != NULL && batch->documents != NULL;
    for (Py_ssize_t i = 0; taken && i < count; i++) {
        taken = take_document(batch, PyTuple_GET_ITEM(items, i), i) == 0;
    }
    Py_DECREF(items);
    if (!taken) {
        ati_id_batch_clear(batch);
        return 0;
    }
    return Py_CLEANUP_SUPPORTED;
}

void ati_variant_set_clear(variant_set *set) {
    Py_CLEAR(set->array);
    PyMem_Free(set->variants);
    set->variants = NULL;
}

static int parse_mask(const char *name, ati_mask *mask) {
    if (strcmp(name, "uniform") == 0) {
        *mask = ATI_MASK_UNIFORM;
    } else if (strcmp(name, "zero") == 0) {
        *mask = ATI_MASK_ZERO;
    } else {
        PyErr_Format(PyExc_ValueError, "mask must be 'uniform' or 'zero', not '%s'", name);
        return -1;
    }
    return 0;
}

int ati_take_variants(PyObject *object, const char *mask_name, const ati_model *model,
                      variant_set *set) {
    ati_mask mask;
    ati_model_info info = ati_model_describe(model);
    if (parse_mask(mask_name, &mask) < 0) {
        return -1;
    }
    if (object == Py_None) {
        return 0;
    }
    set->array = take_values(object, NPY_BOOL, "variants");
    if (set->array == NULL) {
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)set->array;
    int n_dims = PyArray_NDIM(array);
    if ((n_dims != 2 && n_dims != 3) || PyArray_DIM(array, n_dims - 2) != (npy_intp)info.n_layers ||
        PyArray_DIM(array, n_dims - 1) != (npy_intp)info.n_heads) {
        PyErr_Format(PyExc_ValueError,
                     "variants must be [variants, %zu layers, %zu heads] for this model",
                     info.n_layers, info.n_heads);
        return -1;
    }
    set->n_variants = n_dims == 2 ? 1 : (size_t)PyArray_DIM(array, 0);
    set->variants = PyMem_Calloc(set->n_variants + 1, sizeof(*set->variants));
    if (set->variants == NULL) {
        (void)PyErr_NoMemory();
        return -1;
    }
    const uint8_t *heads = PyArray_DATA(array);
    for (size_t v = 0; v < set->n_variants; v++) {
        set->variants[v] = (ati_variant){heads + v * info.n_layers * info.n_heads, mask};
    }
    return 0;
}

PyObject *ati_take_integers(PyObject *object, const char *name, size_t count, size_t columns) {
    PyObject *array = take_values(object, NPY_INT64, name);
    if (array == NULL) {
        return NULL;
    }
    PyArrayObject *numbers = (PyArrayObject *)array;
    bool fits = PyArray_NDIM(numbers) == (columns == 0 ? 1 : 2) &&
                PyArray_DIM(numbers, 0) == (npy_intp)count &&
                (columns == 0 || PyArray_DIM(numbers, 1) == (npy_intp)columns);
    if (!fits && !(count == 0 && PyArray_SIZE(numbers) == 0)) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zu %s, one a document", name, count,
                     columns == 0 ? "integers" : "pairs of integers");
        Py_CLEAR(array);
    }
    return array;
}
