#include "forward/forward.h"

#include "forward/heads.h"
#include "forward/look.h"
#include "forward/loss.h"
#include "forward/mlp.h"
#include "forward/wanted.h"
#include "vector/vector.h"

#include <string.h>

/* hidden = embedding of the token, and of its position where there are such. */
static void embed_row(const ati_model *model, size_t token, size_t position, float *row) {
    const ati_weights *weights = &model->weights;
    const ati_config *config = &model->config;
    size_t width = config->hidden_size;
    ati_unpack_row(&weights->embeddings.layout, weights->embeddings.panels, token, row);
    ati_scale(row, width, config->embedding_multiplier);
    if (weights->positions != NULL) {
        ati_add_to(row, weights->positions + position * width, width);
    }
    if (config->family->norms_embeddings) {
        ati_norm_row(&weights->final_norm, row, width, row);
    }
}

/* hidden = embeddings, 0 in the rows between documents. */
static void embed_rows(const ati_part *part, const ati_segment *segment, size_t first) {
    size_t width = part->pass->model->config.hidden_size;
    size_t last =
        first + ATI_PIECE_ROWS < segment->n_rows ? first + ATI_PIECE_ROWS : segment->n_rows;
    for (size_t t = first; t < last; t++) {
        float *row = part->pass->rows.hidden + (segment->row + t) * width;
        if (t < segment->document->n_tokens) {
            embed_row(part->pass->model, (size_t)segment->document->ids[t], t, row);
        } else {
            memset(row, 0, width * sizeof(*row));
        }
    }
}

static void embed(const ati_part *part) {
    const ati_pack *pack = part->pass->pack;
    size_t task = 0;
    for (size_t s = 0; s < pack->n_segments; s++) {
        for (size_t first = 0; first < pack->segments[s].n_rows; first += ATI_PIECE_ROWS) {
            if (ati_is_mine(part, task++) && ati_worker_continue(part->worker)) {
                embed_rows(part, &pack->segments[s], first);
            }
        }
    }
}

/* The rotary tables of each document: they may depend on the document's length, and
 * must not on the batch's. */
static void tabulate_rope(const ati_part *part) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    size_t dim = ati_rotary_dim(config);
    for (size_t s = 0; s < pass->pack->n_segments * config->n_ropes; s++) {
        if (ati_is_mine(part, s)) {
            size_t number = s / pass->pack->n_segments;
            const ati_segment *segment = &pass->pack->segments[s % pass->pack->n_segments];
            size_t n_tokens = segment->document->n_tokens;
            float *table = ati_rope_rows(pass, number) + segment->row * dim;
            ati_rope_table(&config->ropes[number], n_tokens, table);
            memset(table + n_tokens * dim, 0, (segment->n_rows - n_tokens) * dim * sizeof(*table));
        }
    }
}

/* A parallel layer's MLP reads the same hidden as its attention, whose heads are there
 * already: it goes first. */
static void add_attention_and_mlp(const ati_part *part, size_t layer, ati_row_block block) {
    if (ati_is_last(part->pass, layer) && !ati_is_block_wanted(part->pass, block)) {
        return;
    }
    if (part->pass->model->config.parallel) {
        ati_add_mlp(part, layer, block);
        ati_add_heads(part, layer, block);
    } else {
        ati_add_heads(part, layer, block);
        ati_add_mlp(part, layer, block);
    }
}

/* One layer; `n_readings` grows by the variants whose first masked head is in it.
 * False once the run is cancelled. */
static bool run_layer(const ati_part *part, size_t layer, size_t *n_readings) {
    size_t n_after = ati_count_readings(part->pass, layer);
    ati_each_block(part, layer, *n_readings, ati_project_heads);
    if (!ati_worker_barrier(part->worker)) {
        return false;
    }
    ati_pack_heads(part, layer, *n_readings);
    if (!ati_worker_barrier(part->worker)) {
        return false;
    }
    ati_attend_heads(part, layer, *n_readings);
    ati_look(part, layer);
    if (!ati_worker_barrier(part->worker)) {
        return false;
    }
    if (n_after > *n_readings) {
        ati_branch_heads(part, layer, *n_readings, n_after);
        *n_readings = n_after;
        if (!ati_worker_barrier(part->worker)) {
            return false;
        }
    }
    ati_each_block(part, layer, *n_readings, add_attention_and_mlp);
    return true;
}

void ati_forward(const ati_part *part) {
    size_t n_readings = 1;
    embed(part);
    tabulate_rope(part);
    if (!ati_worker_barrier(part->worker)) {
        return;
    }
    for (size_t l = 0; l < part->pass->model->config.n_layers; l++) {
        if (!run_layer(part, l, &n_readings)) {
            return;
        }
    }
    if (ati_worker_barrier(part->worker)) {
        ati_losses(part, n_readings);
    }
}
