#include "base/sort.h"

#include <string.h>

#define ITEMS_A_POLL ((size_t)1024)

/* Merges the sorted from[low, middle) and from[middle, high) into to[low, high). */
static void merge(const uint32_t *from, uint32_t *to, size_t low, size_t middle, size_t high,
                  ati_compare compare, const void *context) {
    size_t left = low, right = middle;
    for (size_t i = low; i < high; i++) {
        if (right >= high || (left < middle && compare(context, from[left], from[right]) <= 0)) {
            to[i] = from[left++];
        } else {
            to[i] = from[right++];
        }
    }
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

ati_status ati_sort(uint32_t *items, uint32_t *scratch, size_t n, ati_compare compare,
                    const void *context, ati_poller *poller, ati_error *error) {
    uint32_t *from = items, *to = scratch;
    ati_status status = ATI_OK;
    for (size_t width = 1; width < n && status == ATI_OK; width *= 2) {
        for (size_t low = 0; low < n && status == ATI_OK; low += 2 * width) {
            merge(from, to, low, least(low + width, n), least(low + 2 * width, n), compare,
                  context);
            status = low % ITEMS_A_POLL == 0 ? ati_poller_check(poller, error) : ATI_OK;
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, n * sizeof *items);
    }
    return status;
}
