/* The tensors of a model, one after another. */
#ifndef ATI_WEIGHTS_READ_H
#define ATI_WEIGHTS_READ_H

#include "model/tensors.h"

/* Checks, or reads into *weights, every tensor that the config demands. While only checking,
 * nothing is written to *weights, of which one layer with one MLP stands for all. */
ati_status ati_visit_weights(ati_tensors *tensors, const ati_weights *weights);

#endif
