#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rope_golden.h"
#include "testing.h"

#define N_CASES (sizeof rope_golden / sizeof *rope_golden)

/* Units in the last place between two float32 of one sign. */
static int32_t ulps(float a, float b) {
    int32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return abs(x - y);
}

static ati_rope read_rope(const char *text) {
    ati_config config;
    ati_error error;
    CHECK(ati_config_parse(text, strlen(text), "config.json", &config, &error) == ATI_OK);
    return config.ropes[0];
}

static float *make_table(const ati_rope *rope, size_t n_tokens) {
    float *table = calloc(n_tokens * rope->dim, sizeof *table);
    if (table == NULL) {
        abort();
    }
    ati_rope_table(rope, n_tokens, table);
    return table;
}

/* torch computes powers and cosines to within a few units in the last place. */
static void test_golden(size_t i) {
    ati_rope rope = read_rope(rope_golden[i].config);
    float inv_freq[64];
    size_t n = rope_golden[i].n_tokens, half = rope.dim / 2;
    ati_rope_frequencies(&rope, n, inv_freq);
    for (size_t j = 0; j < half; j++) {
        CHECK(ulps(inv_freq[j], rope_golden[i].inv_freq[j]) <= 2);
    }
    CHECK(fabs(rope.attention_factor - rope_golden[i].attention_factor) < 1e-12);
    float *table = make_table(&rope, n), *last = table + (n - 1) * rope.dim;
    CHECK(fabsf(last[half / 2] - rope_golden[i].cosine) < 2e-5f);
    CHECK(fabsf(last[half + half / 2] - rope_golden[i].sine) < 2e-5f);
    CHECK(fabsf(table[0] - (float)rope.attention_factor) < 1e-6f && fabsf(table[half]) < 1e-6f);
    free(table);
}

/* Only a length that changes the table may change it. */
static void test_length(size_t i) {
    ati_rope rope = read_rope(rope_golden[i].config);
    float *shorter = make_table(&rope, 64), *longer = make_table(&rope, 80);
    bool same = memcmp(shorter, longer, 64 * rope.dim * sizeof *shorter) == 0;
    CHECK(same == (rope.type != ATI_ROPE_DYNAMIC));
    free(shorter);
    shorter = make_table(&rope, 60);
    float *within = make_table(&rope, 64);
    CHECK(memcmp(shorter, within, 60 * rope.dim * sizeof *shorter) == 0);
    free(shorter);
    free(within);
    free(longer);
}

void test_rope(void) {
    for (size_t i = 0; i < N_CASES; i++) {
        test_golden(i);
        test_length(i);
    }
}
