/* The memory behind ati_run: one arena for each thread, one for what threads share. */
#ifndef ATI_WORKSPACE_H
#define ATI_WORKSPACE_H

#include "batch/scratch.h"

typedef struct {
    void *memory;
    size_t bytes;
} ati_arena;

struct ati_workspace {
    const ati_model *model;
    ati_arena shared;   /* rows of a pack that all threads read together */
    ati_arena *threads; /* [n_threads] scratch, then rows of a pack */
    size_t n_threads;
    ati_arena plan; /* segments, packs and branches */
};

/* Makes the arena hold at least `bytes`; what it held is lost. */
ati_status ati_arena_grow(ati_arena *arena, size_t bytes, ati_error *error);

void ati_arena_free(ati_arena *arena);

/* Makes the workspace have at least n_threads thread arenas. */
ati_status ati_workspace_widen(ati_workspace *workspace, size_t n_threads, ati_error *error);

#endif
