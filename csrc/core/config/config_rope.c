/* The rotary settings of config.json. transformers 5 writes them as
 *
 *     "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, ...}
 *
 * and transformers 4 as
 *
 *     "rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 2.0}
 *
 * with "type" or "rope_type", and null for none. Families whose layers with a window
 * turn otherwise than the rest have two sets: in transformers 5 one object for each,
 *
 *     "rope_parameters": {"full_attention": {...}, "sliding_attention": {...}}
 *
 * and in transformers 4 the settings above for layers that see everything, and a theta
 * of its own for the others. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "config/config_read.h"

#define MOST_THETA 1e15
#define MOST_FACTOR 1e6
#define MOST_ORIGINAL ((size_t)1 << 30)

static const char original_key[] = "original_max_position_embeddings";

/* The object under `key` of another, or ATI_JSON_NONE where there is none or it is
 * empty. */
static ati_status find_object(const ati_config_reader *r, ati_json_value parent, const char *key,
                              ati_json_value *object) {
    ati_json_value value = ati_json_get(r->json, parent, key);
    *object = ATI_JSON_NONE;
    if (ati_config_lacks(r, parent, key)) {
        return ATI_OK;
    }
    if (ati_json_type_of(r->json, value) != ATI_JSON_OBJECT) {
        return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected an object or null",
                        r->path, key, ati_json_describe(r->json, value));
    }
    if (ati_json_count(r->json, value) > 0) {
        *object = value;
    }
    return ATI_OK;
}

/* Settings that hold objects have them by layer type, as families with several
 * kinds of attention do. */
static ati_status refuse_nested(const ati_config_reader *r, ati_json_value settings) {
    size_t length;
    ati_json_value key = ati_json_first(r->json, settings);
    for (; key != ATI_JSON_NONE; key = ati_json_next(r->json, settings, key)) {
        if (ati_json_type_of(r->json, ati_json_member(r->json, key)) == ATI_JSON_OBJECT) {
            return ati_fail(r->error, ATI_UNSUPPORTED,
                            "'%s': rotary settings by layer type ('%.100s') are not supported",
                            r->path, ati_json_string(r->json, key, &length));
        }
    }
    return ATI_OK;
}

/* theta: under `beside` in the root, or among the settings, which wins. */
static ati_status read_theta(const ati_config_reader *r, ati_json_value settings,
                             const char *beside, double otherwise, double *theta) {
    const double least = 1.0 + 1e-6;
    *theta = otherwise > 0 ? otherwise : 10000.0;
    ati_status status = ATI_OK;
    if (beside != NULL) {
        status = ati_config_number(r, r->root, beside, least, MOST_THETA, *theta, theta);
    }
    if (status == ATI_OK) {
        status = ati_config_number(r, settings, "rope_theta", least, MOST_THETA, *theta, theta);
    }
    return status;
}

/* The dimensions of a head that turn: a share under a key in the root, or among the
 * settings, which wins. */
static ati_status read_dim(const ati_config_reader *r, ati_json_value settings,
                           const ati_config *config, size_t *dim) {
    static const char key[] = "partial_rotary_factor";
    const ati_family *family = config->family;
    double least = family->partial > 0 ? 0 : 1, share = family->partial > 0 ? family->partial : 1;
    ati_status status =
        ati_config_number(r, r->root, family->partial_key != NULL ? family->partial_key : key,
                          least, 1, share, &share);
    if (status == ATI_OK) {
        status = ati_config_number(r, settings, key, least, 1, share, &share);
    }
    if (status != ATI_OK) {
        return status;
    }
    *dim = (size_t)((double)config->head_dim * share);
    if (*dim % 2 != 0 || *dim == 0) {
        return ati_fail(
            r->error, ATI_FORMAT,
            "'%s': head_dim %zu times a share of %g that turns is %zu, which is odd or 0, "
            "but rotary embeddings turn pairs",
            r->path, config->head_dim, share, *dim);
    }
    return ATI_OK;
}

/* The context before it was stretched: as transformers 5, beside the settings or
 * among them (beside wins), else the model's context; of two sets, among them. */
static ati_status read_original(const ati_config_reader *r, ati_json_value settings,
                                ati_rope *rope) {
    const ati_family *family = r->family;
    ati_status status = ati_config_size(r, settings, original_key, MOST_ORIGINAL, rope->context,
                                        &rope->original_context);
    if (status == ATI_OK && !family->rope_by_window) {
        size_t beside =
            family->original_context > 0 ? family->original_context : rope->original_context;
        status = ati_config_size(r, r->root, original_key, MOST_ORIGINAL, beside,
                                 &rope->original_context);
    }
    return status;
}

