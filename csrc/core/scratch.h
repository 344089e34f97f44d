/* The memory that a pass works in. */
#ifndef ATI_SCRATCH_H
#define ATI_SCRATCH_H

#include "pack.h"

enum {
    ATI_QUERY_BLOCK = 2 * ATI_ROW_TILE, /* query rows that attention handles together */
    ATI_KEY_BLOCK = 4 * ATI_ROW_TILE,   /* key rows, likewise; a multiple of the above */
    ATI_VOCAB_TILE = 1024,              /* logits of a row block held at a time */
};

/* The matrices of a pack: every reading's rows, one reading after another. */
typedef struct {
    float *hidden; /* [rows, hidden_size] the residual stream */
    float *qkv;    /* [rows, (heads + 2 kv_heads) * head_dim] */
    float *heads;  /* [rows, heads * head_dim] the heads' outputs side by side */
    float *rope;   /* [rows of one reading, 2, head_dim / 2] cosines and sines */
} ati_rows;

/* What one thread needs for the block of rows in its hands. */
typedef struct {
    float *normed;  /* [ATI_ROW_BLOCK, hidden_size] */
    float *added;   /* [ATI_ROW_BLOCK, hidden_size] what a block adds to the residual */
    float *gate_up; /* [ATI_ROW_BLOCK, 2 * intermediate_size] */
    float *logits;  /* [ATI_ROW_BLOCK, ATI_VOCAB_TILE] */
    float *scores;  /* [ATI_QUERY_BLOCK, ATI_KEY_BLOCK] */
    float *mixed;   /* [ATI_QUERY_BLOCK, head_dim] */
    float *row;     /* [longest document] one row of attention */
    double *sums;   /* [head_dim] */
} ati_tiles;

/* Bytes of the matrices of a pack of n_rows, read n_readings times; false when
 * that does not fit a size_t. */
bool ati_rows_bytes(const ati_config *config, size_t n_rows, size_t n_readings, size_t *bytes);
void ati_rows_place(const ati_config *config, size_t n_rows, size_t n_readings, void *memory,
                    ati_rows *rows);

/* The same for the tiles of a thread, for documents of up to `longest` tokens. */
bool ati_tiles_bytes(const ati_config *config, size_t longest, size_t *bytes);
void ati_tiles_place(const ati_config *config, size_t longest, void *memory, ati_tiles *tiles);

#endif
