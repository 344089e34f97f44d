/* Filling an ati_error. Every function here returns the status it reports, so
 * that a call site is one `return`. */
#ifndef ATI_ERROR_H
#define ATI_ERROR_H

#include "ati.h"

#if defined(__GNUC__)
#define ATI_PRINTF(template, first) __attribute__((format(printf, template, first)))
#else
#define ATI_PRINTF(template, first)
#endif

/* Writes the message as one line of valid UTF-8, cut to fit; control bytes and
 * bytes that are no UTF-8 appear as \xNN. `error` may be NULL. Returns `status`. */
ATI_PRINTF(3, 4)
ati_status ati_fail(ati_error *error, ati_status status, const char *format, ...);

/* Reports errno: "cannot <what> '<path>': <reason>". Returns ATI_NOMEM when
 * errno is ENOMEM, else ATI_IO. */
ati_status ati_fail_io(ati_error *error, const char *path, const char *what);

/* Reports that `bytes` bytes for `what` could not be had. Returns ATI_NOMEM. */
ati_status ati_fail_memory(ati_error *error, size_t bytes, const char *what);

#endif