/* ---- What one rope_type has of its own ---- */

static ati_status read_factor(const ati_config_reader *r, ati_json_value settings, ati_rope *rope) {
    return ati_config_number(r, settings, "factor", 1.0, MOST_FACTOR, NAN, &rope->factor);
}

static ati_status read_llama3(const ati_config_reader *r, ati_json_value settings, ati_rope *rope) {
    ati_status status = read_factor(r, settings, rope);
    if (status == ATI_OK) {
        status = ati_config_number(r, settings, "low_freq_factor", 1e-6, MOST_FACTOR, NAN,
                                   &rope->low_freq_factor);
    }
    if (status == ATI_OK) {
        status = ati_config_number(r, settings, "high_freq_factor", 1e-6, MOST_FACTOR, NAN,
                                   &rope->high_freq_factor);
    }
    if (status == ATI_OK && rope->high_freq_factor <= rope->low_freq_factor) {
        status = ati_fail(r->error, ATI_FORMAT,
                          "'%s': high_freq_factor %g is not above low_freq_factor %g", r->path,
                          rope->high_freq_factor, rope->low_freq_factor);
    }
    return status == ATI_OK ? read_original(r, settings, rope) : status;
}

static double mscale(double factor, double scale) {
    return factor <= 1.0 ? 1.0 : 0.1 * scale * log(factor) + 1.0;
}

/* A number from 0 to most among the settings, where null is 0 too. */
static ati_status read_optional(const ati_config_reader *r, ati_json_value settings,
                                const char *key, double *out) {
    ati_json_value value = ati_json_get(r->json, settings, key);
    *out = 0.0;
    if (value != ATI_JSON_NONE && ati_json_type_of(r->json, value) == ATI_JSON_NULL) {
        return ATI_OK;
    }
    return ati_config_number(r, settings, key, 0.0, MOST_FACTOR, 0.0, out);
}

static ati_status read_attention_factor(const ati_config_reader *r, ati_json_value settings,
                                        ati_rope *rope) {
    double given = 0, scale = 0, scale_all = 0;
    ati_status status = read_optional(r, settings, "attention_factor", &given);
    if (status == ATI_OK) {
        status = read_optional(r, settings, "mscale", &scale);
    }
    if (status == ATI_OK) {
        status = read_optional(r, settings, "mscale_all_dim", &scale_all);
    }
    if (given > 0.0) {
        rope->attention_factor = given;
    } else if (scale > 0.0 && scale_all > 0.0) {
        rope->attention_factor = mscale(rope->factor, scale) / mscale(rope->factor, scale_all);
    } else {
        rope->attention_factor = mscale(rope->factor, 1.0);
    }
    return status;
}

static ati_status read_yarn(const ati_config_reader *r, ati_json_value settings, ati_rope *rope) {
    ati_status status = read_factor(r, settings, rope);
    if (status == ATI_OK) {
        status = read_original(r, settings, rope);
    }
    if (status == ATI_OK) {
        status = read_attention_factor(r, settings, rope);
    }
    if (status == ATI_OK) {
        status = read_optional(r, settings, "beta_fast", &rope->beta_fast);
    }
    if (status == ATI_OK) {
        status = read_optional(r, settings, "beta_slow", &rope->beta_slow);
    }
    if (status == ATI_OK) {
        status = ati_config_flag(r, settings, "truncate", true, &rope->truncate);
    }
    /* 0 stands for the default, as it does in transformers. */
    rope->beta_fast = rope->beta_fast > 0.0 ? rope->beta_fast : 32.0;
    rope->beta_slow = rope->beta_slow > 0.0 ? rope->beta_slow : 1.0;
    if (status == ATI_OK && rope->beta_fast < rope->beta_slow) {
        status = ati_fail(r->error, ATI_FORMAT, "'%s': beta_fast %g is below beta_slow %g", r->path,
                          rope->beta_fast, rope->beta_slow);
    }
    return status;
}

