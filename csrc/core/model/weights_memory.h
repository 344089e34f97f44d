/* Where everything that is read from tensors lies in the one mapping: a file of packed
 * weights is that mapping, so that a number kept elsewhere would not be in it. */
#ifndef ATI_WEIGHTS_MEMORY_H
#define ATI_WEIGHTS_MEMORY_H

#include "model/weights.h"

/* Sets every pointer of *weights, whose layers and mlps are there, to its part of
 * `memory`; where *weights is zeroed and there is no memory, only adds up. *bytes is what
 * all of them take; false where that does not fit a size_t. */
bool ati_weights_lay_out(const ati_config *config, const ati_kernel *kernel, void *memory,
                         ati_weights *weights, size_t *bytes);

#endif
