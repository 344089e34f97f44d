/* What GGUF files hold, as Python objects. */
#include "binding.h"

#include <stdbool.h>
#include <string.h>

/* ---- Opening ---- */

/* Opens a path without the GIL; NULL with an exception. */
static ati_gguf_contents *open_contents(const module_state *state, const char *path) {
    released_gil gil;
    ati_gguf_contents *contents = NULL;
    ati_error error;
    gil.thread = PyEval_SaveThread();
    ati_status status = ati_gguf_contents_open(path, ati_check_signals, &gil, &contents, &error);
    PyEval_RestoreThread(gil.thread);
    return status == ATI_OK ? contents : (ati_gguf_contents *)ati_raise(state, status, &error);
}

/* ---- Values ---- */

/* A text: of the tokenizer exactly or not at all; elsewhere, where it is only shown, with what
 * is no UTF-8 replaced. */
static PyObject *decode(const module_state *state, const ati_gguf_value *value, const char *text,
                        size_t length) {
    static const char tokenizer[] = "tokenizer.ggml.";
    bool is_exact = strncmp(value->key, tokenizer, sizeof(tokenizer) - 1) == 0;
    PyObject *decoded =
        PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, is_exact ? "strict" : "replace");
    if (decoded == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
        PyObject *bytes = PyBytes_FromStringAndSize(text, (Py_ssize_t)length);
        PyObject *path = PyUnicode_DecodeFSDefault(value->path);
        if (bytes != NULL && path != NULL) {
            PyErr_Format(state->model_error, "'%U': '%s' holds a text that is no UTF-8: %.200R",
                         path, value->key, bytes);
        }
        Py_XDECREF(bytes);
        Py_XDECREF(path);
    }
    return decoded;
}

