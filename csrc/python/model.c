/* The Python type _core.Model: an opened model and the calls on it. */
#include "arrays.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    PyObject_HEAD
    ati_model *model;
    ati_workspace *spare; /* of the last call, for the next; NULL while in use */
    ati_model_info info;
} model_object;

static const module_state *state_of(model_object *self) {
    return PyType_GetModuleState(Py_TYPE(self));
}

/* Reads the documents, with the variants of a set or NULL, without the GIL. Returns 0, or
 * -1 with an exception set. */
static int run_batch(model_object *self, const id_batch *documents, const variant_set *set,
                     Py_ssize_t n_threads) {
    released_gil gil;
    const ati_batch batch = {
        .documents = documents->documents,
        .n_documents = documents->n_documents,
        .variants = set != NULL ? set->variants : NULL,
        .n_variants = set != NULL ? set->n_variants : 0,
        .n_threads = n_threads < 1 ? 0 : (size_t)n_threads, /* 0 is refused */
        .poll = ati_check_signals,
        .poll_context = &gil,
    };
    ati_error error;
    ati_status status = ATI_OK;
    ati_workspace *workspace = self->spare;
    self->spare = NULL; /* another thread makes its own */
    if (workspace == NULL) {
        status = ati_workspace_new(self->model, &workspace, &error);
    }
    if (status == ATI_OK) {
        gil.thread = PyEval_SaveThread();
        status = ati_run(self->model, workspace, &batch, &error);
        PyEval_RestoreThread(gil.thread);
    }
    if (self->spare == NULL) {
        self->spare = workspace;
    } else {
        ati_workspace_free(workspace);
    }
    if (status != ATI_OK) {
        (void)ati_raise(state_of(self), status, &error);
        return -1;
    }
    return 0;
}

/* A new float32 array [rows, columns]. */
static PyObject *new_matrix(size_t rows, size_t columns) {
    npy_intp shape[2] = {(npy_intp)rows, (npy_intp)columns};
    return PyArray_SimpleNew(2, shape, NPY_FLOAT32);
}

static float *matrix_row(PyObject *matrix, size_t row) {
    return PyArray_GETPTR2((PyArrayObject *)matrix, (npy_intp)row, 0);
}

/* Sets first_scored of every document from a sequence of integers, or None. */
static int take_first_scored(PyObject *object, id_batch *batch) {
    if (object == Py_None) {
        return 0;
    }
    PyObject *array = ati_take_integers(object, "first_scored", batch->n_documents, 0);
    if (array == NULL) {
        return -1;
    }
    const int64_t *first = PyArray_DATA((PyArrayObject *)array);
    for (size_t d = 0; d < batch->n_documents; d++) {
        /* A negative number becomes one that no document has. */
        batch->documents[d].first_scored = (size_t)first[d];
    }
    Py_DECREF(array);
    return 0;
}

static size_t count_scored(const ati_document *document) {
    return document->first_scored < document->n_tokens ? document->n_tokens - document->first_scored
                                                       : 0;
}

/* A list of new matrices [readings, n_scored] with the documents' losses pointing
 * into them through pointers [n_documents, readings]. */
static PyObject *make_losses(id_batch *batch, size_t readings, float **pointers) {
    PyObject *result = PyList_New((Py_ssize_t)batch->n_documents);
    for (size_t d = 0; result != NULL && d < batch->n_documents; d++) {
        ati_document *document = &batch->documents[d];
        PyObject *losses = new_matrix(readings, count_scored(document));
        if (losses == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyList_SET_ITEM(result, (Py_ssize_t)d, losses);
        for (size_t r = 0; r < readings; r++) {
            pointers[d * readings + r] = matrix_row(losses, r);
        }
        document->losses = pointers + d * readings;
    }
    return result;
}

static PyObject *model_run(model_object *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ids", "first_scored", "variants", "mask", "n_threads", NULL};
    PyObject *first_scored = Py_None, *variants = Py_None, *losses = NULL, *result = NULL;
    const char *mask = "uniform";
    Py_ssize_t n_threads = 1;
    id_batch batch = {0};
    variant_set set = {0};
    float **pointers = NULL;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|$OOsn:run", names, ati_convert_ids, &batch,
                                     &first_scored, &variants, &mask, &n_threads) ||
        take_first_scored(first_scored, &batch) < 0 ||
        ati_take_variants(variants, mask, self->model, &set) < 0) {
        goto exit;
    }
    size_t readings = 1 + set.n_variants;
    pointers = PyMem_Calloc(batch.n_documents * readings + 1, sizeof(*pointers));
    if (pointers == NULL) {
        (void)PyErr_NoMemory();
        goto exit;
    }
    losses = make_losses(&batch, readings, pointers);
    if (losses == NULL || run_batch(self, &batch, &set, n_threads) < 0) {
        goto exit;
    }
    result = losses; /* ownership passes on */
    losses = NULL;

