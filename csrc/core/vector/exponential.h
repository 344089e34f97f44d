/* The exponential function of one float, for loops that a compiler turns into vectors. */
#ifndef ATI_EXPONENTIAL_H
#define ATI_EXPONENTIAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/*
 * exp(x), by 2^k * e^r with |r| <= ln(2)/2 and a polynomial for e^r - 1 - r; relative
 * error below 1e-7. Below -87 it is 0, so that a masked score of -infinity has
 * exactly no weight, above 88 exp(88); NaN stays NaN. The polynomial is summed in
 * pairs, since a chain of all its terms would keep a processor waiting.
 */
static inline __attribute__((always_inline)) float ati_exp_of(float x) {
    const float round_to_integer = 12582912.0F; /* 1.5 * 2^23: the sum's lowest bits are k */
    float bounded = x < 88.0F ? x : 88.0F;
    float shifted = fmaf(bounded, 1.44269504F, round_to_integer);
    float k = shifted - round_to_integer;
    float r = fmaf(k, 2.12194440e-4F, fmaf(k, -0.693359375F, bounded));
    float square = r * r;
    float high = fmaf(1.9875691500e-4F, r, 1.3981999507e-3F);
    float middle = fmaf(8.3334519073e-3F, r, 4.1665795894e-2F);
    float low = fmaf(1.6666665459e-1F, r, 5.0000001201e-1F);
    float p = fmaf(fmaf(high, square, middle), square, low);
    float value = fmaf(p, square, r) + 1.0F;
    uint32_t bits, power;
    memcpy(&bits, &value, sizeof(bits));
    memcpy(&power, &shifted, sizeof(power));
    bits += power << 23; /* times 2^k */
    memcpy(&value, &bits, sizeof(value));
    value = x > -87.0F ? value : 0.0F;
    return x == x ? value : x;
}

#endif
