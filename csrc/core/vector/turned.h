/* Groups of values turned by a Hadamard matrix, which spreads one large value over all,
 * and rounded to int8. */
#ifndef ATI_TURNED_H
#define ATI_TURNED_H

#include <stdint.h>

enum { ATI_TURNED = 64 };

/* x = H x, with H of -1/8 and 1/8, its own transpose and its own inverse: of two groups
 * turned, the product x . w stays what it was but for rounding. Additions have one order,
 * so that the bits are the same on any instruction set. */
void ati_turn(float x[ATI_TURNED]);

/* y = x, turned, as multiples -127..127 of the result, each plus offset, modulo 256. The
 * result is 0 for zeros and what is too small to divide by, NaN for what holds a NaN or an
 * infinity, with offset as every y. Replaces x by something else. */
float ati_round_turned(float x[ATI_TURNED], uint32_t offset, uint8_t y[ATI_TURNED]);

#endif
