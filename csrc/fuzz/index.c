/* model.safetensors.index.json of any bytes, beside two shards. */
#include "fuzz.h"
#include "tests/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *folder;
    ati_model *model = NULL;
    ati_error error = {.message = ""};
    if (folder == NULL) {
        folder = fuzz_folder();
        test_write_model(folder, (test_model){.n_shards = 2, .random = true});
    }
    test_write(folder, "model.safetensors.index.json", data, size);
    (void)fuzz_starve(data, size);
    ati_status status = fuzz_open(folder, ATI_FP32, "portable", NULL, NULL, &model, &error);
    if (status == ATI_OK) {
        fuzz_read(model);
    } else {
        fuzz_refused(status, &error);
    }
    ati_model_free(model);
    fuzz_end_starving();
    return 0;
}
