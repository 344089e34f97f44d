#include "model/weights.h"

#include "base/alloc.h"
#include "base/error.h"
#include "model/packed.h"
#include "model/weights_check.h"
#include "model/weights_memory.h"
#include "model/weights_read.h"

static ati_status fail_size(ati_error *error) {
    return ati_fail(error, ATI_FORMAT, "the model's weights take more memory than there can be");
}

/* Gives the weights `memory` of their own, of `bytes` bytes. */
static void settle(const ati_config *config, const ati_kernel *kernel, void *memory, size_t bytes,
                   ati_weights *weights) {
    weights->memory = memory;
    weights->bytes = bytes;
    (void)ati_weights_lay_out(config, kernel, memory, weights, &bytes);
}

static ati_status make_room(const ati_config *config, const ati_kernel *kernel, size_t bytes,
                            ati_weights *weights, ati_error *error) {
    void *memory = ati_map(bytes);
    if (memory == NULL) {
        return ati_fail_memory(error, bytes, "the model's weights");
    }
    settle(config, kernel, memory, bytes, weights);
    return ATI_OK;
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

/* Room for the layers and their MLPs, still without weights. */
static ati_status make_layers(const ati_config *config, ati_weights *weights, ati_error *error) {
    size_t n_mlps = 0;
    for (size_t l = 0; l < config->n_layers; l++) {
        n_mlps += config->layers[l].is_sparse ? config->n_experts : 1;
    }
    weights->layers = ati_calloc(config->n_layers, sizeof *weights->layers);
    weights->mlps = ati_calloc(n_mlps, sizeof *weights->mlps);
    return weights->layers != NULL && weights->mlps != NULL
               ? ATI_OK
               : ati_fail_memory(error, n_mlps * sizeof *weights->mlps, "layers");
}

ati_status ati_weights_load(const char *folder, const ati_config *config, const ati_kernel *kernel,
                            ati_weights *weights, ati_error *error) {
    ati_checkpoint checkpoint = {0};
    ati_tensors tensors = {.config = config, .checkpoint = &checkpoint, .error = error};
    size_t bytes = 0;
    bool fits = false;
    *weights = (ati_weights){0};
    ati_status status = ati_checkpoint_open(folder, &checkpoint, error);
    if (status == ATI_OK) {
        status = make_layers(config, weights, error);
    }
    if (status == ATI_OK) {
        ati_tensors_find_names(&tensors);
        fits = ati_weights_lay_out(config, kernel, NULL, weights, &bytes);
        status = ati_tensors_check(&tensors, weights);
    }
    if (status == ATI_OK) {
        status = fits ? make_room(config, kernel, bytes, weights, error) : fail_size(error);
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

ati_status ati_weights_map(const char *path, const char *key, const ati_config *config,
                           const ati_kernel *kernel, ati_weights *weights, ati_error *error) {
    void *memory = NULL;
    size_t bytes = 0;
    *weights = (ati_weights){0};
    ati_status status = make_layers(config, weights, error);
    if (status == ATI_OK && !ati_weights_lay_out(config, kernel, NULL, weights, &bytes)) {
        status = fail_size(error);
    }
    ati_packed packed = {
        .precision = ati_precision_name(kernel->precision),
        .kernel = ati_kernel_name(kernel),
        .key = key,
        .bytes = bytes,
    };
    if (status == ATI_OK) {
        status = ati_packed_map(path, &packed, &memory, error);
    }
    if (status != ATI_OK) {
        ati_weights_free(weights);
        return status;
    }
    settle(config, kernel, memory, bytes, weights);
    weights->is_file = true;
    weights->n_parameters = packed.n_parameters;
    return ATI_OK;
}

size_t ati_weights_measure(const ati_config *config, const ati_kernel *kernel) {
    ati_weights weights = {0};
    ati_error error;
    size_t bytes = 0;
    if (make_layers(config, &weights, &error) == ATI_OK) {
        (void)ati_weights_lay_out(config, kernel, NULL, &weights, &bytes);
    }
    ati_weights_free(&weights);
    return bytes;
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
