/* The module attninfluence._core: assembles the pieces. */
#define ATI_IMPORTS_ARRAY
#include "binding.h"

static int module_exec(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    if (PyArray_ImportNumPyAPI() < 0) {
        return -1;
    }
    state->model_error = PyErr_NewExceptionWithDoc(
        "attninfluence.ModelError",
        "A model folder is not what it should be, or holds a model that is not supported.",
        PyExc_ValueError, NULL);
    if (PyModule_AddObjectRef(module, "ModelError", state->model_error) < 0) {
        return -1;
    }
    state->model_type = PyType_FromModuleAndSpec(module, &ati_model_spec, NULL);
    return PyModule_AddObjectRef(module, "Model", state->model_type);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    module_state *state = PyModule_GetState(module);
    Py_VISIT(state->model_error);
    Py_VISIT(state->model_type);
    return 0;
}

static int module_clear(PyObject *module) {
    module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->model_error);
    Py_CLEAR(state->model_type);
    return 0;
}

static void module_free(void *module) {
    (void)module_clear(module);
}

static PyMethodDef module_methods[] = {
    {"kernels", ati_list_kernels, METH_O, NULL},
    {"choose_kernel", ati_name_kernel, METH_VARARGS, NULL},
    {"read_gguf", ati_read_gguf, METH_O, NULL},
    {"read_gguf_tensor", ati_read_gguf_tensor, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    /* NumPy's C API table is one for the process. */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "attninfluence._core",
    .m_doc = "The forward pass with masked heads; see _core.pyi.",
    .m_size = sizeof(module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&module_definition);
}
