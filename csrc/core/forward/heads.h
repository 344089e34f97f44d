/* The attention of a layer, in the readings that there are: rows.hidden to rows.qkv, to
 * rows.heads, and back into rows.hidden. All threads of the pass call each together. */
#ifndef ATI_HEADS_H
#define ATI_HEADS_H

#include "forward/block.h"

/* qkv = rope(norm(x W_qkv^T + b)) with x = norm(hidden). */
void ati_project_heads(const ati_part *part, size_t layer, ati_row_block block);

/* Packs the keys and values of every document and reading for attention. */
void ati_pack_heads(const ati_part *part, size_t layer, size_t n_readings);

/* heads = softmax(q k^T) v, or what the mask puts in their place. */
void ati_attend_heads(const ati_part *part, size_t layer, size_t n_readings);

/* The readings after this layer's attention. */
size_t ati_count_readings(const ati_pass *pass, size_t layer);

/* The variants whose first masked head is in this layer leave the base reading: up to
 * here, and in this layer's other heads, they are the same. */
void ati_branch_heads(const ati_part *part, size_t layer, size_t n_before, size_t n_after);

/* hidden += norm(heads W_o^T + b). */
void ati_add_heads(const ati_part *part, size_t layer, ati_row_block block);

#endif
