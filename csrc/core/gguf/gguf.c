#include "gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/sort.h"
#include "gguf/gguf_tensors.h"

enum { MOST_FILES = 1024 }; /* of a model, all open at a time */

/* What a file says of the files that a model was split into. */
typedef struct {
    size_t count;     /* 0: it was not */
    size_t number;    /* of this one, from 0 on */
    size_t n_tensors; /* in all of them */
} split;

/* ---- Names of files ---- */

static const char ending[] = "-00001-of-00001.gguf"; /* in its form */

/* Whether the path ends in digits where `ending` has them, and in its other bytes. */
static bool is_part_name(const char *path) {
    const size_t n = sizeof ending - 1;
    size_t length = strlen(path);
    if (length <= n) {
        return false;
    }
    const char *at = path + length - n;
    for (size_t i = 0; i < n; i++) {
        bool is_digit = at[i] >= '0' && at[i] <= '9';
        if (ending[i] == '0' || ending[i] == '1' ? !is_digit : at[i] != ending[i]) {
            return false;
        }
    }
    return true;
}

/* The path of file `number`, from 0 on, of `count`, beside `path`, which is the name of another
 * one; the caller's (ati_free). NULL without memory. */
static char *part_path(const char *path, size_t number, size_t count) {
    enum { ROOM = 64 }; /* for an ending with any two numbers */
    size_t length = strlen(path) - (sizeof ending - 1);
    char *out = ati_calloc(length + ROOM, 1);
    if (out != NULL) {
        memcpy(out, path, length);
        snprintf(out + length, ROOM, "-%05zu-of-%05zu.gguf", number + 1, count);
    }
    return out;
}

/* ---- The files of a model ---- */

/* The size that `key` has in a file; `missing` where it is not there. */
static ati_status find_size(const ati_gguf_part *part, const char *key, size_t missing, size_t *out,
                            ati_error *error) {
    const ati_gguf_value *value = ati_gguf_part_find(part, key);
    *out = missing;
    return value == NULL ? ATI_OK : ati_gguf_size(value, out, error);
}

static ati_status find_split(const ati_gguf_part *part, split *found, ati_error *error) {
    ati_status status = find_size(part, "split.count", 0, &found->count, error);
    if (status == ATI_OK) {
        status = find_size(part, "split.no", 0, &found->number, error);
    }
    if (status == ATI_OK) {
        status = find_size(part, "split.tensors.count", SIZE_MAX, &found->n_tensors, error);
    }
    if (status == ATI_OK && found->count > MOST_FILES) {
        return ati_fail(error, ATI_FORMAT, "'%s': 'split.count' is %zu, expected at most %d",
                        part->file.path, found->count, MOST_FILES);
    }
    return status;
}

/* Refuses a file that says it is part number > 0, by the name of the first. */
static ati_status fail_not_first(const ati_gguf_part *part, const split *is, ati_error *error) {
    const char *path = part->file.path;
    char *first = is_part_name(path) ? part_path(path, 0, is->count) : NULL;
    ati_status status =
        ati_fail(error, ATI_FORMAT, "'%s' is file %zu of %zu of a model: open the first%s%s%s",
                 path, is->number + 1, is->count, first != NULL ? ", '" : "",
                 first != NULL ? first : "", first != NULL ? "'" : "");
    ati_free(first);
    return status;
}

/* The first file must have a name that leads to the others. */
static ati_status check_name(const ati_gguf_part *part, const split *is, ati_error *error) {
    const char *path = part->file.path;
    if (!is_part_name(path)) {
        return ati_fail(error, ATI_FORMAT,
                        "'%s' is the first of %zu files of a model: expected a name that ends in "
                        "'-00001-of-%05zu.gguf', by which the others are found",
                        path, is->count, is->count);
    }
    char *first = part_path(path, 0, is->count);
    ati_status status =
        first == NULL ? ati_fail_memory(error, strlen(path), "a path")
        : strcmp(first, path) != 0
            ? ati_fail(error, ATI_FORMAT,
                       "'%s' says it is the first of %zu files of a model: expected the name '%s'",
                       path, is->count, first)
            : ATI_OK;
    ati_free(first);
    return status;
}

/* Opens file number i > 0 of those that `first` speaks of. */
static ati_status open_other(ati_gguf *gguf, size_t i, const split *first, ati_poller *poller,
                             ati_error *error) {
    ati_gguf_part *part = &gguf->files[i];
    split is = {0};
    char *path = part_path(gguf->files[0].file.path, i, first->count);
    if (path == NULL) {
        return ati_fail_memory(error, strlen(gguf->files[0].file.path), "a path");
    }
    ati_status status = ati_gguf_part_open(path, i, poller, part, error);
    if (status == ATI_OK) {
        gguf->n_files++;
        status = find_split(part, &is, error);
    }
    if (status == ATI_OK && (is.count != first->count || is.number != i)) {
        status = ati_fail(error, ATI_FORMAT,
                          "'%s' says it is file %zu of %zu, expected %zu of %zu: it is of another "
                          "model or has another's name",
                          path, is.number + 1, is.count, i + 1, first->count);
    }
    /* Nothing else in them is asked for. */
    ati_free(part->values);
    part->values = NULL;
    part->n_values = 0;
    ati_free(path);
    return status;
}

static ati_status open_others(ati_gguf *gguf, const split *is, ati_poller *poller,
                              ati_error *error) {
    ati_status status = is->number > 0 ? fail_not_first(gguf->files, is, error)
                                       : check_name(gguf->files, is, error);
    for (size_t i = 1; i < is->count && status == ATI_OK; i++) {
        status = open_other(gguf, i, is, poller, error);
    }
    return status;
}

