#include "model/weights_check.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "model/weights_read.h"

static bool ends_with(const char *name, const char *ending) {
    size_t length = strlen(name), most = strlen(ending);
    return length >= most && strcmp(name + length - most, ending) == 0;
}

/* Whether a tensor without a place in the model may be there all the same. */
static bool is_harmless(const ati_tensors *tensors, const char *name) {
    const ati_config *config = tensors->config;
    for (const char *const *ending = config->stored.ignored; *ending != NULL; ending++) {
        if (ends_with(name, *ending)) {
            return true;
        }
    }
    if (config->is_part && strncmp(name, tensors->body, strlen(tensors->body)) != 0) {
        return true;
    }
    return config->tied && strcmp(name, tensors->unembedding) == 0;
}

static ati_status fail_unexpected(const ati_tensors *tensors, const ati_file *file,
                                  const char *name) {
    const ati_config *config = tensors->config;
    bool tells_bias = ends_with(name, ".bias");
    return ati_fail(tensors->error, ATI_FORMAT,
                    "tensor '%.200s' in '%s' has no place in the model that %s "
                    "describes (%s of %zu layers%s%s%s)",
                    name, file->path, config->described_by, config->family->model_type,
                    config->n_layers,
                    tells_bias && !config->qkv_bias ? ", no bias on queries, keys and values" : "",
                    tells_bias && !config->output_bias ? ", none on the attention's output" : "",
                    tells_bias && !config->mlp_bias ? ", none in the MLP" : "");
}

static ati_status refuse_unexpected(const ati_tensors *tensors) {
    for (size_t i = 0; i < tensors->checkpoint->n_tensors; i++) {
        const ati_checkpoint_tensor *at = &tensors->checkpoint->tensors[i];
        if (!tensors->seen[i] && !is_harmless(tensors, at->tensor->name)) {
            return fail_unexpected(tensors, at->file, at->tensor->name);
        }
    }
    return ATI_OK;
}

/* The values of a tensor; two to a byte of an MXFP4 block, whose scales are none. */
static size_t count_values(const ati_tensor *tensor) {
    if (tensor->blocks != NULL) {
        return tensor->bytes / tensor->blocks->bytes * tensor->blocks->values;
    }
    return ends_with(tensor->name, "_blocks") ? tensor->bytes * 2 : 0;
}

static size_t count_parameters(const ati_tensors *tensors) {
    size_t n = 0;
    for (size_t i = 0; i < tensors->checkpoint->n_tensors; i++) {
        n += tensors->seen[i] ? count_values(tensors->checkpoint->tensors[i].tensor) : 0;
    }
    return n;
}

/* A tied model may store its output projection too, if it is the same one. */
static ati_status check_tie(const ati_tensors *tensors) {
    const ati_checkpoint *checkpoint = tensors->checkpoint;
    char embeddings[ATI_NAME_SIZE];
    bool same = true;
    if (!tensors->config->tied || ati_checkpoint_find(checkpoint, tensors->unembedding) == NULL) {
        return ATI_OK;
    }
    ati_tensor_name(tensors, tensors->config->stored.names.embeddings, 0, 0, ".weight", embeddings);
    ati_status status =
        ati_checkpoint_same(checkpoint, embeddings, tensors->unembedding, &same, tensors->error);
    if (status == ATI_OK && !same) {
        return ati_fail(tensors->error, ATI_FORMAT,
                        "config.json in '%s' says tie_word_embeddings, but tensor '%s' is there "
                        "and differs from '%s': set tie_word_embeddings to false, or remove it",
                        checkpoint->path, tensors->unembedding, embeddings);
    }
    return status;
}

/* A table of the tensors that have a place in the model, none of them so far. */
static ati_status make_seen(ati_tensors *tensors) {
    size_t n = tensors->checkpoint->n_tensors;
    tensors->seen = ati_calloc(n, sizeof *tensors->seen);
    return tensors->seen != NULL ? ATI_OK
                                 : ati_fail_memory(tensors->error, n, "a table of tensors");
}

ati_status ati_tensors_check(ati_tensors *tensors, size_t *n_parameters) {
    ati_mlp mlp = {0};
    ati_layer_weights layer = {.mlps = &mlp};
    const ati_weights places = {.layers = &layer, .mlps = &mlp};
    ati_status status = make_seen(tensors);
    if (status == ATI_OK) {
        status = ati_visit_weights(tensors, &places);
    }
    if (status == ATI_OK) {
        status = refuse_unexpected(tensors);
    }
    if (status == ATI_OK) {
        status = check_tie(tensors);
    }
    if (status == ATI_OK) {
        *n_parameters = count_parameters(tensors);
    }
    ati_free(tensors->seen);
    tensors->seen = NULL;
    return status;
}
