/* Where a status becomes an exception. */
#include "binding.h"

#include <string.h>

static PyObject *raise_io(const ati_error *error) {
    if (error->system_error == 0) {
        PyErr_SetString(PyExc_OSError, error->message);
        return NULL;
    }
    /* OSError(errno, reason, filename) picks the subclass, FileNotFoundError say,
     * and names the file itself. */
    PyObject *arguments =
        error->path[0] == '\0'
            ? Py_BuildValue("(is)", error->system_error, error->message)
            : Py_BuildValue("(isN)", error->system_error, strerror(error->system_error),
                            PyUnicode_DecodeFSDefault(error->path));
    if (arguments != NULL) {
        PyErr_SetObject(PyExc_OSError, arguments);
        Py_DECREF(arguments);
    }
    return NULL;
}

PyObject *ati_raise(const module_state *state, ati_status status, const ati_error *error) {
    if (PyErr_Occurred()) {
        return NULL;
    }
    switch (status) {
    case ATI_OK:
        PyErr_SetString(PyExc_SystemError, "no error to raise");
        break;
    case ATI_NOMEM:
        PyErr_SetString(PyExc_MemoryError, error->message);
        break;
    case ATI_IO:
        return raise_io(error);
    case ATI_ARG:
        PyErr_SetString(PyExc_ValueError, error->message);
        break;
    case ATI_FORMAT:
    case ATI_UNSUPPORTED:
        PyErr_SetString(state->model_error, error->message);
        break;
    case ATI_CANCELLED:
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        break;
    }
    return NULL;
}
