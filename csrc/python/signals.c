/* What a long call asks while it is without the GIL. */
#include "binding.h"

int ati_check_signals(void *context) {
    released_gil *gil = context;
    PyEval_RestoreThread(gil->thread);
    int result = PyErr_CheckSignals();
    gil->thread = PyEval_SaveThread();
    return result;
}
