#include "run/check.h"

#include "base/error.h"

/* More than any machine has; beyond it a number is a mistake. */
enum { MOST_THREADS = 4096 };

static ati_status check_ids(const ati_config *config, const ati_document *document, size_t number,
                            ati_error *error) {
    for (size_t t = 0; t < document->n_tokens; t++) {
        if (document->ids[t] < 0 || (size_t)document->ids[t] >= config->vocab_size) {
            return ati_fail(error, ATI_ARG,
                            "document %zu, token %zu: id %d is outside the vocabulary of %zu",
                            number, t, (int)document->ids[t], config->vocab_size);
        }
    }
    return ATI_OK;
}

static ati_status check_document(const ati_config *config, const ati_document *document,
                                 size_t number, ati_error *error) {
    if (document->n_tokens < 2) {
        return ati_fail(error, ATI_ARG, "document %zu: expected at least 2 tokens, found %zu",
                        number, document->n_tokens);
    }
    if (config->stored.names.positions != NULL &&
        document->n_tokens > config->max_position_embeddings) {
        return ati_fail(error, ATI_ARG,
                        "document %zu: the model has learned %zu positions and reads no more, "
                        "found %zu tokens",
                        number, config->max_position_embeddings, document->n_tokens);
    }
    if (document->first_scored < 1 || document->first_scored >= document->n_tokens) {
        return ati_fail(error, ATI_ARG,
                        "document %zu: the first scored token must be 1 to %zu, not %zu", number,
                        document->n_tokens - 1, document->first_scored);
    }
    if (document->attention != NULL &&
        (document->layer >= config->n_layers || document->head >= config->n_heads)) {
        return ati_fail(error, ATI_ARG,
                        "there is no head (%zu, %zu): the model has %zu layers of %zu heads",
                        document->layer, document->head, config->n_layers, config->n_heads);
    }
    if (document->copies != NULL && (document->needle_start >= document->needle_stop ||
                                     document->needle_stop > document->n_tokens)) {
        return ati_fail(error, ATI_ARG,
                        "document %zu: needle [%zu, %zu) is no span of its %zu tokens", number,
                        document->needle_start, document->needle_stop, document->n_tokens);
    }
    return check_ids(config, document, number, error);
}

ati_status ati_batch_check(const ati_config *config, const ati_batch *batch, ati_error *error) {
    if (batch->n_threads < 1 || batch->n_threads > MOST_THREADS) {
        return ati_fail(error, ATI_ARG, "expected 1 to %d threads, found %zu", MOST_THREADS,
                        batch->n_threads);
    }
    for (size_t d = 0; d < batch->n_documents; d++) {
        ati_status status = check_document(config, &batch->documents[d], d, error);
        if (status != ATI_OK) {
            return status;
        }
    }
    return ATI_OK;
}
