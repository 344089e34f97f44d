/* Every allocation of the core goes through here, so that a test can make any
 * one of them fail. */
#ifndef ATI_ALLOC_H
#define ATI_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* `count` zeroed items of `size` bytes, or NULL. A zero count gives memory too. */
void *ati_calloc(size_t count, size_t size);

/* NULL is allowed. */
void ati_free(void *memory);

/* `bytes` zeroed bytes of their own pages (so aligned to at least 64 bytes), or
 * NULL. For what is large: the pages take memory when they are first written. */
void *ati_map(size_t bytes);

/* Gives back what ati_map(bytes) gave. NULL is allowed. */
void ati_unmap(void *memory, size_t bytes);

/* The first `bytes` bytes of an open file, for reading only and shared by all who map
 * it; NULL and errno where that cannot be. */
void *ati_map_file(int fd, size_t bytes);

/* Gives back what ati_map_file(fd, bytes) gave. */
void ati_unmap_file(void *memory, size_t bytes);

#ifdef ATI_TESTING
/* Makes the nth allocation from now on fail, counted from 1, and those after it
 * too where `from_then_on`. 0 lets all succeed. Restarts the count. */
void ati_fail_allocation(long nth, bool from_then_on);

/* Allocations asked for since the last ati_fail_allocation. */
long ati_allocations_seen(void);

/* Bytes of the largest of those. */
size_t ati_allocations_largest(void);

/* Allocations given and not yet given back. */
long ati_allocations_live(void);
#endif

#endif
