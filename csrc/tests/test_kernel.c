/* Which kernels there are, which is the best, and what a wrong name is told. */
#include <stdio.h>
#include <string.h>

#include "batch/pack.h"
#include "kernel/blas.h"
#include "testing.h"

typedef struct {
    const char *name;
    bool expected; /* on this CPU */
} kernel_name;

static bool has_avx2, has_avx512, has_bf16, has_vnni;

static void look_at_cpu(void) {
#ifdef ATI_HAS_X86_TILES
    has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl");
    has_bf16 = has_avx512 && __builtin_cpu_supports("avx512bf16");
    has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
#endif
}

/* The names must be those of names [n] that are expected, in that order. */
static void check_names(ati_precision precision, const kernel_name *names, size_t n) {
    const char *found[ATI_MOST_KERNELS];
    size_t n_found = ati_kernels(precision, found), place = 0;
    test_about("precision %d", (int)precision);
    for (size_t i = 0; i < n; i++) {
        if (names[i].expected) {
            CHECK(place < n_found && strcmp(found[place], names[i].name) == 0);
            place++;
        }
    }
    CHECK(place == n_found);
}

static void check_order(void) {
    const kernel_name fp32[] = {
        {"avx512", has_avx512}, {"avx2", has_avx2}, {"openblas", true}, {"portable", true}};
    const kernel_name bf16[] = {
        {"avx512_bf16", has_bf16}, {"avx512", has_avx512}, {"avx2", has_avx2}, {"portable", true}};
    const kernel_name int8[] = {{"avx512_vnni+avx512_bf16", has_vnni && has_bf16},
                                {"avx512_vnni+avx512", has_vnni},
                                {"avx512", has_avx512},
                                {"avx2", has_avx2},
                                {"portable", true}};
    check_names(ATI_FP32, fp32, 4);
    check_names(ATI_BF16, bf16, 4);
    check_names(ATI_INT8, int8, 5);
    if (has_bf16) {
        check_names(ATI_AUTO, bf16, 4);
    } else {
        check_names(ATI_AUTO, fp32, 4);
    }
}

/* Every name finds its kernel, whose products have the formats of its precision. */
static void check_found(ati_precision precision) {
    const ati_format *linear = precision == ATI_INT8   ? &ati_format_int8
                               : precision == ATI_BF16 ? &ati_format_bf16
                                                       : &ati_format_fp32;
    const ati_format *attention = precision == ATI_INT8 ? &ati_format_bf16 : linear;
    const char *names[ATI_MOST_KERNELS];
    size_t n = ati_kernels(precision, names);
    for (size_t i = 0; i < n; i++) {
        const ati_kernel *kernel = NULL;
        ati_error error;
        test_about("precision %d, kernel %s", (int)precision, names[i]);
        CHECK(ati_kernel_find(precision, names[i], &kernel, &error) == ATI_OK);
        if (kernel == NULL) {
            continue;
        }
        CHECK(strcmp(kernel->name, names[i]) == 0 && kernel->precision == precision);
        CHECK(kernel->is_supported());
        bool plain = strcmp(names[i], "openblas") == 0;
        CHECK((kernel->linear->tile == NULL) == plain);
        CHECK(kernel->linear->format == (plain ? &ati_format_plain : linear));
        CHECK(kernel->attention->format == (plain ? &ati_format_plain : attention));
        CHECK(kernel->linear->row_tile == (plain ? (size_t)ATI_ROW_TILE : 1));
    }
}

static void check_best(void) {
    for (ati_precision precision = ATI_AUTO; precision <= ATI_INT8; precision++) {
        const char *names[ATI_MOST_KERNELS];
        const ati_kernel *kernel = NULL;
        ati_error error;
        test_about("precision %d", (int)precision);
        CHECK(ati_kernels(precision, names) >= 1);
        CHECK(ati_kernel_find(precision, NULL, &kernel, &error) == ATI_OK);
        CHECK(kernel != NULL && strcmp(kernel->name, names[0]) == 0);
        ati_precision automatic = has_bf16 ? ATI_BF16 : ATI_FP32;
        ati_precision expected = precision == ATI_AUTO ? automatic : precision;
        CHECK(kernel != NULL && kernel->precision == expected);
    }
}

