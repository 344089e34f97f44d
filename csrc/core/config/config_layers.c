/* What differs from layer to layer: windows, rotary embedding, experts. */
#include <string.h>

#include "base/error.h"
#include "config/config_read.h"

#define MOST_WINDOW ((size_t)1 << 30)

static const char windowed[] = "sliding_attention", whole[] = "full_attention";

/* sliding_window: the keys that a row sees, itself included; 0 for all. */
static ati_status read_window(const ati_config_reader *r, ati_config *config) {
    static const char key[] = "sliding_window";
    const ati_family *family = config->family;
    bool counts = family->window_switch == NULL;
    ati_status status = ATI_OK;
    if (family->window_switch != NULL) {
        status = ati_config_flag(r, r->root, family->window_switch, false, &counts);
    }
    if (status != ATI_OK || !counts || family->window == ATI_WINDOW_NONE) {
        return status;
    }
    bool is_null = ati_config_lacks(r, r->root, key);
    if (is_null && ati_json_get(r->json, r->root, key) != ATI_JSON_NONE) {
        return ATI_OK;
    }
    size_t implied = config->is_part && family->implied != NULL ? family->implied->window : 0;
    if (is_null && implied == 0 && !family->states_window) {
        return ATI_OK;
    }
    return ati_config_size(r, r->root, key, MOST_WINDOW, implied, &config->window);
}

/* An array under `key`, or ATI_JSON_NONE where it is absent or null. */
static ati_status find_array(const ati_config_reader *r, const char *key, ati_json_value *array) {
    *array = ati_json_get(r->json, r->root, key);
    if (ati_config_lacks(r, r->root, key)) {
        *array = ATI_JSON_NONE;
        return ATI_OK;
    }
    if (ati_json_type_of(r->json, *array) != ATI_JSON_ARRAY) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected an array", r->path, key,
                        ati_json_describe(r->json, *array));
    }
    return ATI_OK;
}

static ati_status fail_length(const ati_config_reader *r, const char *key, size_t found,
                              size_t n_layers) {
    return ati_fail(r->error, ATI_FORMAT,
                    "'%s': '%s' has %zu items, expected one for each of %zu "
                    "layers",
                    r->path, key, found, n_layers);
}

/* An item of the array under `key` as a number, 0 or more. */
static ati_status take_number(const ati_config_reader *r, const char *key, ati_json_value item,
                              uint64_t *number) {
    return ati_json_uint(r->json, item, number)
               ? ATI_OK
               : ati_fail(r->error, ATI_FORMAT, "'%s': '%s' holds something else than integers",
                          r->path, key);
}

/* rotates = no_rope_layers[l] != 0 where there is that array. */
static ati_status follow_rotating(const ati_config_reader *r, const char *key, ati_json_value array,
                                  ati_config *config) {
    uint64_t number = 0;
    if (ati_json_count(r->json, array) != config->n_layers) {
        return fail_length(r, key, ati_json_count(r->json, array), config->n_layers);
    }
    ati_status status = ATI_OK;
    ati_json_value at = ati_json_first(r->json, array);
    for (size_t l = 0; l < config->n_layers && status == ATI_OK; l++) {
        status = take_number(r, key, at, &number);
        config->layers[l].rotates = number != 0;
        at = ati_json_next(r->json, array, at);
    }
    return status;
}

/* Layers turn as no_rope_layers says, or all but each no_rope_layer_interval-th. */
static ati_status list_rotating(const ati_config_reader *r, ati_config *config) {
    static const char key[] = "no_rope_layers";
    ati_json_value array;
    size_t interval = 4;
    ati_status status = find_array(r, key, &array);
    if (status == ATI_OK) {
        status = ati_config_size(r, r->root, "no_rope_layer_interval", ATI_MOST_LAYERS, interval,
                                 &interval);
    }
    if (status != ATI_OK) {
        return status;
    }
    for (size_t l = 0; l < config->n_layers; l++) {
        config->layers[l].rotates = (l + 1) % interval != 0;
    }
    return array != ATI_JSON_NONE ? follow_rotating(r, key, array, config) : ATI_OK;
}

/* Whether layer l has a window, by the family's rule: `first` is max_window_layers. */
static bool has_window(const ati_config *config, size_t l, double first, size_t period) {
    switch (config->family->window) {
    case ATI_WINDOW_ALL:
    case ATI_WINDOW_TYPED:
        return true;
    case ATI_WINDOW_LATER:
        return (double)l >= first;
    case ATI_WINDOW_PERIOD:
        return (l + 1) % period != 0;
    case ATI_WINDOW_NO_ROPE:
        return !config->layers[l].rotates;
    case ATI_WINDOW_NONE:
        break;
    }
    return false;
}

static ati_status choose_windows(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    size_t period = family->window_period;
    double first = 0;
    ati_status status = ATI_OK;
    if (config->window == 0) {
        return ATI_OK;
    }
    if (family->window == ATI_WINDOW_LATER) {
        status = ati_config_number(r, r->root, "max_window_layers", 0, 1e9, 28, &first);
    }
    if (status == ATI_OK && family->window_period_key != NULL) {
        status = ati_config_size(r, r->root, family->window_period_key, ATI_MOST_LAYERS, period,
                                 &period);
    }
    for (size_t l = 0; l < config->n_layers && status == ATI_OK; l++) {
        config->layers[l].is_windowed = has_window(config, l, first, period);
    }
    return status;
}

