/* The question to whoever called a long call: whether to go on. */
#ifndef ATI_POLL_H
#define ATI_POLL_H

#include <time.h>

#include "ati.h"

enum { ATI_POLL_NANOSECONDS = 50 * 1000 * 1000 }; /* from one question to the next, at least */

/* Of the thread that the call came on, which alone uses it. */
typedef struct {
    ati_poll poll; /* or NULL */
    void *context;
    struct timespec asked; /* when it last did; zeros: never */
} ati_poller;

/* Whether the caller wants to stop; asks when it is time, and is cheap otherwise. */
bool ati_poller_stops(ati_poller *poller);

/* ATI_CANCELLED where the caller wants to stop. NULL never does. Called at least after every
 * few milliseconds of work. */
ati_status ati_poller_check(ati_poller *poller, ati_error *error);

/* `time` and so many nanoseconds, less than a second. */
struct timespec ati_time_after(struct timespec time, long nanoseconds);

#ifdef ATI_TESTING
/* Asks every time, not when it is time. */
void ati_poll_always(bool always);
#endif

#endif
