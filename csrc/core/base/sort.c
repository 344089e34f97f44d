#include "base/sort.h"

#include <string.h>

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

void ati_sort(uint32_t *items, uint32_t *scratch, size_t n, ati_compare compare,
              const void *context) {
    uint32_t *from = items, *to = scratch;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            merge(from, to, low, least(low + width, n), least(low + 2 * width, n), compare,
                  context);
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != items) {
        memcpy(items, from, n * sizeof *items);
    }
}
