/* A small model of any architecture of GGUF, key by key: which tensors it has, the core itself
 * says. */
#ifndef GGUF_MODELS_H
#define GGUF_MODELS_H

#include "config/gguf_family.h"
#include "tests/families.h"

enum { GGUF_MODEL_LAYERS = 2, GGUF_MOST_KEYS = 80 };

/* A key without the architecture's name, and its value as the file has it. */
typedef struct {
    char key[64];
    uint32_t type, item; /* `item` of an array */
    uint64_t count;      /* of an array's items; else 1 */
    unsigned char data[256];
    size_t bytes;
} gguf_entry;

typedef struct {
    const char *architecture;
    gguf_entry keys[GGUF_MOST_KEYS];
    size_t n_keys;
    family_tensors tensors;
} gguf_model;

/* The keys that a model of that row has, and no tensors. */
void gguf_model_begin(gguf_model *model, const ati_gguf_family *row);

/* Sets a key in place of the one of that name, if there is any; one too many is left out. */
void gguf_model_set(gguf_model *model, const char *key, uint32_t type, const void *data,
                    size_t bytes);
void gguf_model_set_u32(gguf_model *model, const char *key, uint32_t number);
void gguf_model_set_f32(gguf_model *model, const char *key, float number);

/* An array of `count` items. */
void gguf_model_set_array(gguf_model *model, const char *key, uint32_t item, uint64_t count,
                          const void *data, size_t bytes);

/* Adds a tensor of float32 numbers of that shape, "2, 3". */
void gguf_model_add(gguf_model *model, const char *name, const char *shape);

/* Writes folder/model.gguf as it is. */
void gguf_model_write(const gguf_model *model, const char *folder);

/* Adds the tensors that the core asks for, and writes the file; false, with the reason, where it
 * refuses such a model all the same. */
bool gguf_model_complete(gguf_model *model, const char *folder, ati_error *error);

#endif
