/* The metadata of a GGUF file as a config. They are written as the config.json that says the
 * same, and read by its rules: so each bound, default and refusal is the one there is. What
 * the file's tensors tell (biases, a tie, what is fused) is taken from them. */
#ifndef ATI_CONFIG_GGUF_H
#define ATI_CONFIG_GGUF_H

#include "config/config.h"
#include "gguf/gguf.h"

/* Fills *config. Refuses, by name, an architecture that is not known, a key of the
 * architecture that is not read or that the family does not follow, and what
 * ati_config_parse refuses, in the names of the file's own keys. `gguf` need not outlive it. */
ati_status ati_config_from_gguf(const ati_gguf *gguf, ati_config *config, ati_error *error);

#endif
