/*
 * What GGUF calls an architecture as a row of data: which family it is, how its files name
 * and lay out tensors, and what they leave unsaid. As llama.cpp's conversion writes them.
 */
#ifndef ATI_GGUF_FAMILY_H
#define ATI_GGUF_FAMILY_H

#include "config/family.h"

typedef struct {
    const char *name;       /* general.architecture */
    const char *where;      /* a key of the architecture that is there and not 0; NULL: none */
    const char *model_type; /* of the family */
    ati_stored stored; /* names.qkv beside query, key and value: files have the one or the others */
    const char *unsaid;       /* members of config.json that no file holds, or NULL */
    bool no_biases;           /* of attention: conversion would leave their rows where they are */
    bool exact_yarn;          /* the ramp of yarn is not rounded to whole dimensions */
    size_t window;            /* where a file says none; 0: then there is none */
    size_t wide_scale_layers; /* a model of so many layers divides scores by the root of hidden /
                                 heads; 0: none does. All others by that of head_dim */
} ati_gguf_family;

/* Row number i, or NULL past the last. Of rows of one name the first whose `where` holds is
 * meant; the last of them has none. Static. */
const ati_gguf_family *ati_gguf_family_at(size_t i);

#endif
