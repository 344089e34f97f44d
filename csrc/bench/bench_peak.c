/*
 * What one core can do at most: multiply-adds that never leave the registers, in GFLOP/s (an
 * operation is a multiplication or an addition), a line each for fp32, bf16 and int8. A CPU
 * without an instruction for a narrow precision multiplies in fp32, whose peak stands there.
 *
 *     bench_peak seconds
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    N_SUMS = 12,      /* enough of them to hide the latency of each */
    N_STEPS = 50000,  /* between two looks at the clock */
    N_PRECISIONS = 3, /* fp32 first */
};

/* N_STEPS times N_SUMS multiply-adds. */
typedef void work(void);

typedef struct {
    const char *name;
    work *work;
    double operations; /* of one instruction */
} instruction;

/* In one statement, since compilers do not keep an array of sums in registers: sums in 0 to 11,
 * factors in 14 and 15, registers that every instruction set has. */
#define WORK(name, register, mnemonic)                                                             \
    static void name(void) {                                                                       \
        for (int step = 0; step < N_STEPS; step++) {                                               \
            __asm__ volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11\n" mnemonic                        \
                             " %%" register "14, %%" register "15, %%" register "\\n\n.endr" ::    \
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
                                   "xmm8", "xmm9", "xmm10", "xmm11");                              \
        }                                                                                          \
    }

WORK(add_avx2, "ymm", "vfmadd231ps")
WORK(add_avx512, "zmm", "vfmadd231ps")
WORK(add_bf16, "zmm", "vdpbf16ps")
WORK(add_int8, "zmm", "vpdpbusd")

/* The instructions that this CPU has: [N_PRECISIONS]. */
static void choose(instruction chosen[N_PRECISIONS]) {
    __builtin_cpu_init();
    bool has_avx512 = __builtin_cpu_supports("avx512f");
    chosen[0] =
        has_avx512 ? (instruction){"fp32", add_avx512, 32} : (instruction){"fp32", add_avx2, 16};
    chosen[1] = chosen[2] = chosen[0];
    if (has_avx512 && __builtin_cpu_supports("avx512bf16")) {
        chosen[1] = (instruction){.work = add_bf16, .operations = 64};
    }
    if (has_avx512 && __builtin_cpu_supports("avx512vnni")) {
        chosen[2] = (instruction){.work = add_int8, .operations = 128};
    }
    chosen[1].name = "bf16";
    chosen[2].name = "int8";
}

/* Seconds that this thread has had a processor. */
static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* GFLOP/s of the fastest repetition: other load only ever adds to the time. */
static double measure(const instruction *of, double seconds) {
    double start = now(), before = start, after = start, fastest = 1e9;
    while (after - start < seconds) {
        of->work();
        after = now();
        fastest = after - before < fastest ? after - before : fastest;
        before = after;
    }
    return of->operations * N_SUMS * N_STEPS / fastest * 1e-9;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.3;
    instruction chosen[N_PRECISIONS];
    choose(chosen);
    for (int i = 0; i < N_PRECISIONS; i++) {
        printf("%s %.0f\n", chosen[i].name, measure(&chosen[i], seconds));
    }
    return 0;
}
