/*
 * The threads of one ati_run. They compute in step on a document too long for
 * one of them, or each on its own; either way they stop soon after a poll asks.
 */
#ifndef ATI_TEAM_H
#define ATI_TEAM_H

#include "base/poll.h"

#include <pthread.h>
#include <stdatomic.h>

/* Shared by the threads of a run. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t size;       /* threads; 0 until the team opens */
    size_t waiting;    /* threads at the barrier */
    size_t finished;   /* threads that have left */
    size_t generation; /* barriers passed */
    bool stopped;      /* the cancel flag, as latched by the last barrier */
    atomic_bool cancelled;
    ati_poller poller; /* the calling thread's */
} ati_team;

/* One thread's place in the work at hand: with others (size > 1) or alone. */
typedef struct {
    ati_team *team;
    size_t rank; /* 0..size-1 within this work */
    size_t size; /* threads that share this work */
    bool polls;  /* this is the calling thread */
} ati_worker;

ati_status ati_team_init(ati_team *team, ati_poll poll, void *poll_context, ati_error *error);
void ati_team_destroy(ati_team *team);

/* Says how many threads there are. Those started wait for it in ati_team_enter,
 * so that the number may depend on how many could be started. */
void ati_team_open(ati_team *team, size_t size);
void ati_team_enter(ati_team *team);

/* Whether to go on; polls when it is time. Called between blocks of rows. */
bool ati_worker_continue(ati_worker *worker);

/* Waits for all that share the work. Every one of them gets the same answer:
 * whether to go on. */
bool ati_worker_barrier(ati_worker *worker);

/* Says that this thread has left, and, on the calling thread, waits for the
 * others, polling. */
void ati_worker_finish(ati_worker *worker);

#endif
