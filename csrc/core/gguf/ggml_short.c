#include "gguf/ggml_short.h"

#include <string.h>

#include "gguf/ggml_plain.h"

enum { VALUES = 32, HALF = VALUES / 2, F16 = 2 /* bytes */, BITS = 4 /* bytes, one a value */ };

const float ati_iq4_values[16] = {-127.0F, -104.0F, -83.0F, -65.0F, -49.0F, -35.0F, -22.0F, -10.0F,
                                  1.0F,    13.0F,   25.0F,  38.0F,  53.0F,  69.0F,  89.0F,  113.0F};

void ati_unpack_q4_0(const uint8_t *blocks, size_t n, float *values) {
    for (size_t b = 0; b < n; b++, blocks += F16 + HALF, values += VALUES) {
        const uint8_t *q = blocks + F16;
        float d = ati_f16_at(blocks);
        for (size_t i = 0; i < HALF; i++) {
            values[i] = d * (float)((q[i] & 15) - 8);
            values[i + HALF] = d * (float)((q[i] >> 4) - 8);
        }
    }
}

void ati_unpack_q4_1(const uint8_t *blocks, size_t n, float *values) {
    for (size_t b = 0; b < n; b++, blocks += 2 * F16 + HALF, values += VALUES) {
        const uint8_t *q = blocks + 2 * F16;
        float d = ati_f16_at(blocks), m = ati_f16_at(blocks + F16);
        for (size_t i = 0; i < HALF; i++) {
            values[i] = d * (float)(q[i] & 15) + m;
            values[i + HALF] = d * (float)(q[i] >> 4) + m;
        }
    }
}

/* The integers of 5 bits [32]: their last bit from the 4 bytes at `bits`. */
static inline void join_fifth_bits(const uint8_t *bits, const uint8_t *q, int32_t *out) {
    uint32_t fifth;
    memcpy(&fifth, bits, sizeof fifth);
    for (uint32_t i = 0; i < HALF; i++) {
        out[i] = (int32_t)((q[i] & 15U) | (fifth >> i & 1) << 4);
        out[i + HALF] = (int32_t)((uint32_t)q[i] >> 4 | (fifth >> (i + HALF) & 1) << 4);
    }
}

void ati_unpack_q5_0(const uint8_t *blocks, size_t n, float *values) {
    for (size_t b = 0; b < n; b++, blocks += F16 + BITS + HALF, values += VALUES) {
        int32_t q[VALUES];
        float d = ati_f16_at(blocks);
        join_fifth_bits(blocks + F16, blocks + F16 + BITS, q);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = d * (float)(q[i] - 16);
        }
    }
}

void ati_unpack_q5_1(const uint8_t *blocks, size_t n, float *values) {
    for (size_t b = 0; b < n; b++, blocks += 2 * F16 + BITS + HALF, values += VALUES) {
        int32_t q[VALUES];
        float d = ati_f16_at(blocks), m = ati_f16_at(blocks + F16);
        join_fifth_bits(blocks + 2 * F16, blocks + 2 * F16 + BITS, q);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = d * (float)q[i] + m;
        }
    }
}

void ati_unpack_q8_0(const uint8_t *blocks, size_t n, float *values) {
    for (size_t b = 0; b < n; b++, blocks += F16 + VALUES, values += VALUES) {
        const int8_t *q = (const int8_t *)(blocks + F16);
        float d = ati_f16_at(blocks);
        for (size_t i = 0; i < VALUES; i++) {
            values[i] = d * (float)q[i];
        }
    }
}

void ati_unpack_iq4_nl(const uint8_t *blocks, size_t n, float *values) {
    for (size_t b = 0; b < n; b++, blocks += F16 + HALF, values += VALUES) {
        const uint8_t *q = blocks + F16;
        float d = ati_f16_at(blocks);
        for (size_t i = 0; i < HALF; i++) {
            values[i] = d * ati_iq4_values[q[i] & 15];
            values[i + HALF] = d * ati_iq4_values[q[i] >> 4];
        }
    }
}

/* 2 to the power of a byte less 128: half of what E8M0 means, as the table has doubles. */
static float half_power(uint8_t exponent) {
    uint32_t bits =
        exponent < 2 ? (uint32_t)0x00200000 << exponent : (uint32_t)(exponent - 1) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

void ati_unpack_mxfp4(const uint8_t *blocks, size_t n, float *values) {
    /* Doubled, and without a negative 0, which ggml's reference does not have. */
    static const float numbers[16] = {0.0F, 1.0F,  2.0F,  3.0F,  4.0F,  6.0F,  8.0F,  12.0F,
                                      0.0F, -1.0F, -2.0F, -3.0F, -4.0F, -6.0F, -8.0F, -12.0F};
    for (size_t b = 0; b < n; b++, blocks += 1 + HALF, values += VALUES) {
        const uint8_t *q = blocks + 1;
        float d = half_power(blocks[0]);
        for (size_t i = 0; i < HALF; i++) {
            values[i] = d * numbers[q[i] & 15];
            values[i + HALF] = d * numbers[q[i] >> 4];
        }
    }
}
