#include "kernel/kernel.h"

#include "base/error.h"
#include "kernel/blas.h"

#include <stdio.h>
#include <string.h>

/* Few query rows, so that little beyond the diagonal is computed; columns whose
 * results stay in cache beside x. Neither doubling nor halving either was faster. */
enum { TILE_QUERY_ROWS = 2 * ATI_TILE_ROWS, TILE_CHUNK_PANELS = 8 };
_Static_assert(TILE_CHUNK_PANELS *ATI_PANEL <= ATI_MOST_CHUNK, "room for a chunk");

#define TILES(of_format, of_tile)   \
    {.format = (of_format),         \
     .tile = (of_tile),             \
     .row_tile = 1,                 \
     .query_rows = TILE_QUERY_ROWS, \
     .chunk_panels = TILE_CHUNK_PANELS}

static const ati_gemm portable_fp32 = TILES(&ati_format_fp32, ati_tile_fp32_portable);
static const ati_gemm portable_bf16 = TILES(&ati_format_bf16, ati_tile_bf16_portable);
static const ati_gemm portable_int8 = TILES(&ati_format_int8, ati_tile_int8_portable);

/* Wide chunks and many query rows, since OpenBLAS packs x and w in every call. */
static const ati_gemm openblas = {
    .format = &ati_format_plain,
    .row_tile = ATI_ROW_TILE,
    .query_rows = 2 * ATI_ROW_TILE,
    .chunk_panels = ATI_MOST_CHUNK / ATI_PANEL,
};

static bool always(void) {
    return true;
}

#ifdef ATI_HAS_X86_TILES
static const ati_gemm avx2_fp32 = TILES(&ati_format_fp32, ati_tile_fp32_avx2);
static const ati_gemm avx2_bf16 = TILES(&ati_format_bf16, ati_tile_bf16_avx2);
static const ati_gemm avx2_int8 = TILES(&ati_format_int8, ati_tile_int8_avx2);
static const ati_gemm avx512_fp32 = TILES(&ati_format_fp32, ati_tile_fp32_avx512);
static const ati_gemm avx512_bf16 = TILES(&ati_format_bf16, ati_tile_bf16_avx512);
static const ati_gemm avx512_int8 = TILES(&ati_format_int8, ati_tile_int8_avx512);
static const ati_gemm native_bf16 = TILES(&ati_format_bf16, ati_tile_bf16_avx512_bf16);
static const ati_gemm vnni_int8 = TILES(&ati_format_int8, ati_tile_int8_avx512_vnni);

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

