#include "gguf/ggml_plain.h"

void ati_unpack_f32(const uint8_t *blocks, size_t n, float *values) {
    memcpy(values, blocks, n * sizeof *values);
}

void ati_unpack_f16(const uint8_t *blocks, size_t n, float *values) {
    for (size_t i = 0; i < n; i++) {
        values[i] = ati_f16_at(blocks + 2 * i);
    }
}

void ati_unpack_bf16(const uint8_t *blocks, size_t n, float *values) {
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, blocks + 2 * i, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&values[i], &bits, sizeof bits);
    }
}
