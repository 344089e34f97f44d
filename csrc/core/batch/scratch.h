/* The memory that a pass works in. */
#ifndef ATI_SCRATCH_H
#define ATI_SCRATCH_H

#include "batch/pack.h"

enum {
    ATI_QUERY_ROWS = 2 * ATI_ROW_TILE, /* query rows that attention handles together, at most */
    ATI_KEY_BLOCK = 480,               /* keys, likewise: scores and weights of a tile stay near */
};
_Static_assert(ATI_QUERY_ROWS % ATI_TILE_ROWS == 0, "tiles write whole");
_Static_assert(ATI_KEY_BLOCK % ATI_QUERY_ROWS == 0, "a query row sees a key of each block");
_Static_assert(ATI_KEY_BLOCK % ATI_PANEL == 0, "keys fill panels");
_Static_assert((size_t)ATI_KEY_BLOCK <= (size_t)ATI_MOST_STEPS, "weights are one block of a row");

/* The matrices of a pack: every reading's rows, one reading after another. */
typedef struct {
    float *hidden; /* [rows, hidden_size] the residual stream */
    float *qkv;    /* [rows, (heads + 2 kv_heads) * head_dim] */
    float *heads;  /* [rows, heads * head_dim] the heads' outputs side by side */
    float *rope;   /* [ropes, rows of one reading, 2, rotary dim / 2] cosines and sines */
    char *keys;    /* [readings, kv_heads, keys] panels of keys, ati_key_bytes each */
    char *values;  /* [readings, kv_heads, keys] panels of values, ati_value_bytes each */
} ati_rows;

/* What one thread needs for the rows in its hands. Rows of products are in the
 * format of what they are multiplied with (format.h). */
typedef struct {
    char *x;          /* [ATI_ROW_BLOCK] rows of hidden_size or heads * head_dim */
    char *inner;      /* [ATI_ROW_BLOCK] rows of intermediate_size, or of an expert's */
    float *product;   /* [ATI_ROW_BLOCK, ATI_MOST_CHUNK] */
    float *activated; /* [ATI_ROW_BLOCK, a block of inner up to whole groups] */
    float *row;       /* [hidden_size] */
    char *queries;    /* [ATI_QUERY_ROWS] rows of head_dim */
    float *scores;    /* [ATI_QUERY_ROWS, ATI_KEY_BLOCK] */
    char *weights;    /* [ATI_QUERY_ROWS] rows of ATI_KEY_BLOCK */
    float *mixed;     /* [ATI_QUERY_ROWS, head_dim up to whole panels] */
    float *added;     /* likewise */
    float *attention; /* [longest document] one row of attention */
    double *sums;     /* [head_dim] */
    float *addend;    /* [ATI_ROW_BLOCK, hidden_size] where a norm comes before hidden */

    /* Of layers with experts */
    float *logits;           /* [n_experts] */
    uint16_t *experts;       /* [ATI_ROW_BLOCK, experts_per_token] */
    float *factors;          /* likewise */
    char *gathered;          /* [ATI_ROW_BLOCK] rows of hidden_size */
    uint16_t *gathered_rows; /* [ATI_ROW_BLOCK] */
    float *gathered_factors; /* [ATI_ROW_BLOCK] */
} ati_scratch;

/* head_dim up to whole panels. */
static inline size_t ati_value_columns(const ati_config *config) {
    return ati_count_panels(config->head_dim) * ATI_PANEL;
}

/* Bytes that one key, or value, of a head takes among packed ones. */
size_t ati_key_bytes(const ati_model *model);
size_t ati_value_bytes(const ati_model *model);

/* Bytes of the matrices of a pack, read n_readings times; false when that does not
 * fit a size_t. */
bool ati_rows_bytes(const ati_model *model, const ati_pack *pack, size_t n_readings, size_t *bytes);
void ati_rows_lay_out(const ati_model *model, const ati_pack *pack, size_t n_readings, void *memory,
                      ati_rows *rows);

/* The same for the scratch of a thread, for documents of up to `longest` tokens. */
bool ati_scratch_bytes(const ati_model *model, size_t longest, size_t *bytes);
void ati_scratch_lay_out(const ati_model *model, size_t longest, void *memory,
                         ati_scratch *scratch);

#endif
