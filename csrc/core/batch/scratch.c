#include "batch/scratch.h"

#include "base/checked.h"
#include "base/cursor.h"

/* Bytes between arrays, so that what is written past one of them is seen. */
enum { GAP = 1 };

/* Rows of a product over k. */
static char *take_rows(ati_cursor *c, const ati_gemm *gemm, size_t rows, size_t k) {
    return ati_take(c, rows, ati_layout_of(gemm->format, k).row);
}

size_t ati_key_bytes(const ati_model *model) {
    const ati_format *format = model->kernel->attention->format;
    return ati_layout_of(format, model->config.head_dim).panel / ATI_PANEL;
}

size_t ati_value_bytes(const ati_model *model) {
    const ati_format *format = model->kernel->attention->format;
    return ati_value_columns(&model->config) * ATI_STEP_BYTES / format->values_per_step;
}

static void lay_out_rows(ati_cursor *c, const ati_model *model, const ati_pack *pack,
                         size_t n_readings, ati_rows *rows) {
    const ati_config *config = &model->config;
    size_t all = 0, keys = 0;
    c->fits = c->fits && ati_mul(pack->n_rows, n_readings, &all) &&
              ati_mul(pack->n_keys, n_readings, &keys) && ati_mul(keys, config->n_kv_heads, &keys);
    rows->hidden = ati_take_floats(c, all, config->hidden_size);
    rows->qkv = ati_take_floats(c, all, ati_qkv_columns(config));
    rows->heads = ati_take_floats(c, all, ati_query_columns(config));
    rows->rope = ati_take_floats(c, pack->n_rows, config->n_ropes * ati_rotary_dim(config));
    rows->keys = ati_take(c, keys, ati_key_bytes(model));
    rows->values = ati_take(c, keys, ati_value_bytes(model));
}

bool ati_rows_bytes(const ati_model *model, const ati_pack *pack, size_t n_readings,
                    size_t *bytes) {
    ati_rows rows;
    ati_cursor c = {.gap = GAP, .fits = true};
    lay_out_rows(&c, model, pack, n_readings, &rows);
    *bytes = c.used;
    return c.fits;
}

void ati_rows_lay_out(const ati_model *model, const ati_pack *pack, size_t n_readings, void *memory,
                      ati_rows *rows) {
    ati_cursor c = {.memory = memory, .gap = GAP, .fits = true};
    lay_out_rows(&c, model, pack, n_readings, rows);
}

/* Rows that hold what any product with weights, but for the last of a layer, reads. */
static char *take_inputs(ati_cursor *c, const ati_model *model, size_t rows) {
    const ati_config *config = &model->config;
    const size_t sizes[] = {
        ati_layout_of(model->kernel->linear->format, config->hidden_size).row,
        ati_layout_of(model->kernel->linear->format, ati_query_columns(config)).row,
        ati_layout_of(model->kernel->attention->format, config->hidden_size).row,
        ati_layout_of(model->kernel->unembedding->format, config->hidden_size).row,
    };
    size_t largest = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        largest = sizes[i] > largest ? sizes[i] : largest;
    }
    return ati_take(c, rows, largest);
}

/* The rows between the two products of an MLP or an expert, whichever are longer, and
 * the floats that become a block of them. */
static void lay_out_inner(ati_cursor *c, const ati_model *model, ati_scratch *scratch) {
    const ati_config *config = &model->config;
    const ati_format *format = model->kernel->linear->format;
    const size_t sizes[] = {config->intermediate_size, config->expert_size};
    size_t row = 0, columns = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i] > 0) {
            ati_layout layout = ati_layout_of(format, sizes[i]);
            size_t block = ati_round_up(ati_block_values(&layout), ATI_PANEL);
            row = layout.row > row ? layout.row : row;
            columns = block > columns ? block : columns;
        }
    }
    scratch->inner = ati_take(c, ATI_ROW_BLOCK, row);
    scratch->activated = ati_take_floats(c, ATI_ROW_BLOCK, columns);
}

static void lay_out_experts(ati_cursor *c, const ati_model *model, ati_scratch *scratch) {
    const ati_config *config = &model->config;
    size_t rows = config->n_experts > 0 ? ATI_ROW_BLOCK : 0;
    scratch->logits = ati_take_floats(c, 1, config->n_experts);
    scratch->experts =
        (uint16_t *)(void *)ati_take(c, rows * config->experts_per_token, sizeof(uint16_t));
    scratch->factors = ati_take_floats(c, rows, config->experts_per_token);
    scratch->gathered = take_rows(c, model->kernel->linear, rows, config->hidden_size);
    scratch->gathered_rows = (uint16_t *)(void *)ati_take(c, rows, sizeof(uint16_t));
    scratch->gathered_factors = ati_take_floats(c, 1, rows);
}

static void lay_out_scratch(ati_cursor *c, const ati_model *model, size_t longest,
                            ati_scratch *scratch) {
    const ati_config *config = &model->config;
    const ati_names *names = &config->stored.names;
    const ati_gemm *attention = model->kernel->attention;
    bool has_post_norms = names->attention_post_norm != NULL || names->mlp_post_norm != NULL;
    scratch->x = take_inputs(c, model, ATI_ROW_BLOCK);
    scratch->product = ati_take_floats(c, ATI_ROW_BLOCK, ATI_MOST_CHUNK);
    lay_out_inner(c, model, scratch);
    scratch->row = ati_take_floats(c, 1, config->hidden_size);
    scratch->queries = take_rows(c, attention, ATI_QUERY_ROWS, config->head_dim);
    scratch->scores = ati_take_floats(c, ATI_QUERY_ROWS, ATI_KEY_BLOCK);
    scratch->weights = take_rows(c, attention, ATI_QUERY_ROWS, ATI_KEY_BLOCK);
    scratch->mixed = ati_take_floats(c, ATI_QUERY_ROWS, ati_value_columns(config));
    scratch->added = ati_take_floats(c, ATI_QUERY_ROWS, ati_value_columns(config));
    scratch->attention = ati_take_floats(c, 1, longest);
    scratch->sums = (double *)(void *)ati_take(c, config->head_dim, sizeof(double));
    scratch->addend = ati_take_floats(c, has_post_norms ? ATI_ROW_BLOCK : 0, config->hidden_size);
    lay_out_experts(c, model, scratch);
}

bool ati_scratch_bytes(const ati_model *model, size_t longest, size_t *bytes) {
    ati_scratch scratch;
    ati_cursor c = {.gap = GAP, .fits = true};
    lay_out_scratch(&c, model, longest, &scratch);
    *bytes = c.used;
    return c.fits;
}

void ati_scratch_lay_out(const ati_model *model, size_t longest, void *memory,
                         ati_scratch *scratch) {
    ati_cursor c = {.memory = memory, .gap = GAP, .fits = true};
    lay_out_scratch(&c, model, longest, scratch);
}
