/* Attention by blocks with an on-line softmax against attention row by row, and
 * masked heads against attention under weights of 1 / (t + 1). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "masked.h"
#include "testing.h"

enum { WIDTH = 20, STRIDE = 3 * WIDTH + 7, LONGEST = 8 * ATI_ROW_TILE };

static float qkv[LONGEST * STRIDE], blocks[LONGEST * WIDTH];
static float scores[ATI_QUERY_BLOCK * ATI_KEY_BLOCK], mixed[ATI_QUERY_BLOCK * WIDTH];

static void fill(void) {
    unsigned seed = 7;
    for (size_t i = 0; i < LONGEST * STRIDE; i++) {
        seed = seed * 1664525U + 1013904223U;
        qkv[i] = (float)(seed >> 8) / (float)(1U << 22) - 2.0F;
    }
}

/* Largest difference of row `row` of `out` to weights [row + 1] times values. */
static double row_difference(const float *out, size_t row, const float *weights, const float *v) {
    double largest = 0;
    for (size_t i = 0; i < WIDTH; i++) {
        double expected = 0;
        for (size_t key = 0; key <= row; key++) {
            expected += (double)weights[key] * (double)v[key * STRIDE + i];
        }
        largest = fmax(largest, fabs(expected - (double)out[row * WIDTH + i]));
    }
    return largest;
}

static void check_blocks(const ati_blas *blas, size_t n_rows) {
    float weights[LONGEST];
    double largest = 0;
    ati_tiles tiles = {.scores = scores, .mixed = mixed};
    ati_head_input head = {qkv, qkv + WIDTH, qkv + 2 * WIDTH, STRIDE, n_rows, WIDTH};
    for (size_t first = 0; first < n_rows; first += ATI_QUERY_BLOCK) {
        ati_attend(blas, &head, first, blocks, WIDTH, &tiles);
    }
    for (size_t row = 0; row < n_rows; row++) {
        ati_attention_weights(&head, row, weights);
        largest = fmax(largest, row_difference(blocks, row, weights, head.v));
    }
    CHECK(largest < 3e-6);
}

static void check_masks(void) {
    float weights[LONGEST];
    double sums[WIDTH], largest = 0;
    const float *v = qkv + 2 * WIDTH;
    ati_masked_head(ATI_MASK_UNIFORM, v, STRIDE, LONGEST, WIDTH, blocks, WIDTH, sums);
    for (size_t row = 0; row < LONGEST; row++) {
        for (size_t key = 0; key <= row; key++) {
            weights[key] = 1.0F / (float)(row + 1);
        }
        largest = fmax(largest, row_difference(blocks, row, weights, v));
    }
    CHECK(largest < 3e-7);
    ati_masked_head(ATI_MASK_ZERO, v, STRIDE, LONGEST, WIDTH, blocks, WIDTH, sums);
    for (size_t i = 0; i < LONGEST * WIDTH; i++) {
        CHECK(blocks[i] == 0.0F);
    }
}

void test_attention(void) {
    const ati_blas *blas;
    ati_error error;
    fill();
    CHECK(ati_blas_open(&blas, &error) == ATI_OK);
    if (blas == NULL) {
        return;
    }
    for (size_t n_rows = ATI_ROW_TILE; n_rows <= LONGEST; n_rows += ATI_ROW_TILE) {
        check_blocks(blas, n_rows);
    }
    check_masks();
}
