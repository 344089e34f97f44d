#include "base/cursor.h"

#include "base/checked.h"
#include "base/sanitizer.h"

#if ATI_SANITIZES_ADDRESS
#include <sanitizer/asan_interface.h>
#endif

/* Lets AddressSanitizer report what touches memory past the end of a piece. */
static void guard(const ati_cursor *cursor, char *piece, size_t bytes) {
#if ATI_SANITIZES_ADDRESS
    if (cursor->gap > 0) {
        char *end = cursor->memory + cursor->used;
        __asan_unpoison_memory_region(piece, bytes);
        __asan_poison_memory_region(piece + bytes, (size_t)(end - (piece + bytes)));
    }
#else
    (void)cursor, (void)piece, (void)bytes;
#endif
}

char *ati_take(ati_cursor *cursor, size_t count, size_t size) {
    size_t start = cursor->used, bytes = 0, whole = 0;
    cursor->fits = cursor->fits && ati_mul(count, size, &bytes) &&
                   ati_add(bytes, cursor->gap + ATI_ALIGNMENT - 1, &whole) &&
                   ati_add(start, whole / ATI_ALIGNMENT * ATI_ALIGNMENT, &cursor->used);
    if (cursor->memory == NULL) {
        return NULL;
    }
    guard(cursor, cursor->memory + start, bytes);
    return cursor->memory + start;
}

float *ati_take_floats(ati_cursor *cursor, size_t rows, size_t columns) {
    size_t floats = 0;
    cursor->fits = cursor->fits && ati_mul(rows, columns, &floats);
    return (float *)(void *)ati_take(cursor, floats, sizeof(float));
}
