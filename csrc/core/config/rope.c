#include "config/rope.h"

#include <math.h>

static const double two_pi = 6.283185307179586476925286766559;

const char *ati_rope_name(ati_rope_type type) {
    switch (type) {
    case ATI_ROPE_DEFAULT:
        return "default";
    case ATI_ROPE_LINEAR:
        return "linear";
    case ATI_ROPE_DYNAMIC:
        return "dynamic";
    case ATI_ROPE_LLAMA3:
        return "llama3";
    case ATI_ROPE_YARN:
        return "yarn";
    case ATI_ROPE_LONGROPE:
        return "longrope";
    }
    return "unknown";
}

/* base^exponent, rounded to float32 once: computed in double, so that it is the
 * same number whatever the C library's powf. */
static float power(float base, double exponent) {
    return (float)pow((double)base, exponent);
}

/* inv_freq[i] = 1 / theta^(2i / dim), every step in float32. */
static void plain_frequencies(size_t dim, float theta, float *inv_freq) {
    for (size_t i = 0; i < dim / 2; i++) {
        inv_freq[i] = 1.0f / power(theta, (double)((float)(2 * i) / (float)dim));
    }
}

/* "NTK" scaling: theta grows so that the lowest frequency fits n_tokens. The
 * length is a tensor in transformers, so that theta is worked out in float32
 * beyond the context, and is the given one up to it. */
static float dynamic_theta(const ati_rope *rope, size_t n_tokens) {
    if (n_tokens <= rope->context) {
        return (float)rope->theta;
    }
    float ratio = (float)rope->factor * (float)n_tokens / (float)rope->context;
    float stretch = ratio - (float)(rope->factor - 1.0);
    double dim = (double)rope->dim;
    return (float)rope->theta * power(stretch, dim / (dim - 2.0));
}

static void scale_llama3(const ati_rope *rope, float *inv_freq) {
    float context = (float)rope->original_context, factor = (float)rope->factor;
    float longest = (float)((double)rope->original_context / rope->low_freq_factor);
    float shortest = (float)((double)rope->original_context / rope->high_freq_factor);
    float low = (float)rope->low_freq_factor;
    float band = (float)(rope->high_freq_factor - rope->low_freq_factor);
    for (size_t i = 0; i < rope->dim / 2; i++) {
        float wavelength = 1.0f / inv_freq[i] * (float)two_pi;
        if (wavelength > longest) {
            inv_freq[i] = inv_freq[i] / factor;
        } else if (!(wavelength < shortest)) {
            float smooth = (1.0f / wavelength * context - low) / band;
            inv_freq[i] = (1.0f - smooth) * inv_freq[i] / factor + smooth * inv_freq[i];
        }
    }
}

/* The dimension whose pair turns `turns` times over the original context. */
static double yarn_dimension(const ati_rope *rope, double turns) {
    double per_radian = (double)rope->original_context / (turns * two_pi);
    return (double)rope->dim * log(per_radian) / (2.0 * log(rope->theta));
}

static void yarn_frequencies(const ati_rope *rope, float *inv_freq) {
    double low = yarn_dimension(rope, rope->beta_fast);
    double high = yarn_dimension(rope, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, (double)rope->dim - 1.0);
    double width = (low == high ? high + 0.001 : high) - low;
    for (size_t i = 0; i < rope->dim / 2; i++) {
        double exponent = (double)((float)(2 * i) / (float)rope->dim);
        float wavelength = power((float)rope->theta, exponent);
        float extrapolated = 1.0f / wavelength;
        float interpolated = 1.0f / ((float)rope->factor * wavelength);
        float ramp = ((float)i - (float)low) / (float)width;
        float keep = 1.0f - fminf(fmaxf(ramp, 0.0f), 1.0f);
        inv_freq[i] = interpolated * (1.0f - keep) + extrapolated * keep;
    }
}

static void longrope_frequencies(const ati_rope *rope, size_t n_tokens, float *inv_freq) {
    bool is_long = n_tokens > rope->original_context;
    const float *factors = is_long ? rope->long_factors : rope->short_factors;
    for (size_t i = 0; i < rope->dim / 2; i++) {
        double exponent = (double)((float)(2 * i) / (float)rope->dim);
        inv_freq[i] = 1.0f / (factors[i] * power((float)rope->theta, exponent));
    }
}

void ati_rope_frequencies(const ati_rope *rope, size_t n_tokens, float *inv_freq) {
    switch (rope->type) {
    case ATI_ROPE_DEFAULT:
        plain_frequencies(rope->dim, (float)rope->theta, inv_freq);
        break;
    case ATI_ROPE_LINEAR:
        plain_frequencies(rope->dim, (float)rope->theta, inv_freq);
        for (size_t i = 0; i < rope->dim / 2; i++) {
            inv_freq[i] /= (float)rope->factor;
        }
        break;
    case ATI_ROPE_DYNAMIC:
        plain_frequencies(rope->dim, dynamic_theta(rope, n_tokens), inv_freq);
        break;
    case ATI_ROPE_LLAMA3:
        plain_frequencies(rope->dim, (float)rope->theta, inv_freq);
        scale_llama3(rope, inv_freq);
        break;
    case ATI_ROPE_YARN:
        yarn_frequencies(rope, inv_freq);
        break;
    case ATI_ROPE_LONGROPE:
        longrope_frequencies(rope, n_tokens, inv_freq);
        break;
    }
}

void ati_rope_table(const ati_rope *rope, size_t n_tokens, float *cos_sin) {
    size_t half = rope->dim / 2;
    if (n_tokens == 0) {
        return;
    }
    /* The frequencies live in the last row, which is the last to be written and
     * reads each before it overwrites it. */
    float *inv_freq = cos_sin + (2 * n_tokens - 1) * half;
    float scale = (float)rope->attention_factor;
    ati_rope_frequencies(rope, n_tokens, inv_freq);
    for (size_t t = 0; t < n_tokens; t++) {
        float *row = cos_sin + 2 * t * half;
        for (size_t i = 0; i < half; i++) {
            double angle = (double)((float)t * inv_freq[i]);
            row[i] = (float)cos(angle) * scale;
            row[half + i] = (float)sin(angle) * (rope->reversed ? -scale : scale);
        }
    }
}
