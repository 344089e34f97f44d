/* Groups of values turned by a Hadamard matrix, which spreads one large value over all,
 * and rounded to int8. */
#ifndef ATI_TURNED_H
#define ATI_TURNED_H

#include <stddef.h>
#include <stdint.h>

enum {
    ATI_TURNED = 64,                         /* values of a group */
    ATI_ROUNDED = ATI_TURNED + sizeof(float) /* bytes of one that is rounded */
};

/* x = H x, with H of -1/8 and 1/8, its own transpose and its own inverse: of two groups
 * turned, the product x . w stays what it was but for rounding. Additions have one order,
 * so that the bits are the same on any instruction set. */
void ati_turn(float x[ATI_TURNED]);

/* y [n, ATI_ROUNDED] = the groups x [n, ATI_TURNED], turned, as multiples -127..127 of a
 * scale, each plus offset, modulo 256, and behind them the scale, a float. It is 0 for zeros
 * and what is too small to divide by, NaN for what holds a NaN or an infinity, with offset as
 * every multiple. */
void ati_round_turned(const float *x, size_t n, uint8_t offset, uint8_t *y);

/* The same of one group with offset 0, for weights, which are rounded once and can take longer:
 * of sixteen scales that leave the largest value 123.25 to 127 steps the one with the least
 * square error, and then the scale of the least squares for the multiples found. */
void ati_round_turned_closely(const float x[ATI_TURNED], uint8_t y[ATI_ROUNDED]);

#endif