/* factors [dim / 2] from an array of numbers. */
static ati_status read_factors(const ati_config_reader *r, ati_json_value settings, const char *key,
                               size_t n, float *factors) {
    ati_json_value array = ati_json_get(r->json, settings, key);
    bool is_array = array != ATI_JSON_NONE && ati_json_type_of(r->json, array) == ATI_JSON_ARRAY;
    if (!is_array || ati_json_count(r->json, array) != n) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': rotary '%s' is %s of %zu items, expected an array of %zu numbers",
                        r->path, key, ati_json_describe(r->json, array),
                        is_array ? ati_json_count(r->json, array) : 0, n);
    }
    ati_json_value at = ati_json_first(r->json, array);
    for (size_t i = 0; i < n; i++) {
        double number;
        if (!ati_json_double(r->json, at, &number) || !(number >= 1e-6 && number <= MOST_FACTOR)) {
            return ati_fail(r->error, ATI_FORMAT,
                            "'%s': item %zu of rotary '%s' is no number from 1e-06 to %g", r->path,
                            i, key, MOST_FACTOR);
        }
        factors[i] = (float)number;
        at = ati_json_next(r->json, array, at);
    }
    return ATI_OK;
}

static ati_status read_longrope(const ati_config_reader *r, ati_json_value settings,
                                ati_rope *rope) {
    double given = 0, factor = 0;
    size_t pairs = rope->dim / 2;
    if (pairs > ATI_MOST_PAIRS) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': rope type 'longrope' is supported up to %d dimensions, found %zu",
                        r->path, 2 * ATI_MOST_PAIRS, rope->dim);
    }
    ati_status status = read_original(r, settings, rope);
    if (status == ATI_OK) {
        status = read_factors(r, settings, "short_factor", pairs, rope->short_factors);
    }
    if (status == ATI_OK) {
        status = read_factors(r, settings, "long_factor", pairs, rope->long_factors);
    }
    if (status == ATI_OK) {
        status = read_optional(r, settings, "factor", &factor);
    }
    if (status == ATI_OK) {
        status = read_optional(r, settings, "attention_factor", &given);
    }
    factor = factor > 0 ? factor : (double)rope->context / (double)rope->original_context;
    if (given > 0) {
        rope->attention_factor = given;
    } else if (factor > 1.0 && rope->original_context > 1) {
        rope->attention_factor = sqrt(1 + log(factor) / log((double)rope->original_context));
    }
    return status;
}

/* A fixed theta in place of one that grows with the document. */
static ati_status fix_theta(const ati_config_reader *r, ati_json_value settings, ati_rope *rope) {
    double alpha = 0, dim = (double)rope->dim;
    ati_status status = read_optional(r, settings, "alpha", &alpha);
    if (alpha > 0) {
        rope->theta *= pow(alpha, dim / (dim - 2));
        rope->type = ATI_ROPE_DEFAULT;
    }
    return status;
}

static ati_status read_dynamic(const ati_config_reader *r, ati_json_value settings,
                               ati_rope *rope) {
    if (rope->dim == 2) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': rope type 'dynamic' needs a head_dim above 2, found 2", r->path);
    }
    ati_status status = r->family->rope_alpha ? fix_theta(r, settings, rope) : ATI_OK;
    return status == ATI_OK && rope->type == ATI_ROPE_DYNAMIC ? read_factor(r, settings, rope)
                                                              : status;
}

/* ---- Types ---- */

typedef struct {
    ati_rope_type type;
    bool is_of_long; /* also in a family whose only scaling is longrope */
    ati_status (*read)(const ati_config_reader *r, ati_json_value settings, ati_rope *rope);
} type_row;

static const type_row types[] = {
    {ATI_ROPE_DEFAULT, true, NULL},          {ATI_ROPE_LINEAR, false, read_factor},
    {ATI_ROPE_DYNAMIC, false, read_dynamic}, {ATI_ROPE_LLAMA3, false, read_llama3},
    {ATI_ROPE_YARN, false, read_yarn},       {ATI_ROPE_LONGROPE, true, read_longrope},
};

static ati_status find_type(const ati_config_reader *r, ati_json_value settings,
                            const type_row **type) {
    bool is_long = r->family->rope_is_long;
    const char *name = NULL;
    ati_status status = ati_config_text(r, settings, "type", "default", &name);
    if (status == ATI_OK) {
        status = ati_config_text(r, settings, "rope_type", name, &name);
    }
    if (status != ATI_OK) {
        return status;
    }
    if (is_long && (strcmp(name, "su") == 0 || strcmp(name, "yarn") == 0)) {
        name = ati_rope_name(ATI_ROPE_LONGROPE);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bool fits = !is_long || types[i].is_of_long;
        if (fits && strcmp(name, ati_rope_name(types[i].type)) == 0) {
            *type = &types[i];
            return ATI_OK;
        }
    }
    return ati_fail(r->error, ATI_UNSUPPORTED,
                    "'%s': rotary rope_type '%.100s' is not supported, expected default%s or "
                    "longrope",
                    r->path, name, is_long ? "" : ", linear, dynamic, llama3, yarn");
}

