#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE, sched_setaffinity */
#include "kernel/blas.h"

#include "base/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef ATI_BLAS_LIBRARY
#define ATI_BLAS_LIBRARY "libopenblas.so.0"
#endif
#ifndef ATI_BLAS_PREFIX
#define ATI_BLAS_PREFIX ""
#endif

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

/* The most a build of OpenBLAS maps for one calling thread (BUFFER_SIZE). */
static const size_t CALLER_BUFFER = (size_t)128 << 20;

typedef void (*sgemm_function)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);

typedef struct {
    sgemm_function sgemm;
    char name[96];
} ati_blas;

/* Process-wide, because the library behind it is. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ati_blas opened;
static size_t callers, most_callers;

/* A function of the library by its unprefixed name; NULL when there is none.
 * POSIX promises that a data pointer can hold a function's address. */
static bool find_function(void *library, const char *name, void *function /* [pointer] */) {
    char symbol[96];
    (void)snprintf(symbol, sizeof(symbol), "%s%s", ATI_BLAS_PREFIX, name);
    void *address = dlsym(library, symbol);
    memcpy(function, &address, sizeof(address));
    return address != NULL;
}

/* "OpenBLAS 0.3.34.481.3 DYNAMIC_ARCH ..." and "SkylakeX" make "openblas-0.3.34.481.3-SkylakeX". */
static void name_library(ati_blas *blas, const char *config, const char *core) {
    int version_length = 0;
    const char *version = strchr(config, ' ');
    if (version != NULL) {
        version++;
        version_length = (int)strcspn(version, " ");
    }
    (void)snprintf(blas->name, sizeof(blas->name), "openblas-%.*s-%s", version_length,
                   version == NULL ? "" : version, core);
}

/* Opens the library without its thread pool, which would stay idle for the life
 * of the process: OpenBLAS sizes it by the CPUs that the opening thread may use. */
static void *open_on_one_cpu(void) {
#ifdef __linux__
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        size_t cpu = 0;
        while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &allowed)) {
            cpu++;
        }
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)sched_setaffinity(0, sizeof(one), &one);
        void *library = dlopen(ATI_BLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        (void)sched_setaffinity(0, sizeof(allowed), &allowed);
        return library;
    }
#endif
    return dlopen(ATI_BLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

static ati_status open_library(ati_blas *blas, ati_error *error) {
    sgemm_function sgemm;
    void (*set_num_threads)(int);
    char *(*get_config)(void);
    char *(*get_corename)(void);
    void *library = open_on_one_cpu();
    if (library == NULL) {
        return ati_fail(error, ATI_IO, "cannot open the BLAS library: %s", dlerror());
    }
    if (!find_function(library, "cblas_sgemm", &sgemm) ||
        !find_function(library, "openblas_set_num_threads", &set_num_threads) ||
        !find_function(library, "openblas_get_config", &get_config) ||
        !find_function(library, "openblas_get_corename", &get_corename)) {
        (void)dlclose(library);
        return ati_fail(error, ATI_UNSUPPORTED, "%s is no OpenBLAS: it lacks %s functions",
                        ATI_BLAS_LIBRARY, ATI_BLAS_PREFIX "openblas_*");
    }
    /* OpenBLAS's own threads would change bits with their number and deadlock
     * after a fork; ours are above it. */
    set_num_threads(1);
    name_library(blas, get_config(), get_corename());
    blas->sgemm = sgemm;
    return ATI_OK;
}

ati_status ati_blas_open(ati_error *error) {
    ati_status status = ATI_OK;
    (void)pthread_mutex_lock(&lock);
    if (opened.sgemm == NULL) {
        status = open_library(&opened, error);
    }
    (void)pthread_mutex_unlock(&lock);
    return status;
}

const char *ati_blas_name(void) {
    return opened.name;
}

ati_status ati_blas_reserve(size_t n_threads, ati_error *error) {
    ati_status status = ATI_OK;
    (void)pthread_mutex_lock(&lock);
    size_t wanted = callers + n_threads;
    if (wanted > most_callers) {
        size_t bytes = (wanted - most_callers) * CALLER_BUFFER;
        void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (room == MAP_FAILED) {
            status = ati_fail(error, ATI_NOMEM,
                              "no address space for the %zu MiB that OpenBLAS needs for %zu more "
                              "threads; use fewer threads",
                              bytes >> 20, wanted - most_callers);
        } else {
            (void)munmap(room, bytes);
            most_callers = wanted;
        }
    }
    if (status == ATI_OK) {
        callers = wanted;
    }
    (void)pthread_mutex_unlock(&lock);
    return status;
}

void ati_blas_release(size_t n_threads) {
    (void)pthread_mutex_lock(&lock);
    callers -= n_threads;
    (void)pthread_mutex_unlock(&lock);
}

void ati_sgemm_nt(size_t m, size_t n, size_t k, const float *a, size_t a_stride, const float *b,
                  size_t b_stride, float *c, size_t c_stride) {
    /* Sizes are bounded when a model is opened (config.c), rows by the tiles. */
    opened.sgemm(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, (int)m, (int)n, (int)k, 1.0F, a, (int)a_stride,
                 b, (int)b_stride, 0.0F, c, (int)c_stride);
}
