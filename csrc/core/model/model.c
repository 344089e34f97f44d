#include "model/model.h"

#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/error.h"
#include "config/config_gguf.h"
#include "model/packed.h"

/* Whether a path is of a GGUF file, whatever its name (Ollama's have no ending), and not of a
 * folder; where there is neither, its name tells which of them is missed. */
static bool is_gguf_path(const char *path) {
    static const char ending[] = ".gguf";
    struct stat status;
    if (stat(path, &status) == 0) {
        return !S_ISDIR(status.st_mode);
    }
    size_t length = strlen(path), most = sizeof ending - 1;
    return length > most && strcmp(path + length - most, ending) == 0;
}

/* The weights of the tensors, or of a file of packed ones. `gguf` is NULL for a folder. */
static ati_status open_weights(const ati_opening *from, const ati_gguf *gguf, ati_poller *poller,
                               ati_model *model, ati_error *error) {
    return from->packed == NULL ? ati_weights_load(from->path, gguf, &model->config, model->kernel,
                                                   poller, &model->weights, error)
                                : ati_weights_map(from->packed, from->key, &model->config,
                                                  model->kernel, poller, &model->weights, error);
}

static ati_status open_folder(const ati_opening *from, ati_poller *poller, ati_model *model,
                              ati_error *error) {
    ati_status status = ati_config_read(from->path, &model->config, error);
    return status == ATI_OK ? open_weights(from, NULL, poller, model, error) : status;
}

static ati_status open_gguf(const ati_opening *from, ati_poller *poller, ati_model *model,
                            ati_error *error) {
    ati_gguf gguf = {0};
    ati_status status = ati_gguf_open(from->path, poller, &gguf, error);
    if (status == ATI_OK) {
        status = ati_config_from_gguf(&gguf, &model->config, error);
    }
    if (status == ATI_OK) {
        status = open_weights(from, &gguf, poller, model, error);
    }
    ati_gguf_close(&gguf);
    return status;
}

ati_status ati_model_open(const ati_opening *from, ati_model **model, ati_error *error) {
    ati_poller poller = {.poll = from->poll, .context = from->poll_context};
    *model = NULL;
    ati_model *opened = ati_calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return ati_fail_memory(error, sizeof(*opened), "the model");
    }
    ati_status status = ati_kernel_find(from->precision, from->kernel, &opened->kernel, error);
    if (status == ATI_OK) {
        status = is_gguf_path(from->path) ? open_gguf(from, &poller, opened, error)
                                          : open_folder(from, &poller, opened, error);
    }
    if (status != ATI_OK) {
        ati_model_free(opened);
        return status;
    }
    *model = opened;
    return ATI_OK;
}

const void *ati_model_packed(const ati_model *model) {
    return model->weights.memory;
}

ati_status ati_model_packed_header(const ati_model *model, const char *key, ati_poll poll,
                                   void *poll_context, unsigned char header[ATI_PACKED_HEADER],
                                   ati_error *error) {
    ati_poller poller = {.poll = poll, .context = poll_context};
    ati_packed packed = {
        .precision = ati_precision_name(model->kernel->precision),
        .kernel = ati_kernel_name(model->kernel),
        .key = key,
        .bytes = model->weights.bytes,
        .n_parameters = model->weights.n_parameters,
    };
    return ati_packed_describe(&packed, model->weights.memory, &poller, header, error);
}

void ati_model_free(ati_model *model) {
    if (model != NULL) {
        ati_weights_free(&model->weights);
        ati_free(model);
    }
}

/* Weights that one token is multiplied with in a layer: of experts those it takes. */
static size_t count_layer_weights(const ati_config *config, const ati_layer_weights *layer) {
    const ati_mlp *mlp = &layer->mlps[0];
    size_t ffn = mlp->down.layout.k, hidden = config->hidden_size;
    size_t used = layer->router != NULL ? config->experts_per_token : 1;
    size_t router = layer->router != NULL ? layer->n_mlps : 0;
    size_t projections = ati_mlp_is_gated(mlp) ? 3 : 2;
    return hidden *
           (ati_qkv_columns(config) + layer->output.layout.k + router + used * projections * ffn);
}

/* The bytes of the weights in a precision, by its best kernel or the model's own. */
static size_t measure(const ati_model *model, ati_precision precision) {
    const ati_kernel *kernel = NULL;
    ati_error error;
    if (precision == model->kernel->precision) {
        return model->weights.bytes;
    }
    return ati_kernel_find(precision, NULL, &kernel, &error) == ATI_OK
               ? ati_weights_measure(&model->config, kernel)
               : 0;
}

/* The context that llama3, yarn and longrope stretch. */
static size_t original_context(const ati_rope *rope) {
    bool has_one = rope->type == ATI_ROPE_LLAMA3 || rope->type == ATI_ROPE_YARN ||
                   rope->type == ATI_ROPE_LONGROPE;
    return has_one ? rope->original_context : 0;
}

ati_model_info ati_model_describe(const ati_model *model) {
    const ati_config *config = &model->config;
    size_t n_windowed = 0, n_unrotated = 0, layer_weights = 0;
    for (size_t l = 0; l < config->n_layers; l++) {
        n_windowed += config->layers[l].is_windowed;
        n_unrotated += !config->layers[l].rotates;
        layer_weights += count_layer_weights(config, &model->weights.layers[l]);
    }
    return (ati_model_info){
        .n_layers = config->n_layers,
        .n_heads = config->n_heads,
        .n_kv_heads = config->n_kv_heads,
        .head_dim = config->head_dim,
        .hidden_size = config->hidden_size,
        .intermediate_size = config->intermediate_size,
        .vocab_size = config->vocab_size,
        .max_position_embeddings = config->max_position_embeddings,
        .rope_theta = config->ropes[0].theta,
        .window_rope_theta = config->n_ropes > 1 ? config->ropes[1].theta : 0,
        .rope_factor = config->n_ropes > 0 ? config->ropes[0].factor : 1,
        .rope_original_context = original_context(&config->ropes[0]),
        .fp32_bytes = measure(model, ATI_FP32),
        .bf16_bytes = measure(model, ATI_BF16),
        .int8_bytes = measure(model, ATI_INT8),
        .rotary_dim = ati_rotary_dim(config),
        .window = n_windowed > 0 ? config->window : 0,
        .n_windowed_layers = n_windowed,
        .n_unrotated_layers = n_unrotated,
        .n_experts = config->n_experts,
        .experts_per_token = config->experts_per_token,
        .n_parameters = model->weights.n_parameters,
        .layer_weights = layer_weights,
        .weight_bytes = model->weights.bytes,
        .model_type = config->family->model_type,
        .rope_type = config->n_ropes > 0 ? ati_rope_name(config->ropes[0].type) : "none",
        .precision = ati_precision_name(model->kernel->precision),
        .kernel = ati_kernel_name(model->kernel),
        .tied = config->tied,
    };
}
