/* ati_run: equal bits however the work is shared, losses that follow from the logits,
 * arguments refused, a run cancelled, and every allocation made to fail. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "batch/pack.h"
#include "testing.h"

/* The longest document has more keys than attention takes in at a time, and is one
 * that several threads read together. */
enum { DOCUMENTS = 5, LONGEST = 500, HEADS = 2 * 4, VOCAB = 1500 };

/* A model to open. */
typedef struct {
    const char *folder;
    ati_precision precision;
    const char *kernel;
} opening;

static const size_t LENGTHS[DOCUMENTS] = {2, 49, LONGEST, 48, 130};
static int32_t ids[LONGEST];
static float base[DOCUMENTS][LONGEST], reference[DOCUMENTS][LONGEST];
static float *losses[DOCUMENTS][2];

/* Documents that are prefixes of the same ids, in the given order. */
static void make_documents(ati_document *documents, bool reversed) {
    for (size_t i = 0; i < LONGEST; i++) {
        ids[i] = (int32_t)(i * i % 11);
    }
    memset(base, 0, sizeof base);
    memset(reference, 0, sizeof reference);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        size_t place = reversed ? DOCUMENTS - 1 - d : d;
        losses[d][0] = base[d];
        losses[d][1] = reference[d];
        documents[place] = (ati_document){
            .ids = ids, .n_tokens = LENGTHS[d], .first_scored = 1, .losses = losses[d]};
    }
}

/* Reads the documents `at_a_time` in a batch. */
static ati_status run_batches(const ati_model *model, size_t n_threads, bool reversed,
                              size_t at_a_time, const uint8_t *masked, ati_poll poll,
                              ati_error *error) {
    ati_document documents[DOCUMENTS];
    ati_workspace *workspace = NULL;
    ati_variant variant = {masked, ATI_MASK_UNIFORM};
    make_documents(documents, reversed);
    ati_status status = ati_workspace_new(model, &workspace, error);
    for (size_t first = 0; first < DOCUMENTS && status == ATI_OK; first += at_a_time) {
        size_t rest = DOCUMENTS - first;
        ati_batch batch = {.documents = documents + first,
                           .n_documents = rest < at_a_time ? rest : at_a_time,
                           .variants = &variant,
                           .n_variants = 1,
                           .n_threads = n_threads,
                           .poll = poll};
        status = ati_run(model, workspace, &batch, error);
    }
    ati_workspace_free(workspace);
    return status;
}

static ati_status run(opening o, size_t n_threads, const uint8_t *masked, ati_poll poll,
                      ati_error *error) {
    ati_model *model = NULL;
    ati_status status = test_open(o.folder, o.precision, o.kernel, &model, error);
    if (status == ATI_OK) {
        status = run_batches(model, n_threads, false, DOCUMENTS, masked, poll, error);
    }
    ati_model_free(model);
    return status;
}

/* The losses of one run must be there again, whatever the order, the batches and
 * the number of threads. */
static void check_same(const ati_model *model, const uint8_t *masked,
                       float expected[2][DOCUMENTS][LONGEST]) {
    static const struct {
        size_t n_threads, at_a_time;
        bool reversed;
    } ways[] = {{1, 1, true}, {2, 5, true}, {3, 2, false}, {4, 5, true}};
    ati_error error;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        ati_status status = run_batches(model, ways[i].n_threads, ways[i].reversed,
                                        ways[i].at_a_time, masked, NULL, &error);
        CHECK(status == ATI_OK);
        CHECK(memcmp(base, expected[0], sizeof base) == 0);
        CHECK(memcmp(reference, expected[1], sizeof reference) == 0);
    }
}

static void check_bits(opening o) {
    static float expected[2][DOCUMENTS][LONGEST];
    const uint8_t masked[HEADS] = {[6] = 1}, none[HEADS] = {0};
    ati_model *model = NULL;
    ati_error error;
    CHECK(test_open(o.folder, o.precision, o.kernel, &model, &error) == ATI_OK);
    if (model == NULL) {
        return;
    }
    CHECK(run_batches(model, 1, false, DOCUMENTS, masked, NULL, &error) == ATI_OK);
    memcpy(expected[0], base, sizeof base);
    memcpy(expected[1], reference, sizeof reference);
    CHECK(memcmp(base, reference, sizeof base) != 0);
    for (size_t token = 0; token + 1 < LONGEST; token++) {
        CHECK(isfinite(base[2][token]) && isfinite(reference[2][token]));
    }
    check_same(model, masked, expected);
    CHECK(run_batches(model, 2, false, DOCUMENTS, none, NULL, &error) == ATI_OK);
    CHECK(memcmp(base, expected[0], sizeof base) == 0);
    CHECK(memcmp(reference, base, sizeof base) == 0);
    ati_model_free(model);
}

static int stop(void *context) {
    (void)context;
    return 1;
}

static void check_refusals(opening o) {
    uint8_t masked[HEADS] = {1};
    ati_error error;
    ati_status status = run(o, 0, masked, NULL, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "expected 1 to 4096 threads, found 0");
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        status = run(o, n_threads, masked, stop, &error);
        CHECK_REFUSED(status, ATI_CANCELLED, &error, "cancelled");
    }
}

/* The loss of the token after `row` and the most likely one, from all the logits. */
static double naive_loss(const float *logits, size_t row, int32_t target, int32_t *predicted) {
    const float *from = logits + row * VOCAB;
    double total = 0;
    *predicted = 0;
    for (size_t i = 0; i < VOCAB; i++) {
        *predicted = from[i] > from[*predicted] ? (int32_t)i : *predicted;
    }
    for (size_t i = 0; i < VOCAB; i++) {
        total += exp((double)from[i] - (double)from[*predicted]);
    }
    return log(total) + (double)from[*predicted] - (double)from[target];
}

