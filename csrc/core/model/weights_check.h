/* Whether a checkpoint is of the model that config.json describes. */
#ifndef ATI_WEIGHTS_CHECK_H
#define ATI_WEIGHTS_CHECK_H

#include "model/tensors.h"

/* Checks names, shapes and dtypes, that no tensor is there without a place in the model,
 * and that a tied one is the same; counts the parameters of *weights, laid out without
 * memory. */
ati_status ati_tensors_check(ati_tensors *tensors, ati_weights *weights);

#endif
