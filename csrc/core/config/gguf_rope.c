/* The settings of rotary embedding in a GGUF file. The factors of llama3 are a tensor in it,
 * and so are those of longrope. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "config/config.h"
#include "config/gguf_reader.h"

#define NO_THETA 10000.0 /* where a file says none */

static const char type_key[] = "rope.scaling.type";
static const char original_key[] = "rope.scaling.original_context_length";

/* ---- Factors that are tensors ---- */

/* Reads a tensor of one float32 factor for each pair of `dim` dimensions. */
static ati_status read_factors(const ati_gguf_reader *r, const char *name, size_t dim,
                               float factors[ATI_MOST_PAIRS]) {
    const ati_gguf_tensor *tensor = ati_gguf_find_tensor(r->gguf, name);
    uint8_t bytes[ATI_MOST_PAIRS * sizeof(float)];
    if (tensor == NULL) {
        return ati_fail(r->error, ATI_FORMAT, "tensor '%s' is missing from '%s'", name, r->path);
    }
    const ati_file *file = &r->gguf->files[tensor->file].file;
    if (tensor->rank != 1 || tensor->shape[0] != dim / 2 || dim / 2 > ATI_MOST_PAIRS ||
        strcmp(tensor->type->name, "F32") != 0) {
        return ati_fail(r->error, ATI_FORMAT,
                        "tensor '%s' in '%s' has %zu values of type %s in the first of %zu "
                        "dimensions, expected the factors of %zu pairs, at most %d, in one of F32",
                        name, file->path, tensor->shape[0], tensor->type->name, tensor->rank,
                        dim / 2, ATI_MOST_PAIRS);
    }
    ati_status status = ati_file_read(file, tensor->offset, tensor->bytes, bytes, r->error);
    if (status == ATI_OK) {
        tensor->type->unpack(bytes, dim / 2, factors);
    }
    for (size_t i = 0; i < dim / 2 && status == ATI_OK; i++) {
        if (!isfinite(factors[i])) {
            status =
                ati_fail(r->error, ATI_FORMAT,
                         "tensor '%s' in '%s' holds a value that is not finite", name, file->path);
        }
    }
    return status;
}

static void write_factors(ati_gguf_reader *r, const char *name, const float *factors, size_t n) {
    ati_gguf_write(r, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        ati_gguf_write(r, "%s%.9g", i > 0 ? "," : "", (double)factors[i]);
    }
    ati_gguf_write(r, "]");
}

/* ---- llama3 ---- */

/* What conversion writes for a pair of that wavelength: nothing changes below a quarter of the
 * original context, all is divided above it, and between the two there is a ramp. */
static double llama3_factor(double wavelength, double original, double factor) {
    double smooth = (original / wavelength - 1) / (4 - 1);
    return wavelength < original / 4 ? 1
           : wavelength > original   ? factor
                                     : 1 / ((1 - smooth) / factor + smooth);
}

/* Where on the ramp a factor lies, from 1 for what stays to 0 for what is divided. */
static double ramp_of(double found, double factor) {
    return (1 / found - 1 / factor) / (1 - 1 / factor);
}

static double wavelength_of(size_t pair, size_t dim, double theta) {
    const double two_pi = 6.283185307179586476925286766559;
    return two_pi * pow(theta, 2.0 * (double)pair / (double)dim);
}

/* The original context, of the factor that is nearest to the middle of the ramp; 0 where none
 * is on it. */
static double original_of(const float *factors, size_t dim, double theta, double factor) {
    double original = 0, nearest = 0.5 - 1e-3;
    for (size_t i = 0; i < dim / 2; i++) {
        double ramp = ramp_of((double)factors[i], factor), distance = fabs(ramp - 0.5);
        if (distance < nearest) {
            nearest = distance;
            original = round(wavelength_of(i, dim, theta) * (3 * ramp + 1));
        }
    }
    return original;
}

/* Whether the factors are those of llama3 with bounds of 1 and 4, as all that are published
 * have them: then its settings give the very bits, and say what it is. */
static bool find_llama3(const float *factors, size_t dim, double theta, double *factor,
                        double *original) {
    *factor = (double)factors[dim / 2 - 1];
    *original = *factor > 1 ? original_of(factors, dim, theta, *factor) : 0;
    for (size_t i = 0; i < dim / 2 && *original >= 1; i++) {
        double expected = llama3_factor(wavelength_of(i, dim, theta), *original, *factor);
        if (!(fabs((double)factors[i] - expected) <= 1e-4 * expected)) {
            return false;
        }
    }
    return *original >= 1;
}

