/* What is read off a layer's attention: one head's weights, and copies. */
#ifndef ATI_LOOK_H
#define ATI_LOOK_H

#include "forward/pass.h"

/* Writes the attention weights that documents ask for from this layer, and this
 * layer's row of their copies (METHOD.md section 2), in the base reading. Called
 * when the layer's queries and keys are complete. */
void ati_look(const ati_part *part, size_t layer);

#endif
