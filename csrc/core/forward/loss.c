#include "forward/loss.h"

#include "forward/product.h"
#include "forward/wanted.h"
#include "vector/activation.h"
#include "vector/norm.h"
#include "vector/vector.h"

#include <math.h>
#include <string.h>

/* Rows of one document in one reading, as many as the kernel's row tile: one, or
 * ATI_ROW_TILE. */
typedef struct {
    const ati_segment *segment;
    size_t reading;  /* 0 the base, 1 + b branch b */
    size_t position; /* of the first row within the document */
} loss_rows;

/* Rows that go through the output projection together, at most a row block. */
typedef struct {
    loss_rows parts[ATI_ROW_BLOCK];
    size_t n_parts;
    size_t rows_each;
} loss_job;

/* What is known of a row's softmax over the vocabulary so far. */
typedef struct {
    float largest;     /* logit */
    int32_t predicted; /* the token it belongs to */
    float target;      /* the logit of the token that follows */
    double total;      /* of exp(logit - largest) */
} row_state;

/* Whether the numbers of a reading go to output `output` of a document (pack.h). */
static bool gives_output(const ati_pass *pass, size_t reading, size_t output) {
    for (size_t b = 0; b < pass->n_branches; b++) {
        if (pass->branches[b].number + 1 == output) {
            bool leaves = pass->branches[b].first_layer < pass->model->config.n_layers;
            return reading == (leaves ? b + 1 : 0);
        }
    }
    return reading == output; /* the base */
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
        size_t at = 0;
        while (logits[at] != largest) {
            at++;
        }
        state->predicted = (int32_t)(first + at);
        state->total *= exp((double)state->largest - (double)largest);
        state->largest = largest;
    }
    state->total += (double)ati_exp_sum(logits, count, state->largest);
}

static void keep_logits(const ati_pass *pass, const loss_rows *rows, size_t position,
                        const float *logits, size_t first, size_t count) {
    const ati_document *document = rows->segment->document;
    for (size_t r = 0; document->logits != NULL && r <= pass->n_branches; r++) {
        if (document->logits[r] != NULL && gives_output(pass, rows->reading, r)) {
            size_t row = position * pass->model->config.vocab_size;
            memcpy(document->logits[r] + row + first, logits, count * sizeof(*logits));
        }
    }
}

static void keep_loss(const ati_pass *pass, const loss_rows *rows, size_t position,
                      const row_state *state) {
    const ati_document *document = rows->segment->document;
    size_t index = position + 1 - document->first_scored;
    double loss = (double)state->largest + log(state->total) - (double)state->target;
    for (size_t r = 0; document->losses != NULL && r <= pass->n_branches; r++) {
        if (gives_output(pass, rows->reading, r)) {
            document->losses[r][index] = (float)loss;
        }
    }
    if (document->predicted != NULL && rows->reading == 0) {
        document->predicted[index] = state->predicted;
    }
}

/* The part that row number `row` of the job is in, and the row's position. */
static const loss_rows *find_row(const loss_job *job, size_t row, size_t *position) {
    const loss_rows *rows = &job->parts[row / job->rows_each];
    *position = rows->position + row % job->rows_each;
    return rows;
}

/* The job's rows after the last norm, in scratch->x. */
static void norm_job(const ati_part *part, const loss_job *job) {
    const ati_pass *pass = part->pass;
    const ati_config *config = &pass->model->config;
    const ati_layout *layout = &pass->model->weights.unembedding.layout;
    for (size_t i = 0; i < job->n_parts * job->rows_each; i++) {
        size_t position;
        const loss_rows *rows = find_row(job, i, &position);
        size_t row = ati_segment_row(pass, rows->segment, rows->reading) + position;
        ati_norm_row(&pass->model->weights.final_norm,
                     pass->rows.hidden + row * config->hidden_size, config->hidden_size,
                     part->scratch->row);
        ati_write_row(layout, part->scratch->row, part->scratch->x + i * layout->row);
    }
}

/* Products [count] of the tokens from `first` on become logits. */
static void finish_logits(const ati_model *model, float *logits, size_t first, size_t count) {
    const ati_config *config = &model->config;
    if (model->weights.unembedding_bias != NULL) {
        ati_add_to(logits, model->weights.unembedding_bias + first, count);
    }
    if (config->logit_multiplier < 1.0F || config->logit_multiplier > 1.0F) {
        ati_scale(logits, count, config->logit_multiplier);
    }
    if (config->logit_divisor < 1.0F || config->logit_divisor > 1.0F) {
        ati_divide(logits, count, config->logit_divisor);
    }
    if (config->logit_soft_cap > 0.0F) {
        ati_soft_cap(logits, count, config->logit_soft_cap);
    }
}

