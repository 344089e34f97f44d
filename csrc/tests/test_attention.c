/* Attention by blocks with an on-line softmax against attention row by row, both under
 * windows, soft caps and sinks, and masked heads against attention under equal weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "forward/attention.h"
#include "forward/masked.h"
#include "products.h"
#include "testing.h"
#include "vector/vector.h"

enum { LONGEST = 2 * ATI_KEY_BLOCK + 140, WIDEST = 128, MOST_STRIDE = 3 * WIDEST + 7 };

/* What single precision may change: 1.2e-6 was the most that was found. */
#define FP32_ERROR 3e-6

static float given[LONGEST * MOST_STRIDE], rounded[LONGEST * MOST_STRIDE];
static float out[LONGEST * WIDEST];

/* One head, and all that a thread needs to attend with it. */
typedef struct {
    const ati_gemm *gemm;
    ati_head_input head;      /* of numbers in -2..2 */
    ati_head_input reference; /* the same, as the kernel rounds them */
    ati_model model;
    ati_scratch scratch;
    void *memory, *keys, *values;
} setting;

/* Attention as in Llama; its scale is set with the width. */
static ati_attention_rule rule;

static float round_to_bf16(float value) {
    uint16_t half;
    ati_round_bf16(&value, 1, &half);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* `rounded` becomes the numbers that a bf16 kernel multiplies: it rounds queries when
 * they have been scaled. */
static void round_input(size_t n_rows, size_t width, size_t stride) {
    float scale = 1.0F / sqrtf((float)width);
    for (size_t row = 0; row < n_rows; row++) {
        for (size_t i = 0; i < 3 * width; i++) {
            size_t place = row * stride + i;
            rounded[place] = i < width ? round_to_bf16(given[place] * scale) / scale
                                       : round_to_bf16(given[place]);
        }
    }
}

static ati_head_input head_of(const float *qkv, size_t n_rows, size_t width, size_t stride) {
    rule.scale = 1.0F / sqrtf((float)width);
    return (ati_head_input){.rule = &rule,
                            .sink = rule.sinks,
                            .q = qkv,
                            .k = qkv + width,
                            .v = qkv + 2 * width,
                            .stride = stride,
                            .n_rows = n_rows,
                            .head_dim = width};
}

static void set_up(setting *s, const test_multiplier *g, size_t n_rows, size_t width) {
    size_t stride = 3 * width + 7, bytes = 0, keys = ati_round_up(n_rows, ATI_PANEL);
    ati_error error;
    *s = (setting){.gemm = g->gemm, .head = head_of(given, n_rows, width, stride)};
    CHECK(ati_kernel_find(g->precision, g->kernel, &s->model.kernel, &error) == ATI_OK);
    s->model.config = (ati_config){.family = ati_family_find("llama"),
                                   .n_heads = 1,
                                   .n_kv_heads = 1,
                                   .head_dim = width,
                                   .hidden_size = width,
                                   .intermediate_size = width};
    CHECK(ati_scratch_bytes(&s->model, n_rows, &bytes));
    s->memory = test_alloc(bytes);
    memset(s->memory, 0xff, bytes); /* NaN, which no product with 0 removes */
    ati_scratch_lay_out(&s->model, n_rows, s->memory, &s->scratch);
    s->keys = test_alloc(keys * ati_key_bytes(&s->model));
    s->values = test_alloc(keys * ati_value_bytes(&s->model));
    memset(s->keys, 0xff, keys * ati_key_bytes(&s->model));
    memset(s->values, 0xff, keys * ati_value_bytes(&s->model));
    s->head.keys = s->keys;
    s->head.values = s->values;
    s->reference = s->head;
    if (g->gemm->format == &ati_format_bf16) {
        round_input(n_rows, width, stride);
        s->reference = head_of(rounded, n_rows, width, stride);
    }
}

static void tear_down(setting *s) {
    free(s->memory);
    free(s->keys);
    free(s->values);
}

/* The largest error of a row of `out` against weights [row + 1] times values, as a
 * share of what it may be. The reference has q, k and v as a bf16 kernel rounds them;
 * there remains that it rounds each weight w_j before it is multiplied, but not in
 * the total, by up to a share 2^-8: sum 2^-8 w_j |v_j| in all. */
static double row_error(const setting *s, const float *at, size_t row) {
    float weights[LONGEST];
    double largest = 0;
    double share = s->gemm->format == &ati_format_bf16 ? 0x1p-8 : 0;
    ati_attention_weights(&s->reference, row, weights);
    for (size_t i = 0; i < s->head.head_dim; i++) {
        double expected = 0, magnitude = 0;
        for (size_t key = 0; key <= row; key++) {
            double product =
                (double)weights[key] * (double)s->reference.v[key * s->head.stride + i];
            expected += product;
            magnitude += fabs(product);
        }
        double error = fabs(expected - (double)at[i]) / (share * magnitude + FP32_ERROR);
        largest = fmax(largest, isnan(error) ? INFINITY : error);
    }
    return largest;
}

/* Attends every `every`th block of queries and the last, the last one first. */
static size_t attend_blocks(const setting *s, size_t every) {
    size_t rows = s->gemm->query_rows, n_blocks = (s->head.n_rows + rows - 1) / rows;
    for (size_t b = n_blocks; b-- > 0;) {
        if (b % every == 0 || b + 1 == n_blocks) {
            ati_attend(s->gemm, &s->head, b * rows, out, s->head.head_dim, &s->scratch);
        }
    }
    return n_blocks;
}

static void check_blocks(const test_multiplier *g, size_t n_rows, size_t width, size_t every) {
    setting s;
    size_t rows = g->gemm->query_rows;
    double largest = 0;
    test_about("%s of format %d, %zu rows, head_dim %zu", g->kernel, (int)g->precision, n_rows,
               width);
    set_up(&s, g, n_rows, width);
    for (size_t i = 0; i < n_rows * width; i++) {
        out[i] = TEST_UNWRITTEN;
    }
    ati_pack_keys(s.gemm, &s.head);
    size_t n_blocks = attend_blocks(&s, every);
    for (size_t row = 0; row < n_rows; row++) {
        if (row / rows % every == 0 || row / rows + 1 == n_blocks) {
            largest = fmax(largest, row_error(&s, out + row * width, row));
        } else {
            CHECK(out[row * width] == TEST_UNWRITTEN);
        }
    }
    CHECK(largest <= 1);
    tear_down(&s);
}

/* Where tiles multiply, a row's bits depend on nothing that comes after it. */
static void check_prefix(const test_multiplier *g, size_t n_rows, size_t shorter) {
    enum { WIDTH = 20 };
    setting s;
    static float first[LONGEST * WIDTH];
    test_about("%s, first %zu of %zu rows", g->kernel, shorter, n_rows);
    for (size_t i = 0; i < 2; i++) {
        set_up(&s, g, i == 0 ? n_rows : shorter, WIDTH);
        ati_pack_keys(s.gemm, &s.head);
        attend_blocks(&s, 1);
        tear_down(&s);
        if (i == 0) {
            memcpy(first, out, shorter * WIDTH * sizeof *first);
        }
    }
    CHECK(memcmp(first, out, shorter * WIDTH * sizeof *first) == 0);
}

/* What other families' attention has. Scores spread over some -6..6. */
static void check_rules(const test_multiplier *g) {
    float sink = 1.5F;
    const ati_attention_rule rules[] = {
        {.window = 1},
        {.window = 7},
        {.window = ATI_KEY_BLOCK - 1},
        {.window = ATI_KEY_BLOCK + 70},
        {.soft_cap = 1.5F},
        {.sinks = &sink},
        {.window = 100, .soft_cap = 2.5F, .sinks = &sink},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        rule = rules[i];
        check_blocks(g, 97, 64, 1);
        check_blocks(g, LONGEST, 20, 5);
    }
    rule = (ati_attention_rule){0};
}

/* Windows, caps and sinks by the definition. */
static void check_weights_by_hand(void) {
    enum { ROWS = 9, WIDTH = 4, STRIDE = 3 * WIDTH };
    float weights[ROWS], sink = -0.5F;
    rule = (ati_attention_rule){.window = 3, .soft_cap = 0.5F, .sinks = &sink};
    ati_head_input head = head_of(given, ROWS, WIDTH, STRIDE);
    for (size_t row = 0; row < ROWS; row++) {
        double expected[ROWS] = {0}, total = exp((double)sink);
        for (size_t key = row < 2 ? 0 : row - 2; key <= row; key++) {
            double score = 0;
            for (size_t i = 0; i < WIDTH; i++) {
                score += (double)head.q[row * STRIDE + i] * (double)head.k[key * STRIDE + i];
            }
            expected[key] = exp(0.5 * tanh(score * 0.5 / 0.5));
            total += expected[key];
        }
        ati_attention_weights(&head, row, weights);
        for (size_t key = 0; key <= row; key++) {
            CHECK(fabs((double)weights[key] - expected[key] / total) < 1e-6);
        }
    }
    rule = (ati_attention_rule){0};
}

static void check_kernel(const test_multiplier *g) {
    const size_t widths[] = {20, 64, 80, 128};
    const size_t lengths[] = {97, ATI_KEY_BLOCK - 1, ATI_KEY_BLOCK, ATI_KEY_BLOCK + 1};
    for (size_t n_rows = 1; n_rows <= 70; n_rows++) {
        check_blocks(g, n_rows, widths[n_rows % 4], 1);
    }
    for (size_t i = 0; i < 4; i++) {
        check_blocks(g, lengths[i], widths[i], 3);
        check_blocks(g, LONGEST - i * 31, widths[i], 11);
    }
    check_blocks(g, 2 * ATI_KEY_BLOCK + 1, 20, 7);
    if (g->gemm->tile != NULL) {
        check_prefix(g, 101, 33);
        check_prefix(g, ATI_KEY_BLOCK + 50, ATI_KEY_BLOCK + 1);
    }
}

static void check_masks(void) {
    enum { WIDTH = 20, STRIDE = 3 * WIDTH + 7, ROWS = 384 };
    double sums[WIDTH], largest = 0;
    const float *v = given + (size_t)2 * WIDTH;
    ati_masked_head(ATI_MASK_UNIFORM, v, STRIDE, ROWS, 0, WIDTH, out, WIDTH, sums);
    for (size_t i = 0; i < WIDTH; i++) {
        double total = 0;
        for (size_t row = 0; row < ROWS; row++) {
            total += (double)v[row * STRIDE + i];
            double expected = total / (double)(row + 1);
            largest = fmax(largest, fabs(expected - (double)out[row * WIDTH + i]));
        }
    }
    CHECK(largest < 3e-7);
    ati_masked_head(ATI_MASK_UNIFORM, v, STRIDE, ROWS, 37, WIDTH, out, WIDTH, sums);
    largest = 0;
    for (size_t row = 0; row < ROWS; row++) {
        size_t first = row < 37 ? 0 : row - 36;
        double total = 0;
        for (size_t key = first; key <= row; key++) {
            total += (double)v[key * STRIDE + 3];
        }
        double expected = total / (double)(row + 1 - first);
        largest = fmax(largest, fabs(expected - (double)out[row * WIDTH + 3]));
    }
    CHECK(largest < 3e-7);
    ati_masked_head(ATI_MASK_ZERO, v, STRIDE, ROWS, 0, WIDTH, out, WIDTH, sums);
    CHECK(test_max_abs(out, (size_t)ROWS * WIDTH) == 0.0F);
}

void test_attention(void) {
    test_multiplier gemms[TEST_MOST_GEMMS];
    size_t n = test_gemms(gemms);
    test_fill(given, (size_t)LONGEST * MOST_STRIDE, 7);
    ati_scale(given, (size_t)LONGEST * MOST_STRIDE, 0.25F);
    for (size_t i = 0; i < n; i++) {
        if (gemms[i].gemm->format->pack_transposed != NULL) {
            check_kernel(&gemms[i]);
            check_rules(&gemms[i]);
        }
    }
    test_about("%s", "weights by hand");
    check_weights_by_hand();
    test_about("%s", "masks");
    check_masks();
}
