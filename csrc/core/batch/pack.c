#include "batch/pack.h"

#include <stdlib.h>

/* Rows of a reading of a pack: the least still run at full speed; more than the most
 * gains nothing and takes memory. */
static const size_t MOST_ROWS = 576, LEAST_ROWS = 144;

static size_t first_masked_layer(const ati_config *config, const ati_variant *variant) {
    for (size_t layer = 0; layer < config->n_layers; layer++) {
        for (size_t head = 0; head < config->n_heads; head++) {
            if (ati_is_masked(config, variant, layer, head)) {
                return layer;
            }
        }
    }
    return config->n_layers;
}

void ati_branches_plan(const ati_config *config, const ati_batch *batch, ati_branch *branches) {
    for (size_t v = 0; v < batch->n_variants; v++) {
        ati_branch branch = {&batch->variants[v], v,
                             first_masked_layer(config, &batch->variants[v])};
        size_t at = v;
        while (at > 0 && branches[at - 1].first_layer > branch.first_layer) {
            branches[at] = branches[at - 1];
            at--;
        }
        branches[at] = branch;
    }
}

static int compare_lengths(const void *a, const void *b) {
    const ati_document *first = ((const ati_segment *)a)->document;
    const ati_document *second = ((const ati_segment *)b)->document;
    if (first->n_tokens != second->n_tokens) {
        return first->n_tokens < second->n_tokens ? 1 : -1;
    }
    return first < second ? -1 : first > second;
}

/* Rows that the next pack should have: less towards the end of the batch, so that
 * no thread waits long for the others. */
static size_t limit_of(size_t rest, size_t n_threads) {
    size_t share = rest / (2 * n_threads);
    size_t limit = share < MOST_ROWS ? share : MOST_ROWS;
    return limit > LEAST_ROWS ? limit : LEAST_ROWS;
}

size_t ati_packs_plan(const ati_model *model, const ati_batch *batch, ati_segment *segments,
                      ati_pack *packs) {
    size_t rest = 0, limit = 0, n_packs = 0;
    for (size_t d = 0; d < batch->n_documents; d++) {
        size_t n_rows = ati_round_up(batch->documents[d].n_tokens, model->kernel->linear->row_tile);
        segments[d] = (ati_segment){.document = &batch->documents[d], .n_rows = n_rows};
        rest += n_rows;
    }
    qsort(segments, batch->n_documents, sizeof(*segments), compare_lengths);
    for (size_t d = 0; d < batch->n_documents; d++) {
        ati_segment *segment = &segments[d];
        ati_pack *pack = n_packs == 0 ? NULL : &packs[n_packs - 1];
        if (pack == NULL || pack->n_rows + segment->n_rows > limit) {
            limit = limit_of(rest, batch->n_threads);
            pack = &packs[n_packs++];
            *pack = (ati_pack){.segments = segment};
        }
        segment->row = pack->n_rows;
        segment->key = pack->n_keys;
        pack->n_rows += segment->n_rows;
        pack->n_keys += ati_round_up(segment->n_rows, ATI_PANEL);
        pack->n_segments++;
        rest -= segment->n_rows;
    }
    return n_packs;
}

double ati_pack_cost(const ati_config *config, const ati_pack *pack) {
    size_t inner = config->n_experts > 0 ? config->experts_per_token * config->expert_size
                                         : config->intermediate_size;
    double row = (double)config->hidden_size *
                 ((double)(ati_qkv_columns(config) + ati_query_columns(config) + 3 * inner) +
                  (double)config->vocab_size / (double)config->n_layers);
    double cost = 0;
    for (size_t s = 0; s < pack->n_segments; s++) {
        double rows = (double)pack->segments[s].n_rows;
        cost += rows * (row + rows * (double)ati_query_columns(config));
    }
    return cost;
}
