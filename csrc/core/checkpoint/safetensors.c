#include "checkpoint/safetensors.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/sort.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are read as they lie in the file, which is little-endian"
#endif

#define MOST_HEADER_BYTES ((size_t)100000000) /* the format's own limit */
#define LENGTH_BYTES ((size_t)8)
#define TENSORS_A_POLL ((size_t)1024) /* read from the header */

enum { NOT_READ = -2, BYTES = -1 };

typedef struct {
    const char *name;
    size_t bits;
    int as; /* ggml's number of the type that its values are read as, or one of the above */
} dtype_row;

static const dtype_row dtypes[] = {
    {"F32", 32, ATI_GGML_F32},
    {"F16", 16, ATI_GGML_F16},
    {"BF16", 16, ATI_GGML_BF16},
    {"F64", 64, NOT_READ},
    {"I64", 64, NOT_READ},
    {"U64", 64, NOT_READ},
    {"C64", 64, NOT_READ},
    {"I32", 32, NOT_READ},
    {"U32", 32, NOT_READ},
    {"I16", 16, NOT_READ},
    {"U16", 16, NOT_READ},
    {"I8", 8, NOT_READ},
    {"U8", 8, BYTES},
    {"BOOL", 8, NOT_READ},
    {"F8_E4M3", 8, NOT_READ},
    {"F8_E5M2", 8, NOT_READ},
    {"F8_E8M0", 8, NOT_READ},
    {"F8_E4M3FNUZ", 8, NOT_READ},
    {"F8_E5M2FNUZ", 8, NOT_READ},
    {"F6_E2M3", 6, NOT_READ},
    {"F6_E3M2", 6, NOT_READ},
    {"F4", 4, NOT_READ},
};

/* A header being read. */
typedef struct {
    const ati_json *json;
    const char *path;
    ati_poller *poller;
    ati_error *error;
} header;

static ati_status fail(const header *h, const char *tensor, const char *what) {
    return ati_fail(h->error, ATI_FORMAT, "'%s': tensor '%.200s' %s", h->path, tensor, what);
}

static ati_status read_dtype(const header *h, ati_json_value entry, ati_tensor *tensor,
                             size_t *bits) {
    ati_json_value value = ati_json_get(h->json, entry, "dtype");
    size_t length;
    const char *text = ati_json_string(h->json, value, &length);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (ati_json_is(h->json, value, dtypes[i].name)) {
            tensor->dtype_name = dtypes[i].name;
            tensor->is_bytes = dtypes[i].as == BYTES;
            tensor->blocks = dtypes[i].as >= 0 ? ati_ggml_type_of((uint32_t)dtypes[i].as) : NULL;
            *bits = dtypes[i].bits;
            return ATI_OK;
        }
    }
    return ati_fail(h->error, ATI_FORMAT, "'%s': tensor '%.200s' has the dtype '%.50s', which %s",
                    h->path, tensor->name, text != NULL ? text : ati_json_describe(h->json, value),
                    "safetensors does not know");
}

/* A size in bytes or elements. */
static bool read_size(const header *h, ati_json_value value, size_t *out) {
    uint64_t number;
    if (!ati_json_uint(h->json, value, &number) || number > SIZE_MAX) {
        return false;
    }
    *out = (size_t)number;
    return true;
}

static ati_status read_shape(const header *h, ati_json_value entry, ati_tensor *tensor) {
    ati_json_value shape = ati_json_get(h->json, entry, "shape");
    size_t rank = ati_json_count(h->json, shape);
    if (shape == ATI_JSON_NONE || ati_json_type_of(h->json, shape) != ATI_JSON_ARRAY) {
        return fail(h, tensor->name, "has no array 'shape'");
    }
    if (rank > ATI_MAX_RANK) {
        return fail(h, tensor->name, "has more than 8 dimensions");
    }
    ati_json_value at = ati_json_first(h->json, shape);
    for (tensor->rank = 0; tensor->rank < rank; tensor->rank++) {
        if (!read_size(h, at, &tensor->shape[tensor->rank])) {
            return fail(h, tensor->name, "has a 'shape' that is not made of sizes");
        }
        at = ati_json_next(h->json, shape, at);
    }
    return ATI_OK;
}

