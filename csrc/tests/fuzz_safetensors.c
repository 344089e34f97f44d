/* The readers of everything a model folder says, on any bytes: the first byte
 * chooses the reader, the rest is its text. For libFuzzer, or fuzz_main.c. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a header was accepted for has to hold: that is what reading relies on. */
static void check_tensors(const ati_safetensors *st, size_t data_bytes) {
    size_t total = 0;
    for (size_t i = 0; i < st->n_tensors; i++) {
        const ati_tensor *tensor = &st->tensors[i];
        if (tensor->bytes > data_bytes || tensor->offset > data_bytes - tensor->bytes ||
            (i > 0 && strcmp(tensor[-1].name, tensor->name) >= 0)) {
            abort();
        }
        total += tensor->bytes;
    }
    if (total != data_bytes) {
        abort();
    }
}

/* What a config was accepted for has to hold too. */
static void check_config(const ati_config *config) {
    size_t dim = ati_rotary_dim(config);
    bool fits = config->n_heads % config->n_kv_heads == 0 && dim % 2 == 0 &&
                dim <= config->head_dim && config->n_layers <= ATI_MOST_LAYERS &&
                config->experts_per_token <= config->n_experts;
    for (size_t l = 0; l < config->n_layers; l++) {
        const ati_layer_kind *kind = &config->layers[l];
        fits = fits && (!kind->is_windowed || config->window > 0) &&
               (!kind->is_sparse || config->n_experts > 0) &&
               (!kind->rotates || config->n_ropes > 0);
    }
    if (!fits) {
        abort();
    }
}

static void read_config(const char *text, size_t length) {
    ati_config config;
    ati_error error;
    float inv_freq[64];
    if (ati_config_parse(text, length, "config.json", &config, &error) == ATI_OK) {
        check_config(&config);
        for (size_t i = 0; i < config.n_ropes && ati_rotary_dim(&config) <= 128; i++) {
            ati_rope_frequencies(&config.ropes[i], 5000, inv_freq);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t length = size - 1, data_bytes = data[0] & 63;
    ati_safetensors st;
    ati_json *json;
    ati_error error;
    switch (data[0] >> 6) {
    case 0:
        (void)ati_json_parse(text, length, "t.json", NULL, &json, &error);
        ati_json_free(json);
        break;
    case 1:
        read_config(text, length);
        break;
    default:
        if (ati_safetensors_parse(text, length, data_bytes, "t", NULL, &st, &error) == ATI_OK) {
            check_tensors(&st, data_bytes);
        }
        ati_safetensors_close(&st);
    }
    return 0;
}
