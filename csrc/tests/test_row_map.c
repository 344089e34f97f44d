/* Rows of tensors in packed matrices: every row once, where the layout says. */
#include <string.h>

#include "model/tensors.h"
#include "testing.h"

enum { HEADS = 4, KV_HEADS = 2, DIM = 6, QKV = (HEADS + 2 * KV_HEADS) * DIM };

static ati_config config_of(const char *model_type, size_t n_kv_heads, size_t rotary_dim) {
    const ati_family *family = ati_family_find(model_type);
    return (ati_config){.family = family,
                        .stored = family->stored,
                        .n_heads = HEADS,
                        .n_kv_heads = n_kv_heads,
                        .head_dim = DIM,
                        .n_ropes = 1,
                        .ropes = {{.dim = rotary_dim}}};
}

/* Marks where rows 0..n - 1 go; each place at most once. */
static void mark(const ati_config *config, ati_row_map *map, size_t n, char *taken, size_t places) {
    for (size_t t = 0; t < n; t++) {
        size_t place = map(config, n, t);
        CHECK(place < places && !taken[place]);
        taken[place < places ? place : 0] = 1;
    }
}

static void check_heads(void) {
    char taken[QKV] = {0};
    ati_config llama = config_of("llama", KV_HEADS, DIM);
    mark(&llama, ati_row_of_query, HEADS * DIM, taken, QKV);
    mark(&llama, ati_row_of_key, KV_HEADS * DIM, taken, QKV);
    mark(&llama, ati_row_of_value, KV_HEADS * DIM, taken, QKV);
    CHECK(memchr(taken, 0, QKV) == NULL);
    CHECK(ati_row_of_key(&llama, 12, 1) == HEADS * DIM + 1);
    CHECK(ati_row_of_value(&llama, 12, 1) == (HEADS + KV_HEADS) * DIM + 1);
    CHECK(ati_row_of_qkv(&llama, QKV, 30) == 30);
}

/* Head 1's query, key and value stand together; its key goes among the keys. */
static void check_by_heads(void) {
    char taken[3 * HEADS * DIM] = {0};
    ati_config neox = config_of("gpt_neox", HEADS, 2);
    mark(&neox, ati_row_of_head_qkv, 3 * HEADS * DIM, taken, sizeof taken);
    CHECK(ati_row_of_head_qkv(&neox, 3 * HEADS * DIM, 3 * DIM + 2) == DIM + 2);
    CHECK(ati_row_of_head_qkv(&neox, 3 * HEADS * DIM, 4 * DIM + 2) == (HEADS + 1) * DIM + 2);
    CHECK(ati_row_of_head_qkv(&neox, 3 * HEADS * DIM, 5 * DIM + 2) == (2 * HEADS + 1) * DIM + 2);
}

/* Neighbours become pairs half the turning dimensions apart; what does not turn, and
 * values, stay. */
static void check_pairs(void) {
    ati_config glm = config_of("glm", KV_HEADS, 4);
    const size_t expected[DIM] = {0, 2, 1, 3, 4, 5};
    for (size_t i = 0; i < DIM; i++) {
        CHECK(ati_row_of_query(&glm, HEADS * DIM, DIM + i) == DIM + expected[i]);
        CHECK(ati_row_of_value(&glm, 0, i) == (HEADS + KV_HEADS) * DIM + i);
        CHECK(ati_place_in_head(&glm, i) == expected[i]);
    }
}

static void check_gates(void) {
    enum { FFN = 48 };
    char taken[2 * FFN] = {0};
    ati_config llama = config_of("llama", KV_HEADS, DIM);
    mark(&llama, ati_row_of_gate, FFN, taken, sizeof taken);
    mark(&llama, ati_row_of_up, FFN, taken, sizeof taken);
    for (size_t t = 0; t < FFN; t++) {
        size_t gate = ati_row_of_gate(&llama, FFN, t), up = ati_row_of_up(&llama, FFN, t);
        CHECK(up == gate + ATI_GATE_GROUP);
        CHECK(ati_row_of_gate_then_up(&llama, 2 * FFN, t) == gate);
        CHECK(ati_row_of_gate_then_up(&llama, 2 * FFN, FFN + t) == up);
        CHECK(ati_row_of_gate_beside_up(&llama, 2 * FFN, 2 * t) == gate);
        CHECK(ati_row_of_gate_beside_up(&llama, 2 * FFN, 2 * t + 1) == up);
    }
}

void test_row_map(void) {
    check_heads();
    check_by_heads();
    check_pairs();
    check_gates();
}
