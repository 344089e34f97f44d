#include "gguf/gguf_header.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/sort.h"
#include "gguf/gguf_tensors.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are read as they lie in the file, which is little-endian"
#endif

#define FIRST_READ ((size_t)1024)       /* bytes of a header, tried first */
#define MOST_HEADER ((size_t)256 << 20) /* bytes */
#define MOST_KEYS ((size_t)1 << 16)
#define MOST_STRINGS ((size_t)1 << 22) /* in arrays; vocabularies and merges have a tenth of it */
#define LEAST_KEY ((size_t)14)         /* bytes of one in the header */
#define DEFAULT_ALIGNMENT ((size_t)32)
#define MOST_ALIGNMENT ((size_t)1 << 20)
#define KEYS_A_POLL ((size_t)256)
#define STRINGS_A_POLL ((size_t)16384)

/* ---- Values ---- */

static ati_status fail_value(const ati_gguf_cursor *cursor, const ati_gguf_value *value,
                             const char *what) {
    return ati_fail(cursor->error, ATI_FORMAT, "'%s': '%.200s' %s", cursor->file->path, value->key,
                    what);
}

static ati_status take_type(ati_gguf_cursor *cursor, const ati_gguf_value *value,
                            ati_gguf_type *type) {
    uint32_t number = 0;
    ati_status status = ati_gguf_take_uint32(cursor, &number);
    if (status == ATI_OK && number >= ATI_GGUF_N_TYPES) {
        return ati_fail(cursor->error, ATI_FORMAT,
                        "'%s': '%.200s' has values of type %u, expected 0 to %d",
                        cursor->file->path, value->key, number, ATI_GGUF_N_TYPES - 1);
    }
    *type = (ati_gguf_type)number;
    return status;
}

/* The strings of an array stay as they are, each with its length before it. */
static ati_status take_strings(ati_gguf_cursor *cursor, ati_gguf_value *value) {
    unsigned char *text = NULL;
    size_t start = cursor->at, length = 0;
    ati_status status = ATI_OK;
    for (size_t i = 0; i < value->count && status == ATI_OK; i++) {
        status = ati_gguf_take_size(cursor, &length);
        if (status == ATI_OK) {
            status = ati_gguf_take(cursor, length, &text);
        }
        if (status == ATI_OK && i % STRINGS_A_POLL == 0) {
            status = ati_poller_check(cursor->poller, cursor->error);
        }
    }
    value->data = cursor->text + start;
    value->bytes = cursor->at - start;
    return status;
}

/* value->count numbers or booleans. */
static ati_status take_items(ati_gguf_cursor *cursor, ati_gguf_value *value) {
    unsigned char *data = NULL;
    value->bytes = value->count * ati_gguf_type_bytes(value->item); /* a number, by take_array */
    ati_status status = ati_gguf_take(cursor, value->bytes, &data);
    for (size_t i = 0; value->item == ATI_GGUF_BOOL && status == ATI_OK && i < value->bytes; i++) {
        if (data[i] > 1) {
            status = fail_value(cursor, value, "holds a boolean that is neither 0 nor 1");
        }
    }
    value->data = data;
    return status;
}

static ati_status take_array(ati_gguf_cursor *cursor, ati_gguf_value *value) {
    ati_status status = take_type(cursor, value, &value->item);
    if (status != ATI_OK) {
        return status;
    }
    if (value->item == ATI_GGUF_ARRAY) {
        return fail_value(cursor, value, "is an array of arrays, expected one of values");
    }
    bool of_strings = value->item == ATI_GGUF_STRING;
    size_t least = of_strings ? sizeof(uint64_t) : ati_gguf_type_bytes(value->item);
    status = ati_gguf_take_count(cursor, least, of_strings ? cursor->strings_left : SIZE_MAX,
                                 &value->count);
    if (status != ATI_OK) {
        return status;
    }
    cursor->strings_left -= of_strings ? value->count : 0;
    return of_strings ? take_strings(cursor, value) : take_items(cursor, value);
}