/* One set of settings; theta is under `beside` in the older dialect. */
static ati_status read_rope(const ati_config_reader *r, ati_json_value settings, const char *beside,
                            double theta, const ati_config *config, ati_rope *rope) {
    const ati_family *family = config->family;
    *rope = (ati_rope){
        .factor = 1.0,
        .attention_factor = 1.0,
        .reversed = family->rope_reversed,
        .original_context = config->max_position_embeddings,
        .context = config->max_position_embeddings,
    };
    const type_row *type = NULL;
    ati_status status = refuse_nested(r, settings);
    if (status == ATI_OK) {
        status = find_type(r, settings, &type);
    }
    if (status == ATI_OK) {
        status = read_theta(r, settings, beside, theta, &rope->theta);
    }
    if (status == ATI_OK) {
        status = read_dim(r, settings, config, &rope->dim);
    }
    if (status != ATI_OK) {
        return status;
    }
    rope->type = type->type;
    return type->read != NULL ? type->read(r, settings, rope) : ATI_OK;
}

/* One set for layers without a window and one for those with. transformers gives the
 * older dialect's rope_scaling and rope_theta to the first alone. */
static ati_status read_two(const ati_config_reader *r, ati_json_value scaling,
                           ati_json_value nested, ati_config *config) {
    static const char full[] = "full_attention", sliding[] = "sliding_attention";
    const ati_family *family = config->family;
    ati_json_value first = ATI_JSON_NONE, second = ATI_JSON_NONE;
    if (nested != ATI_JSON_NONE && ati_json_get(r->json, nested, full) == ATI_JSON_NONE &&
        ati_json_get(r->json, nested, sliding) == ATI_JSON_NONE) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': 'rope_parameters' holds neither '%s' nor '%s', as those of a %s do",
                        r->path, full, sliding, family->model_type);
    }
    if (scaling != ATI_JSON_NONE &&
        (nested != ATI_JSON_NONE || ati_config_lacks(r, scaling, "rope_type"))) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'rope_scaling' of a %s is supported with a 'rope_type' in it and "
                        "without 'rope_parameters' beside it",
                        r->path, family->model_type);
    }
    config->n_ropes = 2;
    ati_status status = find_object(r, nested, full, &first);
    if (status == ATI_OK) {
        status = find_object(r, nested, sliding, &second);
    }
    if (status == ATI_OK) {
        status = read_rope(r, scaling != ATI_JSON_NONE ? scaling : first, "rope_theta",
                           family->theta, config, &config->ropes[0]);
    }
    return status == ATI_OK ? read_rope(r, second, family->window_theta_key, family->window_theta,
                                        config, &config->ropes[1])
                            : status;
}

/* A factor by which queries grow with their position, among the settings. */
static ati_status read_growth(const ati_config_reader *r, ati_json_value settings,
                              ati_config *config) {
    const char *key = config->family->query_growth_key;
    const ati_rope *rope = &config->ropes[0];
    double growth = 0;
    if (key == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_config_number(r, settings, key, 0, MOST_FACTOR, NAN, &growth);
    config->query_growth = (float)growth;
    config->query_period = rope->original_context;
    return status == ATI_OK && rope->type == ATI_ROPE_DEFAULT
               ? ati_config_size(r, settings, original_key, MOST_ORIGINAL, 0, &config->query_period)
               : status;
}

ati_status ati_config_ropes(const ati_config_reader *r, ati_config *config) {
    const ati_family *family = config->family;
    ati_json_value scaling, parameters;
    if (family->stored.names.positions != NULL) {
        return ATI_OK;
    }
    ati_status status = find_object(r, r->root, "rope_scaling", &scaling);
    if (status == ATI_OK) {
        status = find_object(r, r->root, "rope_parameters", &parameters);
    }
    if (status != ATI_OK) {
        return status;
    }
    if (family->rope_by_window) {
        return read_two(r, scaling, parameters, config);
    }
    /* As transformers, rope_scaling where it holds anything. */
    ati_json_value settings = scaling != ATI_JSON_NONE ? scaling : parameters;
    if (settings == ATI_JSON_NONE && family->rope_stated) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': 'rope_parameters' is missing, expected an object, since a %s has "
                        "no usual ones",
                        r->path, family->model_type);
    }
    config->n_ropes = 1;
    status = read_rope(r, settings, family->theta_key != NULL ? family->theta_key : "rope_theta",
                       family->theta, config, &config->ropes[0]);
    return status == ATI_OK ? read_growth(r, settings, config) : status;
}
