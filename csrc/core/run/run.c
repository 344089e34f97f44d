/* ati_run: plans a batch as packs and has threads read them. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "batch/workspace.h"
#include "forward/forward.h"
#include "kernel/blas.h"
#include "run/check.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* In a batch of more, the last packs are small, and a search for those that threads should
 * read together takes long. */
enum { FEW_PACKS = 64 };

/* A batch under way. */
typedef struct {
    const ati_model *model;
    const ati_batch *batch;
    ati_workspace *workspace;
    ati_segment *segments; /* [n_documents] */
    ati_branch *branches;  /* [n_variants] */
    ati_pack *packs;       /* [n_packs], the longest documents first */
    size_t n_packs;
    size_t n_team_packs; /* packs from the first on that all threads read together */
    size_t longest;      /* tokens of the longest document */
    size_t n_threads;
    atomic_size_t next_pack; /* that no thread has taken yet */
    ati_team team;
} ati_job;

typedef struct {
    ati_job *job;
    size_t number;
    pthread_t thread;
} job_thread;

static ati_status plan_packs(ati_job *job, ati_error *error) {
    const ati_batch *batch = job->batch;
    size_t segments, packs, branches, bytes;
    if (!ati_mul(batch->n_documents, sizeof(*job->segments), &segments) ||
        !ati_mul(batch->n_documents, sizeof(*job->packs), &packs) ||
        !ati_mul(batch->n_variants, sizeof(*job->branches), &branches) ||
        !ati_add(segments, packs, &bytes) || !ati_add(bytes, branches, &bytes)) {
        return ati_fail(error, ATI_ARG, "a batch of %zu documents is too large",
                        batch->n_documents);
    }
    ati_status status = ati_arena_grow(&job->workspace->plan, bytes, error);
    if (status != ATI_OK) {
        return status;
    }
    char *memory = job->workspace->plan.memory;
    job->segments = (ati_segment *)(void *)memory;
    job->packs = (ati_pack *)(void *)(memory + segments);
    job->branches = (ati_branch *)(void *)(memory + segments + packs);
    ati_branches_plan(&job->model->config, batch, job->branches);
    job->n_packs = ati_packs_plan(job->model, batch, job->segments, job->packs);
    job->longest = job->segments[0].document->n_tokens;
    return ATI_OK;
}

/* When the last of the threads is done with packs[first, n_packs), each of which goes
 * to the thread that is free first. loads [n_threads] is scratch. */
static double finish_time(const ati_job *job, const double *costs, size_t first, double *loads) {
    double last = 0;
    memset(loads, 0, job->n_threads * sizeof(*loads));
    for (size_t p = first; p < job->n_packs; p++) {
        size_t free_first = 0;
        for (size_t t = 1; t < job->n_threads; t++) {
            free_first = loads[t] < loads[free_first] ? t : free_first;
        }
        loads[free_first] += costs[p];
        last = loads[free_first] > last ? loads[free_first] : last;
    }
    return last;
}

/* The first packs, as long as one costs more than a thread's share of it and those after
 * it. */
static size_t take_heavy_packs(const double *costs, size_t n, size_t n_threads) {
    double rest = 0;
    size_t taken = 0;
    for (size_t p = 0; p < n; p++) {
        rest += costs[p];
    }
    for (; taken < n && costs[taken] * (double)n_threads > rest; taken++) {
        rest -= costs[taken];
    }
    return taken;
}

/* The `taken` packs and as many more, in order, as make the batch end soonest. loads
 * [n_threads] is scratch. */
static size_t take_last_packs(const ati_job *job, const double *costs, size_t taken,
                              double *loads) {
    double together = 0, soonest = INFINITY;
    size_t best = taken;
    for (size_t p = taken; p <= job->n_packs; p++) {
        double end = together + finish_time(job, costs, p, loads);
        if (end < soonest) {
            soonest = end;
            best = p;
        }
        together += p < job->n_packs ? costs[p] / (double)job->n_threads : 0;
    }
    return best;
}

/* Packs that would keep one thread busy after the others are done are read by all
 * threads together: the heavy ones, and of a batch of few packs those after them too,
 * longest first, where that ends it sooner. */
static ati_status choose_team_packs(ati_job *job, ati_error *error) {
    size_t n = job->n_packs, n_threads = job->n_threads;
    if (n_threads == 1) {
        return ATI_OK;
    }
    double *costs = ati_calloc(n + n_threads, sizeof(*costs));
    if (costs == NULL) {
        return ati_fail_memory(error, (n + n_threads) * sizeof(*costs), "the plan of a batch");
    }
    for (size_t p = 0; p < n; p++) {
        costs[p] = ati_pack_cost(&job->model->config, &job->packs[p]);
    }
    size_t taken = take_heavy_packs(costs, n, n_threads);
    job->n_team_packs =
        n - taken <= FEW_PACKS ? take_last_packs(job, costs, taken, costs + n) : taken;
    ati_free(costs);
    return ATI_OK;
}

/* The packs, and which of them all threads read together. */
static ati_status plan(ati_job *job, ati_error *error) {
    ati_status status = plan_packs(job, error);
    if (status == ATI_OK) {
        status = choose_team_packs(job, error);
    }
    atomic_init(&job->next_pack, job->n_team_packs);
    return status;
}

