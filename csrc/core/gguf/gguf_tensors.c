#include "gguf/gguf_tensors.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sort.h"

#define TENSORS_A_POLL ((size_t)1024)

static ati_status fail(const ati_gguf_cursor *cursor, const ati_gguf_tensor *tensor,
                       const char *what) {
    return ati_fail(cursor->error, ATI_FORMAT, "'%s': tensor '%.200s' %s", cursor->file->path,
                    tensor->name, what);
}

/* The dimensions, which the file has from the innermost on. */
static ati_status read_shape(ati_gguf_cursor *cursor, ati_gguf_tensor *tensor) {
    uint32_t rank = 0;
    ati_status status = ati_gguf_take_uint32(cursor, &rank);
    if (status != ATI_OK) {
        return status;
    }
    if (rank < 1 || rank > ATI_GGUF_MOST_RANK) {
        return ati_fail(cursor->error, ATI_FORMAT,
                        "'%s': tensor '%.200s' has %u dimensions, expected 1 to %d",
                        cursor->file->path, tensor->name, rank, ATI_GGUF_MOST_RANK);
    }
    tensor->rank = rank;
    for (size_t i = rank; i > 0 && status == ATI_OK; i--) {
        status = ati_gguf_take_size(cursor, &tensor->shape[i - 1]);
        if (status == ATI_OK && tensor->shape[i - 1] == 0) {
            status = fail(cursor, tensor, "has a dimension of 0, expected at least 1");
        }
    }
    return status;
}

static ati_status read_type(ati_gguf_cursor *cursor, ati_gguf_tensor *tensor) {
    uint32_t number = 0;
    ati_status status = ati_gguf_take_uint32(cursor, &number);
    if (status != ATI_OK) {
        return status;
    }
    tensor->type = ati_ggml_type_of(number);
    if (tensor->type == NULL) {
        return ati_fail(cursor->error, ATI_UNSUPPORTED,
                        "'%s': tensor '%.200s' has the type %u, which is not known",
                        cursor->file->path, tensor->name, number);
    }
    if (tensor->type->bytes == 0) {
        return ati_fail(cursor->error, ATI_UNSUPPORTED,
                        "'%s': tensor '%.200s' has the type %s, which ggml has dropped",
                        cursor->file->path, tensor->name, tensor->type->name);
    }
    return ATI_OK;
}

/* Fills tensor->bytes. */
static ati_status count_bytes(const ati_gguf_cursor *cursor, ati_gguf_tensor *tensor) {
    size_t row = tensor->shape[tensor->rank - 1], values = 1;
    if (row % tensor->type->values != 0) {
        return ati_fail(cursor->error, ATI_FORMAT,
                        "'%s': tensor '%.200s' has rows of %zu values, expected a multiple of %zu, "
                        "a block of %s",
                        cursor->file->path, tensor->name, row, tensor->type->values,
                        tensor->type->name);
    }
    bool fits = true;
    for (size_t i = 0; i < tensor->rank && fits; i++) {
        fits = ati_mul(values, tensor->shape[i], &values);
    }
    fits = fits && ati_mul(values / tensor->type->values, tensor->type->bytes, &tensor->bytes);
    return fits ? ATI_OK : fail(cursor, tensor, "has a shape whose size in bytes is no number");
}

/* tensor->offset is counted from the data on here. */
static ati_status read_tensor(ati_gguf_cursor *cursor, ati_gguf_tensor *tensor) {
    char *name = NULL;
    cursor->about = "the name of a tensor";
    ati_status status = ati_gguf_take_name(cursor, &name);
    if (status == ATI_OK) {
        tensor->name = cursor->about = name;
        status = read_shape(cursor, tensor);
    }
    if (status == ATI_OK) {
        status = read_type(cursor, tensor);
    }
    if (status == ATI_OK) {
        status = count_bytes(cursor, tensor);
    }
    return status == ATI_OK ? ati_gguf_take_size(cursor, &tensor->offset) : status;
}

