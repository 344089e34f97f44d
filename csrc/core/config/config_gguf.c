#include "config/config_gguf.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/gguf_reader.h"

/* Of the text: a word for each of the most layers there are twice over, two arrays of the
 * most pairs, and what has a fixed length. */
#define TEXT_BYTES ((size_t)64 << 10)

/* ---- The row ---- */

/* "llama, mistral3, ... or seed_oss". */
static void list_architectures(char *out, size_t size) {
    size_t used = 0;
    const ati_gguf_family *row, *next;
    for (size_t i = 0; (row = ati_gguf_family_at(i)) != NULL && used < size; i++) {
        next = ati_gguf_family_at(i + 1);
        if (next == NULL || strcmp(next->name, row->name) != 0) {
            const char *before = used == 0 ? "" : next == NULL ? " or " : ", ";
            used += (size_t)snprintf(out + used, size - used, "%s%s", before, row->name);
        }
    }
}

/* Whether the row is meant for a file of its architecture. */
static ati_status holds(ati_gguf_reader *r, bool *is_meant) {
    size_t size = 0;
    double number = 0;
    *is_meant = r->row->where == NULL;
    if (*is_meant || ati_gguf_key(r, r->row->where) == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_key(r, r->row->where)->type == ATI_GGUF_FLOAT32
                            ? ati_gguf_key_number(r, r->row->where, 0, &number)
                            : ati_gguf_key_size(r, r->row->where, 0, &size);
    *is_meant = size > 0 || fabs(number) > 0;
    return status;
}

static ati_status find_row(ati_gguf_reader *r, const char *name) {
    char names[512];
    bool is_meant = false;
    ati_status status = ATI_OK;
    for (size_t i = 0; (r->row = ati_gguf_family_at(i)) != NULL; i++) {
        if (strcmp(r->row->name, name) != 0) {
            continue;
        }
        status = holds(r, &is_meant);
        if (status != ATI_OK || is_meant) {
            r->family = ati_family_find(r->row->model_type);
            return status;
        }
    }
    list_architectures(names, sizeof names);
    return ati_fail(r->error, ATI_UNSUPPORTED,
                    "'%s': 'general.architecture' is '%.100s', which is not supported; expected %s",
                    r->path, name, names);
}

static ati_status find_architecture(ati_gguf_reader *r) {
    const ati_gguf_value *type = ati_gguf_find(r->gguf, "general.type");
    const ati_gguf_value *name = ati_gguf_find(r->gguf, "general.architecture");
    const char *text = "model";
    ati_status status = type != NULL ? ati_gguf_string(type, &text, r->error) : ATI_OK;
    if (status != ATI_OK) {
        return status;
    }
    if (strcmp(text, "model") != 0) {
        return ati_fail(r->error, ATI_UNSUPPORTED,
                        "'%s': 'general.type' is '%.100s', expected 'model'", r->path, text);
    }
    if (name == NULL) {
        return ati_fail(r->error, ATI_FORMAT,
                        "'%s': 'general.architecture' is missing, expected a string", r->path);
    }
    status = ati_gguf_string(name, &text, r->error);
    return status == ATI_OK ? find_row(r, text) : status;
}

/* ---- Sizes ---- */

/* A key of the architecture, and what config.json calls it: the member of a row's struct at
 * this offset, a string. */
typedef struct {
    const char *key;
    size_t at;
} field;

static const field sizes[] = {
    {"block_count", offsetof(ati_config_keys, n_layers)},
    {"context_length", offsetof(ati_config_keys, context)},
    {"embedding_length", offsetof(ati_config_keys, hidden_size)},
    {"feed_forward_length", offsetof(ati_config_keys, intermediate_size)},
    {"attention.head_count", offsetof(ati_config_keys, n_heads)},
    {"attention.head_count_kv", offsetof(ati_config_keys, n_kv_heads)},
    {"attention.key_length", offsetof(ati_config_keys, head_dim)},
};

/* The string at an offset of a row. */
static const char *name_at(const void *row, size_t at) {
    const char *name;
    memcpy(&name, (const char *)row + at, sizeof name);
    return name;
}

static ati_status write_sizes(ati_gguf_reader *r) {
    ati_status status = ATI_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == ATI_OK; i++) {
        const char *name = name_at(r->family->keys, sizes[i].at);
        bool is_head_dim = sizes[i].at == offsetof(ati_config_keys, head_dim);
        size_t size = 0;
        if (name != NULL && !is_head_dim && ati_gguf_key(r, sizes[i].key) != NULL) {
            status = ati_gguf_key_size(r, sizes[i].key, 0, &size);
            ati_gguf_write_size(r, name, size);
        }
    }
    return status;
}

