#include "kernel/format.h"

#include <assert.h>
#include <string.h>

/* Steps of a block come in multiples of 16, and where there are several blocks, their
 * values in multiples of a panel: neither 16 columns of a gated projection nor a panel
 * of a plain one then straddle two blocks of the next product. */
enum { STEP_MULTIPLE = 16, CACHE_LINE = 64 };
_Static_assert(STEP_MULTIPLE % ATI_GROUP_STEPS == 0, "blocks are whole groups");

static size_t step_multiple(const ati_format *format, size_t n_blocks) {
    return n_blocks > 1 && format->values_per_step == 1 ? ATI_PANEL : STEP_MULTIPLE;
}

static size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

ati_layout ati_layout_of(const ati_format *format, size_t k) {
    ati_layout layout = {.format = format, .k = k, .n_blocks = 1};
    layout.steps = divide_up(k, format->values_per_step);
    if (format->blocked) {
        layout.n_blocks = divide_up(layout.steps, ATI_MOST_STEPS);
        size_t multiple = step_multiple(format, layout.n_blocks);
        layout.steps = divide_up(divide_up(layout.steps, layout.n_blocks), multiple) * multiple;
        layout.n_blocks = divide_up(k, ati_block_values(&layout));
    }
    size_t n_groups = format->group_steps == 0 ? 1 : layout.steps / format->group_steps;
    layout.row_block = layout.steps * ATI_STEP_BYTES + n_groups * format->row_tail;
    if (format->blocked) { /* an odd number of cache lines */
        layout.row_block = (divide_up(layout.row_block, CACHE_LINE) | 1) * CACHE_LINE;
    }
    layout.row = layout.row_block * layout.n_blocks;
    layout.panel_block = layout.steps * ATI_PANEL * ATI_STEP_BYTES + n_groups * format->panel_tail;
    layout.panel = layout.panel_block * layout.n_blocks;
    return layout;
}

/* The values of block number `block`: all but the last are full. */
static size_t count_values(const ati_layout *layout, size_t block) {
    size_t full = ati_block_values(layout), rest = layout->k - block * full;
    return rest < full ? rest : full;
}

void ati_write_row(const ati_layout *layout, const float *x, void *row) {
    char *to = row;
    for (size_t b = 0; b < layout->n_blocks; b++, to += layout->row_block) {
        layout->format->write_block(x + b * ati_block_values(layout), count_values(layout, b), to,
                                    layout->steps);
    }
}

void ati_pack_row(const ati_layout *layout, const float *w, void *panels, size_t row) {
    char *to = (char *)panels + row / ATI_PANEL * layout->panel;
    for (size_t b = 0; b < layout->n_blocks; b++, to += layout->panel_block) {
        layout->format->pack_block(w + b * ati_block_values(layout), count_values(layout, b), to,
                                   layout->steps, row % ATI_PANEL);
    }
}

void ati_unpack_row(const ati_layout *layout, const void *panels, size_t row, float *w) {
    const char *from = (const char *)panels + row / ATI_PANEL * layout->panel;
    for (size_t b = 0; b < layout->n_blocks; b++, from += layout->panel_block) {
        layout->format->unpack_block(from, count_values(layout, b), layout->steps, row % ATI_PANEL,
                                     w + b * ati_block_values(layout));
    }
}

/* ---- fp32 ---- */

static void write_fp32(const float *x, size_t n, void *block, size_t steps) {
    float *to = block;
    memcpy(to, x, n * sizeof(*to));
    memset(to + n, 0, (steps - n) * sizeof(*to));
}

static void pack_fp32(const float *w, size_t n, void *block, size_t steps, size_t row) {
    float *to = (float *)block + row;
    for (size_t s = 0; s < steps; s++) {
        to[s * ATI_PANEL] = s < n ? w[s] : 0.0F;
    }
}

static void unpack_fp32(const void *block, size_t n, size_t steps, size_t row, float *w) {
    const float *from = (const float *)block + row;
    assert(n <= steps);
    (void)steps;
    for (size_t s = 0; s < n; s++) {
        w[s] = from[s * ATI_PANEL];
    }
}

static void pack_transposed_fp32(const float *v, size_t stride, size_t n, size_t columns,
                                 void *block, size_t steps) {
    float *to = block;
    memset(to, 0, steps * ATI_PANEL * sizeof(*to));
    for (size_t s = 0; s < n; s++) {
        memcpy(to + s * ATI_PANEL, v + s * stride, columns * sizeof(*to));
    }
}

const ati_format ati_format_fp32 = {
    .values_per_step = 1,
    .row_tail = 64,
    .blocked = true,
    .write_block = write_fp32,
    .pack_block = pack_fp32,
    .unpack_block = unpack_fp32,
    .pack_transposed = pack_transposed_fp32,
};

/* ---- fp32 for OpenBLAS: panels are [ATI_PANEL, steps] row-major ---- */

static void pack_plain(const float *w, size_t n, void *block, size_t steps, size_t row) {
    write_fp32(w, n, (float *)block + row * steps, steps);
}

static void unpack_plain(const void *block, size_t n, size_t steps, size_t row, float *w) {
    memcpy(w, (const float *)block + row * steps, n * sizeof(*w));
}

static void pack_transposed_plain(const float *v, size_t stride, size_t n, size_t columns,
                                  void *block, size_t steps) {
    float *to = block;
    memset(to, 0, steps * ATI_PANEL * sizeof(*to));
    for (size_t c = 0; c < columns; c++) {
        for (size_t s = 0; s < n; s++) {
            to[c * steps + s] = v[s * stride + c];
        }
    }
}

const ati_format ati_format_plain = {
    .values_per_step = 1,
    .blocked = false,
    .write_block = write_fp32,
    .pack_block = pack_plain,
    .unpack_block = unpack_plain,
    .pack_transposed = pack_transposed_plain,
};