/* Bytes that dtype and shape come to; false when there is no such number. */
static bool count_bytes(const ati_tensor *tensor, size_t bits, size_t *bytes) {
    size_t total = bits;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!ati_mul(total, tensor->shape[i], &total)) {
            return false;
        }
    }
    *bytes = total / 8;
    return total % 8 == 0;
}

/* tensor->offset is counted from the first tensor here. */
static ati_status read_place(const header *h, ati_json_value entry, size_t data_bytes,
                             ati_tensor *tensor) {
    ati_json_value offsets = ati_json_get(h->json, entry, "data_offsets");
    size_t end;
    if (offsets == ATI_JSON_NONE || ati_json_type_of(h->json, offsets) != ATI_JSON_ARRAY ||
        ati_json_count(h->json, offsets) != 2) {
        return fail(h, tensor->name, "has no 'data_offsets' of two numbers");
    }
    ati_json_value first = ati_json_first(h->json, offsets);
    if (!read_size(h, first, &tensor->offset) ||
        !read_size(h, ati_json_next(h->json, offsets, first), &end)) {
        return fail(h, tensor->name, "has 'data_offsets' that are no sizes");
    }
    if (tensor->offset > end || end > data_bytes) {
        return ati_fail(h->error, ATI_FORMAT,
                        "'%s': tensor '%.200s' lies at bytes %zu to %zu, expected inside the %zu "
                        "bytes that follow the header%s",
                        h->path, tensor->name, tensor->offset, end, data_bytes,
                        tensor->offset <= end ? ": it is cut short; copy or download it again"
                                              : "");
    }
    tensor->bytes = end - tensor->offset;
    return ATI_OK;
}

static ati_status read_tensor(const header *h, ati_json_value entry, size_t data_bytes,
                              ati_tensor *tensor) {
    size_t bits = 0, bytes;
    ati_status status;
    if (ati_json_type_of(h->json, entry) != ATI_JSON_OBJECT ||
        ati_json_count(h->json, entry) != 3) {
        return fail(h, tensor->name, "is not described by dtype, shape and data_offsets alone");
    }
    status = read_dtype(h, entry, tensor, &bits);
    if (status == ATI_OK) {
        status = read_shape(h, entry, tensor);
    }
    if (status == ATI_OK) {
        status = read_place(h, entry, data_bytes, tensor);
    }
    if (status != ATI_OK) {
        return status;
    }
    if (!count_bytes(tensor, bits, &bytes)) {
        return fail(h, tensor->name, "has a shape whose size in bytes is no number");
    }
    if (bytes != tensor->bytes) {
        return ati_fail(h->error, ATI_FORMAT,
                        "'%s': tensor '%.200s' takes %zu bytes by its dtype and shape, found %zu "
                        "by its data_offsets",
                        h->path, tensor->name, bytes, tensor->bytes);
    }
    return ATI_OK;
}

/* "__metadata__" is of no use here, but has to be what the format says. */
static ati_status check_metadata(const header *h, ati_json_value metadata) {
    if (ati_json_type_of(h->json, metadata) != ATI_JSON_OBJECT) {
        return ati_fail(h->error, ATI_FORMAT, "'%s': '__metadata__' is %s, expected an object",
                        h->path, ati_json_describe(h->json, metadata));
    }
    ati_json_value key = ati_json_first(h->json, metadata);
    while (key != ATI_JSON_NONE) {
        if (ati_json_type_of(h->json, ati_json_member(h->json, key)) != ATI_JSON_STRING) {
            return ati_fail(h->error, ATI_FORMAT,
                            "'%s': '__metadata__' holds something that is no string", h->path);
        }
        key = ati_json_next(h->json, metadata, key);
    }
    return ATI_OK;
}

