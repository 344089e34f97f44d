/* How numbers are laid out: what is written can be read back, as it had to be
 * rounded, at every length around the steps and blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "products.h"
#include "testing.h"
#include "vector/vector.h"

enum {
    N_FORMATS = 4,
    LONGEST = 4 * 4 * ATI_MOST_STEPS,
    GROUP = 4 * ATI_GROUP_STEPS, /* values of int8 */
    PANEL_GROUP = ATI_PANEL * (GROUP + 8)
};

static const ati_format *const formats[N_FORMATS] = {&ati_format_fp32, &ati_format_bf16,
                                                     &ati_format_int8, &ati_format_plain};
static const char *const format_names[N_FORMATS] = {"fp32", "bf16", "int8", "plain"};

static float x[LONGEST], found[LONGEST];

/* ---- Layouts ---- */

static void check_layout(const ati_format *format, size_t k) {
    ati_layout layout = ati_layout_of(format, k);
    size_t block = ati_block_values(&layout), step = ATI_STEP_BYTES;
    CHECK(layout.k == k && layout.n_blocks >= 1);
    CHECK(layout.n_blocks * block >= k && (layout.n_blocks - 1) * block < k);
    CHECK(layout.row == layout.n_blocks * layout.row_block);
    CHECK(layout.panel == layout.n_blocks * layout.panel_block);
    size_t groups = format->group_steps == 0 ? 1 : layout.steps / format->group_steps;
    size_t row_block = layout.steps * step + groups * format->row_tail;
    CHECK(format->group_steps == 0 || layout.steps % format->group_steps == 0);
    CHECK(layout.row_block >= row_block && layout.row_block < row_block + 128);
    CHECK(!format->blocked || layout.row_block / 64 % 2 == 1);
    CHECK(layout.panel_block == layout.steps * step * ATI_PANEL + groups * format->panel_tail);
    if (format->blocked) {
        CHECK(layout.steps % 16 == 0 && layout.steps <= ATI_MOST_STEPS);
        CHECK(layout.row_block % 64 == 0 && layout.panel_block % 64 == 0);
    } else {
        CHECK(layout.n_blocks == 1 && layout.steps == k);
    }
}

/* At sizes of models that there are, rows at a distance of a multiple of 4 KiB, which a
 * tile reads together, would compete for one set of a cache of the first level. */
static void check_strides(const ati_format *format) {
    static const size_t sizes[] = {576,  768,  896,   960,   1024,  1536,  2048,  2304,  2560,
                                   3072, 3584, 4096,  4864,  5120,  5632,  6144,  8192,  8960,
                                   9216, 9728, 11008, 12288, 13824, 14336, 16384, 18944, 28672};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ati_layout layout = ati_layout_of(format, sizes[i]);
        CHECK(layout.row % 4096 != 0);
    }
}

/* ---- Rows ---- */

/* What int8 rounds: x with zeros after it, turned. */
static double turned[LONGEST];

static void turn_x(const ati_layout *layout) {
    for (size_t i = 0; i < test_whole(layout); i++) {
        turned[i] = i < layout->k ? (double)x[i] : 0;
    }
    test_turn(turned, test_whole(layout));
}

/* The largest magnitude of the group that value i is in. */
static double largest_beside(size_t i) {
    double largest = 0;
    for (size_t at = i / GROUP * GROUP; at < i / GROUP * GROUP + GROUP; at++) {
        largest = fmax(largest, fabs(turned[at]));
    }
    return largest;
}

