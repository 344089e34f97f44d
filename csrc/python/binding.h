/* What the files of the extension module share. */
#ifndef ATI_BINDING_H
#define ATI_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL attninfluence_array_api
#ifndef ATI_IMPORTS_ARRAY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "ati.h"

typedef struct {
    PyObject *model_error; /* class ModelError(ValueError) */
    PyObject *model_type;  /* class Model */
} module_state;

extern PyType_Spec ati_model_spec;

/* The calling thread's state while the GIL is given up. */
typedef struct {
    PyThreadState *thread;
} released_gil;

/* An ati_poll whose context is a released_gil: lets Python handle signals. */
int ati_check_signals(void *context);

/* O& converter from "auto", "fp32", "bf16" or "int8" to an ati_precision. */
int ati_convert_precision(PyObject *object, void *precision);

/* _core.kernels(precision): the names of ati_kernels, as a tuple. */
PyObject *ati_list_kernels(PyObject *module, PyObject *precision);

/* _core.choose_kernel(precision, kernel): both in full, by ati_kernel_choose. */
PyObject *ati_name_kernel(PyObject *module, PyObject *args);

/* _core.read_gguf(path): a dictionary. */
PyObject *ati_read_gguf(PyObject *module, PyObject *path);

/* _core.read_gguf_tensor(path, name): float32 [its shape]. */
PyObject *ati_read_gguf_tensor(PyObject *module, PyObject *args);

/* Sets the exception that a status stands for; returns NULL. An exception that a
 * poll has set already stays. */
PyObject *ati_raise(const module_state *state, ati_status status, const ati_error *error);

#endif