/* Keys and values of their own number of heads, where the family has none of it. */
static ati_status check_kv_heads(const ati_gguf_reader *r) {
    size_t n = r->n_heads;
    ati_status status = r->family->keys->n_kv_heads == NULL
                            ? ati_gguf_key_size(r, "attention.head_count_kv", n, &n)
                            : ATI_OK;
    return status == ATI_OK && n != r->n_heads
               ? ati_gguf_refuse(r, ATI_UNSUPPORTED, "attention.head_count_kv",
                                 "%zu, expected attention.head_count, which is %zu, for a %s", n,
                                 r->n_heads, r->family->model_type)
               : status;
}

/* Where it is not said, heads divide the model's width. */
static ati_status write_head_dim(ati_gguf_reader *r) {
    static const char key[] = "attention.key_length";
    const char *name = r->family->keys->head_dim;
    size_t share = r->n_heads > 0 ? r->hidden_size / r->n_heads : 0, values = 0;
    ati_status status = ati_gguf_key_size(r, key, share, &r->head_dim);
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, "attention.value_length", r->head_dim, &values);
    }
    if (status == ATI_OK && values != r->head_dim) {
        return ati_gguf_refuse(r, ATI_UNSUPPORTED, "attention.value_length",
                               "%zu, expected that of keys, which is %zu", values, r->head_dim);
    }
    if (status == ATI_OK && ati_gguf_key(r, key) == NULL && share * r->n_heads != r->hidden_size) {
        return ati_gguf_refuse(r, ATI_FORMAT, key,
                               "missing, and embedding_length %zu is no multiple of "
                               "attention.head_count %zu",
                               r->hidden_size, r->n_heads);
    }
    if (status == ATI_OK && (r->head_dim > 0 || ati_gguf_key(r, key) != NULL)) {
        ati_gguf_write_size(r, name != NULL ? name : "head_dim", r->head_dim);
    }
    return status;
}

static ati_status write_shape(ati_gguf_reader *r) {
    const ati_gguf_tensor *embeddings = ati_gguf_find_tensor(r->gguf, "token_embd.weight");
    ati_status status = ati_gguf_key_size(r, "block_count", 0, &r->n_layers);
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, "attention.head_count", 0, &r->n_heads);
    }
    if (status == ATI_OK) {
        status = ati_gguf_key_size(r, "embedding_length", 0, &r->hidden_size);
    }
    if (status == ATI_OK && embeddings == NULL) {
        status = ati_fail(r->error, ATI_FORMAT, "tensor 'token_embd.weight' is missing from '%s'",
                          r->path);
    }
    if (status == ATI_OK) {
        /* The vocabulary that is said may be padded or cut; its rows are what there is. */
        ati_gguf_write_size(r, "vocab_size", embeddings->shape[0]);
        status = write_sizes(r);
    }
    if (status == ATI_OK) {
        status = check_kv_heads(r);
    }
    return status == ATI_OK ? write_head_dim(r) : status;
}

/* ---- Factors ---- */

/* A number that a family reads under its key, or under another one. */
typedef struct {
    const char *key;
    size_t at, or_at;
    double neutral; /* what it is where there is none */
} factor;

static const factor factors[] = {
    {"attention.clamp_kqv", offsetof(ati_family, clip_key), offsetof(ati_family, clip_key), 0},
    {"embedding_scale", offsetof(ati_family, embedding_multiplier_key),
     offsetof(ati_family, embedding_multiplier_key), 1},
    {"residual_scale", offsetof(ati_family, residual_multiplier_key),
     offsetof(ati_family, residual_multiplier_key), 1},
    {"logit_scale", offsetof(ati_family, logit_divisor_key),
     offsetof(ati_family, logit_multiplier_key), 1},
    {"attn_logit_softcapping", offsetof(ati_family, attention_soft_cap_key),
     offsetof(ati_family, attention_soft_cap_key), 0},
    {"final_logit_softcapping", offsetof(ati_family, logit_soft_cap_key),
     offsetof(ati_family, logit_soft_cap_key), 0},
};

static bool is_number(double a, double b) {
    return !(a < b) && !(a > b);
}