static float to_bf16(float value) {
    uint16_t half;
    ati_round_bf16(&value, 1, &half);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Of an int8 row of x half a step of the largest value's 127; of weights, whose scale is
 * searched for, half of its 123, and a fifth for the scale of the least square error. */
static const double x_error = 0.5 / 127, w_error = 0.7 / 123;

/* `value` must be x[i] as the format rounds it. int8: turned, to within `most` of the largest
 * beside it, and the roundings of floats, of six additions, the inverse, the step and its
 * multiple. */
static bool is_rounded(const ati_layout *layout, size_t i, float value, double most) {
    if (layout->format == &ati_format_int8) {
        double largest = largest_beside(i), error = fabs((double)value - turned[i]);
        return error <= (most + 64 * 0x1p-24) * largest;
    }
    float given = i < layout->k ? x[i] : 0;
    float expected = layout->format == &ati_format_bf16 ? to_bf16(given) : given;
    return memcmp(&value, &expected, sizeof value) == 0;
}

static size_t count_wrong(const ati_layout *layout, const float *values, double most) {
    size_t n_wrong = 0;
    turn_x(layout);
    for (size_t i = 0; i < test_whole(layout); i++) {
        n_wrong += !is_rounded(layout, i, values[i], most);
    }
    return n_wrong;
}

/* Unpacked values are those packed, of int8 turned back. */
static size_t count_wrong_back(const ati_layout *layout, const float *packed, const float *back) {
    static double expected[LONGEST];
    bool is_turned = layout->format == &ati_format_int8;
    size_t n_wrong = 0;
    for (size_t i = 0; i < test_whole(layout); i++) {
        expected[i] = (double)packed[i];
    }
    test_turn(expected, is_turned ? test_whole(layout) : 0);
    for (size_t i = 0; i < layout->k; i++) {
        double most = is_turned ? 64 * 8 * 0x1p-24 * largest_beside(i) : 0;
        n_wrong += fabs((double)back[i] - expected[i]) <= most ? 0 : 1;
    }
    return n_wrong;
}

static void check_written(const ati_layout *layout) {
    char *row = test_alloc(layout->row);
    memset(row, 0x7f, layout->row);
    ati_write_row(layout, x, row);
    test_read_x(layout, row, found);
    CHECK(count_wrong(layout, found, x_error) == 0);
    free(row);
}

/* Row `row` of two panels, its neighbours left alone. */
static void check_packed(const ati_layout *layout, size_t row) {
    static float read[LONGEST];
    size_t bytes = 2 * layout->panel, other = row == 0 ? 1 : row - 1;
    char *panels = test_alloc(bytes);
    memset(panels, 0, bytes);
    ati_pack_row(layout, x, panels, other);
    memset(found, 0, sizeof found);
    ati_pack_row(layout, found, panels, other); /* x and then zeros: neither may stay */
    ati_pack_row(layout, x, panels, row);
    test_read_w(layout, panels, row, found);
    CHECK(count_wrong(layout, found, w_error) == 0);
    ati_unpack_row(layout, panels, row, read);
    CHECK(count_wrong_back(layout, found, read) == 0);
    for (size_t r = 0; r < (size_t)2 * ATI_PANEL; r++) {
        test_read_w(layout, panels, r, found);
        CHECK(r == row || test_max_abs(found, test_whole(layout)) == 0.0F);
    }
    free(panels);
}

static void check_length(const ati_format *format, size_t k) {
    const size_t rows[] = {0, 1, ATI_PANEL - 1, ATI_PANEL, 2 * ATI_PANEL - 1};
    ati_layout layout = ati_layout_of(format, k);
    test_fill(x, k, (unsigned)k);
    check_layout(format, k);
    check_written(&layout);
    check_packed(&layout, rows[k % 5]);
}

static void check_lengths(const ati_format *format, const char *name) {
    size_t limit = ATI_MOST_STEPS * format->values_per_step;
    for (size_t k = 1; k <= 200; k++) {
        test_about("%s, k %zu", name, k);
        check_length(format, k);
    }
    for (size_t blocks = 1; blocks <= 3; blocks++) {
        for (size_t k = blocks * limit - 1; k <= blocks * limit + 1; k++) {
            test_about("%s, k %zu", name, k);
            check_length(format, k);
        }
    }
}

/* ---- int8 ---- */

/* Of group `g` of a panel. */
static int32_t read_offset(const char *panel, size_t g, size_t row) {
    int32_t offset;
    const char *tail = panel + g * PANEL_GROUP + (size_t)ATI_PANEL * GROUP;
    memcpy(&offset, tail + (ATI_PANEL + row) * sizeof offset, sizeof offset);
    return offset;
}

static float read_scale(const char *panel, size_t g, size_t row) {
    float scale;
    memcpy(&scale, panel + g * PANEL_GROUP + (size_t)ATI_PANEL * GROUP + row * sizeof scale,
           sizeof scale);
    return scale;
}

/* A panel's groups end with -128 times the sum of each row as it was rounded; the largest
 * value of each is 123 to 127 steps. One block. */
static void check_tails(size_t k) {
    ati_layout layout = ati_layout_of(&ati_format_int8, k);
    char *panel = test_alloc(layout.panel);
    memset(panel, 0, layout.panel);
    for (size_t row = 0; row < ATI_PANEL; row++) {
        test_fill(x, k, (unsigned)(k + row));
        ati_pack_row(&layout, x, panel, row);
        test_read_w(&layout, panel, row, found);
        for (size_t g = 0; g * GROUP < k; g++) {
            float scale = read_scale(panel, g, row), largest = 0;
            int32_t total = 0;
            for (size_t i = g * GROUP; i < (g + 1) * GROUP; i++) {
                total += (int32_t)lrintf(found[i] / scale);
                largest = fmaxf(largest, fabsf(found[i] / scale));
            }
            CHECK(largest > 123 - 1e-4F && largest < 127 + 1e-4F);
            CHECK(read_offset(panel, g, row) == -128 * total);
        }
    }
    free(panel);
}

static void set_all(float value, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] = value;
    }
}

