/*
 * int8: each group of x and w is turned by a Hadamard matrix, H, and rounded to -127..127
 * times a scale of its own, one for each row and group. H is its own inverse,
 *
 *     x w^T = (x H) (w H)^T,
 *
 * and spreads one large value over the group, whose scale would else leave nothing of the
 * others (QuaRot, arXiv 2404.00456). Instructions want unsigned times signed, so x is stored
 * with 128 added:
 *
 *     sum (x + 128) w  =  sum x w  +  128 sum w
 *
 * and a panel's group ends with the scales and -128 sum w of its rows, with which a
 * product's sums begin.
 */
#include "kernel/format.h"
#include "vector/turned.h"

#include <stdint.h>
#include <string.h>

enum { VALUES = 4, OFFSET = 128, GROUP = ATI_GROUP_STEPS * VALUES };
_Static_assert((int)GROUP == (int)ATI_TURNED, "a group is turned as a whole");
_Static_assert((int)ATI_NEXT_ROW == (int)ATI_ROUNDED, "and is a row's as it is rounded");

/* The group of x [n] that begins with value number `first`; zeros fill it up. */
static void copy_group(const float *x, size_t n, size_t first, float group[GROUP]) {
    size_t count = first < n ? n - first : 0;
    count = count < GROUP ? count : GROUP;
    memcpy(group, x + (count > 0 ? first : 0), count * sizeof *group);
    memset(group + count, 0, (GROUP - count) * sizeof *group);
}

static void write_int8(const float *x, size_t n, void *block, size_t steps) {
    size_t full = n / GROUP;
    uint8_t *to = (uint8_t *)block + full * ATI_NEXT_ROW;
    float group[GROUP];
    ati_round_turned(x, full, OFFSET, block);
    for (size_t first = full * GROUP; first < steps * VALUES; first += GROUP) {
        copy_group(x, n, first, group);
        ati_round_turned(group, 1, OFFSET, to);
        to += ATI_NEXT_ROW;
    }
}

/* Writes values as row `row` of a panel's group. */
static void pack_group(const float values[GROUP], uint8_t *group, size_t row) {
    uint8_t rounded[ATI_ROUNDED];
    float scale;
    int32_t total = 0;
    ati_round_turned_closely(values, rounded);
    memcpy(&scale, rounded + GROUP, sizeof scale);
    for (size_t s = 0; s < ATI_GROUP_STEPS; s++) {
        memcpy(group + (s * ATI_PANEL + row) * VALUES, rounded + s * VALUES, VALUES);
    }
    for (size_t i = 0; i < GROUP; i++) {
        total -= OFFSET * (int8_t)rounded[i];
    }
    uint8_t *tail = group + ATI_GROUP_PANEL;
    memcpy(tail + row * sizeof scale, &scale, sizeof scale);
    memcpy(tail + (ATI_PANEL + row) * sizeof total, &total, sizeof total);
}

static void pack_int8(const float *w, size_t n, void *block, size_t steps, size_t row) {
    uint8_t *group = block;
    float values[GROUP];
    for (size_t first = 0; first < steps * VALUES; first += GROUP) {
        copy_group(w, n, first, values);
        pack_group(values, group, row);
        group += ATI_NEXT_PANEL;
    }
}

static void unpack_int8(const void *block, size_t n, size_t steps, size_t row, float *w) {
    const int8_t *group = block;
    float values[GROUP], scale;
    (void)steps;
    for (size_t first = 0; first < n; first += GROUP) {
        size_t count = n - first < GROUP ? n - first : GROUP;
        memcpy(&scale, group + ATI_GROUP_PANEL + row * sizeof scale, sizeof scale);
        for (size_t i = 0; i < GROUP; i++) {
            size_t at = (i / VALUES * ATI_PANEL + row) * VALUES + i % VALUES;
            values[i] = (float)group[at] * scale;
        }
        ati_turn(values);
        memcpy(w + first, values, count * sizeof *w);
        group += ATI_NEXT_PANEL;
    }
}

const ati_format ati_format_int8 = {
    .values_per_step = VALUES,
    .group_steps = ATI_GROUP_STEPS,
    .row_tail = ATI_NEXT_ROW - ATI_GROUP_ROW,
    .panel_tail = ATI_NEXT_PANEL - ATI_GROUP_PANEL,
    .blocked = true,
    .write_block = write_int8,
    .pack_block = pack_int8,
    .unpack_block = unpack_int8,
};