static ati_status take_value(ati_gguf_cursor *cursor, ati_gguf_value *value) {
    char *text = NULL;
    cursor->about = "a key";
    ati_status status = ati_gguf_take_name(cursor, &text);
    if (status != ATI_OK) {
        return status;
    }
    *value = (ati_gguf_value){.key = text, .path = cursor->file->path, .count = 1};
    cursor->about = value->key;
    status = take_type(cursor, value, &value->type);
    if (status != ATI_OK) {
        return status;
    }
    value->item = value->type;
    switch (value->type) {
    case ATI_GGUF_ARRAY:
        return take_array(cursor, value);
    case ATI_GGUF_STRING:
        status = ati_gguf_take_string(cursor, &text, &value->bytes);
        value->data = (unsigned char *)text;
        return status;
    default:
        return take_items(cursor, value);
    }
}

/* ---- Keys ---- */

static int compare_keys(const void *context, uint32_t a, uint32_t b) {
    const ati_gguf_value *values = context;
    return strcmp(values[a].key, values[b].key);
}

/* Moves values [n_values] to part->values by key; order [2 * n_values] is scratch. */
static ati_status sort_values(const ati_gguf_cursor *cursor, const ati_gguf_value *values,
                              uint32_t *order, ati_gguf_part *part) {
    size_t n = part->n_values;
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    ati_status status =
        ati_sort(order, order + n, n, compare_keys, values, cursor->poller, cursor->error);
    for (size_t i = 0; i < n && status == ATI_OK; i++) {
        part->values[i] = values[order[i]];
        if (i > 0 && strcmp(part->values[i - 1].key, part->values[i].key) == 0) {
            status = fail_value(cursor, &part->values[i], "occurs twice");
        }
    }
    return status;
}

static ati_status take_values(ati_gguf_cursor *cursor, ati_gguf_part *part) {
    size_t n = part->n_values;
    ati_gguf_value *values = ati_calloc(n, sizeof *values);
    uint32_t *order = ati_calloc(2 * n, sizeof *order);
    ati_status status = ATI_OK;
    part->values = ati_calloc(n, sizeof *part->values);
    if (values == NULL || order == NULL || part->values == NULL) {
        status = ati_fail_memory(cursor->error, n * sizeof *values, "a table of keys");
        goto exit;
    }
    for (size_t i = 0; i < n && status == ATI_OK; i++) {
        status = take_value(cursor, &values[i]);
        if (status == ATI_OK && i % KEYS_A_POLL == 0) {
            status = ati_poller_check(cursor->poller, cursor->error);
        }
    }
    if (status == ATI_OK) {
        status = sort_values(cursor, values, order, part);
    }
exit:
    ati_free(values);
    ati_free(order);
    return status;
}

static int compare_key(const void *key, const void *value) {
    return strcmp(key, ((const ati_gguf_value *)value)->key);
}

const ati_gguf_value *ati_gguf_part_find(const ati_gguf_part *part, const char *key) {
    return bsearch(key, part->values, part->n_values, sizeof *part->values, compare_key);
}

static ati_status find_alignment(const ati_gguf_cursor *cursor, const ati_gguf_part *part,
                                 size_t *alignment) {
    const ati_gguf_value *value = ati_gguf_part_find(part, "general.alignment");
    *alignment = DEFAULT_ALIGNMENT;
    if (value == NULL) {
        return ATI_OK;
    }
    ati_status status = ati_gguf_size(value, alignment, cursor->error);
    if (status != ATI_OK) {
        return status;
    }
    bool is_power = *alignment > 0 && (*alignment & (*alignment - 1)) == 0;
    return is_power && *alignment <= MOST_ALIGNMENT
               ? ATI_OK
               : ati_fail(cursor->error, ATI_FORMAT,
                          "'%s': 'general.alignment' is %zu, expected a power of two up to %zu",
                          cursor->file->path, *alignment, MOST_ALIGNMENT);
}

/* ---- The file ---- */