/* Takes in the logits that the product holds now. */
static void take_in_columns(const ati_part *part, const loss_job *job, const ati_product *product,
                            row_state *states) {
    for (size_t i = 0; i < product->n_rows; i++) {
        size_t position;
        const loss_rows *rows = find_row(job, i, &position);
        const ati_document *document = rows->segment->document;
        float *logits = part->scratch->product + i * product->stride;
        if (position < document->n_tokens) {
            finish_logits(part->pass->model, logits, product->first, product->count);
            keep_logits(part->pass, rows, position, logits, product->first, product->count);
            take_in(&states[i], logits, product->first, product->count,
                    scored_token(document, position));
        }
    }
}

static void run_job(const ati_part *part, const loss_job *job) {
    row_state states[ATI_ROW_BLOCK];
    size_t n_rows = job->n_parts * job->rows_each;
    for (size_t i = 0; i < n_rows; i++) {
        states[i] = (row_state){.largest = -INFINITY};
    }
    norm_job(part, job);
    ati_product product =
        ati_product_of(part->scratch->x, n_rows, &part->pass->model->weights.unembedding);
    while (ati_product_next(&product, part)) {
        take_in_columns(part, job, &product, states);
    }
    for (size_t i = 0; i < n_rows; i++) {
        size_t position;
        const loss_rows *rows = find_row(job, i, &position);
        if (scored_token(rows->segment->document, position) >= 0) {
            keep_loss(part->pass, rows, position, &states[i]);
        }
    }
}

/* Whether any of the rows has something to say. */
static bool is_wanted(const ati_pass *pass, const loss_rows *rows, size_t rows_each) {
    const ati_document *document = rows->segment->document;
    bool wants_logits = false;
    for (size_t r = 0; document->logits != NULL && r <= pass->n_branches; r++) {
        wants_logits |= document->logits[r] != NULL && gives_output(pass, rows->reading, r);
    }
    bool wants_losses =
        document->losses != NULL || (document->predicted != NULL && rows->reading == 0);
    return wants_logits || (wants_losses && ati_is_scored(document, rows->position, rows_each));
}

/* Rows of a job: a whole block, or, shared by threads, so few that all have as many. */
static size_t job_rows(const ati_part *part, size_t n_readings) {
    size_t rows = part->pass->pack->n_rows * n_readings, size = part->worker->size;
    size_t share = ati_gemm_rows((rows + size - 1) / size);
    bool whole = ati_uses_blas(part->pass->model) || share > ATI_ROW_BLOCK;
    return whole ? ATI_ROW_BLOCK : share;
}

/* A walk over the rows of all readings, one reading after another. */
typedef struct {
    const ati_pass *pass;
    size_t n_readings, rows_each;
    size_t reading, segment, position; /* of the next rows */
} row_walk;

/* Finds the next rows that have something to say; false when there are none. */
static bool next_rows(row_walk *walk, loss_rows *rows) {
    const ati_pack *pack = walk->pass->pack;
    while (walk->reading < walk->n_readings) {
        *rows = (loss_rows){&pack->segments[walk->segment], walk->reading, walk->position};
        walk->position += walk->rows_each;
        if (walk->position == rows->segment->n_rows) {
            walk->position = 0;
            walk->segment++;
        }
        if (walk->segment == pack->n_segments) {
            walk->segment = 0;
            walk->reading++;
        }
        if (is_wanted(walk->pass, rows, walk->rows_each)) {
            return true;
        }
    }
    return false;
}

/* Fills the job with the next parts, at most `most`; false when there are none. */
static bool next_job(row_walk *walk, size_t most, loss_job *job) {
    job->n_parts = 0;
    while (job->n_parts < most && next_rows(walk, &job->parts[job->n_parts])) {
        job->n_parts++;
    }
    return job->n_parts > 0;
}

void ati_losses(const ati_part *part, size_t n_readings) {
    size_t rows_each = part->pass->model->kernel->linear->row_tile, task = 0;
    size_t most = job_rows(part, n_readings) / rows_each;
    row_walk walk = {.pass = part->pass, .n_readings = n_readings, .rows_each = rows_each};
    loss_job job = {.rows_each = rows_each};
    while (next_job(&walk, most, &job)) {
        if (ati_is_mine(part, task++)) {
            run_job(part, &job);
        }
    }
}
