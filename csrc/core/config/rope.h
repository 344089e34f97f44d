/* Rotary position embeddings: the cosines and sines that queries and keys are
 * turned by, in every scaling that transformers' modeling_rope_utils.py has for
 * the families here, with its roundings to float32. */
#ifndef ATI_ROPE_H
#define ATI_ROPE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    ATI_ROPE_DEFAULT,
    ATI_ROPE_LINEAR,   /* frequencies divided by `factor` */
    ATI_ROPE_DYNAMIC,  /* theta grows with a document longer than `context` */
    ATI_ROPE_LLAMA3,   /* low frequencies divided by `factor`, a smooth band between */
    ATI_ROPE_YARN,     /* a ramp over dimensions between divided and not */
    ATI_ROPE_LONGROPE, /* divided by a factor of each pair, others beyond original_context */
} ati_rope_type;

enum { ATI_MOST_PAIRS = 256 }; /* of longrope */

typedef struct {
    ati_rope_type type;
    size_t dim;    /* rotated dimensions of a head, the first ones; even */
    bool reversed; /* turns the other way */
    double theta;
    double factor;                            /* all but default */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn */
    double attention_factor;                  /* multiplies cos and sin; 1 but for yarn, longrope */
    size_t original_context;                  /* llama3, yarn, longrope */
    size_t context;                           /* max_position_embeddings; dynamic */
    bool truncate;                            /* yarn: whole dimensions bound the ramp */
    float short_factors[ATI_MOST_PAIRS];      /* [dim / 2] longrope up to original_context */
    float long_factors[ATI_MOST_PAIRS];       /* [dim / 2] longrope beyond it */
} ati_rope;

/* "default", "linear", "dynamic", "llama3", "yarn", "longrope"; static. */
const char *ati_rope_name(ati_rope_type type);

/* inv_freq [dim / 2], for a document of n_tokens. */
void ati_rope_frequencies(const ati_rope *rope, size_t n_tokens, float *inv_freq);

/* cos_sin [n_tokens, 2, dim / 2]: for each position the cosines, then the sines,
 * both times attention_factor, for a document of n_tokens. Pair i of a head is
 * its elements i and i + dim / 2. */
void ati_rope_table(const ati_rope *rope, size_t n_tokens, float *cos_sin);

#endif
