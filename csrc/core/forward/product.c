#include "forward/product.h"

#include <assert.h>

ati_product ati_product_of(const char *x, size_t n_rows, const ati_matrix *w) {
    return ati_product_part(x, n_rows, w, 0, w->n);
}

ati_product ati_product_part(const char *x, size_t n_rows, const ati_matrix *w, size_t first,
                             size_t stop) {
    assert(first % ATI_PANEL == 0);
    return (ati_product){
        .x = x, .n_rows = n_rows, .w = w, .next = first, .stop = stop < w->n ? stop : w->n};
}

bool ati_product_next(ati_product *product, const ati_part *part) {
    const ati_matrix *w = product->w;
    if (product->next >= product->stop || !ati_worker_continue(part->worker)) {
        return false;
    }
    size_t rest = product->stop - product->next, most = w->gemm->chunk_panels * ATI_PANEL;
    product->first = product->next;
    product->count = rest < most ? rest : most;
    product->next += product->count;
    size_t panels = ati_count_panels(product->count);
    product->stride = panels * ATI_PANEL;
    /* OpenBLAS's bits depend on the number of rows: all there is room for. */
    size_t n_rows = w->gemm->tile == NULL ? ATI_ROW_BLOCK : product->n_rows;
    ati_multiply(w->gemm, &w->layout, product->x, n_rows,
                 w->panels + product->first / ATI_PANEL * w->layout.panel, panels,
                 part->scratch->product, product->stride);
    return true;
}
