#include "gguf/ggml_long.h"

#include <string.h>

#include "gguf/ggml_plain.h"
#include "gguf/ggml_short.h"

enum { VALUES = 256, F16 = 2 /* bytes */ };

/* The bytes of a block, in the order of the file. */
typedef struct {
    uint8_t scales[16]; /* 4 bits of a scale, 4 of a least value */
    uint8_t q[64];
    uint8_t d[F16], dmin[F16];
} q2_k;

typedef struct {
    uint8_t third[32]; /* bits */
    uint8_t q[64];
    uint8_t scales[12]; /* of 6 bits */
    uint8_t d[F16];
} q3_k;

typedef struct {
    uint8_t d[F16], dmin[F16];
    uint8_t scales[12]; /* of 6 bits, and as many least values */
    uint8_t q[128];
} q4_k;

typedef struct {
    uint8_t d[F16], dmin[F16];
    uint8_t scales[12];
    uint8_t fifth[32]; /* bits */
    uint8_t q[128];
} q5_k;

typedef struct {
    uint8_t low[128];
    uint8_t high[64]; /* 2 bits */
    int8_t scales[16];
    uint8_t d[F16];
} q6_k;

typedef struct {
    uint8_t d[F16];
    uint8_t scales_high[2], scales_low[4];
    uint8_t q[128];
} iq4_xs;

_Static_assert(sizeof(q2_k) == 84 && sizeof(q3_k) == 110 && sizeof(q4_k) == 144 &&
                   sizeof(q5_k) == 176 && sizeof(q6_k) == 210 && sizeof(iq4_xs) == 136,
               "blocks lie in memory as in the file");

/* Values stand in two halves of 128; in a half, 32 bytes hold the first 2 bits of 4 values
 * each, which are 32 apart. */
void ati_unpack_q2_k(const uint8_t *blocks, size_t n, float *values) {
    const q2_k *block = (const q2_k *)blocks;
    for (size_t b = 0; b < n; b++, block++, values += VALUES) {
        float d = ati_f16_at(block->d), dmin = ati_f16_at(block->dmin);
        for (size_t g = 0; g < 16; g++) { /* groups of 16 */
            const uint8_t *q = block->q + g / 8 * 32 + g % 2 * 16;
            const int shift = (int)(g / 2 % 4) * 2;
            float scale = d * (float)(block->scales[g] & 15);
            float least = dmin * (float)(block->scales[g] >> 4);
            for (size_t i = 0; i < 16; i++) {
                values[g * 16 + i] = scale * (float)(q[i] >> shift & 3) - least;
            }
        }
    }
}