/* rope_freqs.weight, by which frequencies are divided. */
static ati_status write_frequencies(ati_gguf_reader *r, size_t dim, double theta) {
    float factors[ATI_MOST_PAIRS];
    double factor = 0, original = 0;
    ati_status status = read_factors(r, "rope_freqs.weight", dim, factors);
    if (status != ATI_OK) {
        return status;
    }
    if (find_llama3(factors, dim, theta, &factor, &original)) {
        ati_gguf_write(r, ",\"rope_type\":\"llama3\",\"low_freq_factor\":1,\"high_freq_factor\":4");
        ati_gguf_write_number(r, "factor", factor);
        ati_gguf_write_number(r, "original_max_position_embeddings", original);
        return ATI_OK;
    }
    ati_gguf_write(r, ",\"rope_type\":\"longrope\",\"attention_factor\":1");
    write_factors(r, "short_factor", factors, dim / 2);
    write_factors(r, "long_factor", factors, dim / 2);
    return ATI_OK;
}

/* ---- longrope ---- */

/* The factor of cosines and sines is said only where it is not the usual one, which is
 * worked out to more digits. */
static ati_status write_long_scale(ati_gguf_reader *r, size_t original) {
    size_t context = 0;
    double found = 0;
    ati_status status = ati_gguf_key_size(r, "context_length", 0, &context);
    if (status == ATI_OK) {
        status = ati_gguf_key_number(r, "rope.scaling.attn_factor", 0, &found);
    }
    double factor = (double)context / (double)original;
    double usual = factor > 1 && original > 1 ? sqrt(1 + log(factor) / log((double)original)) : 1;
    if (found > 0 && fabs(found - usual) > 1e-6 * usual) {
        ati_gguf_write_number(r, "attention_factor", found);
    }
    return status;
}

static ati_status write_longrope(ati_gguf_reader *r, size_t dim) {
    float factors[ATI_MOST_PAIRS];
    size_t original = 0;
    ati_status status = ati_gguf_key_size(r, original_key, 0, &original);
    if (status == ATI_OK && original == 0) {
        return ati_gguf_refuse(r, ATI_FORMAT, original_key,
                               "missing, expected the context up to which rope_factors_short hold");
    }
    ati_gguf_write(r, ",\"rope_type\":\"longrope\"");
    ati_gguf_write_size(r, "original_max_position_embeddings", original);
    if (status == ATI_OK) {
        status = read_factors(r, "rope_factors_short.weight", dim, factors);
    }
    if (status == ATI_OK) {
        write_factors(r, "short_factor", factors, dim / 2);
        status = read_factors(r, "rope_factors_long.weight", dim, factors);
    }
    if (status == ATI_OK) {
        write_factors(r, "long_factor", factors, dim / 2);
        status = write_long_scale(r, original);
    }
    return status;
}

/* ---- yarn and linear ---- */

/* A number of a member of the settings, where the file has it and it is not 0. */
static ati_status write_given(ati_gguf_reader *r, const char *key, const char *name) {
    double number = 0;
    ati_status status = ati_gguf_key_number(r, key, 0, &number);
    if (status == ATI_OK && fabs(number) > 0) {
        ati_gguf_write_number(r, name, number);
    }
    return status;
}

static ati_status write_yarn(ati_gguf_reader *r) {
    static const char extrapolation_key[] = "rope.scaling.yarn_ext_factor";
    static const char *const members[][2] = {
        {"rope.scaling.factor", "factor"},
        {"rope.scaling.yarn_attn_factor", "attention_factor"},
        {"rope.scaling.yarn_beta_fast", "beta_fast"},
        {"rope.scaling.yarn_beta_slow", "beta_slow"},
        {"rope.scaling.yarn_log_multiplier", "mscale_all_dim"},
    };
    size_t original = 0;
    double extrapolation = 1;
    ati_gguf_write(r, ",\"rope_type\":\"yarn\",\"mscale\":1");
    if (r->row->exact_yarn) {
        ati_gguf_write_flag(r, "truncate", false);
    }
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof members / sizeof *members && status == ATI_OK; i++) {
        status = write_given(r, members[i][0], members[i][1]);
    }
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, original_key, 0, &original);
    }
    if (status == ATI_OK && original > 0) {
        ati_gguf_write_size(r, "original_max_position_embeddings", original);
    }
    if (status == ATI_OK) {
        status = ati_gguf_key_number(r, extrapolation_key, 1, &extrapolation);
    }
    return status == ATI_OK && fabs(extrapolation - 1) > 0
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, extrapolation_key,
                                 "%g, which is not supported; expected 1", extrapolation)
               : status;
}

