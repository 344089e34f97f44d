#include "products.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

static size_t add_gemm(test_multiplier *gemms, size_t n, const ati_kernel *kernel,
                       const ati_gemm *gemm) {
    for (size_t i = 0; i < n; i++) {
        if (gemms[i].gemm == gemm) {
            return n;
        }
    }
    CHECK(n < TEST_MOST_GEMMS);
    if (n < TEST_MOST_GEMMS) {
        gemms[n++] = (test_multiplier){kernel->name, kernel->precision, gemm};
    }
    return n;
}

size_t test_gemms(test_multiplier gemms[TEST_MOST_GEMMS]) {
    size_t n = 0;
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        const char *names[ATI_MOST_KERNELS];
        size_t n_names = ati_kernels(precision, names);
        for (size_t i = 0; i < n_names; i++) {
            const ati_kernel *kernel = NULL;
            ati_error error;
            CHECK(ati_kernel_find(precision, names[i], &kernel, &error) == ATI_OK);
            if (kernel != NULL) {
                n = add_gemm(gemms, n, kernel, kernel->linear);
                n = add_gemm(gemms, n, kernel, kernel->unembedding);
                n = add_gemm(gemms, n, kernel, kernel->attention);
            }
        }
    }
    return n;
}

const ati_gemm *test_portable(const ati_gemm *gemm) {
    ati_precision precision = gemm->format == &ati_format_int8   ? ATI_INT8
                              : gemm->format == &ati_format_bf16 ? ATI_BF16
                                                                 : ATI_FP32;
    const ati_kernel *kernel = NULL;
    ati_error error;
    CHECK(ati_kernel_find(precision, "portable", &kernel, &error) == ATI_OK);
    return kernel->linear;
}

size_t test_whole(const ati_layout *layout) {
    return layout->n_blocks * ati_block_values(layout);
}

static float read_bf16(const char *at) {
    uint16_t half;
    float value;
    memcpy(&half, at, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

enum { GROUP = 4 * ATI_GROUP_STEPS, ROW_GROUP = GROUP + 4, PANEL_GROUP = ATI_PANEL * (GROUP + 8) };

/* value * the scale that is `at`. */
static float scaled(int value, const char *at) {
    float scale;
    memcpy(&scale, at, sizeof scale);
    return (float)value * scale;
}

/* Value i of a block of a row of x. */
static float read_value(const ati_layout *layout, const char *block, size_t i) {
    float value;
    if (layout->format == &ati_format_bf16) {
        return read_bf16(block + 2 * i);
    }
    if (layout->format == &ati_format_int8) {
        const char *group = block + i / GROUP * ROW_GROUP;
        return scaled((unsigned char)group[i % GROUP] - 128, group + GROUP);
    }
    memcpy(&value, block + 4 * i, sizeof value);
    return value;
}

void test_read_x(const ati_layout *layout, const char *x, float *values) {
    size_t n = ati_block_values(layout);
    for (size_t b = 0; b < layout->n_blocks; b++) {
        for (size_t i = 0; i < n; i++) {
            values[b * n + i] = read_value(layout, x + b * layout->row_block, i);
        }
    }
}

/* The values [n] of row `row` of an int8 panel's block. */
static void read_turned(const char *block, size_t n, size_t row, float *values) {
    for (size_t i = 0; i < n; i++) {
        const char *group = block + i / GROUP * PANEL_GROUP;
        size_t at = (i % GROUP / 4 * ATI_PANEL + row) * 4 + i % 4;
        values[i] = scaled((signed char)group[at], group + (size_t)ATI_PANEL * GROUP + 4 * row);
    }
}

void test_read_w(const ati_layout *layout, const char *panels, size_t row, float *values) {
    size_t n = ati_block_values(layout);
    const char *block = panels + row / ATI_PANEL * layout->panel;
    for (size_t b = 0; b < layout->n_blocks; b++, block += layout->panel_block) {
        if (layout->format == &ati_format_int8) {
            read_turned(block, n, row % ATI_PANEL, values + b * n);
        } else {
            layout->format->unpack_block(block, n, layout->steps, row % ATI_PANEL, values + b * n);
        }
    }
}

void test_turn(double *x, size_t n) {
    double turned[GROUP];
    for (size_t first = 0; first < n; first += GROUP) {
        for (unsigned i = 0; i < GROUP; i++) {
            turned[i] = 0;
            for (unsigned j = 0; j < GROUP; j++) {
                bool negative = __builtin_popcount(i & j) % 2 != 0;
                turned[i] += (negative ? -1 : 1) * x[first + j] / 8;
            }
        }
        memcpy(x + first, turned, sizeof turned);
    }
}

float test_max_abs(const float *x, size_t n) {
    float largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
    }
    return largest;
}

test_product test_product_new(const ati_gemm *gemm, size_t n_rows, size_t n, size_t k,
                              unsigned seed) {
    test_product p = {.gemm = gemm, .layout = ati_layout_of(gemm->format, k), .n_rows = n_rows};
    p.n = n;
    p.n_panels = ati_count_panels(n);
    p.stride = p.n_panels * ATI_PANEL + 5;
    p.x = test_alloc(ati_gemm_rows(n_rows) * p.layout.row);
    p.panels = test_alloc(p.n_panels * p.layout.panel);
    p.y = test_alloc((ati_gemm_rows(n_rows) + 1) * p.stride * sizeof *p.y);
    /* Rows past n_rows are anything, and may not matter; those of w past n are zeros. */
    memset(p.x, 0xff, ati_gemm_rows(n_rows) * p.layout.row);
    memset(p.panels, 0, p.n_panels * p.layout.panel);
    float *values = test_alloc(k * sizeof *values);
    for (size_t row = 0; row < n_rows; row++) {
        test_fill(values, k, seed + (unsigned)row);
        test_product_set_x(&p, row, values);
    }
    for (size_t row = 0; row < n; row++) {
        test_fill(values, k, seed + 100000 + (unsigned)row);
        test_product_set_w(&p, row, values);
    }
    free(values);
    return p;
}

void test_product_set_x(test_product *p, size_t row, const float *x) {
    ati_write_row(&p->layout, x, p->x + row * p->layout.row);
}

void test_product_set_w(test_product *p, size_t row, const float *w) {
    ati_pack_row(&p->layout, w, p->panels, row);
}

void test_product_run(test_product *p) {
    for (size_t i = 0; i < (ati_gemm_rows(p->n_rows) + 1) * p->stride; i++) {
        p->y[i] = TEST_UNWRITTEN;
    }
    ati_multiply(p->gemm, &p->layout, p->x, p->n_rows, p->panels, p->n_panels, p->y, p->stride);
}

void test_product_free(test_product *p) {
    free(p->x);
    free(p->panels);
    free(p->y);
}
