/* Whether a checkpoint is of the model that config.json describes. */
#ifndef ATI_WEIGHTS_CHECK_H
#define ATI_WEIGHTS_CHECK_H

#include "model/tensors.h"

/* Checks names, shapes and dtypes, that no tensor is there without a place in the model,
 * and that a tied one is the same; counts the parameters. Takes memory for what the files
 * hold alone: config.json may claim anything so far. */
ati_status ati_tensors_check(ati_tensors *tensors, size_t *n_parameters);

#endif