/* ---- Which of them ---- */

/* rope.scaling.type, or what says as much: linear where there is a factor alone. */
static ati_status find_type(const ati_gguf_reader *r, const char **type) {
    const ati_gguf_value *value = ati_gguf_key(r, type_key);
    double factor = 0, linear = 0;
    ati_status status = ati_gguf_key_number(r, "rope.scale_linear", 1, &linear);
    if (status == ATI_OK) {
        status = ati_gguf_key_number(r, "rope.scaling.factor", linear, &factor);
    }
    *type = fabs(factor) > 0 && fabs(factor - 1) > 0 ? "linear" : "none";
    if (status == ATI_OK && value != NULL) {
        status = ati_gguf_string(value, type, r->error);
    }
    /* phi3's conversion does not name it. */
    if (status == ATI_OK && ati_gguf_has(r, "rope_factors_long.weight")) {
        *type = "longrope";
    }
    return status;
}

/* A factor of cosines and sines, which longrope has. */
static ati_status check_scale(const ati_gguf_reader *r, const char *type) {
    static const char key[] = "rope.scaling.attn_factor";
    double found = 1;
    ati_status status = ati_gguf_key_number(r, key, 1, &found);
    bool is_read = strcmp(type, "longrope") == 0;
    return status == ATI_OK && !is_read && fabs(found - 1) > 0
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, key, "%g, expected 1 without longrope", found)
               : status;
}

/* The original context stands beside the settings too, where some families look first. */
static ati_status write_original(ati_gguf_reader *r, const char *type) {
    size_t original = 0;
    bool is_used = strcmp(type, "yarn") == 0 || strcmp(type, "longrope") == 0;
    ati_status status = ati_gguf_key_size(r, original_key, 0, &original);
    if (status == ATI_OK && original > 0 && is_used && !r->family->rope_by_window) {
        ati_gguf_write_size(r, "original_max_position_embeddings", original);
    }
    return status;
}

/* What the scaling adds to an object of settings. */
static ati_status write_scaling(ati_gguf_reader *r, const char *type, size_t dim, double theta) {
    ati_status status = ATI_OK;
    if (strcmp(type, "none") == 0) {
        return ati_gguf_has(r, "rope_freqs.weight") ? write_frequencies(r, dim, theta) : ATI_OK;
    }
    if (ati_gguf_has(r, "rope_freqs.weight")) {
        return ati_gguf_refuse(r, ATI_UNSUPPORTED, type_key,
                               "'%.100s', and there is a rope_freqs.weight; expected one of them",
                               type);
    }
    if (strcmp(type, "linear") == 0) {
        ati_gguf_write(r, ",\"rope_type\":\"linear\"");
        status = write_given(r, "rope.scaling.factor", "factor");
        return status == ATI_OK && ati_gguf_key(r, "rope.scaling.factor") == NULL
                   ? write_given(r, "rope.scale_linear", "factor")
                   : status;
    }
    if (strcmp(type, "yarn") == 0) {
        return write_yarn(r);
    }
    return strcmp(type, "longrope") == 0
               ? write_longrope(r, dim)
               : ati_gguf_refuse(r, ATI_UNSUPPORTED, type_key,
                                 "'%.100s', which is not supported; expected none, linear, yarn or "
                                 "longrope",
                                 type);
}

/* ---- Dimensions and bases ---- */

/* rope.dimension_count: as many of a head's turn. */
static ati_status write_dim(ati_gguf_reader *r, size_t *dim) {
    static const char key[] = "rope.dimension_count";
    const ati_family *family = r->family;
    const char *name = family->partial_key != NULL ? family->partial_key : "partial_rotary_factor";
    ati_status status = ati_gguf_key_size(r, key, r->head_dim, dim);
    if (status != ATI_OK || r->head_dim == 0) {
        return status;
    }
    if (*dim == 0 || *dim > r->head_dim || (*dim != r->head_dim && !(family->partial > 0))) {
        return ati_gguf_refuse(r, ATI_UNSUPPORTED, key,
                               "%zu, expected %s%zu for a %s of that "
                               "head_dim",
                               *dim, family->partial > 0 ? "1 to " : "", r->head_dim,
                               family->model_type);
    }
    if (family->partial > 0) {
        /* A share between this number of dimensions and the next. */
        double half = *dim < r->head_dim ? 0.5 : 0;
        ati_gguf_write_number(r, name, ((double)*dim + half) / (double)r->head_dim);
    }
    return ATI_OK;
}

