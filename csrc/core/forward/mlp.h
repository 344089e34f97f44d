/* The MLP of a layer, or its experts. */
#ifndef ATI_MLP_H
#define ATI_MLP_H

#include "forward/block.h"

/*
 * hidden += norm(mlp(x)) with x = norm(hidden), or, in a layer with experts, the sum of
 * what each row's experts make of x, weighted by the router's softmax.
 */
void ati_add_mlp(const ati_part *part, size_t layer, ati_row_block block);

#endif