/* Makes the offset one in the file, whose data begin at byte `data`. */
static ati_status place_tensor(const ati_gguf_cursor *cursor, size_t data, size_t alignment,
                               ati_gguf_tensor *tensor) {
    size_t end = 0;
    if (tensor->offset % alignment != 0) {
        return ati_fail(cursor->error, ATI_FORMAT,
                        "'%s': tensor '%.200s' has the offset %zu, expected a multiple of %zu",
                        cursor->file->path, tensor->name, tensor->offset, alignment);
    }
    bool fits = ati_add(data, tensor->offset, &tensor->offset) &&
                ati_add(tensor->offset, tensor->bytes, &end);
    if (!fits) {
        return fail(cursor, tensor, "has an offset whose place in the file is no number");
    }
    return end <= cursor->file->size
               ? ATI_OK
               : ati_fail(cursor->error, ATI_FORMAT,
                          "'%s': tensor '%.200s' lies at bytes %zu to %zu, expected inside the "
                          "file's %zu: it is cut short; copy or download it again",
                          cursor->file->path, tensor->name, tensor->offset, end,
                          cursor->file->size);
}

static ati_status place_tensors(const ati_gguf_cursor *cursor, size_t alignment,
                                ati_gguf_part *part) {
    size_t data = 0;
    if (!ati_add(cursor->at, alignment - 1, &data)) {
        return ati_fail(cursor->error, ATI_FORMAT, "'%s' has no room for tensors",
                        cursor->file->path);
    }
    data -= data % alignment;
    ati_status status = ATI_OK;
    for (size_t i = 0; i < part->n_tensors && status == ATI_OK; i++) {
        status = place_tensor(cursor, data, alignment, &part->tensors[i]);
    }
    return status;
}

static int compare_places(const void *context, uint32_t a, uint32_t b) {
    const ati_gguf_tensor *x = (const ati_gguf_tensor *)context + a;
    const ati_gguf_tensor *y = (const ati_gguf_tensor *)context + b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Puts the tensors in the order of their places. order [2 * n_tensors], sorted [n_tensors]. */
static ati_status sort_tensors(const ati_gguf_cursor *cursor, const ati_gguf_part *part,
                               uint32_t *order, ati_gguf_tensor *sorted) {
    size_t n = part->n_tensors;
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    ati_status status =
        ati_sort(order, order + n, n, compare_places, part->tensors, cursor->poller, cursor->error);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = part->tensors[order[i]];
    }
    return status;
}

static ati_status refuse_overlap(const ati_gguf_cursor *cursor, const ati_gguf_part *part) {
    for (size_t i = 1; i < part->n_tensors; i++) {
        const ati_gguf_tensor *before = &part->tensors[i - 1], *tensor = &part->tensors[i];
        if (tensor->offset - before->offset < before->bytes) {
            return ati_fail(cursor->error, ATI_FORMAT,
                            "'%s': tensor '%.200s' overlaps '%.200s': it starts at byte %zu, "
                            "expected %zu or later",
                            cursor->file->path, tensor->name, before->name, tensor->offset,
                            before->offset + before->bytes);
        }
    }
    return ATI_OK;
}

/* What ati_gguf_read_tensors does after it has read them. */
static ati_status arrange_tensors(const ati_gguf_cursor *cursor, size_t alignment,
                                  ati_gguf_part *part) {
    size_t n = part->n_tensors;
    uint32_t *order = ati_calloc(2 * n, sizeof *order);
    ati_gguf_tensor *sorted = ati_calloc(n, sizeof *sorted);
    ati_status status = ATI_OK;
    if (order == NULL || sorted == NULL) {
        status = ati_fail_memory(cursor->error, n * sizeof *sorted, "a table of tensors");
        goto exit;
    }
    status = place_tensors(cursor, alignment, part);
    if (status == ATI_OK) {
        status = sort_tensors(cursor, part, order, sorted);
    }
    if (status == ATI_OK) {
        ati_gguf_tensor *unsorted = part->tensors;
        part->tensors = sorted;
        sorted = unsorted;
        status = refuse_overlap(cursor, part);
    }
exit:
    ati_free(order);
    ati_free(sorted);
    return status;
}

ati_status ati_gguf_read_tensors(ati_gguf_cursor *cursor, size_t number, size_t alignment,
                                 ati_gguf_part *part) {
    ati_status status = ATI_OK;
    part->tensors = ati_calloc(part->n_tensors, sizeof *part->tensors);
    if (part->tensors == NULL) {
        return ati_fail_memory(cursor->error, part->n_tensors * sizeof *part->tensors,
                               "a table of tensors");
    }
    for (size_t i = 0; i < part->n_tensors && status == ATI_OK; i++) {
        part->tensors[i].file = number;
        status = read_tensor(cursor, &part->tensors[i]);
        if (status == ATI_OK && i % TENSORS_A_POLL == 0) {
            status = ati_poller_check(cursor->poller, cursor->error);
        }
    }
    return status == ATI_OK ? arrange_tensors(cursor, alignment, part) : status;
}
