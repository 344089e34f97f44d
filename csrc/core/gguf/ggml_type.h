/* How the values of a tensor lie in a GGUF file: in blocks, each of so many values in so
 * many bytes. */
#ifndef ATI_GGML_TYPE_H
#define ATI_GGML_TYPE_H

#include <stddef.h>
#include <stdint.h>

#define ATI_GGML_MOST_VALUES 256 /* of a block */

/* Numbers of types that other formats have too. */
enum { ATI_GGML_F32 = 0, ATI_GGML_F16 = 1, ATI_GGML_BF16 = 30 };

/* Writes the values of n blocks to values [n * those of a block], by float32 arithmetic in
 * the order that ggml's own reference has, so that they are its very bits. Blocks are not
 * aligned. */
typedef void ati_ggml_unpack(const uint8_t *blocks, size_t n, float *values);

typedef struct {
    const char *name; /* as ggml calls it: "Q4_K" */
    size_t values;    /* of a block */
    size_t bytes;     /* of a block; 0: ggml has dropped the type, and its size is not known */
    ati_ggml_unpack *unpack; /* NULL: it is not read here */
} ati_ggml_type;

/* The type of this number; NULL where ggml has none. Static. */
const ati_ggml_type *ati_ggml_type_of(uint32_t number);

/* "F32, F16, ...": the types that are read. Static. */
extern const char ati_ggml_read_types[];

#endif