exit:
    Py_XDECREF(losses);
    PyMem_Free(pointers);
    ati_variant_set_clear(&set);
    ati_id_batch_clear(&batch);
    return result;
}

/* Sets the answer and needle of every document; returns 0, or -1 with an exception. */
static int take_spans(PyObject *answers, PyObject *needles, id_batch *batch) {
    int result = -1;
    PyObject *answer_array = ati_take_integers(answers, "answers", batch->n_documents, 2);
    PyObject *needle_array = ati_take_integers(needles, "needles", batch->n_documents, 2);
    if (answer_array == NULL || needle_array == NULL) {
        goto exit;
    }
    const int64_t *answer = PyArray_DATA((PyArrayObject *)answer_array);
    const int64_t *needle = PyArray_DATA((PyArrayObject *)needle_array);
    for (size_t d = 0; d < batch->n_documents; d++) {
        ati_document *document = &batch->documents[d];
        if ((size_t)answer[2 * d + 1] != document->n_tokens) {
            PyErr_Format(PyExc_ValueError,
                         "document %zu: the answer must end with its %zu tokens, not at %lld", d,
                         document->n_tokens, (long long)answer[2 * d + 1]);
            goto exit;
        }
        document->first_scored = (size_t)answer[2 * d];
        document->needle_start = (size_t)needle[2 * d];
        document->needle_stop = (size_t)needle[2 * d + 1];
    }
    result = 0;

exit:
    Py_XDECREF(answer_array);
    Py_XDECREF(needle_array);
    return result;
}

/* The list of new int32 arrays [n_scored] that the documents' predictions go to. */
static PyObject *make_predicted(id_batch *batch) {
    PyObject *result = PyList_New((Py_ssize_t)batch->n_documents);
    for (size_t d = 0; result != NULL && d < batch->n_documents; d++) {
        npy_intp shape[1] = {(npy_intp)count_scored(&batch->documents[d])};
        PyObject *predicted = PyArray_SimpleNew(1, shape, NPY_INT32);
        if (predicted == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyList_SET_ITEM(result, (Py_ssize_t)d, predicted);
        batch->documents[d].predicted = PyArray_DATA((PyArrayObject *)predicted);
    }
    return result;
}

static PyObject *model_copies(model_object *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ids", "answers", "needles", "n_threads", NULL};
    PyObject *answers, *needles, *copies = NULL, *predicted = NULL, *result = NULL;
    Py_ssize_t n_threads = 1;
    id_batch batch = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&OO|$n:copies", names, ati_convert_ids, &batch,
                                     &answers, &needles, &n_threads) ||
        take_spans(answers, needles, &batch) < 0) {
        goto exit;
    }
    npy_intp shape[3] = {(npy_intp)batch.n_documents, (npy_intp)self->info.n_layers,
                         (npy_intp)self->info.n_heads};
    copies = PyArray_ZEROS(3, shape, NPY_INT32, 0);
    predicted = make_predicted(&batch);
    if (copies == NULL || predicted == NULL) {
        goto exit;
    }
    for (size_t d = 0; d < batch.n_documents; d++) {
        batch.documents[d].copies = PyArray_GETPTR3((PyArrayObject *)copies, (npy_intp)d, 0, 0);
    }
    if (run_batch(self, &batch, NULL, n_threads) == 0) {
        result = PyTuple_Pack(2, copies, predicted);
    }

exit:
    Py_XDECREF(copies);
    Py_XDECREF(predicted);
    ati_id_batch_clear(&batch);
    return result;
}