/* What layer_types says of one layer, checked against what the family can do. */
static ati_status take_type(const ati_config_reader *r, ati_json_value type, ati_config *config,
                            size_t l) {
    bool is_windowed = ati_json_is(r->json, type, windowed);
    bool follows = config->family->window > ATI_WINDOW_ALL;
    if (!is_windowed && !ati_json_is(r->json, type, whole)) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'layer_types' holds something else than '%s' and '%s', which is "
                        "not supported",
                        r->path, whole, windowed);
    }
    if (is_windowed && config->window == 0) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'layer_types' makes layer %zu '%s', and there is no sliding_window "
                        "for a %s",
                        r->path, l, windowed, config->family->model_type);
    }
    if (!follows && is_windowed != config->layers[l].is_windowed) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'layer_types' makes layer %zu '%s', but in a %s sliding_window "
                        "counts for all layers",
                        r->path, l, is_windowed ? windowed : whole, config->family->model_type);
    }
    config->layers[l].is_windowed = is_windowed;
    return ATI_OK;
}

static ati_status follow_types(const ati_config_reader *r, ati_config *config) {
    static const char key[] = "layer_types";
    ati_json_value types;
    ati_status status = find_array(r, key, &types);
    if (status != ATI_OK || types == ATI_JSON_NONE) {
        return status;
    }
    if (ati_json_count(r->json, types) != config->n_layers) {
        return fail_length(r, key, ati_json_count(r->json, types), config->n_layers);
    }
    ati_json_value at = ati_json_first(r->json, types);
    for (size_t l = 0; l < config->n_layers && status == ATI_OK; l++) {
        status = take_type(r, at, config, l);
        at = ati_json_next(r->json, types, at);
    }
    return status;
}

/* ---- Experts ---- */

/* mlp_only_layers: layers without experts, of which there may be more than the model has. */
static ati_status choose_dense(const ati_config_reader *r, ati_config *config) {
    static const char key[] = "mlp_only_layers";
    ati_json_value array;
    uint64_t number = 0;
    ati_status status = find_array(r, key, &array);
    if (status != ATI_OK || array == ATI_JSON_NONE) {
        return status;
    }
    if (ati_json_count(r->json, array) > ATI_MOST_LAYERS) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' has %zu items, expected at most %d",
                        r->path, key, ati_json_count(r->json, array), ATI_MOST_LAYERS);
    }
    ati_json_value at = ati_json_first(r->json, array);
    for (; at != ATI_JSON_NONE && status == ATI_OK; at = ati_json_next(r->json, array, at)) {
        status = take_number(r, key, at, &number);
        if (status == ATI_OK && number < config->n_layers) {
            config->layers[number].is_sparse = false;
        }
    }
    return status;
}

/* All layers have experts but those that decoder_sparse_step and mlp_only_layers leave
 * dense. */
static ati_status choose_sparse(const ati_config_reader *r, ati_config *config) {
    size_t step = 1;
    ati_status status =
        ati_config_size(r, r->root, "decoder_sparse_step", ATI_MOST_LAYERS, 1, &step);
    for (size_t l = 0; l < config->n_layers; l++) {
        config->layers[l].is_sparse = (l + 1) % step == 0;
    }
    return status == ATI_OK ? choose_dense(r, config) : status;
}

static ati_status read_experts(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    const char *count =
        ati_config_lacks(r, r->root, "num_local_experts") ? "num_experts" : "num_local_experts";
    const char *size = family->expert_size_key;
    config->expert_size = config->intermediate_size;
    ati_status status = ati_config_size(r, r->root, count, ATI_MOST_EXPERTS, 0, &config->n_experts);
    if (status == ATI_OK) {
        status = ati_config_size(r, r->root, "num_experts_per_tok", ATI_MOST_EXPERTS, 0,
                                 &config->experts_per_token);
    }
    if (status == ATI_OK && config->experts_per_token > config->n_experts) {
        status = ati_fail(r->error, ATI_FORMAT, "'%s': num_experts_per_tok %zu is above %s %zu",
                          r->path, config->experts_per_token, count, config->n_experts);
    }
    if (status == ATI_OK && size != NULL) {
        status = ati_config_size(r, r->root, size, (size_t)1 << 22, 0, &config->expert_size);
    }
    for (size_t l = 0; l < config->n_layers; l++) {
        config->layers[l].is_sparse = true;
    }
    return status == ATI_OK && family->stored.names.gate != NULL ? choose_sparse(r, config)
                                                                 : status;
}

ati_status ati_config_layers(const ati_config_reader *r, ati_config *config) {
    const ati_rope_rule rule = config->family->rope_layers;
    ati_status status = read_window(r, config);
    for (size_t l = 0; l < config->n_layers; l++) {
        config->layers[l].rotates = config->family->stored.names.positions == NULL;
    }
    if (status == ATI_OK && rule == ATI_ROPE_LISTED) {
        status = list_rotating(r, config);
    }
    if (status == ATI_OK) {
        status = choose_windows(r, config);
    }
    if (status == ATI_OK) {
        status = follow_types(r, config);
    }
    for (size_t l = 0; l < config->n_layers; l++) {
        bool all = rule == ATI_ROPE_WINDOWED_IF_ANY && config->window == 0;
        if ((rule == ATI_ROPE_WINDOWED || rule == ATI_ROPE_WINDOWED_IF_ANY) && !all) {
            config->layers[l].rotates = config->layers[l].is_windowed;
        }
    }
    return status == ATI_OK && config->family->stored.experts != ATI_EXPERTS_NONE
               ? read_experts(r, config)
               : status;
}