/* What rows of zeros, of numbers too small to divide by, and of no numbers become. */
static void check_special(size_t k, float value, bool is_number) {
    ati_layout layout = ati_layout_of(&ati_format_int8, k);
    char *panel = test_alloc(layout.panel), *row = test_alloc(layout.row);
    test_about("int8, k %zu, value %g", k, (double)value);
    memset(panel, 0, layout.panel);
    set_all(is_number ? value : 1.0F, k);
    x[k / 2] = value;
    ati_pack_row(&layout, x, panel, 5);
    ati_write_row(&layout, x, row);
    turn_x(&layout);
    for (int packed = 0; packed < 2; packed++) {
        if (packed != 0) {
            test_read_w(&layout, panel, 5, found);
        } else {
            test_read_x(&layout, row, found);
        }
        for (size_t i = 0; i < test_whole(&layout); i++) {
            bool is_beside = i / GROUP == k / 2 / GROUP; /* of the value that is none */
            CHECK(is_number ? fabs((double)found[i] - turned[i]) < 4e-37
                            : isnan(found[i]) == is_beside);
        }
    }
    free(panel);
    free(row);
}

static void check_int8(void) {
    check_tails(1);
    check_tails(67);
    check_tails(4 * ATI_MOST_STEPS);
    for (size_t k = 1; k <= 97; k += 32) {
        const float small[] = {0.0F, -0.0F, 0x1p-149F, -0x1p-130F, 0x1p-126F, 3.7e-37F, -3.8e-37F};
        for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
            check_special(k, small[i], true);
        }
        check_special(k, NAN, false);
        check_special(k, INFINITY, false);
        check_special(k, -INFINITY, false);
    }
}

/* ---- Transposed ---- */

/* v [n, columns] packed must be the panel whose row c is column c of v. */
static void check_transposed(const ati_format *format, size_t n, size_t columns) {
    enum { STRIDE = 37 };
    size_t per_step = format->values_per_step, steps = (n + 31) / 32 * 32 / per_step;
    size_t whole = steps * per_step, bytes = steps * ATI_PANEL * ATI_STEP_BYTES;
    char *block = test_alloc(bytes);
    memset(block, 0x7f, bytes);
    test_fill(x, n * STRIDE, (unsigned)(n + columns));
    format->pack_transposed(x, STRIDE, n, columns, block, steps);
    size_t n_wrong = 0;
    for (size_t c = 0; c < ATI_PANEL; c++) {
        format->unpack_block(block, whole, steps, c, found);
        for (size_t i = 0; i < whole; i++) {
            float value = i < n && c < columns ? x[i * STRIDE + c] : 0.0F;
            float expected = format == &ati_format_bf16 ? to_bf16(value) : value;
            n_wrong += memcmp(&found[i], &expected, sizeof expected) != 0;
        }
    }
    CHECK(n_wrong == 0);
    free(block);
}

static void check_all_transposed(const ati_format *format, const char *name) {
    for (size_t n = 1; n <= 66; n++) {
        size_t columns = 1 + n * 7 % ATI_PANEL;
        test_about("%s, %zu rows of %zu columns transposed", name, n, columns);
        check_transposed(format, n, columns);
        check_transposed(format, n, ATI_PANEL);
    }
}

void test_format(void) {
    for (size_t f = 0; f < N_FORMATS; f++) {
        check_lengths(formats[f], format_names[f]);
        test_about("%s", format_names[f]);
        if (formats[f]->blocked) {
            check_strides(formats[f]);
        }
        if (formats[f]->pack_transposed != NULL) {
            check_all_transposed(formats[f], format_names[f]);
        }
    }
    test_about("%s", "int8");
    check_int8();
}
