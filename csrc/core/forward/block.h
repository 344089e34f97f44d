/* Blocks of rows on their way through a layer. */
#ifndef ATI_BLOCK_H
#define ATI_BLOCK_H

#include "forward/pass.h"

/* Rows that go through a layer together. */
typedef struct {
    size_t first, count;
} ati_row_block;

/* Rows of a document, or of a head, that one thread handles at a time. */
enum { ATI_PIECE_ROWS = 2 * ATI_QUERY_ROWS };

typedef void ati_block_step(const ati_part *part, size_t layer, ati_row_block block);

/* Takes this thread's blocks of the first `n_readings` readings through a step. */
void ati_each_block(const ati_part *part, size_t layer, size_t n_readings, ati_block_step *step);

/* scratch->row = norm(row of hidden), or that row where there is no norm. */
const float *ati_normed_row(const ati_part *part, const ati_norm *norm, size_t row);

/* scratch->x = norm(hidden) for the rows of a block, laid out for w. */
void ati_norm_rows(const ati_part *part, ati_row_block block, const ati_norm *norm,
                   const ati_matrix *w);

/* What the rows of a product are added to, and how. */
typedef struct {
    float *to;            /* [rows, hidden_size] */
    const uint16_t *rows; /* [n_rows] the row of `to` for each; NULL: their own */
    const float *factors; /* [n_rows] multiply the rows, which are left out where 0; or NULL */
    float factor;         /* multiplies all */
} ati_addition;

/* to += factor * (x w^T + bias), row by row; x has n_rows rows laid out for w. */
void ati_add_product(const ati_part *part, const char *x, size_t n_rows, const ati_matrix *w,
                     const float *bias, const ati_addition *addition);

/* An addend is what the attention or the MLP of a layer adds to hidden. Its products are
 * added to what the first gives, hidden itself where no norm comes between, and the
 * second ends it. */
ati_addition ati_begin_addend(const ati_part *part, ati_row_block block, const ati_norm *norm);
void ati_end_addend(const ati_part *part, ati_row_block block, const ati_norm *norm);

#endif
