/* Drives a libFuzzer entry without libFuzzer: the inputs of a corpus, then so many mutations
 * of them, which are the same every time. */
#define _XOPEN_SOURCE 700 /* scandir */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST (1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "0",
    "-1",
    "18446744073709551615",
    "4294967296",
    "9223372036854775807",
    "1e308",
    "null",
    "true",
    "\"a\"",
    "\"data_offsets\"",
    "\"shape\"",
    "\"dtype\"",
    "\"F16\"",
    "\"dynamic\"",
    "\"linear\"",
    "\"factor\"",
    "\"gpt_oss\"",
    "\"cohere2\"",
    "\"olmo3\"",
    "\"gpt2\"",
    "\"layer_types\"",
    "\"sliding_window\"",
    "\"mlp_only_layers\"",
    "\xff",
};

/* xorshift64*: the same everywhere. */
static uint64_t next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

static size_t below(uint64_t *state, size_t n) {
    return (size_t)(next(state) % n);
}

/* Replaces data[at, at + cut) by word. */
static size_t splice(uint8_t *data, size_t size, size_t at, size_t cut, const char *word,
                     size_t length) {
    cut = cut < size - at ? cut : size - at;
    if (size - cut + length > MOST) {
        return size;
    }
    memmove(data + at + length, data + at + cut, size - at - cut);
    memcpy(data + at, word, length);
    return size - cut + length;
}

static size_t mutate(uint64_t *state, uint8_t *data, size_t size) {
    size_t at = below(state, size);
    const char *word = words[below(state, sizeof words / sizeof *words)];
    switch (below(state, 5)) {
    case 0:
        data[at] = (uint8_t)next(state);
        return size;
    case 1:
        return splice(data, size, at, below(state, 16) + 1, "", 0);
    case 2:
        return splice(data, size, at, 0, word, strlen(word));
    case 3:
        return splice(data, size, at, strlen(word), word, strlen(word));
    default: {
        char copy[64];
        size_t length = below(state, sizeof copy) + 1;
        length = length < size - at ? length : size - at;
        memcpy(copy, data + at, length);
        return splice(data, size, below(state, size), 0, copy, length);
    }
    }
}

/* A copy of its own, so that a read past the end is seen. */
static void run_one(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* ---- The corpus ---- */

typedef struct {
    uint8_t *data; /* [size] */
    size_t size;
} seed;

typedef struct {
    seed *seeds; /* [n] */
    size_t n;
} corpus;

static void give_up(const char *what) {
    perror(what);
    exit(2);
}

static void add_file(corpus *corpus, const char *path) {
    seed seed = {.data = malloc(MOST)};
    FILE *file = fopen(path, "rb");
    corpus->seeds = realloc(corpus->seeds, (corpus->n + 1) * sizeof seed);
    if (file == NULL || seed.data == NULL || corpus->seeds == NULL) {
        give_up(path);
    }
    seed.size = fread(seed.data, 1, MOST, file);
    fclose(file);
    corpus->seeds[corpus->n++] = seed;
}

static int is_visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* A file, or the files of a folder in the order of their names. */
static void add_path(corpus *corpus, const char *path) {
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0) {
        add_file(corpus, path);
    }
    for (int i = 0; i < n; i++) {
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        add_file(corpus, name);
        free(entries[i]);
    }
    free(entries);
}

/* ---- Runs ---- */

static void run_mutations(const corpus *corpus, uint64_t state, long runs) {
    static uint8_t data[MOST];
    for (long i = 0; i < runs; i++) {
        const seed *seed = &corpus->seeds[below(&state, corpus->n)];
        size_t size = seed->size;
        memcpy(data, seed->data, size);
        for (size_t n = 1 + below(&state, 6); n > 0 && size > 0; n--) {
            size = mutate(&state, data, size);
        }
        run_one(data, size);
    }
}

int main(int argc, char **argv) {
    corpus corpus = {0};
    char *end = "?";
    long runs = argc > 1 ? strtol(argv[1], &end, 10) : 0;
    for (int i = 2; i < argc; i++) {
        add_path(&corpus, argv[i]);
    }
    if (*end != '\0' || corpus.n == 0) {
        fprintf(stderr, "usage: %s MUTATIONS FILE_OR_FOLDER...\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < corpus.n; i++) {
        run_one(corpus.seeds[i].data, corpus.seeds[i].size);
    }
    run_mutations(&corpus, 20250507, runs);
    printf("%zu inputs, %ld mutated ones\n", corpus.n, runs);
    for (size_t i = 0; i < corpus.n; i++) {
        free(corpus.seeds[i].data);
    }
    free(corpus.seeds);
    return 0;
}
