/* The rotary settings of config.json. transformers 5 writes them as
 *
 *     "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, ...}
 *
 * and transformers 4 as
 *
 *     "rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 2.0}
 *
 * with "type" or "rope_type", and null for none. */
#include <math.h>
#include <string.h>

#include "config_read.h"
#include "error.h"

#define MOST_THETA 1e15
#define MOST_FACTOR 1e6
#define MOST_ORIGINAL ((size_t)1 << 30)

/* The object that holds the settings, or ATI_JSON_NONE; as transformers,
 * rope_scaling where it holds anything, else rope_parameters. */
static ati_status find_settings(const ati_config_reader *r, ati_json_value *settings) {
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    *settings = ATI_JSON_NONE;
    for (size_t i = 0; i < 2 && *settings == ATI_JSON_NONE; i++) {
        ati_json_value value = ati_json_get(r->json, ATI_JSON_ROOT, keys[i]);
        if (value == ATI_JSON_NONE || ati_json_type_of(r->json, value) == ATI_JSON_NULL) {
            continue;
        }
        if (ati_json_type_of(r->json, value) != ATI_JSON_OBJECT) {
            return ati_fail(r->error, ATI_FORMAT, "'%s': '%s' is %s, expected an object or null",
                            r->path, keys[i], ati_json_describe(r->json, value));
        }
        if (ati_json_count(r->json, value) > 0) {
            *settings = value;
        }
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

static ati_status read_type(const ati_config_reader *r, ati_json_value settings,
                            ati_rope_type *type) {
    static const ati_rope_type types[] = {ATI_ROPE_DEFAULT, ATI_ROPE_LINEAR, ATI_ROPE_DYNAMIC,
                                          ATI_ROPE_LLAMA3, ATI_ROPE_YARN};
    const char *name = NULL;
    ati_status status = ati_config_text(r, settings, "type", "default", &name);
    if (status == ATI_OK) {
        status = ati_config_text(r, settings, "rope_type", name, &name);
    }
    for (size_t i = 0; status == ATI_OK && i < sizeof types / sizeof *types; i++) {
        if (strcmp(name, ati_rope_name(types[i])) == 0) {
            *type = types[i];
            return ATI_OK;
        }
    }
    if (status == ATI_OK) {
        status =
            ati_fail(r->error, ATI_UNSUPPORTED,
                     "'%s': rotary rope_type '%.100s' is not supported, expected default, linear, "
                     "dynamic, llama3 or yarn",
                     r->path, name);
    }
    return status;
}

/* theta: beside the settings or among them, which wins. */
static ati_status read_theta(const ati_config_reader *r, ati_json_value settings, double *theta) {
    const double least = 1.0 + 1e-6;
    ati_status status =
        ati_config_number(r, ATI_JSON_ROOT, "rope_theta", least, MOST_THETA, 10000.0, theta);
    if (status == ATI_OK) {
        status = ati_config_number(r, settings, "rope_theta", least, MOST_THETA, *theta, theta);
    }
    return status;
}

/* The context before it was stretched: as transformers 5, beside the settings or
 * among them (beside wins), else the model's context. */
static ati_status read_original(const ati_config_reader *r, ati_json_value settings,
                                ati_rope *rope) {
    static const char key[] = "original_max_position_embeddings";
    ati_status status =
        ati_config_size(r, settings, key, MOST_ORIGINAL, rope->context, &rope->original_context);
    if (status == ATI_OK) {
        status = ati_config_size(r, ATI_JSON_ROOT, key, MOST_ORIGINAL, rope->original_context,
                                 &rope->original_context);
    }
    return status;
}

static ati_status read_llama3(const ati_config_reader *r, ati_json_value settings, ati_rope *rope) {
    ati_status status = ati_config_number(r, settings, "low_freq_factor", 1e-6, MOST_FACTOR, NAN,
                                          &rope->low_freq_factor);
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
    ati_status status = read_original(r, settings, rope);
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

/* What one type has of its own; default has nothing. */
static ati_status read_scaling(const ati_config_reader *r, ati_json_value settings,
                               ati_rope *rope) {
    if (rope->type == ATI_ROPE_DEFAULT) {
        return ATI_OK;
    }
    ati_status status =
        ati_config_number(r, settings, "factor", 1.0, MOST_FACTOR, NAN, &rope->factor);
    if (status != ATI_OK) {
        return status;
    }
    if (rope->type == ATI_ROPE_LLAMA3) {
        return read_llama3(r, settings, rope);
    }
    if (rope->type == ATI_ROPE_YARN) {
        return read_yarn(r, settings, rope);
    }
    if (rope->type == ATI_ROPE_DYNAMIC && rope->dim == 2) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': rope type 'dynamic' needs a head_dim above 2, found 2", r->path);
    }
    return ATI_OK;
}

ati_status ati_config_rope(const ati_config_reader *r, ati_config *config) {
    ati_rope *rope = &config->rope;
    ati_json_value settings;
    double rotated = 1;
    *rope = (ati_rope){
        .dim = config->head_dim,
        .factor = 1.0,
        .attention_factor = 1.0,
        .original_context = config->max_position_embeddings,
        .context = config->max_position_embeddings,
    };
    ati_status status = find_settings(r, &settings);
    if (status == ATI_OK) {
        status = refuse_nested(r, settings);
    }
    if (status == ATI_OK) {
        status = read_type(r, settings, &rope->type);
    }
    if (status == ATI_OK) {
        status = read_theta(r, settings, &rope->theta);
    }
    if (status == ATI_OK) {
        status = ati_config_number(r, settings, "partial_rotary_factor", 1, 1, 1, &rotated);
    }
    return status == ATI_OK ? read_scaling(r, settings, rope) : status;
}
