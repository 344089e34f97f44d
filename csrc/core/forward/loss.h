/* The output projection and the loss, some rows and columns at a time: logits
 * [rows, vocab] are never held. */
#ifndef ATI_LOSS_H
#define ATI_LOSS_H

#include "forward/pass.h"

/* Writes the losses, predictions and logits that documents ask for, from the
 * residual stream after the last layer. `n_readings` readings stand in the rows;
 * variants that never left the base get its numbers. */
void ati_losses(const ati_part *part, size_t n_readings);

#endif