/* "GGUF" and the version. */
static ati_status take_beginning(ati_gguf_cursor *cursor) {
    unsigned char *magic = NULL;
    uint32_t version = 0;
    const char *path = cursor->file->path;
    cursor->about = "the beginning of a GGUF file";
    ati_status status = ati_gguf_take(cursor, 4, &magic);
    if (status == ATI_OK && memcmp(magic, "GGUF", 4) != 0) {
        return ati_fail(cursor->error, ATI_FORMAT,
                        "'%s' is no GGUF file: it does not begin with 'GGUF'", path);
    }
    if (status == ATI_OK) {
        status = ati_gguf_take_uint32(cursor, &version);
    }
    if (status != ATI_OK || version == 2 || version == 3) {
        return status;
    }
    if (version != 0 && (version & 0xffff) == 0) {
        return ati_fail(cursor->error, ATI_UNSUPPORTED,
                        "'%s' is a big-endian GGUF file, expected a little-endian one", path);
    }
    return ati_fail(cursor->error, ATI_UNSUPPORTED,
                    "'%s' has version %u of GGUF, expected 2 or 3%s", path, version,
                    version == 1 ? ": convert the model again" : "");
}

static ati_status take_header(ati_gguf_cursor *cursor, size_t number, ati_gguf_part *part) {
    size_t alignment = 0;
    ati_status status = take_beginning(cursor);
    if (status == ATI_OK) {
        cursor->about = "tensors";
        status = ati_gguf_take_count(cursor, ATI_GGUF_LEAST_TENSOR, ATI_GGUF_MOST_TENSORS,
                                     &part->n_tensors);
    }
    if (status == ATI_OK) {
        cursor->about = "keys";
        status = ati_gguf_take_count(cursor, LEAST_KEY, MOST_KEYS, &part->n_values);
    }
    if (status == ATI_OK) {
        status = take_values(cursor, part);
    }
    if (status == ATI_OK) {
        status = find_alignment(cursor, part, &alignment);
    }
    return status == ATI_OK ? ati_gguf_read_tensors(cursor, number, alignment, part) : status;
}

/* Reads the header from the file's first `length` bytes; *is_short where it goes on. */
static ati_status read_header(size_t number, size_t length, ati_poller *poller, ati_gguf_part *part,
                              bool *is_short, ati_error *error) {
    part->text = ati_calloc(length, 1);
    *is_short = false;
    if (part->text == NULL) {
        return ati_fail_memory(error, length, "a GGUF header");
    }
    ati_gguf_cursor cursor = {.file = &part->file,
                              .text = part->text,
                              .length = length,
                              .strings_left = MOST_STRINGS,
                              .poller = poller,
                              .error = error};
    ati_status status = ati_file_read_long(&part->file, 0, length, part->text, poller, error);
    if (status == ATI_OK) {
        status = take_header(&cursor, number, part);
    }
    *is_short = cursor.is_short;
    return status;
}

static void free_header(ati_gguf_part *part) {
    ati_free(part->text);
    ati_free(part->values);
    ati_free(part->tensors);
    *part = (ati_gguf_part){.file = part->file};
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* How long the header is, is known only when it has been read: where the first bytes are not
 * all of it, twice as many are read. So it takes no more memory than the file has bytes. */
static ati_status read_whole_header(size_t number, ati_poller *poller, ati_gguf_part *part,
                                    ati_error *error) {
    bool is_short = true;
    ati_status status = ATI_OK;
    for (size_t length = FIRST_READ; is_short && length <= MOST_HEADER; length *= 2) {
        free_header(part);
        status =
            read_header(number, least(length, part->file.size), poller, part, &is_short, error);
    }
    return is_short ? ati_fail(error, ATI_FORMAT,
                               "'%s' has a header of more than %zu bytes, which is the most",
                               part->file.path, MOST_HEADER)
                    : status;
}

ati_status ati_gguf_part_open(const char *path, size_t number, ati_poller *poller,
                              ati_gguf_part *part, ati_error *error) {
    *part = (ati_gguf_part){0};
    ati_status status = ati_file_open("", path, &part->file, error);
    if (status == ATI_OK) {
        status = read_whole_header(number, poller, part, error);
    }
    if (status != ATI_OK) {
        ati_gguf_part_close(part);
    }
    return status;
}

void ati_gguf_part_close(ati_gguf_part *part) {
    free_header(part);
    ati_file_close(&part->file);
    *part = (ati_gguf_part){0};
}