/* Bytes for the rows of the largest of packs[first, last). */
static ati_status measure_rows(const ati_job *job, size_t first, size_t last, size_t *bytes,
                               ati_error *error) {
    *bytes = 0;
    for (size_t p = first; p < last; p++) {
        size_t needed;
        if (!ati_rows_bytes(job->model, &job->packs[p], 1 + job->batch->n_variants, &needed)) {
            return ati_fail(error, ATI_ARG, "a document of %zu tokens is too large", job->longest);
        }
        *bytes = needed > *bytes ? needed : *bytes;
    }
    return ATI_OK;
}

static ati_status make_room(ati_job *job, ati_error *error) {
    size_t shared = 0, rows = 0, scratch = 0, bytes = 0;
    ati_workspace *workspace = job->workspace;
    ati_status status = measure_rows(job, 0, job->n_team_packs, &shared, error);
    if (status == ATI_OK) {
        status = measure_rows(job, job->n_team_packs, job->n_packs, &rows, error);
    }
    if (status == ATI_OK) {
        status = ati_arena_grow(&workspace->shared, shared, error);
    }
    if (status == ATI_OK) {
        status = ati_workspace_widen(workspace, job->n_threads, error);
    }
    if (status == ATI_OK && (!ati_scratch_bytes(job->model, job->longest, &scratch) ||
                             !ati_add(rows, scratch, &bytes))) {
        status = ati_fail(error, ATI_ARG, "a document of %zu tokens is too large", job->longest);
    }
    for (size_t i = 0; status == ATI_OK && i < job->n_threads; i++) {
        status = ati_arena_grow(&workspace->threads[i], bytes, error);
    }
    return status;
}

static void read_pack(const ati_job *job, const ati_pack *pack, void *memory, ati_worker *worker,
                      const ati_scratch *scratch) {
    ati_pass pass = {
        .model = job->model,
        .branches = job->branches,
        .n_branches = job->batch->n_variants,
        .pack = pack,
    };
    ati_rows_lay_out(job->model, pack, 1 + job->batch->n_variants, memory, &pass.rows);
    ati_forward(&(ati_part){&pass, worker, scratch});
}

/* One thread's part of the job: the team packs with the others, then packs of
 * its own. */
static void work(ati_job *job, size_t number) {
    char *memory = job->workspace->threads[number].memory;
    size_t scratch_bytes;
    ati_scratch scratch;
    (void)ati_scratch_bytes(job->model, job->longest, &scratch_bytes);
    ati_scratch_lay_out(job->model, job->longest, memory, &scratch);

    ati_worker worker = {&job->team, number, job->team.size, number == 0};
    for (size_t p = 0; p < job->n_team_packs && ati_worker_barrier(&worker); p++) {
        read_pack(job, &job->packs[p], job->workspace->shared.memory, &worker, &scratch);
    }
    worker.rank = 0;
    worker.size = 1;
    while (ati_worker_continue(&worker)) {
        size_t p = atomic_fetch_add(&job->next_pack, 1);
        if (p >= job->n_packs) {
            break;
        }
        read_pack(job, &job->packs[p], memory + scratch_bytes, &worker, &scratch);
    }
    ati_worker_finish(&worker);
}

static void *thread_main(void *argument) {
    job_thread *self = argument;
    ati_team_enter(&self->job->team);
    work(self->job, self->number);
    return NULL;
}

/* Runs the job on up to n_threads threads, fewer where the system gives no more:
 * the results are the same. */
static ati_status run_threads(ati_job *job, ati_error *error) {
    size_t started = 0, bytes;
    job_thread *threads;
    ati_arena arena = {NULL, 0};
    if (!ati_mul(job->n_threads, sizeof(*threads), &bytes)) {
        return ati_fail(error, ATI_ARG, "%zu threads are too many", job->n_threads);
    }
    ati_status status = ati_arena_grow(&arena, bytes, error);
    if (status != ATI_OK) {
        return status;
    }
    threads = arena.memory;
    for (; started + 1 < job->n_threads; started++) {
        threads[started] = (job_thread){.job = job, .number = started + 1};
        if (pthread_create(&threads[started].thread, NULL, thread_main, &threads[started]) != 0) {
            break;
        }
    }
    ati_team_open(&job->team, started + 1);
    work(job, 0);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i].thread, NULL);
    }
    ati_arena_free(&arena);
    if (atomic_load(&job->team.cancelled)) {
        return ati_fail(error, ATI_CANCELLED, "cancelled");
    }
    return ATI_OK;
}

static ati_status run_job(ati_job *job, ati_error *error) {
    size_t blas_callers = ati_uses_blas(job->model) ? job->n_threads : 0;
    ati_status status = ati_blas_reserve(blas_callers, error);
    if (status != ATI_OK) {
        return status;
    }
    status = ati_team_init(&job->team, job->batch->poll, job->batch->poll_context, error);
    if (status == ATI_OK) {
        status = run_threads(job, error);
        ati_team_destroy(&job->team);
    }
    ati_blas_release(blas_callers);
    return status;
}

ati_status ati_run(const ati_model *model, ati_workspace *workspace, const ati_batch *batch,
                   ati_error *error) {
    if (workspace->model != model) {
        return ati_fail(error, ATI_ARG, "the workspace was made for another model");
    }
    ati_status status = ati_batch_check(&model->config, batch, error);
    if (status != ATI_OK || batch->n_documents == 0) {
        return status;
    }
    ati_job job = {
        .model = model,
        .batch = batch,
        .workspace = workspace,
        .n_threads = batch->n_threads,
    };
    status = plan(&job, error);
    if (status == ATI_OK) {
        status = make_room(&job, error);
    }
    return status == ATI_OK ? run_job(&job, error) : status;
}
