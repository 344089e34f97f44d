/* Packed weights in a file: the same bytes and losses as read from tensors, every
 * file that is another one refused, and every allocation made to fail. */
#include "model/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "testing.h"

enum { PATH = 512, HEADER = ATI_PACKED_HEADER, TOKENS = 7 };

static const char KEY[] = "0123456789abcdef";

/* A model folder, and beside its files packed.bin. */
typedef struct {
    char *folder;
    char path[PATH];
    unsigned char *bytes; /* [size], what packed.bin was written with */
    size_t size;
} packed_file;

static packed_file make_file(test_model model, ati_precision precision, const char *kernel) {
    packed_file file = {.folder = test_folder()};
    ati_model *opened = NULL;
    ati_error error;
    snprintf(file.path, sizeof file.path, "%s/packed.bin", file.folder);
    test_write_model(file.folder, model);
    CHECK(test_open(file.folder, precision, kernel, &opened, &error) == ATI_OK);
    size_t size = ati_model_describe(opened).weight_bytes;
    file.size = HEADER + size;
    file.bytes = malloc(file.size);
    CHECK(ati_model_packed_header(opened, KEY, NULL, NULL, file.bytes, &error) == ATI_OK);
    memcpy(file.bytes + HEADER, ati_model_packed(opened), size);
    test_write(file.folder, "packed.bin", file.bytes, file.size);
    ati_model_free(opened);
    return file;
}

static ati_status open_packed(const packed_file *file, ati_precision precision, const char *kernel,
                              ati_model **model, ati_error *error) {
    const ati_opening from = {.path = file->folder,
                              .precision = precision,
                              .kernel = kernel,
                              .packed = file->path,
                              .key = KEY};
    return ati_model_open(&from, model, error);
}

/* ---- What is mapped is what was packed ---- */

static void read_losses(const ati_model *model, float losses[TOKENS - 1]) {
    static const int32_t ids[TOKENS] = {1, 5, 3, 3, 9, 0, 10};
    float *rows[] = {losses};
    ati_document document = {.ids = ids, .n_tokens = TOKENS, .first_scored = 1, .losses = rows};
    ati_batch batch = {.documents = &document, .n_documents = 1, .n_threads = 1};
    ati_workspace *workspace = NULL;
    ati_error error;
    CHECK(ati_workspace_new(model, &workspace, &error) == ATI_OK);
    CHECK(ati_run(model, workspace, &batch, &error) == ATI_OK);
    ati_workspace_free(workspace);
}

static void check_equal(const ati_model *a, const ati_model *b) {
    ati_model_info of_a = ati_model_describe(a), of_b = ati_model_describe(b);
    float losses[2][TOKENS - 1] = {{0}, {1}};
    CHECK(of_a.n_parameters == of_b.n_parameters && of_a.weight_bytes == of_b.weight_bytes);
    CHECK(strcmp(of_a.kernel, of_b.kernel) == 0 && strcmp(of_a.precision, of_b.precision) == 0);
    CHECK(ati_model_packed(a) != ati_model_packed(b));
    CHECK(memcmp(ati_model_packed(a), ati_model_packed(b), of_a.weight_bytes) == 0);
    read_losses(a, losses[0]);
    read_losses(b, losses[1]);
    CHECK(memcmp(losses[0], losses[1], sizeof losses[0]) == 0);
}

static void test_round_trip(ati_precision precision, const char *kernel) {
    ati_model *opened = NULL, *mapped = NULL, *again = NULL;
    ati_error error;
    test_about("precision %d, kernel %s", (int)precision, kernel);
    packed_file file = make_file((test_model){.tied = true, .attention_bias = true, .random = true},
                                 precision, kernel);
    CHECK(test_open(file.folder, precision, kernel, &opened, &error) == ATI_OK);
    CHECK(open_packed(&file, precision, kernel, &mapped, &error) == ATI_OK);
    CHECK(open_packed(&file, precision, kernel, &again, &error) == ATI_OK);
    check_equal(opened, mapped);
    ati_model_free(opened);
    check_equal(mapped, again);
    ati_model_free(mapped);
    ati_model_free(again);
    free(file.bytes);
}

static void test_round_trips(void) {
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        const char *names[ATI_MOST_KERNELS];
        size_t n = ati_kernels(precision, names);
        for (size_t i = 0; i < n; i++) {
            test_round_trip(precision, names[i]);
        }
    }
}

/* ---- The bytes of this version ---- */

static uint64_t digest(const unsigned char *bytes, size_t size) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

/* A change of these bytes would be read wrongly from files that are there: raise
 * ATI_PACKED_VERSION with it, and put the new digests here. */