/* Scale g of 16: 4 bits in bytes 0 to 7, 2 in bytes 8 to 11. */
static int q3_k_scale(const uint8_t *scales, size_t g) {
    int low = scales[g % 8] >> (g / 8 * 4) & 15, high = scales[8 + g % 4] >> (g / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

void ati_unpack_q3_k(const uint8_t *blocks, size_t n, float *values) {
    const q3_k *block = (const q3_k *)blocks;
    for (size_t b = 0; b < n; b++, block++, values += VALUES) {
        float d = ati_f16_at(block->d);
        for (size_t g = 0; g < 16; g++) {
            const uint8_t *q = block->q + g / 8 * 32 + g % 2 * 16;
            const uint8_t *third = block->third + g % 2 * 16;
            const int shift = (int)(g / 2 % 4) * 2, bit = (int)(g / 2);
            float scale = d * (float)q3_k_scale(block->scales, g);
            for (size_t i = 0; i < 16; i++) {
                int missing = 4 - (third[i] >> bit & 1) * 4;
                values[g * 16 + i] = scale * (float)((q[i] >> shift & 3) - missing);
            }
        }
    }
}

/* Scale and least value g of 8, 6 bits each: of the first 4 in the bytes g and 4 + g, of the
 * others the first 4 bits in byte 4 + g and the last 2 beside those of the first. */
static void read_scale(const uint8_t *scales, size_t g, int *scale, int *least) {
    if (g < 4) {
        *scale = scales[g] & 63;
        *least = scales[4 + g] & 63;
    } else {
        *scale = (scales[4 + g] & 15) | (scales[g - 4] >> 6) << 4;
        *least = scales[4 + g] >> 4 | (scales[g] >> 6) << 4;
    }
}

void ati_unpack_q4_k(const uint8_t *blocks, size_t n, float *values) {
    const q4_k *block = (const q4_k *)blocks;
    for (size_t b = 0; b < n; b++, block++, values += VALUES) {
        float d = ati_f16_at(block->d), dmin = ati_f16_at(block->dmin);
        for (size_t g = 0; g < 8; g++) { /* groups of 32 */
            const uint8_t *q = block->q + g / 2 * 32;
            const int shift = (int)(g % 2) * 4;
            int of_scale, of_least;
            read_scale(block->scales, g, &of_scale, &of_least);
            float scale = d * (float)of_scale, least = dmin * (float)of_least;
            for (size_t i = 0; i < 32; i++) {
                values[g * 32 + i] = scale * (float)(q[i] >> shift & 15) - least;
            }
        }
    }
}

void ati_unpack_q5_k(const uint8_t *blocks, size_t n, float *values) {
    const q5_k *block = (const q5_k *)blocks;
    for (size_t b = 0; b < n; b++, block++, values += VALUES) {
        float d = ati_f16_at(block->d), dmin = ati_f16_at(block->dmin);
        for (size_t g = 0; g < 8; g++) {
            const uint8_t *q = block->q + g / 2 * 32;
            const int shift = (int)(g % 2) * 4, bit = (int)g;
            int of_scale, of_least;
            read_scale(block->scales, g, &of_scale, &of_least);
            float scale = d * (float)of_scale, least = dmin * (float)of_least;
            for (size_t i = 0; i < 32; i++) {
                int whole = (q[i] >> shift & 15) | (block->fifth[i] >> bit & 1) << 4;
                values[g * 32 + i] = scale * (float)whole - least;
            }
        }
    }
}

/* In each half of 128, 64 bytes hold the first 4 bits of values 64 apart, 32 the last 2 of
 * values 32 apart. */
void ati_unpack_q6_k(const uint8_t *blocks, size_t n, float *values) {
    const q6_k *block = (const q6_k *)blocks;
    for (size_t b = 0; b < n; b++, block++, values += VALUES) {
        float d = ati_f16_at(block->d);
        for (size_t g = 0; g < 16; g++) {
            const uint8_t *low = block->low + g / 8 * 64 + g % 4 * 16;
            const uint8_t *high = block->high + g / 8 * 32 + g % 2 * 16;
            const int low_shift = (int)(g / 4 % 2) * 4, high_shift = (int)(g / 2 % 4) * 2;
            float scale = d * (float)block->scales[g];
            for (size_t i = 0; i < 16; i++) {
                int whole = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
                values[g * 16 + i] = scale * (float)(whole - 32);
            }
        }
    }
}

void ati_unpack_iq4_xs(const uint8_t *blocks, size_t n, float *values) {
    const iq4_xs *block = (const iq4_xs *)blocks;
    for (size_t b = 0; b < n; b++, block++, values += VALUES) {
        float d = ati_f16_at(block->d);
        for (size_t g = 0; g < 8; g++) { /* groups of 32 */
            const uint8_t *q = block->q + g * 16;
            int low = block->scales_low[g / 2] >> (g % 2 * 4) & 15;
            int high = block->scales_high[g / 4] >> (g % 4 * 2) & 3;
            float scale = d * (float)((low | high << 4) - 32);
            for (size_t i = 0; i < 16; i++) {
                values[g * 32 + i] = scale * ati_iq4_values[q[i] & 15];
                values[g * 32 + 16 + i] = scale * ati_iq4_values[q[i] >> 4];
            }
        }
    }
}
