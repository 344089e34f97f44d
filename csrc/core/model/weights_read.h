/* The tensors of a model, one after another. */
#ifndef ATI_WEIGHTS_READ_H
#define ATI_WEIGHTS_READ_H

#include "model/tensors.h"

/* Checks, or reads into *weights, every tensor that the config demands. */
ati_status ati_visit_weights(ati_tensors *tensors, const ati_weights *weights);

#endif
