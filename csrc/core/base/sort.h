/* A merge sort of indices: O(n log n) comparisons on any input, no
 * recursion, no memory of its own. */
#ifndef ATI_SORT_H
#define ATI_SORT_H

#include "base/poll.h"

/* Below, at or above 0 as item a comes before, with or after item b. */
typedef int (*ati_compare)(const void *context, uint32_t a, uint32_t b);

/* Sorts items [n]; scratch [n] is overwritten. Refuses nothing but to go on. `poller` may be
 * NULL. */
ati_status ati_sort(uint32_t *items, uint32_t *scratch, size_t n, ati_compare compare,
                    const void *context, ati_poller *poller, ati_error *error);

#endif
