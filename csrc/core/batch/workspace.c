#include "batch/workspace.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

ati_status ati_arena_grow(ati_arena *arena, size_t bytes, ati_error *error) {
    if (bytes <= arena->bytes) {
        return ATI_OK;
    }
    ati_arena_free(arena);
    void *memory = ati_map(bytes);
    if (memory == NULL) {
        return ati_fail_memory(error, bytes, "the scratch of a batch");
    }
    *arena = (ati_arena){memory, bytes};
    return ATI_OK;
}

void ati_arena_free(ati_arena *arena) {
    ati_unmap(arena->memory, arena->bytes);
    *arena = (ati_arena){NULL, 0};
}

ati_status ati_workspace_widen(ati_workspace *workspace, size_t n_threads, ati_error *error) {
    if (n_threads <= workspace->n_threads) {
        return ATI_OK;
    }
    ati_arena *threads = ati_calloc(n_threads, sizeof(*threads));
    if (threads == NULL) {
        return ati_fail_memory(error, n_threads * sizeof(*threads), "threads");
    }
    if (workspace->n_threads > 0) {
        memcpy(threads, workspace->threads, workspace->n_threads * sizeof(*threads));
    }
    ati_free(workspace->threads);
    workspace->threads = threads;
    workspace->n_threads = n_threads;
    return ATI_OK;
}

ati_status ati_workspace_new(const ati_model *model, ati_workspace **workspace, ati_error *error) {
    *workspace = ati_calloc(1, sizeof(**workspace));
    if (*workspace == NULL) {
        return ati_fail_memory(error, sizeof(**workspace), "a workspace");
    }
    (*workspace)->model = model;
    return ATI_OK;
}

void ati_workspace_free(ati_workspace *workspace) {
    if (workspace == NULL) {
        return;
    }
    for (size_t i = 0; i < workspace->n_threads; i++) {
        ati_arena_free(&workspace->threads[i]);
    }
    ati_arena_free(&workspace->shared);
    ati_arena_free(&workspace->plan);
    ati_free(workspace->threads);
    ati_free(workspace);
}