static ati_status write_factor(ati_gguf_reader *r, const factor *f) {
    const char *name = name_at(r->family, f->at);
    double number = 0;
    name = name != NULL ? name : name_at(r->family, f->or_at);
    if (ati_gguf_key(r, f->key) == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_key_number(r, f->key, f->neutral, &number);
    bool is_none = is_number(number, 0) || is_number(number, f->neutral);
    if (status == ATI_OK && name == NULL && !is_none) {
        return ati_gguf_refuse(r, ATI_UNSUPPORTED, f->key, "%g, which a %s does not have", number,
                               r->family->model_type);
    }
    if (status == ATI_OK && name != NULL) {
        /* 0 stands for none: a bound that is null, a factor of 1. */
        if (is_none && is_number(f->neutral, 0)) {
            ati_gguf_write(r, ",\"%s\":null", name);
        } else {
            ati_gguf_write_number(r, name, is_none ? f->neutral : number);
        }
    }
    return status;
}

static const char *epsilon_key(const ati_family *family) {
    return family->norm == ATI_NORM_RMS ? "attention.layer_norm_rms_epsilon"
                                        : "attention.layer_norm_epsilon";
}

static ati_status write_epsilon(ati_gguf_reader *r) {
    const ati_family *family = r->family;
    const char *key = epsilon_key(family);
    double eps = 0;
    if (ati_gguf_key(r, key) == NULL) {
        return ati_gguf_refuse(r, ATI_FORMAT, key, "missing, expected a number");
    }
    ati_status status = ati_gguf_key_number(r, key, 0, &eps);
    if (status == ATI_OK && family->eps_key != NULL) {
        ati_gguf_write_number(r, family->eps_key, eps);
    } else if (status == ATI_OK && !is_number((double)(float)eps, (double)(float)family->eps)) {
        status = ati_gguf_refuse(r, ATI_UNSUPPORTED, key, "%g, expected %g, as every %s has it",
                                 eps, family->eps, family->model_type);
    }
    return status;
}

/* What scores are multiplied by. Gemma's files do not say it: llama.cpp tells its largest
 * models, which scale otherwise, by their number of layers. */
static ati_status write_scale(ati_gguf_reader *r) {
    const ati_family *family = r->family;
    bool is_wide = r->row->wide_scale_layers > 0 && r->n_layers == r->row->wide_scale_layers;
    size_t width = is_wide && r->n_heads > 0 ? r->hidden_size / r->n_heads : r->head_dim;
    double scale = 0;
    if (width > 0 && family->query_scalar_key != NULL) {
        ati_gguf_write_size(r, family->query_scalar_key, width);
    }
    if (width == 0 || family->attention_scale_key == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_key_number(r, "attention.scale", 0, &scale);
    ati_gguf_write_number(r, family->attention_scale_key,
                          is_number(scale, 0) ? 1 / sqrt((double)width) : scale);
    return status;
}

static ati_status write_parallel(ati_gguf_reader *r) {
    static const char key[] = "use_parallel_residual";
    const ati_choice choice = r->family->parallel;
    const ati_gguf_value *value = ati_gguf_key(r, key);
    bool flag = choice.otherwise;
    /* Of norms that are shared the tensors tell. */
    if (value == NULL || r->family->parallel_shares_norm) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_bool(value, &flag, r->error);
    if (status == ATI_OK && choice.key != NULL) {
        ati_gguf_write_flag(r, choice.key, flag);
    } else if (status == ATI_OK && flag != choice.otherwise) {
        status = ati_gguf_refuse(r, ATI_UNSUPPORTED, key, "%s, expected %s for a %s",
                                 flag ? "true" : "false", flag ? "false" : "true",
                                 r->family->model_type);
    }
    return status;
}

static ati_status write_factors(ati_gguf_reader *r) {
    ati_status status = write_epsilon(r);
    for (size_t i = 0; i < sizeof factors / sizeof *factors && status == ATI_OK; i++) {
        status = write_factor(r, &factors[i]);
    }
    if (status == ATI_OK) {
        status = write_scale(r);
    }
    return status == ATI_OK ? write_parallel(r) : status;
}

/* ---- The text ---- */

typedef ati_status write_step(ati_gguf_reader *r);

static ati_status write_text(ati_gguf_reader *r) {
    static write_step *const steps[] = {write_shape, write_factors, ati_gguf_write_windows,
                                        ati_gguf_write_experts, ati_gguf_write_ropes};
    ati_status status = ATI_OK;
    ati_gguf_write(r, "{\"model_type\":\"%s\"", r->family->model_type);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == ATI_OK; i++) {
        status = steps[i](r);
    }
    if (r->row->unsaid != NULL) {
        ati_gguf_write(r, ",%s", r->row->unsaid);
    }
    ati_gguf_write(r, "}");
    return status == ATI_OK && r->used >= r->size
               ? ati_fail(r->error, ATI_FORMAT, "'%s': its metadata are longer than %zu bytes",
                          r->path, r->size)
               : status;
}

/* ---- Messages ---- */

/* What config.json says of which key, beside the tables above. */
static const struct {
    const char *name, *key;
} others[] = {
    {"head_dim", "attention.key_length"},
    {"sliding_window", "attention.sliding_window"},
    {"layer_types", "attention.sliding_window_pattern"},
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"rope_theta", "rope.freq_base"},
    {"rotary_emb_base", "rope.freq_base"},
    {"rope_local_base_freq", "rope.freq_base_swa"},
    {"factor", "rope.scaling.factor"},
    {"original_max_position_embeddings", "rope.scaling.original_context_length"},
    {"beta_fast", "rope.scaling.yarn_beta_fast"},
    {"beta_slow", "rope.scaling.yarn_beta_slow"},
    {"attention_factor", "rope.scaling.yarn_attn_factor"},
    {"llama_4_scaling_beta", "attention.temperature_scale"},
};

