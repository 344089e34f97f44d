#include "pack.h"

#include <stdlib.h>

/* A reading of a pack: long enough that matrix products run at full speed, short
 * enough that threads share a batch evenly and scratch stays small. */
static const size_t PACK_ROWS = 4 * ATI_ROW_BLOCK;

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
        size_t place = v;
        while (place > 0 && branches[place - 1].first_layer > branch.first_layer) {
            branches[place] = branches[place - 1];
            place--;
        }
        branches[place] = branch;
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

size_t ati_packs_plan(const ati_batch *batch, ati_segment *segments, ati_pack *packs) {
    size_t total = 0;
    for (size_t d = 0; d < batch->n_documents; d++) {
        size_t n_rows = ati_round_up(batch->documents[d].n_tokens, ATI_ROW_TILE);
        segments[d] = (ati_segment){&batch->documents[d], 0, n_rows};
        total += n_rows;
    }
    qsort(segments, batch->n_documents, sizeof(*segments), compare_lengths);

    size_t share = ati_round_up(total / batch->n_threads, ATI_ROW_BLOCK);
    size_t limit = share < PACK_ROWS ? share : PACK_ROWS;
    size_t n_packs = 0;
    for (size_t d = 0; d < batch->n_documents; d++) {
        ati_pack *pack = n_packs == 0 ? NULL : &packs[n_packs - 1];
        if (pack == NULL || pack->n_rows + segments[d].n_rows > limit) {
            pack = &packs[n_packs++];
            *pack = (ati_pack){.segments = &segments[d]};
        }
        segments[d].row = pack->n_rows;
        pack->n_rows += segments[d].n_rows;
        pack->n_segments++;
    }
    return n_packs;
}

double ati_pack_cost(const ati_config *config, const ati_pack *pack) {
    double row =
        (double)config->hidden_size * (double)(ati_qkv_columns(config) + ati_query_columns(config) +
                                               3 * config->intermediate_size);
    double cost = 0;
    for (size_t s = 0; s < pack->n_segments; s++) {
        double rows = (double)pack->segments[s].n_rows;
        cost += rows * (row + rows * (double)ati_query_columns(config));
    }
    return cost;
}