static PyObject *list_strings(const module_state *state, const ati_gguf_value *value) {
    PyObject *list = PyList_New((Py_ssize_t)value->count);
    size_t at = 0, length = 0;
    for (size_t i = 0; list != NULL && i < value->count; i++) {
        const char *text = ati_gguf_next_string(value, &at, &length);
        PyObject *item = decode(state, value, text, length);
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

/* A new array [count] of numbers or booleans. */
static PyObject *make_array(const ati_gguf_value *value) {
    static const int types[] = {
        [ATI_GGUF_UINT8] = NPY_UINT8,     [ATI_GGUF_INT8] = NPY_INT8,
        [ATI_GGUF_UINT16] = NPY_UINT16,   [ATI_GGUF_INT16] = NPY_INT16,
        [ATI_GGUF_UINT32] = NPY_UINT32,   [ATI_GGUF_INT32] = NPY_INT32,
        [ATI_GGUF_FLOAT32] = NPY_FLOAT32, [ATI_GGUF_BOOL] = NPY_BOOL,
        [ATI_GGUF_UINT64] = NPY_UINT64,   [ATI_GGUF_INT64] = NPY_INT64,
        [ATI_GGUF_FLOAT64] = NPY_FLOAT64,
    };
    npy_intp shape[1] = {(npy_intp)value->count};
    PyObject *array = PyArray_SimpleNew(1, shape, types[value->item]);
    if (array != NULL) {
        memcpy(PyArray_DATA((PyArrayObject *)array), value->data, value->bytes);
    }
    return array;
}

/* A Python number or boolean, or a list of booleans; an array of numbers as it is. */
static PyObject *make_numbers(const ati_gguf_value *value) {
    PyObject *array = make_array(value), *result = NULL;
    if (array == NULL) {
        return NULL;
    }
    if (value->type != ATI_GGUF_ARRAY) {
        result = PyArray_GETITEM((PyArrayObject *)array, PyArray_BYTES((PyArrayObject *)array));
    } else if (value->item == ATI_GGUF_BOOL) {
        result = PyArray_ToList((PyArrayObject *)array);
    } else {
        return array;
    }
    Py_DECREF(array);
    return result;
}

static PyObject *make_value(const module_state *state, const ati_gguf_value *value) {
    return value->type == ATI_GGUF_STRING
               ? decode(state, value, (const char *)value->data, value->bytes)
           : value->item == ATI_GGUF_STRING ? list_strings(state, value)
                                            : make_numbers(value);
}

static PyObject *list_metadata(const module_state *state, const ati_gguf_contents *contents) {
    PyObject *metadata = PyDict_New();
    const ati_gguf_value *value;
    for (size_t i = 0; metadata != NULL && (value = ati_gguf_contents_value(contents, i)) != NULL;
         i++) {
        PyObject *made = make_value(state, value);
        if (made == NULL || PyDict_SetItemString(metadata, value->key, made) < 0) {
            Py_CLEAR(metadata);
        }
        Py_XDECREF(made);
    }
    return metadata;
}

/* ---- Tensors and files ---- */

static PyObject *make_shape(const ati_gguf_tensor_info *info) {
    PyObject *shape = PyTuple_New((Py_ssize_t)info->rank);
    for (size_t d = 0; shape != NULL && d < info->rank; d++) {
        PyObject *dim = PyLong_FromSize_t(info->shape[d]);
        if (dim == NULL) {
            Py_CLEAR(shape);
            break;
        }
        PyTuple_SET_ITEM(shape, (Py_ssize_t)d, dim);
    }
    return shape;
}

/* Adds an item, which it takes, to a list; NULL items are failures already. */
static bool append(PyObject *list, PyObject *item) {
    bool appended = item != NULL && PyList_Append(list, item) == 0;
    Py_XDECREF(item);
    return appended;
}

static PyObject *list_tensors(const ati_gguf_contents *contents) {
    PyObject *tensors = PyList_New(0);
    ati_gguf_tensor_info info;
    for (size_t i = 0; tensors != NULL && ati_gguf_contents_tensor(contents, i, &info); i++) {
        PyObject *shape = make_shape(&info);
        if (shape == NULL ||
            !append(tensors, Py_BuildValue("(ssN)", info.name, info.type, shape))) {
            Py_CLEAR(tensors);
        }
    }
    return tensors;
}

static PyObject *list_files(const ati_gguf_contents *contents) {
    PyObject *files = PyList_New(0), *paths = PyImport_ImportModule("os.path");
    const char *path;
    if (paths == NULL) {
        Py_CLEAR(files);
    }
    for (size_t i = 0; files != NULL && (path = ati_gguf_contents_file(contents, i)) != NULL; i++) {
        PyObject *found = PyUnicode_DecodeFSDefault(path);
        PyObject *whole = found != NULL ? PyObject_CallMethod(paths, "abspath", "O", found) : NULL;
        Py_XDECREF(found);
        if (!append(files, whole)) {
            Py_CLEAR(files);
        }
    }
    Py_XDECREF(paths);
    return files;
}

PyObject *ati_read_gguf(PyObject *module, PyObject *argument) {
    const module_state *state = PyModule_GetState(module);
    PyObject *path = NULL, *metadata = NULL, *tensors = NULL, *files = NULL, *result = NULL;
    ati_gguf_contents *contents = NULL;
    if (!PyUnicode_FSConverter(argument, &path)) {
        return NULL;
    }
    contents = open_contents(state, PyBytes_AS_STRING(path));
    if (contents == NULL) {
        goto exit;
    }
    metadata = list_metadata(state, contents);
    tensors = metadata != NULL ? list_tensors(contents) : NULL;
    files = tensors != NULL ? list_files(contents) : NULL;
    if (files != NULL) {
        result =
            Py_BuildValue("{sOsOsO}", "metadata", metadata, "tensors", tensors, "files", files);
    }

exit:
    ati_gguf_contents_close(contents);
    Py_DECREF(path);
    Py_XDECREF(metadata);
    Py_XDECREF(tensors);
    Py_XDECREF(files);
    return result;
}

/* Which tensor has that name; false, with an exception, where none has. */
static bool find_tensor(const ati_gguf_contents *contents, const char *name, size_t *i,
                        ati_gguf_tensor_info *info) {
    for (*i = 0; ati_gguf_contents_tensor(contents, *i, info); ++*i) {
        if (strcmp(info->name, name) == 0) {
            return true;
        }
    }
    PyErr_Format(PyExc_KeyError, "'%s' has no tensor '%s'", ati_gguf_contents_file(contents, 0),
                 name);
    return false;
}

/* The values of tensor i, read without the GIL. */
static PyObject *read_values(const module_state *state, const ati_gguf_contents *contents, size_t i,
                             const ati_gguf_tensor_info *info) {
    npy_intp shape[4];
    released_gil gil;
    ati_error error;
    for (size_t d = 0; d < info->rank; d++) {
        shape[d] = (npy_intp)info->shape[d];
    }
    PyObject *values = PyArray_SimpleNew((int)info->rank, shape, NPY_FLOAT32);
    if (values == NULL) {
        return NULL;
    }
    gil.thread = PyEval_SaveThread();
    ati_status status = ati_gguf_contents_read(contents, i, PyArray_DATA((PyArrayObject *)values),
                                               ati_check_signals, &gil, &error);
    PyEval_RestoreThread(gil.thread);
    if (status != ATI_OK) {
        Py_DECREF(values);
        return ati_raise(state, status, &error);
    }
    return values;
}

PyObject *ati_read_gguf_tensor(PyObject *module, PyObject *args) {
    const module_state *state = PyModule_GetState(module);
    PyObject *path = NULL, *result = NULL;
    const char *name;
    size_t i = 0;
    ati_gguf_tensor_info info;
    if (!PyArg_ParseTuple(args, "O&s:read_gguf_tensor", PyUnicode_FSConverter, &path, &name)) {
        return NULL;
    }
    ati_gguf_contents *contents = open_contents(state, PyBytes_AS_STRING(path));
    if (contents != NULL && find_tensor(contents, name, &i, &info)) {
        result = read_values(state, contents, i, &info);
    }
    ati_gguf_contents_close(contents);
    Py_DECREF(path);
    return result;
}