/* The key of the file that became the member `name` of the text, or NULL. */
static const char *key_of(const ati_gguf_reader *r, const char *name) {
    const char *eps = r->family->eps_key;
    const char *found = eps != NULL && strcmp(eps, name) == 0 ? epsilon_key(r->family) : NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others && found == NULL; i++) {
        found = strcmp(others[i].name, name) == 0 ? others[i].key : NULL;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && found == NULL; i++) {
        const char *own = name_at(r->family->keys, sizes[i].at);
        found = own != NULL && strcmp(own, name) == 0 ? sizes[i].key : NULL;
    }
    for (size_t i = 0; i < sizeof factors / sizeof *factors && found == NULL; i++) {
        const char *own = name_at(r->family, factors[i].at);
        const char *other = name_at(r->family, factors[i].or_at);
        bool is_it =
            (own != NULL && strcmp(own, name) == 0) || (other != NULL && strcmp(other, name) == 0);
        found = is_it ? factors[i].key : NULL;
    }
    return found;
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* Copies the word at `from` to out, and the key that it stands for in place of a name of
 * config.json: one in quotation marks, or one that no other word is like. Returns its end. */
static const char *copy_word(const ati_gguf_reader *r, const char *from, bool quoted, char *out,
                             size_t size) {
    char word[64], key[ATI_MOST_KEY_NAME];
    const char *end = from;
    while (is_word(*end)) {
        end++;
    }
    size_t length = (size_t)(end - from);
    snprintf(word, sizeof word, "%.*s", (int)length, from);
    bool is_name = length < sizeof word && (quoted || strchr(word, '_') != NULL);
    const char *found = is_name ? key_of(r, word) : NULL;
    if (found != NULL) {
        ati_gguf_key_name(r, found, key);
    }
    snprintf(out, size, "%.*s", found != NULL ? (int)strlen(key) : (int)length,
             found != NULL ? key : from);
    return end;
}

/* Says what was found of a config.json of the file's own keys. */
static void rename_keys(const ati_gguf_reader *r) {
    char text[sizeof r->error->message];
    const char *from = r->error != NULL ? strstr(r->error->message, "': ") : NULL;
    if (from == NULL) {
        return;
    }
    from += 3;
    size_t used = (size_t)snprintf(text, sizeof text, "%.*s", (int)(from - r->error->message),
                                   r->error->message);
    while (*from != '\0' && used + 1 < sizeof text) {
        if (is_word(*from)) {
            from = copy_word(r, from, from[-1] == '\'', text + used, sizeof text - used);
            used += strlen(text + used);
        } else {
            text[used++] = *from++;
        }
    }
    text[used] = '\0';
    memcpy(r->error->message, text, used + 1);
}

/* ---- What the tensors tell ---- */

