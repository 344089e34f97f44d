/* Turning queries and keys by their position. */
#ifndef ATI_ROTARY_H
#define ATI_ROTARY_H

#include <stddef.h>

/* Rotates, in place, the first `dim` elements of each of the heads [n_heads, head_dim]
 * of one row by the angles cos_sin [2, dim / 2]: pair i of a head is its elements i
 * and i + dim / 2. */
void ati_rotate(float *heads, size_t n_heads, size_t head_dim, size_t dim, const float *cos_sin);

#endif
