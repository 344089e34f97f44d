/* All tests, or those that are named. */
#include <stdio.h>
#include <string.h>

#include "testing.h"

static bool is_named(const char *name, int n, char **words) {
    bool named = n == 1;
    for (int i = 1; i < n; i++) {
        named = named || strcmp(words[i], name) == 0;
    }
    return named;
}

int main(int n, char **words) {
    const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"json", test_json},
        {"safetensors", test_safetensors},
        {"checkpoint", test_checkpoint},
        {"config", test_config},
        {"rope", test_rope},
        {"kernel", test_kernel},
        {"weights", test_weights},
        {"allocations", test_allocations},
        {"packed", test_packed},
        {"vector", test_vector},
        {"activation", test_activation},
        {"norm", test_norm},
        {"row_map", test_row_map},
        {"format", test_format},
        {"tile", test_tile},
        {"gemm", test_gemm},
        {"attention", test_attention},
        {"run", test_run},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (!is_named(tests[i].name, n, words)) {
            continue;
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
