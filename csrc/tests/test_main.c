/* All tests, or those that are named. */
#include <stdio.h>
#include <string.h>

#include "kernel/blas.h"
#include "testing.h"

static bool is_named(const char *name, int n, char **words) {
    bool named = n == 1;
    for (int i = 1; i < n; i++) {
        named = named || strcmp(words[i], name) == 0;
    }
    return named;
}

/* Opens OpenBLAS; says how to get it where there is none. */
static bool open_blas(void) {
    ati_error error;
    if (ati_blas_open(&error) == ATI_OK) {
        return true;
    }
    printf("OpenBLAS is missing, so the tests end here: %s. Run `make develop` in the root of the "
           "repository, which puts a copy beside the package, or install the system's.\n",
           error.message);
    return false;
}

int main(int n, char **words) {
    const struct {
        const char *name;
        void (*run)(void);
        bool opens_blas; /* multiplies with every kernel */
    } tests[] = {
        {"json", test_json, false},
        {"safetensors", test_safetensors, false},
        {"checkpoint", test_checkpoint, false},
        {"gguf", test_gguf, false},
        {"ggml", test_ggml, false},
        {"config", test_config, false},
        {"config_gguf", test_config_gguf, false},
        {"rope", test_rope, false},
        {"vector", test_vector, false},
        {"turned", test_turned, false},
        {"activation", test_activation, false},
        {"norm", test_norm, false},
        {"row_map", test_row_map, false},
        {"format", test_format, false},
        {"allocations", test_allocations, false},
        {"blas", test_blas, false},
        {"kernel", test_kernel, true},
        {"weights", test_weights, true},
        {"packed", test_packed, true},
        {"mapped", test_mapped, false},
        {"tile", test_tile, true},
        {"gemm", test_gemm, true},
        {"attention", test_attention, true},
        {"run", test_run, true},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (!is_named(tests[i].name, n, words)) {
            continue;
        }
        if (tests[i].opens_blas && !open_blas()) {
            (void)test_finish();
            return 1;
        }
        printf("%s\n", tests[i].name);
        fflush(stdout);
        test_about("%s", "");
        tests[i].run();
    }
    int failures = test_finish();
    printf("%d failures\n", failures);
    return failures > 0;
}
