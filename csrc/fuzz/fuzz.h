/* What the fuzz targets share. Each target is an entry of libFuzzer's in a file of its own;
 * main.c drives it where there is no libFuzzer. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "ati.h"
#include "base/sanitizer.h"
#include "tests/families.h"

#if defined(FUZZ_SANITIZED) && !ATI_SANITIZES_ADDRESS
#error "the guards of scratch are off in a build with AddressSanitizer"
#endif

/* The bytes of one input; zeros past its end. */
typedef struct {
    const uint8_t *at;
    size_t left;
} fuzz_bytes;

uint8_t fuzz_byte(fuzz_bytes *bytes);

/* Two bytes and three. */
size_t fuzz_short(fuzz_bytes *bytes);
size_t fuzz_long(fuzz_bytes *bytes);

/* 0 to n - 1. */
size_t fuzz_below(fuzz_bytes *bytes, size_t n);

/* Says what does not hold, and aborts. */
#define FUZZ_HOLDS(condition) fuzz_holds((condition), #condition, __FILE__, __LINE__)
void fuzz_holds(bool holds, const char *what, const char *file, int line);

/* The same for a call that must succeed; says its sentence. */
void fuzz_succeeds(ati_status status, const ati_error *error);

/* A call refused its input: the sentence is one. */
void fuzz_refused(ati_status status, const ati_error *error);

/* An empty folder in memory, removed at the end. Static. */
const char *fuzz_folder(void);

/* Makes one allocation of some inputs fail, as their bytes decide, and says whether. What
 * is allocated from here on must be freed before the end, which lets all succeed again. */
bool fuzz_starve(const uint8_t *data, size_t size);
void fuzz_end_starving(void);

/* What opens a model, from its tensors or, where `packed` is not NULL, from that file. */
ati_status fuzz_open(const char *folder, ati_precision precision, const char *kernel,
                     const char *packed, const char *key, ati_model **model, ati_error *error);

/* What a config was accepted for has to hold. */
void fuzz_check_config(const ati_config *config);

/* Reads a few tokens by an opened model, whatever its numbers are. */
void fuzz_read(const ati_model *model);

#endif
