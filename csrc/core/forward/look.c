#include "forward/look.h"

#include <string.h>

/* The whole attention matrix of a head, 0 above the diagonal. */
static void write_attention(const ati_head_input *head, const ati_document *document,
                            ati_worker *worker) {
    size_t n = document->n_tokens;
    for (size_t row = 0; row < n && ati_worker_continue(worker); row++) {
        float *weights = document->attention + row * n;
        ati_attention_weights(head, row, weights);
        memset(weights + row + 1, 0, (n - row - 1) * sizeof(*weights));
    }
}

static size_t argmax(const float *x, size_t first, size_t n) {
    size_t best = first;
    for (size_t i = first + 1; i < n; i++) {
        if (x[i] > x[best]) {
            best = i;
        }
    }
    return best;
}

/* Steps whose largest weight lies in the needle and on the very token that the
 * step predicts. The row is that of the predicting step, `token - 1`. The order
 * of scores is that of weights. `scores` [n_tokens] is scratch. */
static int32_t count_copies(const ati_head_input *head, const ati_document *document,
                            float *scores) {
    int32_t copies = 0;
    for (size_t token = document->first_scored; token < document->n_tokens; token++) {
        ati_attention_scores(head, token - 1, scores);
        size_t key = argmax(scores, ati_first_visible(head, token - 1), token);
        bool in_needle = key >= document->needle_start && key < document->needle_stop;
        copies += in_needle && document->ids[key] == document->ids[token];
    }
    return copies;
}

void ati_look(const ati_part *part, size_t layer) {
    const ati_pass *pass = part->pass;
    size_t n_heads = pass->model->config.n_heads, task = 0;
    for (size_t s = 0; s < pass->pack->n_segments; s++) {
        const ati_segment *segment = &pass->pack->segments[s];
        const ati_document *document = segment->document;
        bool wants_attention = document->attention != NULL && document->layer == layer;
        for (size_t head = 0; head < n_heads; head++) {
            if (document->copies == NULL && !wants_attention) {
                break;
            }
            if (!ati_is_mine(part, task++) || !ati_worker_continue(part->worker)) {
                continue;
            }
            ati_head_input input = ati_segment_head(pass, layer, segment, 0, head);
            if (document->copies != NULL) {
                document->copies[layer * n_heads + head] =
                    count_copies(&input, document, part->scratch->attention);
            }
            if (wants_attention && document->head == head) {
                write_attention(&input, document, part->worker);
            }
        }
    }
}
