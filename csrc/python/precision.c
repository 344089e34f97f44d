/* Names of precisions and kernels. */
#include "binding.h"

#include <string.h>

int ati_convert_precision(PyObject *object, void *precision) {
    Py_ssize_t length = 0;
    const char *name = PyUnicode_Check(object) ? PyUnicode_AsUTF8AndSize(object, &length) : NULL;
    if (name == NULL && PyErr_Occurred()) {
        return 0;
    }
    for (ati_precision p = ATI_AUTO; name != NULL && p <= ATI_INT8; p++) {
        if (strlen(name) == (size_t)length && strcmp(name, ati_precision_name(p)) == 0) {
            *(ati_precision *)precision = p;
            return 1;
        }
    }
    PyErr_Format(PyExc_ValueError, "precision must be 'auto', 'fp32', 'bf16' or 'int8', not %R",
                 object);
    return 0;
}

PyObject *ati_list_kernels(PyObject *module, PyObject *precision_name) {
    const char *names[ATI_MOST_KERNELS];
    ati_precision precision;
    (void)module;
    if (!ati_convert_precision(precision_name, &precision)) {
        return NULL;
    }
    size_t count = ati_kernels(precision, names);
    PyObject *result = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; result != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(names[i]);
        if (name == NULL) {
            Py_CLEAR(result);
            break;
        }
        PyTuple_SET_ITEM(result, (Py_ssize_t)i, name);
    }
    return result;
}

PyObject *ati_name_kernel(PyObject *module, PyObject *args) {
    ati_precision precision;
    const char *kernel;
    ati_error error;
    if (!PyArg_ParseTuple(args, "O&z:choose_kernel", ati_convert_precision, &precision, &kernel)) {
        return NULL;
    }
    ati_status status = ati_kernel_choose(&precision, &kernel, &error);
    if (status != ATI_OK) {
        return ati_raise(PyModule_GetState(module), status, &error);
    }
    return Py_BuildValue("(ss)", ati_precision_name(precision), kernel);
}