static int compare_places(const void *context, uint32_t a, uint32_t b) {
    const ati_tensor *x = (const ati_tensor *)context + a, *y = (const ati_tensor *)context + b;
    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int compare_names(const void *context, uint32_t a, uint32_t b) {
    const ati_tensor *tensors = context;
    return strcmp(tensors[a].name, tensors[b].name);
}

/* Checks that the tensors, in the order of their offsets, cover the data bytes
 * once. order [2 * n_tensors] is scratch. */
static ati_status check_cover(const header *h, const ati_safetensors *st, size_t data_bytes,
                              uint32_t *order) {
    size_t n = st->n_tensors, end = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    ati_status status =
        ati_sort(order, order + n, n, compare_places, st->tensors, h->poller, h->error);
    for (size_t i = 0; i < n && status == ATI_OK; i++) {
        const ati_tensor *tensor = &st->tensors[order[i]];
        if (tensor->offset != end) {
            return ati_fail(h->error, ATI_FORMAT,
                            "'%s': tensor '%.200s' %s: it starts at byte %zu, expected %zu, where "
                            "the tensor before it ends",
                            h->path, tensor->name,
                            tensor->offset < end ? "overlaps another" : "leaves a hole before it",
                            tensor->offset, end);
        }
        end += tensor->bytes; /* at most data_bytes, by read_place */
    }
    if (status == ATI_OK && end != data_bytes) {
        return ati_fail(h->error, ATI_FORMAT,
                        "'%s': %zu bytes follow the header, expected the %zu that its tensors take",
                        h->path, data_bytes, end);
    }
    return status;
}

/* Puts the tensors in the order of their names. order [2 * n_tensors] is scratch. */
static ati_status sort_by_name(const header *h, ati_safetensors *st, uint32_t *order) {
    size_t n = st->n_tensors;
    ati_tensor *sorted = ati_calloc(n, sizeof *sorted);
    if (sorted == NULL) {
        return ati_fail_memory(h->error, n * sizeof *sorted, "a table of tensors");
    }
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    ati_status status =
        ati_sort(order, order + n, n, compare_names, st->tensors, h->poller, h->error);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = st->tensors[order[i]];
    }
    ati_free(st->tensors);
    st->tensors = sorted;
    return status;
}

/* Fills st->tensors and st->names from the header's members. */
static ati_status read_tensors(const header *h, size_t data_bytes, ati_safetensors *st) {
    char *names = st->names;
    ati_json_value key = ati_json_first(h->json, ATI_JSON_ROOT);
    for (; key != ATI_JSON_NONE; key = ati_json_next(h->json, ATI_JSON_ROOT, key)) {
        ati_json_value entry = ati_json_member(h->json, key);
        ati_status status;
        if (ati_json_is(h->json, key, "__metadata__")) {
            status = check_metadata(h, entry);
        } else {
            ati_tensor *tensor = &st->tensors[st->n_tensors++];
            size_t length;
            const char *name = ati_json_string(h->json, key, &length);
            memcpy(names, name, length + 1);
            tensor->name = names;
            names += length + 1;
            status = strlen(tensor->name) == length
                         ? read_tensor(h, entry, data_bytes, tensor)
                         : fail(h, tensor->name, "has a NUL in its name");
        }
        if (status == ATI_OK && st->n_tensors % TENSORS_A_POLL == 0) {
            status = ati_poller_check(h->poller, h->error);
        }
        if (status != ATI_OK) {
            return status;
        }
    }
    return ATI_OK;
}

/* Bytes that all keys of the header take, each with its NUL. */
static size_t names_size(const header *h) {
    size_t total = 0, length;
    ati_json_value key = ati_json_first(h->json, ATI_JSON_ROOT);
    for (; key != ATI_JSON_NONE; key = ati_json_next(h->json, ATI_JSON_ROOT, key)) {
        (void)ati_json_string(h->json, key, &length);
        total += length + 1; /* at most the text's length */
    }
    return total;
}

