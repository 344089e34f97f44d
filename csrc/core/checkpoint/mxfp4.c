#include "checkpoint/mxfp4.h"

#include <math.h>

enum { BIAS = 127 }; /* of a scale, which is a power of two */

/* 1 bit of sign, 2 of exponent, 1 of mantissa. */
static const float numbers[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                  -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

bool ati_mxfp4_unpack(const uint8_t *blocks, const uint8_t *scales, size_t n, float *values) {
    bool finite = true;
    for (size_t b = 0; b < n; b++, blocks += ATI_MXFP4_BYTES) {
        float scale = ldexpf(1.0F, (int)scales[b] - BIAS);
        for (size_t i = 0; i < ATI_MXFP4_BYTES; i++, values += 2) {
            values[0] = numbers[blocks[i] & 15] * scale;
            values[1] = numbers[blocks[i] >> 4] * scale;
            finite = finite && isfinite(values[0]) && isfinite(values[1]);
        }
    }
    return finite;
}
