/*
 * A pack: documents laid out one after another as rows of the same matrices, once for
 * each reading:
 *
 *     reading 0, the base    |doc 0        |doc 1 |doc 2        |
 *     reading 1, branch 0    |doc 0        |doc 1 |doc 2        |
 *     reading 2, branch 1    |doc 0        |doc 1 |doc 2        | ...
 *
 * A branch is a variant as it leaves the base: in the first layer where it masks a head.
 * Until then its numbers are the base's and it has no rows, so branches are in the order
 * of those layers, whatever the order of the batch's variants:
 *
 *     variants of the batch    0 from layer 7    1 from layer 2    2 masks nothing
 *     branches                 0 is variant 1    1 is variant 0    2 is variant 2
 *     readings                 the base; from layer 2 on branch 0; from layer 7 on branch 1
 *
 * Variant 2 never leaves: its outputs are the base's. Outputs are numbered as in ati.h,
 * 1 + v for variant v.
 *
 * Nothing lies between documents where tiles multiply, since a row's bits do not
 * depend on its place. With OpenBLAS every document of every reading starts at a
 * multiple of ATI_ROW_TILE, and products have ATI_ROW_BLOCK rows: its sums for a row
 * depend on the row's place modulo the tile and on the shape of the call, and so on
 * nothing else.
 */
#ifndef ATI_PACK_H
#define ATI_PACK_H

#include "ati.h"
#include "model/model.h"

typedef struct {
    const ati_document *document;
    size_t row;    /* its first row within a reading */
    size_t n_rows; /* its tokens, up to a multiple of the kernel's row tile */
    size_t key;    /* its first packed key; a document's keys fill whole panels */
} ati_segment;

typedef struct {
    const ati_variant *variant;
    size_t number;      /* of the variant in the batch */
    size_t first_layer; /* the first with a masked head; n_layers when none */
} ati_branch;

typedef struct {
    const ati_segment *segments; /* [n_segments] */
    size_t n_segments;
    size_t n_rows; /* of one reading */
    size_t n_keys; /* likewise */
} ati_pack;

/* Rows up to a multiple of `multiple`. */
static inline size_t ati_round_up(size_t rows, size_t multiple) {
    return (rows + multiple - 1) / multiple * multiple;
}

static inline bool ati_is_masked(const ati_config *config, const ati_variant *variant, size_t layer,
                                 size_t head) {
    return variant->heads[layer * config->n_heads + head] != 0;
}

/* Fills branches [n_variants]. */
void ati_branches_plan(const ati_config *config, const ati_batch *batch, ati_branch *branches);

/* Orders segments [batch->n_documents] longest first, each with its place in
 * its pack, and fills packs [batch->n_documents]; returns how many are used. */
size_t ati_packs_plan(const ati_model *model, const ati_batch *batch, ati_segment *segments,
                      ati_pack *packs);

/* Multiply-adds of reading the pack, a layer, roughly. */
double ati_pack_cost(const ati_config *config, const ati_pack *pack);

#endif
