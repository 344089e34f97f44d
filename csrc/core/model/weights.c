#include "model/weights.h"

#include "base/alloc.h"
#include "base/error.h"
#include "model/packed.h"
#include "model/weights_check.h"
#include "model/weights_memory.h"
#include "model/weights_read.h"

/* What a value may take in memory, and what all may besides. Of real models a value takes some
 * 5 bytes at most; one whose matrices have a row or a column takes hundreds, since rows are padded
 * to panels and columns to steps. */
#define MOST_BYTES_A_VALUE ((size_t)16)
#define MOST_PADDING ((size_t)64 << 20)

static ati_status fail_size(ati_error *error) {
    return ati_fail(error, ATI_FORMAT, "the model's weights take more memory than there can be");
}

/* Adds up what the weights take, without any memory. */
static ati_status measure(const ati_config *config, const ati_kernel *kernel, size_t *bytes,
                          ati_error *error) {
    ati_weights nothing = {0};
    return ati_weights_lay_out(config, kernel, NULL, &nothing, bytes) ? ATI_OK : fail_size(error);
}

/* Lays the weights out in weights->memory, which is there. */
static ati_status settle(const ati_config *config, const ati_kernel *kernel, ati_weights *weights,
                         ati_error *error) {
    size_t n_mlps = 0, bytes = 0;
    for (size_t l = 0; l < config->n_layers; l++) {
        n_mlps += config->layers[l].is_sparse ? config->n_experts : 1;
    }
    weights->layers = ati_calloc(config->n_layers, sizeof *weights->layers);
    weights->mlps = ati_calloc(n_mlps, sizeof *weights->mlps);
    if (weights->layers == NULL || weights->mlps == NULL) {
        return ati_fail_memory(error, n_mlps * sizeof *weights->mlps, "layers");
    }
    (void)ati_weights_lay_out(config, kernel, weights->memory, weights, &bytes);
    return ATI_OK;
}

/* Refuses weights that are padding for the most part: a small file could ask for any memory. */
static ati_status check_padding(const char *path, const ati_weights *weights, ati_error *error) {
    size_t bytes = weights->bytes, values = weights->n_parameters;
    return bytes <= MOST_PADDING || (bytes - MOST_PADDING) / MOST_BYTES_A_VALUE <= values
               ? ATI_OK
               : ati_fail(error, ATI_FORMAT,
                          "the %zu values of the tensors in '%s' would take %zu bytes of memory, "
                          "expected at most %zu for each and %zu besides: its matrices are too "
                          "small",
                          values, path, bytes, MOST_BYTES_A_VALUE, MOST_PADDING);
}

static ati_status make_room(const char *path, const ati_config *config, const ati_kernel *kernel,
                            ati_weights *weights, ati_error *error) {
    ati_status status = measure(config, kernel, &weights->bytes, error);
    if (status == ATI_OK) {
        status = check_padding(path, weights, error);
    }
    if (status != ATI_OK) {
        return status;
    }
    weights->memory = ati_map(weights->bytes);
    return weights->memory != NULL ? settle(config, kernel, weights, error)
                                   : ati_fail_memory(error, weights->bytes, "the model's weights");
}

static ati_status read_all(ati_tensors *tensors, const ati_weights *weights) {
    size_t values = ati_longest_read(tensors->config);
    tensors->rows = ati_calloc(values, sizeof *tensors->rows);
    if (tensors->rows == NULL) {
        return ati_fail_memory(tensors->error, values * sizeof *tensors->rows, "reading a tensor");
    }
    ati_status status = ati_visit_weights(tensors, weights);
    ati_free(tensors->rows);
    return status;
}

/* Nothing that only config.json, or metadata, claim is allocated: first the tensors are checked. */
ati_status ati_weights_load(const char *path, const ati_gguf *gguf, const ati_config *config,
                            const ati_kernel *kernel, ati_poller *poller, ati_weights *weights,
                            ati_error *error) {
    ati_checkpoint checkpoint = {0};
    ati_tensors tensors = {.config = config, .checkpoint = &checkpoint, .error = error};
    *weights = (ati_weights){0};
    ati_status status = gguf != NULL ? ati_checkpoint_open_gguf(gguf, poller, &checkpoint, error)
                                     : ati_checkpoint_open(path, poller, &checkpoint, error);
    if (status == ATI_OK) {
        ati_tensors_find_names(&tensors);
        status = ati_tensors_check(&tensors, &weights->n_parameters);
    }
    if (status == ATI_OK) {
        status = make_room(path, config, kernel, weights, error);
    }
    if (status == ATI_OK) {
        status = read_all(&tensors, weights);
    }
    ati_checkpoint_close(&checkpoint);
    if (status != ATI_OK) {
        ati_weights_free(weights);
    }
    return status;
}

/* The same: first the file must be of the size. */
ati_status ati_weights_map(const char *path, const char *key, const ati_config *config,
                           const ati_kernel *kernel, ati_poller *poller, ati_weights *weights,
                           ati_error *error) {
    ati_packed packed = {
        .precision = ati_precision_name(kernel->precision),
        .kernel = ati_kernel_name(kernel),
        .key = key,
    };
    *weights = (ati_weights){.is_file = true};
    ati_status status = measure(config, kernel, &packed.bytes, error);
    if (status == ATI_OK) {
        status = ati_packed_map(path, &packed, poller, &weights->memory, error);
    }
    if (status == ATI_OK) {
        weights->bytes = packed.bytes;
        weights->n_parameters = packed.n_parameters;
        status = settle(config, kernel, weights, error);
    }
    if (status != ATI_OK) {
        ati_weights_free(weights);
    }
    return status;
}

size_t ati_weights_measure(const ati_config *config, const ati_kernel *kernel) {
    size_t bytes = 0;
    ati_error error;
    return measure(config, kernel, &bytes, &error) == ATI_OK ? bytes : 0;
}

void ati_weights_free(ati_weights *weights) {
    if (weights->is_file) {
        ati_packed_unmap(weights->memory, weights->bytes);
    } else {
        ati_unmap(weights->memory, weights->bytes);
    }
    ati_free(weights->layers);
    ati_free(weights->mlps);
    *weights = (ati_weights){0};
}
