/* Every allocation made to fail, once and from then on: the call says so, and
 * gives back what it had. */
#include <stdio.h>

#include "base/alloc.h"
#include "model/weights.h"
#include "testing.h"

static ati_status load(const char *folder, ati_error *error) {
    ati_config config;
    ati_weights weights = {0};
    const ati_kernel *kernel;
    ati_status status = ati_kernel_find(ATI_INT8, NULL, &kernel, error);
    if (status == ATI_OK) {
        status = ati_config_read(folder, &config, error);
    }
    if (status == ATI_OK) {
        status = ati_weights_load(folder, &config, kernel, &weights, error);
    }
    ati_weights_free(&weights);
    return status;
}

static void fail_each(const char *folder) {
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK(load(folder, &error) == ATI_OK);
    long sites = ati_allocations_seen();
    CHECK(sites > 10 && ati_allocations_live() == 0);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        for (long n = 1; n <= sites; n++) {
            ati_fail_allocation(n, from_then_on != 0);
            ati_status status = load(folder, &error);
            CHECK_REFUSED(status, ATI_NOMEM, &error, "no memory for");
            CHECK(ati_allocations_live() == 0);
        }
    }
    ati_fail_allocation(0, false);
}

void test_allocations(void) {
    char *single = test_folder(), *shards = test_folder();
    test_write_model(single, (test_model){.tied = true});
    test_write_model(shards, (test_model){.n_shards = 3, .attention_bias = true});
    fail_each(single);
    fail_each(shards);
}
