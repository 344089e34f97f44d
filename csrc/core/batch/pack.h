/*
 * A pack: documents laid out one after another as rows of the same matrices.
 *
 *     base      |doc 0        |doc 1 |doc 2        |
 *     variant   in order of its first masked layer, the same layout again:
 *               |doc 0        |doc 1 |doc 2        | ...
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

/* A variant in the order it leaves the base reading. */
typedef struct {
    const ati_variant *variant;
    size_t number;      /* its place among the batch's variants */
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

/* Fills branches [n_variants] in the order of their first masked layers. */
void ati_branches_plan(const ati_config *config, const ati_batch *batch, ati_branch *branches);

/* Orders segments [batch->n_documents] longest first, each with its place in
 * its pack, and fills packs [batch->n_documents]; returns how many are used. */
size_t ati_packs_plan(const ati_model *model, const ati_batch *batch, ati_segment *segments,
                      ati_pack *packs);

/* Multiply-adds of reading the pack, a layer, roughly. */
double ati_pack_cost(const ati_config *config, const ati_pack *pack);

#endif
