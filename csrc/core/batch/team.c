#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "batch/team.h"

#include "base/error.h"

ati_status ati_team_init(ati_team *team, ati_poll poll, void *poll_context, ati_error *error) {
    *team = (ati_team){.poller = {.poll = poll, .context = poll_context}};
    atomic_init(&team->cancelled, false);
    if (pthread_mutex_init(&team->mutex, NULL) != 0) {
        return ati_fail(error, ATI_NOMEM, "cannot make a mutex");
    }
    if (pthread_cond_init(&team->changed, NULL) != 0) {
        (void)pthread_mutex_destroy(&team->mutex);
        return ati_fail(error, ATI_NOMEM, "cannot make a condition variable");
    }
    return ATI_OK;
}

void ati_team_destroy(ati_team *team) {
    (void)pthread_cond_destroy(&team->changed);
    (void)pthread_mutex_destroy(&team->mutex);
}

void ati_team_open(ati_team *team, size_t size) {
    (void)pthread_mutex_lock(&team->mutex);
    team->size = size;
    (void)pthread_cond_broadcast(&team->changed);
    (void)pthread_mutex_unlock(&team->mutex);
}

void ati_team_enter(ati_team *team) {
    (void)pthread_mutex_lock(&team->mutex);
    while (team->size == 0) {
        (void)pthread_cond_wait(&team->changed, &team->mutex);
    }
    (void)pthread_mutex_unlock(&team->mutex);
}

/* Asks the caller, on its thread, whether to stop. */
static void poll_when_due(ati_worker *worker) {
    ati_team *team = worker->team;
    if (worker->polls && !atomic_load(&team->cancelled) && ati_poller_stops(&team->poller)) {
        atomic_store(&team->cancelled, true);
    }
}

bool ati_worker_continue(ati_worker *worker) {
    poll_when_due(worker);
    return !atomic_load(&worker->team->cancelled);
}

/* Waits for a change with the mutex held; the calling thread polls meanwhile,
 * with the mutex given up so that the poll may take its time. */
static void wait_for_change(ati_worker *worker) {
    ati_team *team = worker->team;
    if (!worker->polls || team->poller.poll == NULL) {
        (void)pthread_cond_wait(&team->changed, &team->mutex);
        return;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct timespec until = ati_time_after(now, ATI_POLL_NANOSECONDS);
    (void)pthread_cond_timedwait(&team->changed, &team->mutex, &until);
    (void)pthread_mutex_unlock(&team->mutex);
    poll_when_due(worker);
    (void)pthread_mutex_lock(&team->mutex);
}

bool ati_worker_barrier(ati_worker *worker) {
    ati_team *team = worker->team;
    if (worker->size == 1) {
        return ati_worker_continue(worker);
    }
    (void)pthread_mutex_lock(&team->mutex);
    size_t generation = team->generation;
    team->waiting++;
    if (team->waiting == worker->size) {
        team->waiting = 0;
        team->generation++;
        team->stopped = atomic_load(&team->cancelled);
        (void)pthread_cond_broadcast(&team->changed);
    } else {
        while (team->generation == generation) {
            wait_for_change(worker);
        }
    }
    bool go_on = !team->stopped;
    (void)pthread_mutex_unlock(&team->mutex);
    return go_on;
}

void ati_worker_finish(ati_worker *worker) {
    ati_team *team = worker->team;
    (void)pthread_mutex_lock(&team->mutex);
    team->finished++;
    (void)pthread_cond_broadcast(&team->changed);
    while (worker->polls && team->finished < team->size) {
        wait_for_change(worker);
    }
    (void)pthread_mutex_unlock(&team->mutex);
}
