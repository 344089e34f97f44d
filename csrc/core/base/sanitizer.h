/* Which sanitizers watch this build: gcc says so in macros, clang as features. */
#ifndef ATI_SANITIZER_H
#define ATI_SANITIZER_H

#ifndef __has_feature
#define __has_feature(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ATI_SANITIZES_ADDRESS 1
#else
#define ATI_SANITIZES_ADDRESS 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define ATI_SANITIZES_THREADS 1
#else
#define ATI_SANITIZES_THREADS 0
#endif

#endif