/* Reads the document alone, on two threads, and with one head masked. */
static ati_status run_one(opening o, const ati_document *document, ati_error *error) {
    const uint8_t masked[HEADS] = {[1] = 1};
    ati_model *model = NULL;
    ati_workspace *workspace = NULL;
    ati_variant variant = {masked, ATI_MASK_ZERO};
    ati_batch batch = {.documents = document,
                       .n_documents = 1,
                       .variants = &variant,
                       .n_variants = 1,
                       .n_threads = 2};
    ati_status status = test_open(o.folder, o.precision, o.kernel, &model, error);
    if (status == ATI_OK) {
        status = ati_workspace_new(model, &workspace, error);
    }
    if (status == ATI_OK) {
        status = ati_run(model, workspace, &batch, error);
    }
    ati_workspace_free(workspace);
    ati_model_free(model);
    return status;
}

/* Losses are taken from logits some columns at a time; here, from all of them. What is
 * allowed is the rounding of a loss of about 10, and of exp. */
static void check_losses(opening o) {
    enum { TOKENS = 60 };
    static float logits[2][TOKENS * VOCAB];
    float *outputs[2] = {logits[0], logits[1]}, *readings[2] = {base[0], reference[0]};
    int32_t predicted[TOKENS], expected;
    ati_error error;
    for (size_t i = 0; i < TOKENS; i++) {
        ids[i] = (int32_t)(i * i * 7 % VOCAB);
    }
    ati_document document = {.ids = ids,
                             .n_tokens = TOKENS,
                             .first_scored = 1,
                             .losses = readings,
                             .predicted = predicted,
                             .logits = outputs};
    CHECK(run_one(o, &document, &error) == ATI_OK);
    CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) != 0);
    for (size_t row = 0; row + 1 < TOKENS; row++) {
        double loss = naive_loss(logits[1], row, ids[row + 1], &expected);
        CHECK(fabs((double)reference[0][row] - loss) < 4e-6);
        loss = naive_loss(logits[0], row, ids[row + 1], &expected);
        CHECK(fabs((double)base[0][row] - loss) < 4e-6 && predicted[row] == expected);
    }
}

static void check_bad_documents(const char *folder) {
    const struct {
        ati_document document;
        const char *text;
    } cases[] = {
        {{.ids = (const int32_t[]){1}, .n_tokens = 1, .first_scored = 1}, "at least 2 tokens"},
        {{.ids = (const int32_t[]){1, 11}, .n_tokens = 2, .first_scored = 1}, "vocabulary of 11"},
        {{.ids = (const int32_t[]){-1, 1}, .n_tokens = 2, .first_scored = 1}, "id -1 is outside"},
        {{.ids = (const int32_t[]){1, 1}, .n_tokens = 2, .first_scored = 2}, "must be 1 to 1"},
        {{.ids = (const int32_t[]){1, 1}, .n_tokens = 2, .first_scored = 0}, "must be 1 to 1"},
        {{.ids = (const int32_t[]){1, 1},
          .n_tokens = 2,
          .first_scored = 1,
          .attention = base[0],
          .layer = 2},
         "no head (2, 0)"},
        {{.ids = (const int32_t[]){1, 1},
          .n_tokens = 2,
          .first_scored = 1,
          .copies = ids,
          .needle_stop = 3},
         "no span"},
    };
    ati_model *model = NULL;
    ati_workspace *workspace = NULL;
    ati_error error;
    CHECK(test_open(folder, ATI_AUTO, NULL, &model, &error) == ATI_OK);
    if (model == NULL) {
        return;
    }
    CHECK(ati_workspace_new(model, &workspace, &error) == ATI_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ati_batch batch = {.documents = &cases[i].document, .n_documents = 1, .n_threads = 1};
        CHECK_REFUSED(ati_run(model, workspace, &batch, &error), ATI_ARG, &error, cases[i].text);
    }
    ati_model *other = NULL;
    ati_batch none = {.n_threads = 1};
    CHECK(test_open(folder, ATI_AUTO, NULL, &other, &error) == ATI_OK);
    CHECK_REFUSED(ati_run(other, workspace, &none, &error), ATI_ARG, &error, "another model");
    ati_model_free(other);
    ati_workspace_free(workspace);
    ati_model_free(model);
}

static void check_allocations(opening o) {
    uint8_t masked[HEADS] = {1};
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK(run(o, 2, masked, NULL, &error) == ATI_OK);
    long sites = ati_allocations_seen();
    CHECK(sites > 10 && ati_allocations_live() == 0);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        for (long n = 1; n <= sites; n++) {
            ati_fail_allocation(n, from_then_on != 0);
            ati_status status = run(o, 2, masked, NULL, &error);
            CHECK_REFUSED(status, ATI_NOMEM, &error, "no memory for");
            CHECK(ati_allocations_live() == 0);
        }
    }
    ati_fail_allocation(0, false);
}

void test_run(void) {
    char *folder = test_folder(), *wide = test_folder();
    test_write_model(wide, (test_model){.vocab = VOCAB, .random = true});
    test_write_model(folder, (test_model){.tied = true, .random = true});
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        const char *names[ATI_MOST_KERNELS];
        size_t n = ati_kernels(precision, names);
        for (size_t i = 0; i < n; i++) {
            test_about("precision %d, kernel %s", (int)precision, names[i]);
            check_bits((opening){folder, precision, names[i]});
            check_losses((opening){wide, precision, names[i]});
            check_refusals((opening){folder, precision, names[i]});
            check_allocations((opening){folder, precision, names[i]});
        }
    }
    test_about("%s", "");
    check_bad_documents(folder);
}
