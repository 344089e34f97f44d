#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#define _DARWIN_C_SOURCE

#include "base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/sanitizer.h"

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#if ATI_SANITIZES_ADDRESS
enum { PAGE = 4096 };
#endif

#ifdef ATI_TESTING
#include <stdatomic.h>

static _Atomic long seen, live, failing;
static atomic_bool failing_on;
static _Atomic size_t largest;

void ati_fail_allocation(long nth, bool from_then_on) {
    atomic_store(&seen, 0);
    atomic_store(&largest, 0);
    atomic_store(&failing, nth);
    atomic_store(&failing_on, from_then_on);
}

long ati_allocations_seen(void) {
    return atomic_load(&seen);
}

long ati_allocations_live(void) {
    return atomic_load(&live);
}

size_t ati_allocations_largest(void) {
    return atomic_load(&largest);
}

/* Whether the allocation of so many bytes asked for now is one to fail. */
static bool injected(size_t bytes) {
    if (bytes > atomic_load(&largest)) {
        atomic_store(&largest, bytes);
    }
    long n = atomic_fetch_add(&seen, 1) + 1, nth = atomic_load(&failing);
    return nth > 0 && (n == nth || (n > nth && atomic_load(&failing_on)));
}

static void count(long change) {
    atomic_fetch_add(&live, change);
}
#else
static bool injected(size_t bytes) {
    (void)bytes;
    return false;
}

static void count(long change) {
    (void)change;
}
#endif

void *ati_calloc(size_t number, size_t size) {
    void *memory = injected(number * size) ? NULL : calloc(number > 0 ? number : 1, size);
    if (memory != NULL) {
        count(1);
    }
    return memory;
}

void ati_free(void *memory) {
    if (memory != NULL) {
        count(-1);
    }
    free(memory);
}

#if ATI_SANITIZES_ADDRESS
/* From the heap, which AddressSanitizer watches, as it does not watch mappings. */
static void *take_pages(size_t bytes) {
    size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
    void *memory = whole < bytes ? NULL : aligned_alloc(PAGE, whole);
    return memory == NULL ? NULL : memset(memory, 0, whole);
}

static void give_pages(void *memory, size_t bytes) {
    (void)bytes;
    free(memory);
}
#else
static void *take_pages(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    /* Fewer page faults while weights are read; only a hint. */
    if (bytes >= (size_t)4 << 20) {
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
    }
#endif
    return memory;
}

static void give_pages(void *memory, size_t bytes) {
    (void)munmap(memory, bytes);
}
#endif

void *ati_map(size_t bytes) {
    void *memory = injected(bytes) || bytes == 0 ? NULL : take_pages(bytes);
    if (memory != NULL) {
        count(1);
    }
    return memory;
}

void ati_unmap(void *memory, size_t bytes) {
    if (memory != NULL) {
        count(-1);
        give_pages(memory, bytes);
    }
}

void *ati_map_file(int fd, size_t bytes) {
    void *memory = MAP_FAILED;
    if (injected(bytes)) {
        errno = ENOMEM;
    } else {
        memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    }
    if (memory == MAP_FAILED) {
        return NULL;
    }
    count(1);
    return memory;
}

void ati_unmap_file(void *memory, size_t bytes) {
    count(-1);
    (void)munmap(memory, bytes);
}
