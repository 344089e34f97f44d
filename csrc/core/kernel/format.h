/*
 * How numbers lie in memory for a product y = x w^T, x [rows, k] and w [columns, k], and
 * the words for its pieces:
 *
 *     step    what is multiplied at once of a row: 4 bytes, 1 float, 2 bf16 or 4 int8
 *     block   equally many steps each, which k is cut into, so that what one block of x
 *             and w touches stays in cache
 *     panel   ATI_PANEL rows of w, which are columns of y
 *     tile    the innermost loop: ATI_TILE_ROWS rows of x times a panel, over a block
 *     chunk   the panels after which something is done with the columns of y (product.h)
 *
 *     group   the steps of a block that share a scale, and the tail that holds it: int8
 *             alone has several in a block
 *
 *     a row of x     | block 0: group 0: steps * 4 bytes, tail             | group 1 ...
 *     a panel of w   | block 0: group 0: steps * ATI_PANEL * 4 bytes, tail | group 1 ...
 *
 * Within a panel's block the ATI_PANEL values of one step stand together. A row's
 * block is an odd number of cache lines long: at distances of a power of two rows
 * would compete for the same few places of a cache.
 */
#ifndef ATI_FORMAT_H
#define ATI_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_PANEL = 32,       /* rows of w, columns of y, that a tile of a product covers */
    ATI_STEP_BYTES = 4,   /* of one row in one step */
    ATI_MOST_STEPS = 640, /* of a block: 192 rows of x and a panel of w stay in a cache of 1 MiB */
    ATI_GROUP_STEPS = 16  /* of a group of int8 */
};
_Static_assert(ATI_MOST_STEPS % ATI_GROUP_STEPS == 0, "blocks are whole groups");

/* Bytes of a group of int8 before its tail, and from a group to the next: a row's tail is its
 * scale, a panel's the scales of its rows and then their sums times -128. */
enum {
    ATI_GROUP_ROW = ATI_GROUP_STEPS * ATI_STEP_BYTES,
    ATI_GROUP_PANEL = ATI_GROUP_ROW * ATI_PANEL,
    ATI_NEXT_ROW = ATI_GROUP_ROW + sizeof(float),
    ATI_NEXT_PANEL = ATI_GROUP_PANEL + ATI_PANEL * (sizeof(float) + sizeof(int32_t))
};

typedef struct {
    size_t values_per_step; /* 1, 2 or 4 */
    size_t group_steps;     /* of a group; 0 where a block is one */
    size_t row_tail;        /* bytes after each group of a row of x */
    size_t panel_tail;      /* bytes after each group of a panel of w */
    bool blocked;           /* false: one block, and panels row-major, as OpenBLAS wants them */

    /* Writes x [n], n <= steps * values_per_step, as a block of a row of x; zeros
     * fill the rest. */
    void (*write_block)(const float *x, size_t n, void *block, size_t steps);

    /* The same as row `row` of a panel's block. The rows of a panel that are never
     * written must be zeros. */
    void (*pack_block)(const float *w, size_t n, void *block, size_t steps, size_t row);

    /* The values [n] that pack_block wrote, as they were rounded. */
    void (*unpack_block)(const void *block, size_t n, size_t steps, size_t row, float *w);

    /* Packs v^T: v [n, columns] with rows `stride` floats apart, n <= steps *
     * values_per_step, columns <= ATI_PANEL; zeros fill the rest. NULL for int8. */
    void (*pack_transposed)(const float *v, size_t stride, size_t n, size_t columns, void *block,
                            size_t steps);
} ati_format;

extern const ati_format ati_format_fp32;
extern const ati_format ati_format_bf16;
extern const ati_format ati_format_int8;  /* turned, symmetric, one scale a row and group */
extern const ati_format ati_format_plain; /* fp32, row-major */

/* The sizes of rows and panels of k values. */
typedef struct {
    const ati_format *format;
    size_t k;
    size_t n_blocks;
    size_t steps;       /* of a block */
    size_t row_block;   /* bytes of a block of a row of x */
    size_t row;         /* bytes of a row of x */
    size_t panel_block; /* bytes of a block of a panel of w */
    size_t panel;       /* bytes of a panel of w */
} ati_layout;

/* k is bounded as config.c bounds sizes, so that nothing here overflows. */
ati_layout ati_layout_of(const ati_format *format, size_t k);

/* Panels that n rows of w take. */
static inline size_t ati_count_panels(size_t n) {
    return (n + ATI_PANEL - 1) / ATI_PANEL;
}

/* The values of a whole block. */
static inline size_t ati_block_values(const ati_layout *layout) {
    return layout->steps * layout->format->values_per_step;
}

/* Writes x [k] as a row [layout->row bytes]. */
void ati_write_row(const ati_layout *layout, const float *x, void *row);

/* Writes w [k] as row number `row` of the panels [rows / ATI_PANEL, layout->panel
 * bytes], and reads it back as it was rounded. */
void ati_pack_row(const ati_layout *layout, const float *w, void *panels, size_t row);
void ati_unpack_row(const ati_layout *layout, const void *panels, size_t row, float *w);

#endif
