#include "model/packed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"

#define MAGIC "attninfluence packed weights\n"

enum { BYTE_ORDER = 0x01020304, LANES = 8 };

#define PIECE ((size_t)1 << 20) /* bytes summed from one poll to the next */

/* The first bytes of the header, zeros behind them. */
typedef struct {
    char magic[32];
    uint32_t byte_order; /* BYTE_ORDER, as the machine that wrote it stores it */
    uint32_t version;
    uint64_t bytes;
    uint64_t n_parameters;
    uint64_t checksum;
    char precision[16];
    char kernel[112];
    char key[ATI_MOST_KEY + 1];
} fields;

_Static_assert(sizeof(fields) <= ATI_PACKED_HEADER, "the header has room");

/* Takes `bytes` bytes, a multiple of 64, into lanes. Each step of one is one to one, so that
 * a change of one word always shows; several, so that memory sets the speed. */
static void mix(const char *at, size_t bytes, uint64_t lanes[LANES]) {
    uint64_t words[LANES];
    for (size_t done = 0; done < bytes; done += sizeof words) {
        memcpy(words, at + done, sizeof words);
        for (size_t i = 0; i < LANES; i++) {
            uint64_t mixed = lanes[i] ^ words[i];
            lanes[i] = (mixed << 29 | mixed >> 35) * UINT64_C(0x9e3779b97f4a7c15);
        }
    }
}

/* Of the weights, whose size is a multiple of 64, and of what the header alone says of them. */
static ati_status checksum(const fields *header, const char *memory, ati_poller *poller,
                           uint64_t *sum, ati_error *error) {
    const size_t bytes = (size_t)header->bytes;
    uint64_t lanes[LANES] = {1, 2, 3, 4, 5, 6, 7, 8};
    ati_status status = ATI_OK;
    for (size_t done = 0; done < bytes && status == ATI_OK; done += PIECE) {
        mix(memory + done, bytes - done < PIECE ? bytes - done : PIECE, lanes);
        status = ati_poller_check(poller, error);
    }
    *sum = header->bytes ^ header->n_parameters * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < LANES; i++) {
        *sum = (*sum << 7 | *sum >> 57) ^ lanes[i];
        *sum *= UINT64_C(0xd6e8feb86659fd93);
    }
    return status;
}

/* Copies a text to out [size], which is zeros; false where it does not fit. */
static bool put(const char *text, char *out, size_t size) {
    size_t length = strlen(text);
    if (length >= size) {
        return false;
    }
    memcpy(out, text, length);
    return true;
}

static ati_status describe(const ati_packed *packed, fields *header, ati_error *error) {
    *header = (fields){
        .magic = MAGIC,
        .byte_order = BYTE_ORDER,
        .version = ATI_PACKED_VERSION,
        .bytes = packed->bytes,
        .n_parameters = packed->n_parameters,
    };
    if (!put(packed->precision, header->precision, sizeof header->precision) ||
        !put(packed->kernel, header->kernel, sizeof header->kernel)) {
        return ati_fail(error, ATI_ARG, "the names '%.64s' and '%.200s' are too long for a header",
                        packed->precision, packed->kernel);
    }
    if (!put(packed->key, header->key, sizeof header->key)) {
        return ati_fail(error, ATI_ARG, "the key has %zu bytes, expected at most %d",
                        strlen(packed->key), ATI_MOST_KEY);
    }
    return ATI_OK;
}

ati_status ati_packed_describe(const ati_packed *packed, const void *memory, ati_poller *poller,
                               unsigned char header[ATI_PACKED_HEADER], ati_error *error) {
    fields described;
    ati_status status = describe(packed, &described, error);
    if (status == ATI_OK) {
        status = checksum(&described, memory, poller, &described.checksum, error);
    }
    if (status == ATI_OK) {
        memset(header, 0, ATI_PACKED_HEADER);
        memcpy(header, &described, sizeof described);
    }
    return status;
}

/* ---- Checking ---- */

