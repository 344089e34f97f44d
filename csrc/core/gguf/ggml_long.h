/* Blocks of 256 values in groups of 16 or 32, whose scales are integers of a few bits times a
 * float16 d that all share; some have least values too, integers times dmin (ati_ggml_unpack). */
#ifndef ATI_GGML_LONG_H
#define ATI_GGML_LONG_H

#include <stddef.h>
#include <stdint.h>

void ati_unpack_q2_k(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_q3_k(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_q4_k(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_q5_k(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_q6_k(const uint8_t *blocks, size_t n, float *values);
void ati_unpack_iq4_xs(const uint8_t *blocks, size_t n, float *values);

#endif