static ati_status find_theta(const ati_gguf_reader *r, double *theta, double *window_theta) {
    /* Ollama's own conversion calls it by another name. */
    const char *usual = "rope.freq_base_swa", *other = "rope.local.freq_base";
    const char *key = ati_gguf_key(r, usual) != NULL ? usual : other;
    ati_status status = ati_gguf_key_number(r, "rope.freq_base", NO_THETA, theta);
    bool has_own = r->family->window_theta_key != NULL;
    if (status == ATI_OK) {
        status = ati_gguf_key_number(r, key, has_own ? NO_THETA : *theta, window_theta);
    }
    bool differs = fabs(*theta - *window_theta) > 0;
    return status == ATI_OK && differs && !r->family->rope_by_window
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, key,
                                 "%g, expected rope.freq_base, which is %g, for a %s",
                                 *window_theta, *theta, r->family->model_type)
               : status;
}

/* A context that what grows with positions counts from, other than the original one. */
static ati_status check_growth(const ati_gguf_reader *r) {
    static const char key[] = "attention.temperature_length";
    size_t original = 0, found = 0;
    double growth = 0;
    ati_status status = ati_gguf_key_size(r, original_key, 0, &original);
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, key, original, &found);
    }
    if (status == ATI_OK && found != original) {
        status = ati_gguf_refuse(r, ATI_UNSUPPORTED, key, "%zu, expected %s, which is %zu", found,
                                 original_key, original);
    }
    if (status == ATI_OK && r->family->query_growth_key == NULL) {
        status = ati_gguf_key_number(r, "attention.temperature_scale", 0, &growth);
    }
    return status == ATI_OK && fabs(growth) > 0
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, "attention.temperature_scale",
                                 "%g, which a %s does not have", growth, r->family->model_type)
               : status;
}

/* Granite's files say with it whether anything turns at all. */
static ati_status check_finetuned(const ati_gguf_reader *r) {
    const ati_gguf_value *value = ati_gguf_key(r, "rope.scaling.finetuned");
    bool turns = true;
    if (value == NULL || r->family->attention_scale_key == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_bool(value, &turns, r->error);
    return status == ATI_OK && !turns
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, "rope.scaling.finetuned",
                                 "false, so that a %s turns nothing; expected true",
                                 r->family->model_type)
               : status;
}

/* How queries grow, and from which context on where no scaling says it. */
static ati_status write_growth(ati_gguf_reader *r, const char *type) {
    size_t context = 0, original = 0;
    ati_status status = write_given(r, "attention.temperature_scale", r->family->query_growth_key);
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, "context_length", 0, &context);
    }
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, original_key, context, &original);
    }
    if (status == ATI_OK && strcmp(type, "none") == 0) {
        ati_gguf_write_size(r, "original_max_position_embeddings", original);
    }
    return status;
}

ati_status ati_gguf_write_ropes(ati_gguf_reader *r) {
    const ati_family *family = r->family;
    const char *type = NULL;
    size_t dim = 0;
    double theta = 0, window_theta = 0;
    if (family->stored.names.positions != NULL) {
        return ATI_OK;
    }
    ati_status status = check_finetuned(r);
    if (status == ATI_OK) {
        status = check_growth(r);
    }
    if (status == ATI_OK) {
        status = write_dim(r, &dim);
    }
    if (status == ATI_OK) {
        status = find_theta(r, &theta, &window_theta);
    }
    if (status == ATI_OK) {
        status = find_type(r, &type);
    }
    if (status == ATI_OK) {
        status = check_scale(r, type);
    }
    if (status == ATI_OK) {
        status = write_original(r, type);
    }
    if (status != ATI_OK || dim == 0) {
        return status;
    }
    ati_gguf_write(r, ",\"rope_parameters\":%s{\"rope_theta\":%.17g",
                   family->rope_by_window ? "{\"full_attention\":" : "", theta);
    if (family->query_growth_key != NULL) {
        status = write_growth(r, type);
    }
    if (status == ATI_OK) {
        status = write_scaling(r, type, dim, theta);
    }
    ati_gguf_write(r, "}");
    if (family->rope_by_window) {
        ati_gguf_write(r, ",\"sliding_attention\":{\"rope_theta\":%.17g}}", window_theta);
    }
    return status;
}
