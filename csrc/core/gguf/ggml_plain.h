/* Tensors of float32, float16 and bfloat16: each value is a block (ati_ggml_unpack). */
#ifndef ATI_GGML_PLAIN_H
#define ATI_GGML_PLAIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A float16 as the float32 that it is. Subnormals too; what is not finite stays so. */
static inline float ati_f16_value(uint16_t half) {
    const uint32_t rebias = (uint32_t)(127 - 15) << 23;
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    uint32_t normal = (rest << 13) + rebias, special = (rest << 13) | 0x7f800000, small;
    float value = (float)rest * 0x1p-24f; /* of a subnormal: exact */
    memcpy(&small, &value, sizeof small);
    uint32_t bits = sign | (rest < 0x400 ? small : rest < 0x7c00 ? normal : special);
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The float16 that two bytes hold. */
static inline float ati_f16_at(const uint8_t *bytes) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return ati_f16_value(half);
}

void ati_unpack_f32(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_f16(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_bf16(const uint8_t *blocks, size_t n, float *values);

#endif
