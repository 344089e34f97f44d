/* Blocks of 32 values that share a scale d, and some a least value m (ati_ggml_unpack). What is
 * below in brackets is the bytes of a block; an integer of 4 bits is in the lower half of a
 * byte for the first 16 values, in the upper for the others. */
#ifndef ATI_GGML_SHORT_H
#define ATI_GGML_SHORT_H

#include <stddef.h>
#include <stdint.h>

/* 4-bit floats and integers of IQ4_NL and IQ4_XS stand for these. */
extern const float ati_iq4_values[16];

void ati_unpack_q4_0(const uint8_t *blocks, size_t n, float *values);   /* [d, 16] d (q - 8) */
void ati_unpack_q4_1(const uint8_t *blocks, size_t n, float *values);   /* [d, m, 16] d q + m */
void ati_unpack_q5_0(const uint8_t *blocks, size_t n, float *values);   /* [d, 5th bits, 16] */
void ati_unpack_q5_1(const uint8_t *blocks, size_t n, float *values);   /* [d, m, 5th bits, 16] */
void ati_unpack_q8_0(const uint8_t *blocks, size_t n, float *values);   /* [d, 32] d q */
void ati_unpack_iq4_nl(const uint8_t *blocks, size_t n, float *values); /* [d, 16] of a table */
void ati_unpack_mxfp4(const uint8_t *blocks, size_t n, float *values);  /* [exponent, 16] */

#endif