static void test_version(void) {
    static const struct {
        ati_precision precision;
        const char *kernel;
        uint64_t digest;
    } known[] = {
        {ATI_FP32, "portable", UINT64_C(0xdb890f1a0c974a22)},
        {ATI_FP32, "openblas", UINT64_C(0x6ef7bd71bf1aeebe)},
        {ATI_BF16, "portable", UINT64_C(0xc9a3046eeb34b700)},
        {ATI_INT8, "portable", UINT64_C(0xe87ae01e4247e005)},
    };
    CHECK(ATI_PACKED_VERSION == 5);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        test_about("precision %d, kernel %s", (int)known[i].precision, known[i].kernel);
        packed_file file =
            make_file((test_model){.attention_bias = true, .mlp_bias = true, .random = true},
                      known[i].precision, known[i].kernel);
        uint64_t found = digest(file.bytes + HEADER, file.size - HEADER);
        if (found != known[i].digest) {
            printf("the packed weights have the digest 0x%016llx\n", (unsigned long long)found);
        }
        CHECK(found == known[i].digest);
        free(file.bytes);
    }
}

/* ---- Files that are not the one expected ---- */

static void refuse(const packed_file *file, const void *bytes, size_t size, const char *why) {
    ati_model *model = NULL;
    ati_error error;
    test_write(file->folder, "packed.bin", bytes, size);
    ati_status status = open_packed(file, ATI_FP32, "portable", &model, &error);
    CHECK_REFUSED(status, ATI_FORMAT, &error, why);
    CHECK(model == NULL && ati_allocations_live() == 0);
}

/* The file with one byte changed. */
static void refuse_changed(const packed_file *file, size_t place, const char *why) {
    unsigned char *bytes = malloc(file->size);
    memcpy(bytes, file->bytes, file->size);
    bytes[place] ^= 0x41;
    refuse(file, bytes, file->size, why);
    free(bytes);
}

static void test_damage(void) {
    packed_file file = make_file((test_model){0}, ATI_FP32, "portable");
    CHECK(memcmp(file.bytes, "attninfluence packed weights\n", 29) == 0);
    refuse_changed(&file, 0, "is not a file of packed weights");
    refuse_changed(&file, 31, "is not a file of packed weights");
    refuse_changed(&file, 32, "has the byte order");
    refuse_changed(&file, 36, "has the version 68, expected 5");
    refuse_changed(&file, 40, "has weights of the size");
    refuse_changed(&file, 48, "has the checksum");
    refuse_changed(&file, 56, "has the checksum");
    refuse_changed(&file, 64, "of the precision ''p32', expected 'fp32'");
    refuse_changed(&file, 80, "of the kernel '1ortable', expected 'portable'");
    refuse_changed(&file, 192, "of the key 'q123456789abcdef', expected '0123456789abcdef'");
    refuse_changed(&file, 192 + sizeof KEY - 1, "of the key '0123456789abcdefA'");
    for (size_t place = HEADER; place < file.size; place += 997) {
        refuse_changed(&file, place, "has the checksum");
    }
    refuse_changed(&file, file.size - 1, "has the checksum");
    free(file.bytes);
}

static void test_sizes(void) {
    packed_file file = make_file((test_model){0}, ATI_FP32, "portable");
    unsigned char *longer = calloc(file.size + 1, 1);
    memcpy(longer, file.bytes, file.size);
    refuse(&file, longer, file.size + 1, "has the size");
    refuse(&file, file.bytes, file.size - 1, "has the size");
    refuse(&file, file.bytes, file.size - 64, "has the size");
    refuse(&file, file.bytes, HEADER, "has the size 4096, expected");
    refuse(&file, file.bytes, HEADER - 1, "has the size 4095, expected");
    refuse(&file, file.bytes, 100, "ends at byte 100");
    refuse(&file, file.bytes, 0, "ends at byte 0");
    free(longer);
    free(file.bytes);
}

/* A good file of another model, precision or kernel. */
static void test_foreign(void) {
    packed_file file = make_file((test_model){0}, ATI_FP32, "portable");
    packed_file larger = make_file((test_model){.vocab = 40}, ATI_FP32, "portable");
    packed_file rounded = make_file((test_model){0}, ATI_BF16, "portable");
    packed_file blas = make_file((test_model){0}, ATI_FP32, "openblas");
    refuse(&file, larger.bytes, larger.size, "has weights of the size");
    refuse(&file, rounded.bytes, rounded.size, "of the precision 'bf16', expected 'fp32'");
    refuse(&file, blas.bytes, blas.size, "of the kernel 'openblas-");
    free(file.bytes);
    free(larger.bytes);
    free(rounded.bytes);
    free(blas.bytes);
}

/* A file whose checksum is right may hold any numbers: losses of no meaning, nothing
 * undefined. */
