/* A product with weights, some columns at a time, so that what becomes of them
 * happens while they are in cache. */
#ifndef ATI_PRODUCT_H
#define ATI_PRODUCT_H

#include "forward/pass.h"

/*
 *     ati_product product = ati_product_of(x, n_rows, &weights);
 *     while (ati_product_next(&product, part)) {
 *         ... columns first..first + count - 1 of x w^T, row r of them at
 *             part->scratch->product + r * stride ...
 *     }
 */
typedef struct {
    const char *x; /* [n_rows] rows laid out for w */
    size_t n_rows;
    const ati_matrix *w;
    size_t next, stop; /* columns still to come */
    size_t first, count, stride;
} ati_product;

ati_product ati_product_of(const char *x, size_t n_rows, const ati_matrix *w);

/* Only columns first..stop - 1; first is a multiple of ATI_PANEL. */
ati_product ati_product_part(const char *x, size_t n_rows, const ati_matrix *w, size_t first,
                             size_t stop);

/* Computes the next columns; false when there are none or the run is cancelled. */
bool ati_product_next(ati_product *product, const ati_part *part);

#endif
