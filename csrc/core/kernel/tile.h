/*
 * The innermost loop of a product, over one block of ATI_TILE_ROWS rows of x and of a
 * panel of w (the words are format.h's),
 *
 *     y [ATI_TILE_ROWS, ATI_PANEL] = x w^T, or y += x w^T
 *
 * x rows are x_stride bytes apart, y rows y_stride floats. All rows are read and
 * written, and the arithmetic of a row is the same at each place of the tile, so
 * that a row's bits depend on nothing but itself and w.
 *
 * tile_portable.c says in plain C what each computes. int8 forms give its very
 * bits. FMA does not round a product, and the instruction for bf16 adds in another
 * order, so those differ in their last bits, and a kernel's name is part of every
 * result.
 */
#ifndef ATI_TILE_H
#define ATI_TILE_H

#include <stdbool.h>
#include <stddef.h>

enum { ATI_TILE_ROWS = 12 };

typedef void ati_tile(const char *x, size_t x_stride, const char *w, size_t steps, bool add,
                      float *y, size_t y_stride);

ati_tile ati_tile_fp32_portable, ati_tile_bf16_portable, ati_tile_int8_portable;

/* GCC knows AVX512-BF16 from version 10 on. */
#if defined(__x86_64__) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 10))
#define ATI_HAS_X86_TILES
ati_tile ati_tile_fp32_avx2, ati_tile_bf16_avx2, ati_tile_int8_avx2;
ati_tile ati_tile_fp32_avx512, ati_tile_bf16_avx512, ati_tile_int8_avx512;
ati_tile ati_tile_bf16_avx512_bf16, ati_tile_int8_avx512_vnni;
#endif

#endif
