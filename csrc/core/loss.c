#include "loss.h"

#include "linear.h"
#include "norm.h"
#include "vector.h"

#include <math.h>
#include <string.h>

enum { TILES = ATI_ROW_BLOCK / ATI_ROW_TILE };

/* ATI_ROW_TILE rows of one document in one reading. */
typedef struct {
    const ati_segment *segment;
    size_t place;    /* the reading's place in the rows: 0 the base, 1 + b branch b */
    size_t position; /* of the first row within the document */
} row_tile;

/* Tiles that fill a row block. */
typedef struct {
    row_tile tiles[TILES];
    size_t n_tiles;
} loss_job;

/* What is known of a row's softmax over the vocabulary so far. */
typedef struct {
    float largest;     /* logit */
    int32_t predicted; /* the token it belongs to */
    float target;      /* the logit of the token that follows */
    double total;      /* of exp(logit - largest) */
} row_state;

/* Whether numbers of the reading at `place` go to reading `number` (0 the base,
 * 1 + v variant v): a variant without a masked head takes them from the base. */
static bool gives_reading(const ati_pass *pass, size_t place, size_t number) {
    for (size_t b = 0; b < pass->n_branches; b++) {
        if (pass->branches[b].number + 1 == number) {
            bool leaves = pass->branches[b].first_layer < pass->model->config.n_layers;
            return place == (leaves ? b + 1 : 0);
        }
    }
    return place == number; /* the base */
}

/* The token that follows `position`, or -1 where its loss is not wanted. */
static int32_t scored_token(const ati_document *document, size_t position) {
    size_t next = position + 1;
    bool scored = next >= document->first_scored && next < document->n_tokens;
    return scored ? document->ids[next] : -1;
}

/* Takes in, and overwrites, logits [count] of the tokens from `first` on. */
static void take_in(row_state *state, float *logits, size_t first, size_t count, int32_t target) {
    if (target >= 0 && (size_t)target >= first && (size_t)target - first < count) {
        state->target = logits[(size_t)target - first];
    }
    float largest = ati_max(logits, count);
    if (largest > state->largest) {
        size_t place = 0;
        while (logits[place] != largest) {
            place++;
        }
        state->predicted = (int32_t)(first + place);
        state->total *= exp((double)state->largest - (double)largest);
        state->largest = largest;
    }
    state->total += (double)ati_exp_sum(logits, count, state->largest);
}

static void keep_logits(const ati_pass *pass, const row_tile *tile, size_t position,
                        const float *logits, size_t first, size_t count) {
    const ati_document *document = tile->segment->document;
    for (size_t r = 0; document->logits != NULL && r <= pass->n_branches; r++) {
        if (document->logits[r] != NULL && gives_reading(pass, tile->place, r)) {
            size_t row = position * pass->model->config.vocab_size;
            memcpy(document->logits[r] + row + first, logits, count * sizeof(*logits));
        }
    }
}

static void keep_loss(const ati_pass *pass, const row_tile *tile, size_t position,
                      const row_state *state) {
    const ati_document *document = tile->segment->document;
    size_t index = position + 1 - document->first_scored;
    double loss = (double)state->largest + log(state->total) - (double)state->target;
    for (size_t r = 0; document->losses != NULL && r <= pass->n_branches; r++) {
        if (gives_reading(pass, tile->place, r)) {
            document->losses[r][index] = (float)loss;
        }
    }
    if (document->predicted != NULL && tile->place == 0) {
        document->predicted[index] = state->predicted;
    }
}

/* The job's rows after the last norm, in tiles->normed. */
static void norm_job(const ati_part *part, const loss_job *job) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    for (size_t i = 0; i < job->n_tiles; i++) {
        const row_tile *tile = &job->tiles[i];
        size_t row = ati_segment_row(pass, tile->segment, tile->place) + tile->position;
        ati_rms_norm(pass->rows.hidden + row * config->hidden_size, ATI_ROW_TILE,
                     config->hidden_size, pass->model->weights.final_norm, config->rms_norm_eps,
                     part->tiles->normed + i * ATI_ROW_TILE * config->hidden_size);
    }
}

