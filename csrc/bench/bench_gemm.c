/*
 * How fast every kernel of this CPU multiplies, alone and on one thread: x [rows, k]
 * with weights [n, k] of the sizes of SmolLM2-135M, of Llama-3.2-1B, and of an output
 * projection. Blocks of rows and chunks of columns are those of a forward pass; what
 * becomes of a product, and how x is laid out for it, is not in the time.
 *
 *     bench_gemm seconds kernels fp32_peak bf16_peak int8_peak rows...
 *
 * `seconds` is how long one size is repeated; the fastest time counts, since whatever
 * else the machine does only ever adds to it. `kernels` is "all", or part of the names
 * of those that are wanted. Peaks are in GFLOP/s, a multiply-add being two.
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "base/alloc.h"
#include "batch/pack.h"
#include "kernel/blas.h"
#include "kernel/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_SHAPES = 7, MOST_ROWS = 8, N_PRECISIONS = 3 };

typedef struct {
    size_t n, k;
} shape;

static const shape shapes[N_SHAPES] = {{576, 576},    {3072, 576},  {576, 1536}, {2048, 2048},
                                       {16384, 2048}, {2048, 8192}, {49152, 576}};
static const char *const precision_names[N_PRECISIONS] = {"fp32", "bf16", "int8"};

typedef struct {
    double seconds;
    const char *kernels;
    double peaks[N_PRECISIONS];
    size_t rows[MOST_ROWS];
    size_t n_rows;
} options;

/* The kernels of one precision, and what was found. */
typedef struct {
    ati_precision precision;
    const char *names[ATI_MOST_KERNELS];
    const ati_gemm *gemms[ATI_MOST_KERNELS];
    size_t n_gemms;
    double speeds[MOST_ROWS][N_SHAPES][ATI_MOST_KERNELS]; /* GFLOP/s */
} table;

/* One product to repeat. */
typedef struct {
    const ati_gemm *gemm;
    ati_layout layout;
    size_t n, n_rows; /* n_rows: the most */
    char *x, *panels;
    float *y; /* [ATI_ROW_BLOCK, ATI_MOST_CHUNK] */
    size_t x_bytes, panel_bytes, y_bytes;
} product;

static void give_up(const char *what) {
    fprintf(stderr, "bench_gemm: %s\n", what);
    exit(2);
}

/* Seconds that this thread has had a processor: what it waited for one does not count. */
static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- A product ---- */

/* Numbers in -1..1. */
static void fill(float *x, size_t n, unsigned *seed) {
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1664525U + 1013904223U;
        x[i] = (float)(*seed >> 8) / (float)(1U << 23) - 1.0F;
    }
}

static product make_product(const ati_gemm *gemm, shape size, size_t n_rows) {
    product p = {.gemm = gemm, .layout = ati_layout_of(gemm->format, size.k), .n = size.n};
    unsigned seed = 1;
    p.n_rows = n_rows;
    p.x_bytes = (n_rows + ATI_ROW_BLOCK) * p.layout.row;
    p.panel_bytes = ati_count_panels(size.n) * p.layout.panel;
    p.y_bytes = sizeof(float) * ATI_ROW_BLOCK * ATI_MOST_CHUNK;
    p.x = ati_map(p.x_bytes);
    p.panels = ati_map(p.panel_bytes);
    p.y = ati_map(p.y_bytes);
    float *values = ati_calloc(size.k, sizeof(*values));
    if (p.x == NULL || p.panels == NULL || p.y == NULL || values == NULL) {
        give_up("no memory");
    }
    for (size_t row = 0; row < n_rows; row++) {
        fill(values, size.k, &seed);
        ati_write_row(&p.layout, values, p.x + row * p.layout.row);
    }
    for (size_t row = 0; row < size.n; row++) {
        fill(values, size.k, &seed);
        ati_pack_row(&p.layout, values, p.panels, row);
    }
    ati_free(values);
    return p;
}

static void free_product(product *p) {
    ati_unmap(p->x, p->x_bytes);
    ati_unmap(p->panels, p->panel_bytes);
    ati_unmap(p->y, p->y_bytes);
}

/* Multiplies n_rows rows, all blocks of them of one size as far as tiles allow. */
static void multiply(const product *p, size_t n_rows) {
    size_t blocks = (n_rows + ATI_ROW_BLOCK - 1) / ATI_ROW_BLOCK;
    bool tiles = p->gemm->tile != NULL;
    size_t each = tiles ? ati_gemm_rows((n_rows + blocks - 1) / blocks) : (size_t)ATI_ROW_BLOCK;
    size_t most = p->gemm->chunk_panels, n_panels = ati_count_panels(p->n);
    for (size_t row = 0; row < n_rows; row += each) {
        size_t count = n_rows - row < each ? n_rows - row : each;
        for (size_t panel = 0; panel < n_panels; panel += most) {
            size_t chunk = n_panels - panel < most ? n_panels - panel : most;
            ati_multiply(p->gemm, &p->layout, p->x + row * p->layout.row, count,
                         p->panels + panel * p->layout.panel, chunk, p->y, chunk * ATI_PANEL);
        }
    }
}

