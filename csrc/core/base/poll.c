#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "base/poll.h"

#include "base/error.h"

#ifdef ATI_TESTING
#include <stdatomic.h>

static _Atomic long interval = ATI_POLL_NANOSECONDS;

void ati_poll_always(bool always) {
    atomic_store(&interval, always ? 0 : ATI_POLL_NANOSECONDS);
}
#else
static const long interval = ATI_POLL_NANOSECONDS;
#endif

struct timespec ati_time_after(struct timespec time, long nanoseconds) {
    time.tv_nsec += nanoseconds;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static bool is_before(struct timespec a, struct timespec b) {
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

bool ati_poller_stops(ati_poller *poller) {
    struct timespec now;
    if (poller->poll == NULL || clock_gettime(CLOCK_MONOTONIC, &now) != 0 ||
        is_before(now, ati_time_after(poller->asked, interval))) {
        return false;
    }
    poller->asked = now;
    return poller->poll(poller->context) != 0;
}

ati_status ati_poller_check(ati_poller *poller, ati_error *error) {
    return poller != NULL && ati_poller_stops(poller)
               ? ati_fail(error, ATI_CANCELLED, "cancelled by the caller")
               : ATI_OK;
}
