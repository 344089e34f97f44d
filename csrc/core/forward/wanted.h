/* Rows of a document that its outputs read once the last layer is behind them: the others
 * need not go through the end of that layer. */
#ifndef ATI_WANTED_H
#define ATI_WANTED_H

#include "forward/block.h"

/* Whether the loss of a token that follows one of n_rows rows is wanted, or its prediction. */
bool ati_is_scored(const ati_document *document, size_t position, size_t n_rows);

/* Whether n_rows rows of a document, in any of n_readings readings, give an output. */
bool ati_is_wanted(const ati_document *document, size_t n_readings, size_t position, size_t n_rows);

/* The same of a block of rows, whatever documents and readings they are of. */
bool ati_is_block_wanted(const ati_pass *pass, ati_row_block block);

/* Whether a layer is the last. */
static inline bool ati_is_last(const ati_pass *pass, size_t layer) {
    return layer + 1 == pass->model->config.n_layers;
}

#endif