static bool has_bf16(void) {
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

static bool has_vnni(void) {
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_vnni_and_bf16(void) {
    return has_vnni() && has_bf16();
}
#endif

/* By precision, the best first. */
static const ati_kernel kernels[] = {
#ifdef ATI_HAS_X86_TILES
    {"avx512_bf16", ATI_BF16, &native_bf16, &native_bf16, &native_bf16, has_bf16},
    {"avx512", ATI_BF16, &avx512_bf16, &avx512_bf16, &avx512_bf16, has_avx512},
    {"avx2", ATI_BF16, &avx2_bf16, &avx2_bf16, &avx2_bf16, has_avx2},
    {"avx512_vnni+avx512_bf16", ATI_INT8, &vnni_int8, &vnni_int8, &native_bf16, has_vnni_and_bf16},
    {"avx512_vnni+avx512", ATI_INT8, &vnni_int8, &vnni_int8, &avx512_bf16, has_vnni},
    {"avx512", ATI_INT8, &avx512_int8, &avx512_int8, &avx512_bf16, has_avx512},
    {"avx2", ATI_INT8, &avx2_int8, &avx2_int8, &avx2_bf16, has_avx2},
    {"avx512", ATI_FP32, &avx512_fp32, &avx512_fp32, &avx512_fp32, has_avx512},
    {"avx2", ATI_FP32, &avx2_fp32, &avx2_fp32, &avx2_fp32, has_avx2},
#endif
    {"portable", ATI_BF16, &portable_bf16, &portable_bf16, &portable_bf16, always},
    {"portable", ATI_INT8, &portable_int8, &portable_int8, &portable_bf16, always},
    {"openblas", ATI_FP32, &openblas, &openblas, &openblas, always},
    {"portable", ATI_FP32, &portable_fp32, &portable_fp32, &portable_fp32, always},
};

enum { N_KERNELS = sizeof(kernels) / sizeof(*kernels) };

const char *ati_precision_name(ati_precision precision) {
    static const char *const names[] = {
        [ATI_AUTO] = "auto", [ATI_FP32] = "fp32", [ATI_BF16] = "bf16", [ATI_INT8] = "int8"};
    return names[precision];
}

static ati_precision best_precision(void) {
#ifdef ATI_HAS_X86_TILES
    return has_bf16() ? ATI_BF16 : ATI_FP32;
#else
    return ATI_FP32;
#endif
}

size_t ati_kernels(ati_precision precision, const char *names[ATI_MOST_KERNELS]) {
    size_t n = 0;
    precision = precision == ATI_AUTO ? best_precision() : precision;
    for (size_t i = 0; i < N_KERNELS && n < ATI_MOST_KERNELS; i++) {
        if (kernels[i].precision == precision && kernels[i].is_supported()) {
            names[n++] = kernels[i].name;
        }
    }
    return n;
}

/* Whether `name` is one that only an open OpenBLAS can have. */
static bool is_full_name(const char *name) {
    return strncmp(name, "openblas-", strlen("openblas-")) == 0;
}

/* Whether `name` names the kernel; OpenBLAS's may say which of its own it must be. */
static bool is_called(const ati_kernel *kernel, const char *name) {
    if (name == NULL || strcmp(name, kernel->name) == 0) {
        return true;
    }
    return kernel->linear->tile == NULL && is_full_name(name) && strcmp(name, ati_blas_name()) == 0;
}

static ati_status fail_unknown(ati_precision precision, const char *name, ati_error *error) {
    const char *names[ATI_MOST_KERNELS];
    char list[256] = "";
    size_t n = ati_kernels(precision, names), used = 0;
    for (size_t i = 0; i < n && used < sizeof(list); i++) {
        int written =
            snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", names[i]);
        used += written > 0 ? (size_t)written : 0;
    }
    return ati_fail(error, ATI_ARG, "this machine has no kernel '%.64s' for %s; it has %s", name,
                    ati_precision_name(precision), list);
}

ati_status ati_kernel_find(ati_precision precision, const char *name, const ati_kernel **kernel,
                           ati_error *error) {
    ati_precision wanted = precision == ATI_AUTO ? best_precision() : precision;
    *kernel = NULL;
    if (wanted == ATI_FP32 && name != NULL && is_full_name(name)) {
        ati_status status = ati_blas_open(error);
        if (status != ATI_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < N_KERNELS && *kernel == NULL; i++) {
        if (kernels[i].precision == wanted && kernels[i].is_supported() &&
            is_called(&kernels[i], name)) {
            *kernel = &kernels[i];
        }
    }
    if (*kernel == NULL) {
        return fail_unknown(wanted, name, error);
    }
    return (*kernel)->linear->tile == NULL ? ati_blas_open(error) : ATI_OK;
}

const char *ati_kernel_name(const ati_kernel *kernel) {
    return kernel->linear->tile == NULL ? ati_blas_name() : kernel->name;
}

ati_status ati_kernel_choose(ati_precision *precision, const char **kernel, ati_error *error) {
    const ati_kernel *chosen = NULL;
    ati_status status = ati_kernel_find(*precision, *kernel, &chosen, error);
    if (status == ATI_OK) {
        *precision = chosen->precision;
        *kernel = ati_kernel_name(chosen);
    }
    return status;
}