static void test_any_numbers(ati_precision precision) {
    packed_file file = make_file((test_model){0}, precision, "portable");
    const ati_packed packed = {.precision = ati_precision_name(precision),
                               .kernel = "portable",
                               .key = KEY,
                               .bytes = file.size - HEADER};
    const int32_t largest = INT32_MAX; /* a NaN as a float */
    float losses[TOKENS - 1];
    ati_model *model = NULL;
    ati_error error;
    for (size_t at = HEADER; at < file.size; at += sizeof largest) {
        memcpy(file.bytes + at, &largest, sizeof largest);
    }
    CHECK(ati_packed_describe(&packed, file.bytes + HEADER, NULL, file.bytes, &error) == ATI_OK);
    test_write(file.folder, "packed.bin", file.bytes, file.size);
    CHECK(open_packed(&file, precision, "portable", &model, &error) == ATI_OK);
    read_losses(model, losses);
    ati_model_free(model);
    free(file.bytes);
}

/* What config.json claims is compared with the file's size before anything is allocated. */
static void test_claimed_experts(void) {
    packed_file file = make_file((test_model){0}, ATI_FP32, "portable");
    ati_model *model = NULL;
    ati_error error;
    test_claim_experts(file.folder, "qwen3_moe");
    ati_fail_allocation(0, false);
    ati_status status = open_packed(&file, ATI_FP32, "portable", &model, &error);
    CHECK_REFUSED(status, ATI_FORMAT, &error, "has weights of the size");
    CHECK(ati_allocations_largest() < (size_t)1 << 20 && ati_allocations_live() == 0);
    free(file.bytes);
}

static void test_keys(void) {
    packed_file file = make_file((test_model){0}, ATI_FP32, "portable");
    char key[ATI_MOST_KEY + 2];
    unsigned char header[HEADER];
    ati_model *model = NULL;
    ati_error error;
    memset(key, 'k', sizeof key);
    key[ATI_MOST_KEY + 1] = '\0';
    const ati_opening from = {.path = file.folder,
                              .precision = ATI_FP32,
                              .kernel = "portable",
                              .packed = file.path,
                              .key = key};
    ati_status status = ati_model_open(&from, &model, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "the key has 128 bytes, expected at most 127");
    CHECK(open_packed(&file, ATI_FP32, "portable", &model, &error) == ATI_OK);
    status = ati_model_packed_header(model, key, NULL, NULL, header, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "the key has 128 bytes");
    key[ATI_MOST_KEY] = '\0';
    CHECK(ati_model_packed_header(model, key, NULL, NULL, header, &error) == ATI_OK);
    ati_model_free(model);
    free(file.bytes);
}

static void test_no_file(void) {
    packed_file file = make_file((test_model){0}, ATI_FP32, "portable");
    ati_model *model = NULL;
    ati_error error;
    snprintf(file.path, sizeof file.path, "%s/absent.bin", file.folder);
    ati_status status = open_packed(&file, ATI_FP32, "portable", &model, &error);
    CHECK_REFUSED(status, ATI_IO, &error, "absent.bin");
    snprintf(file.path, sizeof file.path, "%s", file.folder);
    status = open_packed(&file, ATI_FP32, "portable", &model, &error);
    CHECK_REFUSED(status, ATI_IO, &error, "cannot read");
    free(file.bytes);
}

static void test_memory(void) {
    packed_file file = make_file((test_model){.tied = true}, ATI_INT8, "portable");
    ati_model *model = NULL;
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK(open_packed(&file, ATI_INT8, "portable", &model, &error) == ATI_OK);
    ati_model_free(model);
    long sites = ati_allocations_seen();
    CHECK(sites > 5 && ati_allocations_live() == 0);
    for (long n = 1; n <= sites; n++) {
        ati_fail_allocation(n, false);
        CHECK(open_packed(&file, ATI_INT8, "portable", &model, &error) == ATI_NOMEM);
        CHECK(model == NULL && ati_allocations_live() == 0);
    }
    ati_fail_allocation(0, false);
    free(file.bytes);
}

/* ---- What a kernel is called in full ---- */

static void test_choice(void) {
    ati_precision precision = ATI_AUTO;
    const char *kernel = NULL, *best[ATI_MOST_KERNELS];
    ati_error error;
    CHECK(ati_kernel_choose(&precision, &kernel, &error) == ATI_OK);
    CHECK(precision != ATI_AUTO && ati_kernels(precision, best) > 0);
    CHECK(strcmp(kernel, best[0]) == 0);
    precision = ATI_FP32;
    kernel = "openblas";
    CHECK(ati_kernel_choose(&precision, &kernel, &error) == ATI_OK);
    CHECK(strncmp(kernel, "openblas-", 9) == 0);
    kernel = "abacus";
    ati_status status = ati_kernel_choose(&precision, &kernel, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "no kernel 'abacus' for fp32");
}

void test_packed(void) {
    test_round_trips();
    test_version();
    test_about("%s", "");
    test_damage();
    test_sizes();
    test_foreign();
    test_claimed_experts();
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        test_any_numbers(precision);
    }
    test_keys();
    test_no_file();
    test_memory();
    test_choice();
}
