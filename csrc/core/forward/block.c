#include "forward/block.h"

#include "forward/product.h"
#include "vector/vector.h"

#include <string.h>

/* The rows of the first `n_readings` readings in blocks, this thread's one by one.
 * With tiles, whose bits no division changes, every thread gets as many as the next. */
static size_t count_blocks(const ati_part *part, size_t n_readings) {
    size_t rows = part->pass->pack->n_rows * n_readings, size = part->worker->size;
    size_t blocks = (rows + ATI_ROW_BLOCK - 1) / ATI_ROW_BLOCK;
    return ati_uses_blas(part->pass->model) ? blocks : ati_round_up(blocks, size);
}

static ati_row_block find_block(const ati_part *part, size_t n_readings, size_t number) {
    size_t rows = part->pass->pack->n_rows * n_readings, blocks = count_blocks(part, n_readings);
    size_t each = ati_uses_blas(part->pass->model) ? ATI_ROW_BLOCK
                                                   : ati_gemm_rows((rows + blocks - 1) / blocks);
    size_t first = number * each < rows ? number * each : rows;
    return (ati_row_block){first, rows - first < each ? rows - first : each};
}

void ati_each_block(const ati_part *part, size_t layer, size_t n_readings, ati_block_step *step) {
    size_t blocks = count_blocks(part, n_readings);
    for (size_t b = 0; b < blocks; b++) {
        ati_row_block block = find_block(part, n_readings, b);
        if (ati_is_mine(part, b) && block.count > 0 && ati_worker_continue(part->worker)) {
            step(part, layer, block);
        }
    }
}

const float *ati_normed_row(const ati_part *part, const ati_norm *norm, size_t row) {
    size_t width = part->pass->model->config.hidden_size;
    const float *hidden = part->pass->rows.hidden + row * width;
    if (norm->weight == NULL) {
        return hidden;
    }
    ati_norm_row(norm, hidden, width, part->scratch->row);
    return part->scratch->row;
}

void ati_norm_rows(const ati_part *part, ati_row_block block, const ati_norm *norm,
                   const ati_matrix *w) {
    for (size_t row = 0; row < block.count; row++) {
        ati_write_row(&w->layout, ati_normed_row(part, norm, block.first + row),
                      part->scratch->x + row * w->layout.row);
    }
}

/* Adds columns of one row of the product. */
static void add_columns(const ati_addition *addition, const ati_product *product,
                        const float *columns, size_t row, const float *bias, size_t width) {
    float factor = addition->factor * (addition->factors != NULL ? addition->factors[row] : 1.0F);
    size_t to_row = addition->rows != NULL ? addition->rows[row] : row;
    float *to = addition->to + to_row * width + product->first;
    if (addition->factors != NULL && !(addition->factors[row] > 0.0F)) {
        return;
    }
    ati_add_scaled(to, columns, product->count, factor);
    if (bias != NULL) {
        ati_add_scaled(to, bias + product->first, product->count, factor);
    }
}

void ati_add_product(const ati_part *part, const char *x, size_t n_rows, const ati_matrix *w,
                     const float *bias, const ati_addition *addition) {
    size_t width = part->pass->model->config.hidden_size;
    ati_product product = ati_product_of(x, n_rows, w);
    while (ati_product_next(&product, part)) {
        for (size_t row = 0; row < n_rows; row++) {
            add_columns(addition, &product, part->scratch->product + row * product.stride, row,
                        bias, width);
        }
    }
}

ati_addition ati_begin_addend(const ati_part *part, ati_row_block block, const ati_norm *norm) {
    const ati_config *config = &part->pass->model->config;
    size_t width = config->hidden_size;
    if (norm->weight == NULL) {
        return (ati_addition){.to = part->pass->rows.hidden + block.first * width,
                              .factor = config->residual_multiplier};
    }
    memset(part->scratch->addend, 0, block.count * width * sizeof(float));
    return (ati_addition){.to = part->scratch->addend, .factor = 1.0F};
}

void ati_end_addend(const ati_part *part, ati_row_block block, const ati_norm *norm) {
    const ati_config *config = &part->pass->model->config;
    size_t width = config->hidden_size;
    for (size_t row = 0; norm->weight != NULL && row < block.count; row++) {
        float *addend = part->scratch->addend + row * width;
        ati_norm_row(norm, addend, width, addend);
        ati_add_scaled(part->pass->rows.hidden + (block.first + row) * width, addend, width,
                       config->residual_multiplier);
    }
}
