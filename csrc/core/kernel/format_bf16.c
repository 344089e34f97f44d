/* bf16: the upper half of a float, rounded to nearest, ties to even. */
#include "kernel/format.h"
#include "vector/vector.h"

#include <stdint.h>
#include <string.h>

enum { VALUES = 2 }; /* of a step */

static void write_bf16(const float *x, size_t n, void *block, size_t steps) {
    uint16_t *to = block;
    ati_round_bf16(x, n, to);
    memset(to + n, 0, (steps * VALUES - n) * sizeof(*to));
}

static void pack_bf16(const float *w, size_t n, void *block, size_t steps, size_t row) {
    uint16_t *to = (uint16_t *)block + row * VALUES;
    uint16_t rounded[VALUES * ATI_MOST_STEPS];
    write_bf16(w, n, rounded, steps);
    for (size_t s = 0; s < steps; s++) {
        memcpy(to + s * ATI_PANEL * VALUES, rounded + s * VALUES, VALUES * sizeof(*to));
    }
}

static void unpack_bf16(const void *block, size_t n, size_t steps, size_t row, float *w) {
    const uint16_t *from = (const uint16_t *)block + row * VALUES;
    (void)steps;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)from[i / VALUES * ATI_PANEL * VALUES + i % VALUES] << 16;
        memcpy(&w[i], &bits, sizeof(bits));
    }
}

static void pack_transposed_bf16(const float *v, size_t stride, size_t n, size_t columns,
                                 void *block, size_t steps) {
    static const float zeros[ATI_PANEL];
    uint32_t *to = block;
    memset(to, 0, steps * ATI_PANEL * sizeof(*to));
    for (size_t i = 0; i < n; i += VALUES) {
        const float *even = v + i * stride, *odd = i + 1 < n ? even + stride : zeros;
        ati_round_bf16_pairs(even, odd, columns, to + i / VALUES * ATI_PANEL);
    }
}

const ati_format ati_format_bf16 = {
    .values_per_step = VALUES,
    .row_tail = 64,
    .blocked = true,
    .write_block = write_bf16,
    .pack_block = pack_bf16,
    .unpack_block = unpack_bf16,
    .pack_transposed = pack_transposed_bf16,
};
