/* Products y = x w^T in one format on one set of instructions. */
#ifndef ATI_GEMM_H
#define ATI_GEMM_H

#include "kernel/format.h"
#include "kernel/tile.h"

enum {
    ATI_ROW_TILE = 48,                /* rows: a multiple of the tile of every OpenBLAS kernel */
    ATI_ROW_BLOCK = 4 * ATI_ROW_TILE, /* rows of x multiplied together, at most */
    ATI_MOST_CHUNK = 1024,            /* columns of a chunk, at most */
};
_Static_assert(ATI_ROW_BLOCK % ATI_TILE_ROWS == 0, "tiles write whole");

typedef struct {
    const ati_format *format;
    ati_tile *tile; /* NULL where OpenBLAS multiplies */

    /* The bits of a row of y depend on that row of x alone where tiles multiply.
     * Where OpenBLAS does, they depend on the row's place modulo row_tile and on
     * the shape of the call: documents then begin at multiples of row_tile, and
     * calls have ATI_ROW_BLOCK rows or, in attention, shapes that depend on the
     * document alone. */
    size_t row_tile;
    size_t query_rows;   /* rows that attention handles together */
    size_t chunk_panels; /* panels of a chunk */
} ati_gemm;

/* Rows that a product may write when n_rows are asked for. */
static inline size_t ati_gemm_rows(size_t n_rows) {
    return (n_rows + ATI_TILE_ROWS - 1) / ATI_TILE_ROWS * ATI_TILE_ROWS;
}

/* y [n_rows, n_panels * ATI_PANEL] = x w^T over one block of x and w: rows of x are
 * x_stride bytes apart, panels w_stride bytes, rows of y y_stride floats. `steps` may
 * be less than the block has. With `add`, which OpenBLAS's format has no need of, it
 * is added to y. x and y have room for ati_gemm_rows(n_rows) rows. */
void ati_multiply_block(const ati_gemm *gemm, const void *x, size_t x_stride, size_t n_rows,
                        const void *w, size_t w_stride, size_t n_panels, size_t steps, bool add,
                        float *y, size_t y_stride);

/* The same over all blocks of rows and panels laid out by `layout`. */
void ati_multiply(const ati_gemm *gemm, const ati_layout *layout, const void *x, size_t n_rows,
                  const void *w, size_t n_panels, float *y, size_t y_stride);

#endif