static ati_status expect_text(const char *path, const char *what, const char *found, size_t size,
                              const char *expected, ati_error *error) {
    if (strncmp(found, expected, size) == 0) {
        return ATI_OK;
    }
    return ati_fail(error, ATI_FORMAT, "'%s' holds packed weights of the %s '%.*s', expected '%s'",
                    path, what, (int)size, found, expected);
}

static ati_status expect_number(const char *path, const char *what, uint64_t found,
                                uint64_t expected, ati_error *error) {
    if (found == expected) {
        return ATI_OK;
    }
    return ati_fail(error, ATI_FORMAT, "'%s' has %s %" PRIu64 ", expected %" PRIu64, path, what,
                    found, expected);
}

/* The first field that differs is what is said. */
static ati_status check_header(const ati_file *file, const fields *found, const fields *expected,
                               ati_error *error) {
    const struct {
        const char *what;
        uint64_t found, expected;
        const char *text, *expected_text; /* in place of numbers */
        size_t size;                      /* of text */
    } rows[] = {
        {"the byte order", found->byte_order, expected->byte_order, NULL, NULL, 0},
        {"the version", found->version, expected->version, NULL, NULL, 0},
        {"precision", 0, 0, found->precision, expected->precision, sizeof found->precision},
        {"kernel", 0, 0, found->kernel, expected->kernel, sizeof found->kernel},
        {"key", 0, 0, found->key, expected->key, sizeof found->key},
        {"weights of the size", found->bytes, expected->bytes, NULL, NULL, 0},
        {"the size", file->size, ATI_PACKED_HEADER + expected->bytes, NULL, NULL, 0},
    };
    ati_status status = ATI_OK;
    if (memcmp(found->magic, expected->magic, sizeof found->magic) != 0) {
        return ati_fail(error, ATI_FORMAT, "'%s' is not a file of packed weights", file->path);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == ATI_OK; i++) {
        status = rows[i].text != NULL ? expect_text(file->path, rows[i].what, rows[i].text,
                                                    rows[i].size, rows[i].expected_text, error)
                                      : expect_number(file->path, rows[i].what, rows[i].found,
                                                      rows[i].expected, error);
    }
    return status;
}

/* ---- Mapping ---- */

static ati_status map(const ati_file *file, const fields *header, ati_poller *poller, void **memory,
                      ati_error *error) {
    uint64_t sum = 0;
    char *whole = ati_map_file(file->fd, file->size);
    if (whole == NULL) {
        return ati_fail_io(error, file->path, "map");
    }
    ati_status status = checksum(header, whole + ATI_PACKED_HEADER, poller, &sum, error);
    if (status == ATI_OK) {
        status = expect_number(file->path, "the checksum", sum, header->checksum, error);
    }
    if (status != ATI_OK) {
        ati_unmap_file(whole, file->size);
        return status;
    }
    *memory = whole + ATI_PACKED_HEADER;
    return ATI_OK;
}

ati_status ati_packed_map(const char *path, ati_packed *packed, ati_poller *poller, void **memory,
                          ati_error *error) {
    fields expected, found;
    ati_file file = {0};
    size_t size = 0;
    *memory = NULL;
    ati_status status = describe(packed, &expected, error);
    if (status == ATI_OK && !ati_add(packed->bytes, ATI_PACKED_HEADER, &size)) {
        status = ati_fail_memory(error, packed->bytes, "packed weights");
    }
    if (status == ATI_OK) {
        status = ati_file_open("", path, &file, error);
    }
    if (status == ATI_OK) {
        status = ati_file_read(&file, 0, sizeof found, &found, error);
    }
    if (status == ATI_OK) {
        status = check_header(&file, &found, &expected, error);
    }
    if (status == ATI_OK) {
        packed->n_parameters = (size_t)found.n_parameters;
        status = map(&file, &found, poller, memory, error);
    }
    ati_file_close(&file);
    return status;
}

void ati_packed_unmap(void *memory, size_t bytes) {
    if (memory != NULL) {
        ati_unmap_file((char *)memory - ATI_PACKED_HEADER, bytes + ATI_PACKED_HEADER);
    }
}