/* Seconds of the fastest of some repetitions; one of them where it is slow. */
static double measure(const product *p, size_t n_rows, double seconds) {
    double start = now(), fastest = 1e9, before = start, after;
    do {
        multiply(p, n_rows);
        after = now();
        fastest = after - before < fastest ? after - before : fastest;
        before = after;
    } while (after - start < seconds);
    return fastest;
}

/* ---- Tables ---- */

static bool is_wanted(const options *o, const char *name) {
    return strcmp(o->kernels, "all") == 0 || strstr(name, o->kernels) != NULL;
}

/* The kernels that multiply with weights in different ways. */
static void find_gemms(const options *o, table *t) {
    const char *names[ATI_MOST_KERNELS];
    size_t n = ati_kernels(t->precision, names);
    const ati_gemm *last = NULL;
    for (size_t i = 0; i < n; i++) {
        const ati_kernel *kernel;
        ati_error error;
        if (ati_kernel_find(t->precision, names[i], &kernel, &error) != ATI_OK) {
            give_up(error.message);
        }
        if (kernel->linear != last && is_wanted(o, names[i])) {
            t->names[t->n_gemms] = kernel->linear->tile == NULL ? ati_blas_name() : names[i];
            t->gemms[t->n_gemms++] = kernel->linear;
        }
        last = kernel->linear;
    }
}

static void fill_table(const options *o, table *t) {
    size_t most = 0;
    for (size_t r = 0; r < o->n_rows; r++) {
        most = o->rows[r] > most ? o->rows[r] : most;
    }
    for (size_t s = 0; s < N_SHAPES; s++) {
        for (size_t g = 0; g < t->n_gemms; g++) {
            product p = make_product(t->gemms[g], shapes[s], most);
            for (size_t r = 0; r < o->n_rows; r++) {
                double flops = 2.0 * (double)(o->rows[r] * shapes[s].n) * (double)shapes[s].k;
                t->speeds[r][s][g] = flops / measure(&p, o->rows[r], o->seconds) * 1e-9;
            }
            free_product(&p);
        }
    }
}

static void print_table(const options *o, const table *t, size_t r) {
    double peak = o->peaks[t->precision - ATI_FP32];
    printf("### %s, %zu rows: GFLOP/s (of a peak of %g)\n\n| n x k |",
           precision_names[t->precision - ATI_FP32], o->rows[r], peak);
    for (size_t g = 0; g < t->n_gemms; g++) {
        printf(" %s |", t->names[g]);
    }
    printf("\n|---|");
    for (size_t g = 0; g < t->n_gemms; g++) {
        printf("---:|");
    }
    printf("\n");
    for (size_t s = 0; s < N_SHAPES; s++) {
        printf("| %zu x %zu |", shapes[s].n, shapes[s].k);
        for (size_t g = 0; g < t->n_gemms; g++) {
            printf(" %.0f (%.2f) |", t->speeds[r][s][g], t->speeds[r][s][g] / peak);
        }
        printf("\n");
    }
    printf("\n");
    fflush(stdout);
}

static options read_options(int n, char **words) {
    options o = {.n_rows = 0};
    if (n < 7 || n - 6 > MOST_ROWS) {
        give_up("usage: bench_gemm seconds kernels fp32_peak bf16_peak int8_peak rows...");
    }
    o.seconds = strtod(words[1], NULL);
    o.kernels = words[2];
    for (int i = 0; i < N_PRECISIONS; i++) {
        o.peaks[i] = strtod(words[3 + i], NULL);
    }
    for (int i = 6; i < n; i++) {
        o.rows[o.n_rows] = strtoul(words[i], NULL, 10);
        if (o.rows[o.n_rows++] == 0) {
            give_up("rows are numbers from 1 on");
        }
    }
    return o;
}

int main(int n, char **words) {
    options o = read_options(n, words);
    for (ati_precision precision = ATI_FP32; precision <= ATI_INT8; precision++) {
        table t = {.precision = precision};
        find_gemms(&o, &t);
        if (t.n_gemms > 0) {
            fill_table(&o, &t);
        }
        for (size_t r = 0; t.n_gemms > 0 && r < o.n_rows; r++) {
            print_table(&o, &t, r);
        }
    }
    return 0;
}