/* Fills gguf->n_tensors. */
static ati_status count_tensors(ati_gguf *gguf, const split *is, ati_error *error) {
    size_t n = 0;
    for (size_t i = 0; i < gguf->n_files; i++) {
        n += gguf->files[i].n_tensors; /* at most ATI_GGUF_MOST_TENSORS a file */
    }
    gguf->n_tensors = n;
    if (is->n_tensors != SIZE_MAX && n != is->n_tensors) {
        return ati_fail(error, ATI_FORMAT,
                        "'%s': 'split.tensors.count' is %zu, but the model's files hold %zu",
                        gguf->files[0].file.path, is->n_tensors, n);
    }
    return n <= ATI_GGUF_MOST_TENSORS
               ? ATI_OK
               : ati_fail(error, ATI_FORMAT,
                          "'%s' and its parts hold %zu tensors, expected %zu "
                          "at most",
                          gguf->files[0].file.path, n, ATI_GGUF_MOST_TENSORS);
}

/* The first file, opened for what it says of the others, moves into a table of them all. */
static ati_status open_files(const char *path, ati_poller *poller, ati_gguf *gguf,
                             ati_error *error) {
    ati_gguf_part first = {0};
    split is = {0};
    ati_status status = ati_gguf_part_open(path, 0, poller, &first, error);
    if (status == ATI_OK) {
        status = find_split(&first, &is, error);
    }
    if (status != ATI_OK) {
        goto exit;
    }
    size_t n = is.count > 1 ? is.count : 1;
    gguf->files = ati_calloc(n, sizeof *gguf->files);
    if (gguf->files == NULL) {
        status = ati_fail_memory(error, n * sizeof *gguf->files, "a table of files");
        goto exit;
    }
    gguf->files[0] = first;
    gguf->n_files = 1;
    first = (ati_gguf_part){0};
    if (is.count > 1 || is.number > 0) {
        status = open_others(gguf, &is, poller, error);
    }
    if (status == ATI_OK) {
        status = count_tensors(gguf, &is, error);
    }
exit:
    ati_gguf_part_close(&first);
    return status;
}

/* ---- The tensors of all files ---- */

static int compare_names(const void *context, uint32_t a, uint32_t b) {
    const ati_gguf_tensor *tensors = context;
    return strcmp(tensors[a].name, tensors[b].name);
}

/* Moves the tensors of every file to listed [n_tensors], file by file. */
static void list_tensors(ati_gguf *gguf, ati_gguf_tensor *listed) {
    for (size_t i = 0; i < gguf->n_files; i++) {
        ati_gguf_part *part = &gguf->files[i];
        memcpy(listed, part->tensors, part->n_tensors * sizeof *listed);
        listed += part->n_tensors;
        ati_free(part->tensors);
        part->tensors = NULL;
    }
}

static ati_status refuse_twice(const ati_gguf *gguf, ati_error *error) {
    for (size_t i = 1; i < gguf->n_tensors; i++) {
        const ati_gguf_tensor *tensor = &gguf->tensors[i];
        if (strcmp(tensor[-1].name, tensor->name) == 0) {
            return ati_fail(error, ATI_FORMAT, "'%s': tensor '%.200s' occurs twice%s%s%s",
                            gguf->files[tensor->file].file.path, tensor->name,
                            tensor[-1].file != tensor->file ? ", also in '" : "",
                            tensor[-1].file != tensor->file ? gguf->files[tensor[-1].file].file.path
                                                            : "",
                            tensor[-1].file != tensor->file ? "'" : "");
        }
    }
    return ATI_OK;
}

/* Fills gguf->tensors. */
static ati_status sort_tensors(ati_gguf *gguf, ati_poller *poller, ati_error *error) {
    size_t n = gguf->n_tensors;
    uint32_t *order = ati_calloc(2 * n, sizeof *order);
    ati_gguf_tensor *listed = ati_calloc(n, sizeof *listed);
    ati_status status = ATI_OK;
    gguf->tensors = ati_calloc(n, sizeof *gguf->tensors);
    if (order == NULL || listed == NULL || gguf->tensors == NULL) {
        status = ati_fail_memory(error, n * sizeof *listed, "a table of tensors");
        goto exit;
    }
    list_tensors(gguf, listed);
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    status = ati_sort(order, order + n, n, compare_names, listed, poller, error);
    for (size_t i = 0; i < n; i++) {
        gguf->tensors[i] = listed[order[i]];
    }
exit:
    ati_free(order);
    ati_free(listed);
    return status == ATI_OK ? refuse_twice(gguf, error) : status;
}

ati_status ati_gguf_open(const char *path, ati_poller *poller, ati_gguf *gguf, ati_error *error) {
    *gguf = (ati_gguf){0};
    ati_status status = open_files(path, poller, gguf, error);
    if (status == ATI_OK) {
        status = sort_tensors(gguf, poller, error);
    }
    if (status != ATI_OK) {
        ati_gguf_close(gguf);
    }
    return status;
}

void ati_gguf_close(ati_gguf *gguf) {
    for (size_t i = 0; i < gguf->n_files; i++) {
        ati_gguf_part_close(&gguf->files[i]);
    }
    ati_free(gguf->files);
    ati_free(gguf->tensors);
    *gguf = (ati_gguf){0};
}

const ati_gguf_value *ati_gguf_find(const ati_gguf *gguf, const char *key) {
    return ati_gguf_part_find(gguf->files, key);
}

static int compare_name(const void *name, const void *tensor) {
    return strcmp(name, ((const ati_gguf_tensor *)tensor)->name);
}

const ati_gguf_tensor *ati_gguf_find_tensor(const ati_gguf *gguf, const char *name) {
    return bsearch(name, gguf->tensors, gguf->n_tensors, sizeof *gguf->tensors, compare_name);
}
