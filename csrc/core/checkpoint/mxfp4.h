/* Matrices of 4-bit floats with a scale for every 32 (OCP Microscaling, MXFP4), as gpt-oss
 * is published. */
#ifndef ATI_MXFP4_H
#define ATI_MXFP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATI_MXFP4_BLOCK = 32, /* values that share a scale */
    ATI_MXFP4_BYTES = 16, /* of a block's values: the first in the lower half of a byte */
};

/* values [32 n] of n blocks [n, ATI_MXFP4_BYTES] and their scales [n]; false where one of
 * them is not finite. */
bool ati_mxfp4_unpack(const uint8_t *blocks, const uint8_t *scales, size_t n, float *values);

#endif
