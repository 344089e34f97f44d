/* The forward pass. */
#ifndef ATI_FORWARD_H
#define ATI_FORWARD_H

#include "forward/pass.h"

/*
 * Reads the pack's documents, base and variants, and writes the outputs they ask
 * for. All threads of the pass call it together; each returns early, all at the
 * same step, once the run is cancelled.
 */
void ati_forward(const ati_part *part);

#endif
