#include <stdio.h>

#include "testing.h"

int main(void) {
    const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"json", test_json},
        {"safetensors", test_safetensors},
        {"checkpoint", test_checkpoint},
        {"config", test_config},
        {"rope", test_rope},
        {"weights", test_weights},
        {"allocations", test_allocations},
        {"vector", test_vector},
        {"attention", test_attention},
        {"run", test_run},
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
    }
    int failures = test_finish();
    printf("%d failures\n", failures);
    return failures > 0;
}
