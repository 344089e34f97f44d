#include "forward/wanted.h"

bool ati_is_scored(const ati_document *document, size_t position, size_t n_rows) {
    return position + n_rows >= document->first_scored && position + 1 < document->n_tokens;
}

bool ati_is_wanted(const ati_document *document, size_t n_readings, size_t position,
                   size_t n_rows) {
    for (size_t r = 0; document->logits != NULL && r < n_readings; r++) {
        if (document->logits[r] != NULL) {
            return true;
        }
    }
    bool is_read = document->losses != NULL || document->predicted != NULL;
    return is_read && ati_is_scored(document, position, n_rows);
}

bool ati_is_block_wanted(const ati_pass *pass, ati_row_block block) {
    const ati_pack *pack = pass->pack;
    size_t last = block.first + block.count;
    for (size_t reading = block.first / pack->n_rows; reading * pack->n_rows < last; reading++) {
        for (size_t s = 0; s < pack->n_segments; s++) {
            const ati_segment *segment = &pack->segments[s];
            size_t start = ati_segment_row(pass, segment, reading), stop = start + segment->n_rows;
            size_t from = block.first > start ? block.first : start;
            size_t to = last < stop ? last : stop;
            if (from < to &&
                ati_is_wanted(segment->document, 1 + pass->n_branches, from - start, to - from)) {
                return true;
            }
        }
    }
    return false;
}