/* Takes in a tile of logits [ATI_ROW_BLOCK, ATI_VOCAB_TILE], of which `count`
 * columns from token `first` on are filled. */
static void take_in_tile(const ati_part *part, const loss_job *job, size_t first, size_t count,
                         row_state *states) {
    for (size_t i = 0; i < job->n_tiles * ATI_ROW_TILE; i++) {
        const row_tile *tile = &job->tiles[i / ATI_ROW_TILE];
        const ati_document *document = tile->segment->document;
        size_t position = tile->position + i % ATI_ROW_TILE;
        float *logits = part->tiles->logits + i * ATI_VOCAB_TILE;
        if (position < document->n_tokens) {
            keep_logits(part->pass, tile, position, logits, first, count);
            take_in(&states[i], logits, first, count, scored_token(document, position));
        }
    }
}

static void run_job(const ati_part *part, const loss_job *job) {
    row_state states[ATI_ROW_BLOCK];
    const ati_model *model = part->pass->model;
    size_t vocab = model->config.vocab_size, width = model->config.hidden_size;
    for (size_t i = 0; i < ATI_ROW_BLOCK; i++) {
        states[i] = (row_state){.largest = -INFINITY};
    }
    norm_job(part, job);
    for (size_t first = 0; first < vocab; first += ATI_VOCAB_TILE) {
        size_t count = vocab - first < ATI_VOCAB_TILE ? vocab - first : ATI_VOCAB_TILE;
        if (!ati_worker_continue(part->worker)) {
            return;
        }
        ati_linear(model->blas, part->tiles->normed, width, model->weights.head + first * width,
                   NULL, count, part->tiles->logits, ATI_VOCAB_TILE);
        take_in_tile(part, job, first, count, states);
    }
    for (size_t i = 0; i < job->n_tiles * ATI_ROW_TILE; i++) {
        const row_tile *tile = &job->tiles[i / ATI_ROW_TILE];
        size_t position = tile->position + i % ATI_ROW_TILE;
        if (scored_token(tile->segment->document, position) >= 0) {
            keep_loss(part->pass, tile, position, &states[i]);
        }
    }
}

/* Whether any row of the tile has something to say. */
static bool is_wanted(const ati_pass *pass, const row_tile *tile) {
    const ati_document *document = tile->segment->document;
    bool wants_logits = false;
    for (size_t r = 0; document->logits != NULL && r <= pass->n_branches; r++) {
        wants_logits |= document->logits[r] != NULL && gives_reading(pass, tile->place, r);
    }
    bool wants_losses =
        document->losses != NULL || (document->predicted != NULL && tile->place == 0);
    bool has_scored = tile->position + ATI_ROW_TILE >= document->first_scored &&
                      tile->position + 1 < document->n_tokens;
    return wants_logits || (wants_losses && has_scored);
}

void ati_losses(const ati_part *part, size_t readings) {
    const ati_pass *pass = part->pass;
    loss_job job = {.n_tiles = 0};
    size_t task = 0;
    for (size_t place = 0; place < readings; place++) {
        for (size_t s = 0; s < pass->pack->n_segments; s++) {
            const ati_segment *segment = &pass->pack->segments[s];
            for (size_t position = 0; position < segment->n_rows; position += ATI_ROW_TILE) {
                row_tile tile = {segment, place, position};
                if (is_wanted(pass, &tile)) {
                    job.tiles[job.n_tiles++] = tile;
                }
                bool last = place + 1 == readings && s + 1 == pass->pack->n_segments &&
                            position + ATI_ROW_TILE == segment->n_rows;
                if (job.n_tiles == TILES || (last && job.n_tiles > 0)) {
                    if (ati_is_mine(part, task++)) {
                        run_job(part, &job);
                    }
                    job.n_tiles = 0;
                }
            }
        }
    }
}
