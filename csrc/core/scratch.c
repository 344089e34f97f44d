#include "scratch.h"

#include "checked.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

enum { ALIGNMENT = 64, FLOATS_IN_DOUBLE = sizeof(double) / sizeof(float) };

/* Adds rows * columns floats, up to a multiple of ALIGNMENT bytes. */
static bool add_floats(size_t rows, size_t columns, size_t *bytes) {
    size_t floats, needed;
    return ati_mul(rows, columns, &floats) && ati_mul(floats, sizeof(float), &needed) &&
           ati_add(needed, ALIGNMENT, &needed) &&
           ati_add(*bytes, needed / ALIGNMENT * ALIGNMENT, bytes);
}

/* Lets AddressSanitizer report what is written past one array, in the gap before the next. */
static void guard(char *array, size_t used, size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(array, used);
    __asan_poison_memory_region(array + used, bytes - used);
#else
    (void)array, (void)used, (void)bytes;
#endif
}

/* The next rows * columns floats of a piece of memory that add_floats measured. */
static float *take_floats(char **memory, size_t rows, size_t columns) {
    float *taken = (float *)(void *)*memory;
    size_t bytes = 0;
    (void)add_floats(rows, columns, &bytes);
    guard(*memory, rows * columns * sizeof(float), bytes);
    *memory += bytes;
    return taken;
}

bool ati_rows_bytes(const ati_config *config, size_t n_rows, size_t n_readings, size_t *bytes) {
    size_t rows;
    *bytes = 0;
    return ati_mul(n_rows, n_readings, &rows) && ati_add(rows, ATI_ROW_BLOCK, &rows) &&
           add_floats(rows, config->hidden_size, bytes) &&
           add_floats(rows, ati_qkv_columns(config), bytes) &&
           add_floats(rows, ati_query_columns(config), bytes) &&
           add_floats(n_rows, config->head_dim, bytes);
}

void ati_rows_place(const ati_config *config, size_t n_rows, size_t n_readings, void *memory,
                    ati_rows *rows) {
    char *next = memory;
    size_t all = n_rows * n_readings + ATI_ROW_BLOCK;
    rows->hidden = take_floats(&next, all, config->hidden_size);
    rows->qkv = take_floats(&next, all, ati_qkv_columns(config));
    rows->heads = take_floats(&next, all, ati_query_columns(config));
    rows->rope = take_floats(&next, n_rows, config->head_dim);
}

bool ati_tiles_bytes(const ati_config *config, size_t longest, size_t *bytes) {
    *bytes = 0;
    return add_floats(2 * ATI_ROW_BLOCK, config->hidden_size, bytes) &&
           add_floats(ATI_ROW_BLOCK, 2 * config->intermediate_size, bytes) &&
           add_floats(ATI_ROW_BLOCK, ATI_VOCAB_TILE, bytes) &&
           add_floats(ATI_QUERY_BLOCK, ATI_KEY_BLOCK, bytes) &&
           add_floats(ATI_QUERY_BLOCK, config->head_dim, bytes) && add_floats(1, longest, bytes) &&
           add_floats(FLOATS_IN_DOUBLE, config->head_dim, bytes) &&
           ati_add(*bytes, ALIGNMENT, bytes); /* the first two are taken one by one */
}

void ati_tiles_place(const ati_config *config, size_t longest, void *memory, ati_tiles *tiles) {
    char *next = memory;
    tiles->normed = take_floats(&next, ATI_ROW_BLOCK, config->hidden_size);
    tiles->added = take_floats(&next, ATI_ROW_BLOCK, config->hidden_size);
    tiles->gate_up = take_floats(&next, ATI_ROW_BLOCK, 2 * config->intermediate_size);
    tiles->logits = take_floats(&next, ATI_ROW_BLOCK, ATI_VOCAB_TILE);
    tiles->scores = take_floats(&next, ATI_QUERY_BLOCK, ATI_KEY_BLOCK);
    tiles->mixed = take_floats(&next, ATI_QUERY_BLOCK, config->head_dim);
    tiles->row = take_floats(&next, 1, longest);
    tiles->sums = (double *)(void *)take_floats(&next, FLOATS_IN_DOUBLE, config->head_dim);
}
