/* What the tests of the core share: checks, temporary folders, small models. */
#ifndef TESTING_H
#define TESTING_H

#include <stdint.h>

#include "config/config.h"

/* Counts a failure and says where, but goes on. */
#define CHECK(condition) test_check((condition), #condition, __FILE__, __LINE__)

/* The call must have come to `status`, with `text` in the message. */
#define CHECK_REFUSED(found, status, error, text) \
    test_check_refused((found), (status), (error), (text), __FILE__, __LINE__)

void test_check(bool passed, const char *what, const char *file, int line);
void test_check_refused(ati_status found, ati_status expected, const ati_error *error,
                        const char *text, const char *file, int line);

/* What is under test from here on, as printf does: said with every failure. */
void test_about(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* `bytes` bytes at a multiple of 64, free()d by the caller. Not zeroed. */
void *test_alloc(size_t bytes);

/* Numbers in -8..8 with no pattern that something misplaced would keep. */
void test_fill(float *x /* [n] */, size_t n, unsigned seed);

/* A new empty folder; its path is the caller's to free. Removed at the end. */
char *test_folder(void);

/* Writes bytes [size] to folder/name. */
void test_write(const char *folder, const char *name, const void *bytes, size_t size);

/* The same for a text. */
void test_write_text(const char *folder, const char *name, const char *text);

/* Writes a safetensors file of this header and n_data bytes of zeros after it. */
void test_write_safetensors(const char *folder, const char *name, const char *header,
                            size_t n_data);

/* What a model folder is made of; zeroed is the smallest model there is here. */
typedef struct {
    bool tied, attention_bias, mlp_bias;
    size_t n_shards;        /* above 1: an index beside them */
    size_t ffn, vocab;      /* 10 and 11 where 0 */
    bool random;            /* numbers of test_fill / 16 in place of those below */
    const char *without;    /* this tensor is left out */
    const char *beside;     /* this tensor [2] is there, too */
    const char *not_finite; /* this tensor's second element is infinite */
} test_model;

/* Writes config.json and the weights: 2 layers, 4 heads of 6, 2 key/value heads,
 * hidden 24. Element i of the kth tensor is k + i / 1024. */
void test_write_model(const char *folder, test_model model);

/* ati_model_open without a poll. */
ati_status test_open(const char *folder, ati_precision precision, const char *kernel,
                     ati_model **model, ati_error *error);

/* A caller who is asked again and again, and stops at the question number `last`. */
typedef struct {
    long asked, last; /* 0: never */
} test_caller;

/* An ati_poll, whose context is a test_caller. */
int test_answer(void *context);

/* Replaces the folder's config.json by one that claims 1,024 layers of 4,096 experts, in a
 * layout of `model_type` ("qwen3_moe", "mixtral", "gpt_oss"). */
void test_claim_experts(const char *folder, const char *model_type);

/* The folders made so far are removed; failures counted are returned. */
int test_finish(void);

/* One function a file. */
void test_json(void);
void test_safetensors(void);
void test_checkpoint(void);
void test_gguf(void);
void test_ggml(void);
void test_config(void);
void test_config_gguf(void);
void test_rope(void);
void test_blas(void);
void test_weights(void);
void test_allocations(void);
void test_packed(void);
void test_mapped(void);
void test_vector(void);
void test_turned(void);
void test_activation(void);
void test_norm(void);
void test_row_map(void);
void test_format(void);
void test_kernel(void);
void test_tile(void);
void test_gemm(void);
void test_attention(void);
void test_run(void);

#endif
