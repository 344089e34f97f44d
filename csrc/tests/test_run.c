/* ati_run: equal bits however the work is shared, arguments refused, a run
 * cancelled, and every allocation made to fail. */
#include <math.h>
#include <string.h>

#include "alloc.h"
#include "pack.h"
#include "testing.h"

enum { DOCUMENTS = 5, LONGEST = 3000, HEADS = 2 * 4 };

static const size_t LENGTHS[DOCUMENTS] = {2, 49, LONGEST, 48, 130};
static int32_t ids[LONGEST];
static float base[DOCUMENTS][LONGEST], reference[DOCUMENTS][LONGEST];
static float *losses[DOCUMENTS][2];

/* Documents that are prefixes of the same ids, in the given order. */
static void make_documents(ati_document *documents, bool reversed) {
    for (size_t i = 0; i < LONGEST; i++) {
        ids[i] = (int32_t)(i * i % 11);
    }
    for (size_t d = 0; d < DOCUMENTS; d++) {
        size_t place = reversed ? DOCUMENTS - 1 - d : d;
        losses[d][0] = base[d];
        losses[d][1] = reference[d];
        documents[place] = (ati_document){
            .ids = ids, .n_tokens = LENGTHS[d], .first_scored = 1, .losses = losses[d]};
    }
}

static ati_status run(const char *folder, size_t n_threads, bool reversed, const uint8_t *masked,
                      ati_poll poll, ati_error *error) {
    ati_document documents[DOCUMENTS];
    ati_model *model = NULL;
    ati_workspace *workspace = NULL;
    ati_variant variant = {masked, ATI_MASK_UNIFORM};
    make_documents(documents, reversed);
    ati_batch batch = {.documents = documents,
                       .n_documents = DOCUMENTS,
                       .variants = &variant,
                       .n_variants = 1,
                       .n_threads = n_threads,
                       .poll = poll};
    ati_status status = ati_model_open(folder, &model, error);
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

static void check_bits(const char *folder) {
    static float expected[2][DOCUMENTS][LONGEST];
    uint8_t masked[HEADS] = {[6] = 1};
    ati_error error;
    CHECK(run(folder, 1, false, masked, NULL, &error) == ATI_OK);
    memcpy(expected[0], base, sizeof base);
    memcpy(expected[1], reference, sizeof reference);
    CHECK(memcmp(base, reference, sizeof base) != 0);
    for (size_t token = 0; token + 1 < LONGEST; token++) {
        CHECK(isfinite(base[2][token]) && isfinite(reference[2][token]));
    }
    for (size_t n_threads = 1; n_threads <= 4; n_threads++) {
        memset(base, 0, sizeof base);
        memset(reference, 0, sizeof reference);
        CHECK(run(folder, n_threads, true, masked, NULL, &error) == ATI_OK);
        CHECK(memcmp(base, expected[0], sizeof base) == 0);
        CHECK(memcmp(reference, expected[1], sizeof reference) == 0);
    }
    uint8_t none[HEADS] = {0};
    memset(reference, 0, sizeof reference);
    CHECK(run(folder, 2, false, none, NULL, &error) == ATI_OK);
    CHECK(memcmp(reference, base, sizeof base) == 0);
}

static int stop(void *context) {
    (void)context;
    return 1;
}

static void check_refusals(const char *folder) {
    uint8_t masked[HEADS] = {1};
    ati_error error;
    ati_status status = run(folder, 0, false, masked, NULL, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "expected 1 to 4096 threads, found 0");
    for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
        status = run(folder, n_threads, false, masked, stop, &error);
        CHECK_REFUSED(status, ATI_CANCELLED, &error, "cancelled");
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
    CHECK(ati_model_open(folder, &model, &error) == ATI_OK);
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
    CHECK(ati_model_open(folder, &other, &error) == ATI_OK);
    CHECK_REFUSED(ati_run(other, workspace, &none, &error), ATI_ARG, &error, "another model");
    ati_model_free(other);
    ati_workspace_free(workspace);
    ati_model_free(model);
}

static void check_allocations(const char *folder) {
    uint8_t masked[HEADS] = {1};
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK(run(folder, 2, false, masked, NULL, &error) == ATI_OK);
    long sites = ati_allocations_seen();
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        for (long n = 1; n <= sites; n++) {
            ati_fail_allocation(n, from_then_on != 0);
            ati_status status = run(folder, 2, false, masked, NULL, &error);
            CHECK_REFUSED(status, ATI_NOMEM, &error, "no memory for");
            CHECK(ati_allocations_live() == 0);
        }
    }
    ati_fail_allocation(0, false);
}

void test_run(void) {
    char *folder = test_folder();
    test_write_model(folder, (test_model){.tied = true});
    check_bits(folder);
    check_refusals(folder);
    check_bad_documents(folder);
    check_allocations(folder);
}