/* Turns one array of ids into a batch of one; returns 0, or -1 with an exception. */
static int take_one(PyObject *ids, id_batch *batch) {
    PyObject *single = PyTuple_Pack(1, ids);
    int taken = single != NULL && ati_convert_ids(single, batch);
    Py_XDECREF(single);
    return taken ? 0 : -1;
}

static PyObject *model_logits(model_object *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ids", "variant", "mask", "n_threads", NULL};
    PyObject *ids, *variant = Py_None, *logits = NULL, *result = NULL;
    const char *mask = "uniform";
    Py_ssize_t n_threads = 1;
    id_batch batch = {0};
    variant_set set = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|Osn:logits", names, &ids, &variant, &mask,
                                     &n_threads) ||
        take_one(ids, &batch) < 0 || ati_take_variants(variant, mask, self->model, &set) < 0) {
        goto exit;
    }
    if (set.n_variants > 1) {
        PyErr_Format(PyExc_ValueError, "expected one variant, found %zu", set.n_variants);
        goto exit;
    }
    logits = new_matrix(batch.documents[0].n_tokens, self->info.vocab_size);
    if (logits == NULL) {
        goto exit;
    }
    float *outputs[2] = {NULL, NULL};
    outputs[set.n_variants] = matrix_row(logits, 0);
    batch.documents[0].logits = outputs;
    if (run_batch(self, &batch, &set, n_threads) == 0) {
        result = Py_NewRef(logits);
    }

exit:
    Py_XDECREF(logits);
    ati_variant_set_clear(&set);
    ati_id_batch_clear(&batch);
    return result;
}

static PyObject *model_attention(model_object *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ids", "layer", "head", "n_threads", NULL};
    PyObject *ids, *attention = NULL, *result = NULL;
    Py_ssize_t layer, head, n_threads = 1;
    id_batch batch = {0};

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Onn|n:attention", names, &ids, &layer, &head,
                                     &n_threads) ||
        take_one(ids, &batch) < 0) {
        goto exit;
    }
    if (layer < 0 || head < 0) {
        PyErr_Format(PyExc_ValueError, "there is no head (%zd, %zd): both count from 0", layer,
                     head);
        goto exit;
    }
    ati_document *document = &batch.documents[0];
    attention = new_matrix(document->n_tokens, document->n_tokens);
    if (attention == NULL) {
        goto exit;
    }
    document->attention = matrix_row(attention, 0);
    document->layer = (size_t)layer;
    document->head = (size_t)head;
    if (run_batch(self, &batch, NULL, n_threads) == 0) {
        result = Py_NewRef(attention);
    }

exit:
    Py_XDECREF(attention);
    ati_id_batch_clear(&batch);
    return result;
}

static PyObject *model_packed_header(model_object *self, PyObject *key) {
    unsigned char header[ATI_PACKED_HEADER];
    released_gil gil;
    ati_error error;
    const char *text;
    if (!PyArg_Parse(key, "s;packed_header: the key must be a text", &text)) {
        return NULL;
    }
    gil.thread = PyEval_SaveThread();
    ati_status status =
        ati_model_packed_header(self->model, text, ati_check_signals, &gil, header, &error);
    PyEval_RestoreThread(gil.thread);
    if (status != ATI_OK) {
        return ati_raise(state_of(self), status, &error);
    }
    return PyBytes_FromStringAndSize((const char *)header, sizeof(header));
}

/* A read-only array over the weights, which keeps the model. */
static PyObject *model_packed(model_object *self, void *closure) {
    npy_intp shape[1] = {(npy_intp)self->info.weight_bytes};
    void *weights = (void *)ati_model_packed(self->model);
    (void)closure;
    PyObject *array = PyArray_New(&PyArray_Type, 1, shape, NPY_UINT8, NULL, weights, 0, 0, NULL);
    if (array == NULL) {
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)array, Py_NewRef(self)) < 0) {
        Py_CLEAR(array);
    }
    return array;
}