static void settle_names(const ati_gguf_reader *r, ati_config *config) {
    ati_names *names = &config->stored.names;
    bool fused = ati_gguf_has(r, "blk.0.attn_qkv.weight");
    config->stored = r->row->stored;
    if (fused) {
        names->query = names->key = names->value = NULL;
    } else {
        names->qkv = NULL;
    }
    /* As mixtrals were written first. */
    if (ati_gguf_has(r, "blk.0.ffn_gate.0.weight")) {
        config->stored.experts = ATI_EXPERTS_LISTED;
        names->expert_gate = "blk.{}.ffn_gate.{}";
        names->expert_up = "blk.{}.ffn_up.{}";
        names->expert_down = "blk.{}.ffn_down.{}";
    }
}

/* Biases and norms that a family may have. */
static void settle_parts(const ati_gguf_reader *r, ati_config *config) {
    const ati_family *family = r->family;
    const bool may = !r->row->no_biases;
    const struct {
        bool is_open;
        const char *tensors[2];
        bool *out;
    } parts[] = {
        {family->qkv_bias.key != NULL && may,
         {"blk.0.attn_q.bias", "blk.0.attn_qkv.bias"},
         &config->qkv_bias},
        {family->output_bias.key != NULL && may,
         {"blk.0.attn_output.bias", "blk.0.attn_output.bias"},
         &config->output_bias},
        {family->mlp_bias.key != NULL,
         {"blk.0.ffn_up.bias", "blk.0.ffn_down.bias"},
         &config->mlp_bias},
        {family->qk_norm_key != NULL && r->row->stored.qk_norm != ATI_QK_NORM_NONE,
         {"blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"},
         &config->qk_norm},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].is_open) {
            *parts[i].out =
                ati_gguf_has(r, parts[i].tensors[0]) || ati_gguf_has(r, parts[i].tensors[1]);
        }
    }
    if (family->parallel_shares_norm) {
        config->parallel = !ati_gguf_has(r, "blk.0.ffn_norm.weight");
    }
    config->tied = !ati_gguf_has(r, "output.weight");
    config->described_by = "its metadata";
}

/* What the file says and the family has one of alone. */
static ati_status check_settled(const ati_gguf_reader *r, ati_config *config) {
    const ati_gguf_value *normalises = ati_gguf_key(r, "expert_weights_norm");
    const double expected = (double)config->attention_scale;
    double scale = expected;
    ati_status status = ATI_OK;
    bool flag = config->normalises_routing;
    if (normalises != NULL) {
        status = ati_gguf_bool(normalises, &flag, r->error);
    }
    if (status == ATI_OK && flag != config->normalises_routing &&
        r->family->normalises_routing.key == NULL) {
        return ati_gguf_refuse(r, ATI_UNSUPPORTED, "expert_weights_norm",
                               "%s, expected %s for a %s", flag ? "true" : "false",
                               flag ? "false" : "true", r->family->model_type);
    }
    config->normalises_routing = flag;
    if (status == ATI_OK) {
        status = ati_gguf_key_number(r, "attention.scale", expected, &scale);
    }
    bool is_same = is_number(scale, 0) || fabs(scale - expected) <= 1e-6 * expected;
    return status == ATI_OK && !is_same ? ati_gguf_refuse(r, ATI_UNSUPPORTED, "attention.scale",
                                                          "%g, expected %g for a %s of this shape",
                                                          scale, expected, r->family->model_type)
                                        : status;
}

/* ---- All of it ---- */

static ati_status convert(ati_gguf_reader *r, ati_config *config) {
    ati_status status = write_text(r);
    if (status == ATI_OK) {
        status = ati_gguf_refuse_unread(r);
    }
    if (status != ATI_OK) {
        return status;
    }
    status = ati_config_parse(r->text, r->used, r->path, config, r->error);
    if (status != ATI_OK) {
        rename_keys(r);
        return status;
    }
    settle_names(r, config);
    settle_parts(r, config);
    return check_settled(r, config);
}

ati_status ati_config_from_gguf(const ati_gguf *gguf, ati_config *config, ati_error *error) {
    ati_gguf_reader r = {
        .gguf = gguf, .path = gguf->files[0].file.path, .size = TEXT_BYTES, .error = error};
    *config = (ati_config){0};
    ati_status status = find_architecture(&r);
    if (status != ATI_OK) {
        return status;
    }
    r.text = ati_calloc(r.size, 1);
    status = r.text != NULL ? convert(&r, config)
                            : ati_fail_memory(error, r.size, "the metadata of a model");
    ati_free(r.text);
    return status;
}