/* Refused, with every name that there is. */
static void refuse(ati_precision precision, const char *name) {
    const char *names[ATI_MOST_KERNELS];
    size_t n = ati_kernels(precision, names);
    const ati_kernel *kernel = NULL;
    ati_error error = {.message = ""};
    test_about("precision %d, kernel '%.70s'", (int)precision, name);
    ati_status status = ati_kernel_find(precision, name, &kernel, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "this machine has no kernel '");
    CHECK(kernel == NULL);
    for (size_t i = 0; i < n; i++) {
        CHECK(strstr(error.message, names[i]) != NULL);
    }
}

static void check_refused(void) {
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (ati_precision precision = ATI_AUTO; precision <= ATI_INT8; precision++) {
        refuse(precision, "");
        refuse(precision, "avx");
        refuse(precision, "avx5120");
        refuse(precision, "PORTABLE");
        refuse(precision, "openblas-0");
        refuse(precision, longest);
    }
    refuse(ATI_BF16, "openblas");
    refuse(ATI_INT8, "openblas");
    refuse(ATI_INT8, "avx512_bf16");
    refuse(ATI_FP32, "avx512_bf16");
    if (!has_avx512) {
        refuse(ATI_FP32, "avx512");
    }
    if (!has_avx2) {
        refuse(ATI_FP32, "avx2");
    }
}

static void check_full_name(void) {
    const ati_kernel *kernel = NULL, *same = NULL;
    ati_error error;
    char other[128];
    test_about("%s", "openblas");
    CHECK(ati_kernel_find(ATI_FP32, "openblas", &kernel, &error) == ATI_OK);
    CHECK(strncmp(ati_blas_name(), "openblas-", 9) == 0);
    CHECK(ati_kernel_find(ATI_FP32, ati_blas_name(), &same, &error) == ATI_OK);
    CHECK(kernel != NULL && same == kernel);
    snprintf(other, sizeof other, "%sx", ati_blas_name());
    refuse(ATI_FP32, other);
    refuse(ATI_BF16, ati_blas_name());
    refuse(ATI_FP32, "");
}

static void check_described(const char *folder, ati_precision precision, const char *kernel,
                            const char *precision_name, const char *kernel_name) {
    ati_model *model = NULL;
    ati_error error;
    test_about("precision %d, kernel %s", (int)precision, kernel != NULL ? kernel : "NULL");
    CHECK(test_open(folder, precision, kernel, &model, &error) == ATI_OK);
    if (model != NULL) {
        ati_model_info info = ati_model_describe(model);
        CHECK(strcmp(info.precision, precision_name) == 0);
        CHECK(strcmp(info.kernel, kernel_name) == 0);
        CHECK(info.weight_bytes > 0 && info.hidden_size == 24);
    }
    ati_model_free(model);
}

/* What a model says of itself opens it again. */
static void check_all_described(void) {
    const char *const precisions[] = {"", "fp32", "bf16", "int8"};
    const char *names[ATI_MOST_KERNELS];
    char *folder = test_folder();
    test_write_model(folder, (test_model){.tied = true});
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        size_t n = ati_kernels(precision, names);
        for (size_t i = 0; i < n; i++) {
            bool plain = strcmp(names[i], "openblas") == 0;
            const char *full = plain ? ati_blas_name() : names[i];
            check_described(folder, precision, names[i], precisions[precision], full);
            check_described(folder, precision, full, precisions[precision], full);
        }
        check_described(folder, precision, NULL, precisions[precision], names[0]);
    }
    ati_kernels(ATI_AUTO, names);
    check_described(folder, ATI_AUTO, NULL, has_bf16 ? "bf16" : "fp32", names[0]);
}

static void check_refused_model(void) {
    char *folder = test_folder();
    ati_model *model = NULL;
    ati_error error;
    test_write_model(folder, (test_model){.tied = true});
    ati_status status = test_open(folder, ATI_BF16, "none", &model, &error);
    CHECK_REFUSED(status, ATI_ARG, &error, "no kernel 'none'");
    CHECK(model == NULL);
}

void test_kernel(void) {
    look_at_cpu();
    check_order();
    check_refused();
    check_best();
    check_found(ATI_FP32);
    check_found(ATI_BF16);
    check_found(ATI_INT8);
    check_full_name();
    check_all_described();
    check_refused_model();
}