/* Opens a model without the GIL. */
static ati_status open_model(ati_opening *from, ati_model **model, ati_error *error) {
    released_gil gil;
    from->poll = ati_check_signals;
    from->poll_context = &gil;
    gil.thread = PyEval_SaveThread();
    ati_status status = ati_model_open(from, model, error);
    PyEval_RestoreThread(gil.thread);
    return status;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"path", "precision", "kernel", "packed", "key", NULL};
    ati_opening from = {.key = "", .precision = ATI_AUTO};
    PyObject *path = NULL, *packed = NULL; /* bytes */
    model_object *self = NULL;
    ati_error error;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|O&z$O&s:Model", names, PyUnicode_FSConverter,
                                     &path, ati_convert_precision, &from.precision, &from.kernel,
                                     PyUnicode_FSConverter, &packed, &from.key)) {
        goto exit;
    }
    from.path = PyBytes_AS_STRING(path);
    from.packed = packed == NULL ? NULL : PyBytes_AS_STRING(packed);
    self = (model_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        goto exit;
    }
    ati_status status = open_model(&from, &self->model, &error);
    if (status == ATI_OK) {
        self->info = ati_model_describe(self->model);
    } else {
        (void)ati_raise(state_of(self), status, &error);
        Py_CLEAR(self);
    }

exit:
    Py_XDECREF(path);
    Py_XDECREF(packed);
    return (PyObject *)self;
}

static void model_dealloc(model_object *self) {
    PyTypeObject *type = Py_TYPE(self);
    ati_workspace_free(self->spare);
    ati_model_free(self->model);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef model_methods[] = {
    {"run", (PyCFunction)(void (*)(void))model_run, METH_VARARGS | METH_KEYWORDS, NULL},
    {"copies", (PyCFunction)(void (*)(void))model_copies, METH_VARARGS | METH_KEYWORDS, NULL},
    {"logits", (PyCFunction)(void (*)(void))model_logits, METH_VARARGS | METH_KEYWORDS, NULL},
    {"attention", (PyCFunction)(void (*)(void))model_attention, METH_VARARGS | METH_KEYWORDS, NULL},
    {"packed_header", (PyCFunction)model_packed_header, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef model_properties[] = {
    {"packed", (getter)model_packed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define INFO(type, field) \
    {#field, type, offsetof(model_object, info) + offsetof(ati_model_info, field), READONLY, NULL}

static PyMemberDef model_members[] = {
    INFO(T_PYSSIZET, n_layers),
    INFO(T_PYSSIZET, n_heads),
    INFO(T_PYSSIZET, n_kv_heads),
    INFO(T_PYSSIZET, head_dim),
    INFO(T_PYSSIZET, hidden_size),
    INFO(T_PYSSIZET, intermediate_size),
    INFO(T_PYSSIZET, vocab_size),
    INFO(T_PYSSIZET, max_position_embeddings),
    INFO(T_PYSSIZET, rotary_dim),
    INFO(T_PYSSIZET, window),
    INFO(T_PYSSIZET, n_windowed_layers),
    INFO(T_PYSSIZET, n_unrotated_layers),
    INFO(T_PYSSIZET, n_experts),
    INFO(T_PYSSIZET, experts_per_token),
    INFO(T_DOUBLE, rope_theta),
    INFO(T_DOUBLE, window_rope_theta),
    INFO(T_DOUBLE, rope_factor),
    INFO(T_PYSSIZET, rope_original_context),
    INFO(T_PYSSIZET, fp32_bytes),
    INFO(T_PYSSIZET, bf16_bytes),
    INFO(T_PYSSIZET, int8_bytes),
    INFO(T_PYSSIZET, n_parameters),
    INFO(T_PYSSIZET, layer_weights),
    INFO(T_PYSSIZET, weight_bytes),
    INFO(T_STRING, model_type),
    INFO(T_STRING, rope_type),
    INFO(T_STRING, precision),
    INFO(T_STRING, kernel),
    INFO(T_BOOL, tied),
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_doc, "An opened model; see _core.pyi."},
    {Py_tp_new, model_new},
    {Py_tp_dealloc, model_dealloc},
    {Py_tp_methods, model_methods},
    {Py_tp_members, model_members},
    {Py_tp_getset, model_properties},
    {0, NULL},
};

PyType_Spec ati_model_spec = {
    .name = "attninfluence._core.Model",
    .basicsize = sizeof(model_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = model_slots,
};
