/* config.json of any bytes, beside the tensors of the family that it names. */
#include <string.h>

#include "fuzz.h"
#include "tests/testing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_FAMILIES = 256 };

/* The folder of a family, with its tensors. */
static const char *family_folder(const ati_family *family) {
    static const char *folders[MOST_FAMILIES];
    const family_model model = {.family = family,
                                .is_mxfp4 = family->stored.experts == ATI_EXPERTS_TRANSPOSED};
    ati_error error = {.message = ""};
    size_t i = 0;
    while (ati_family_at(i) != family) {
        i++;
    }
    FUZZ_HOLDS(i < MOST_FAMILIES);
    if (folders[i] == NULL) {
        folders[i] = fuzz_folder();
        FUZZ_HOLDS(family_write(folders[i], &model, &error));
    }
    return folders[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ati_config config;
    ati_model *model = NULL;
    ati_error error = {.message = ""};
    ati_status parsed = ati_config_parse((const char *)data, size, "config.json", &config, &error);
    if (parsed != ATI_OK) {
        fuzz_refused(parsed, &error);
        return 0;
    }
    fuzz_check_config(&config);
    const char *folder = family_folder(config.family);
    test_write(folder, "config.json", data, size);
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