/* A parsed header into *st: tables first, then what they hold. */
static ati_status read_header(const header *h, size_t data_bytes, ati_safetensors *st) {
    size_t n = ati_json_count(h->json, ATI_JSON_ROOT);
    uint32_t *order = ati_calloc(2 * n, sizeof *order);
    ati_status status;
    st->tensors = ati_calloc(n, sizeof *st->tensors);
    st->names = ati_calloc(names_size(h), 1);
    if (order == NULL || st->tensors == NULL || st->names == NULL) {
        status = ati_fail_memory(h->error, n * sizeof *st->tensors, "a table of tensors");
        goto exit;
    }
    status = read_tensors(h, data_bytes, st);
    if (status == ATI_OK) {
        status = check_cover(h, st, data_bytes, order);
    }
    if (status == ATI_OK) {
        status = sort_by_name(h, st, order);
    }
exit:
    ati_free(order);
    return status;
}

ati_status ati_safetensors_parse(const char *text, size_t length, size_t data_bytes,
                                 const char *path, ati_poller *poller, ati_safetensors *st,
                                 ati_error *error) {
    ati_json *json = NULL;
    *st = (ati_safetensors){0};
    if (length == 0 || text[0] != '{') {
        return ati_fail(error, ATI_FORMAT, "'%s' is no safetensors file: its header does not %s",
                        path, "begin with '{'");
    }
    ati_status status = ati_json_parse(text, length, path, poller, &json, error);
    if (status == ATI_OK) {
        header h = {.json = json, .path = path, .poller = poller, .error = error};
        status = read_header(&h, data_bytes, st);
    }
    ati_json_free(json);
    if (status != ATI_OK) {
        ati_safetensors_close(st);
    }
    return status;
}

/* The header's length, checked against the file's. */
static ati_status read_length(const ati_file *file, size_t *length, ati_error *error) {
    unsigned char bytes[LENGTH_BYTES];
    uint64_t value = 0;
    if (file->size < LENGTH_BYTES) {
        return ati_fail(error, ATI_FORMAT,
                        "'%s' has %zu bytes, expected at least the 8 that begin a safetensors file",
                        file->path, file->size);
    }
    ati_status status = ati_file_read(file, 0, sizeof bytes, bytes, error);
    if (status != ATI_OK) {
        return status;
    }
    for (size_t i = sizeof bytes; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    size_t most = file->size - LENGTH_BYTES;
    most = most < MOST_HEADER_BYTES ? most : MOST_HEADER_BYTES;
    if (value > most) {
        return ati_fail(error, ATI_FORMAT,
                        "'%s' announces a header of %llu bytes, expected at most %zu in a file of "
                        "%zu: it is truncated or no safetensors file",
                        file->path, (unsigned long long)value, most, file->size);
    }
    *length = (size_t)value;
    return ATI_OK;
}

ati_status ati_safetensors_open(const char *folder, const char *name, ati_poller *poller,
                                ati_safetensors *st, ati_error *error) {
    ati_file file = {0};
    char *text = NULL;
    size_t length = 0;
    *st = (ati_safetensors){0};
    ati_status status = ati_file_open(folder, name, &file, error);
    if (status == ATI_OK) {
        status = read_length(&file, &length, error);
    }
    if (status != ATI_OK) {
        goto exit;
    }
    text = ati_calloc(length, 1);
    if (text == NULL) {
        status = ati_fail_memory(error, length, "a safetensors header");
        goto exit;
    }
    status = ati_file_read_long(&file, LENGTH_BYTES, length, text, poller, error);
    if (status != ATI_OK) {
        goto exit;
    }
    size_t data = LENGTH_BYTES + length;
    status = ati_safetensors_parse(text, length, file.size - data, file.path, poller, st, error);
    if (status != ATI_OK) {
        goto exit;
    }
    for (size_t i = 0; i < st->n_tensors; i++) {
        st->tensors[i].offset += data; /* at most the file's size */
    }
    st->file = file;
    file = (ati_file){0};
exit:
    ati_free(text);
    ati_file_close(&file);
    return status;
}

void ati_safetensors_close(ati_safetensors *st) {
    ati_file_close(&st->file);
    ati_free(st->tensors);
    ati_free(st->names);
    *st = (ati_safetensors){0};
}
