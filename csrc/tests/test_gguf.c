/* GGUF files as they should be, and each way in which one can be something else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/poll.h"
#include "checkpoint/checkpoint.h"
#include "gguf_files.h"
#include "testing.h"

enum { F32 = 0, Q8_0 = 8, IQ2_XXS = 16 }; /* of tensors */

static const char *folder;

static ati_status open_as(const gguf_file *file, const char *name, ati_gguf *gguf,
                          ati_error *error) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file != NULL) {
        gguf_write(file, folder, name);
    }
    return ati_gguf_open(path, NULL, gguf, error);
}

static void refuse_as(const gguf_file *file, const char *name, ati_status status, const char *why) {
    ati_gguf gguf;
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK_REFUSED(open_as(file, name, &gguf, &error), status, &error, why);
    CHECK(gguf.files == NULL && gguf.tensors == NULL);
    CHECK(ati_allocations_largest() < 1 << 17);
    ati_gguf_close(&gguf);
}

static void refuse(const gguf_file *file, const char *why) {
    refuse_as(file, "t.gguf", ATI_FORMAT, why);
}

/* ---- Values ---- */

/* A file of one key; the value is the caller's to put. */
static void begin_value(gguf_file *file, const char *key, uint32_t type) {
    gguf_begin(file, 3, 0, 1);
    gguf_put_key(file, key, type);
}

static void begin_array(gguf_file *file, uint32_t type, uint64_t count) {
    begin_value(file, "a", ATI_GGUF_ARRAY);
    gguf_put_u32(file, type);
    gguf_put_u64(file, count);
}

/* A number of each type: its bytes as a uint64, and as a double. */
static const struct {
    uint32_t type;
    size_t bytes;
    uint64_t bits;
    double value;
} numbers[] = {
    {ATI_GGUF_UINT8, 1, 255, 255.0},
    {ATI_GGUF_INT8, 1, 0xfe, -2.0},
    {ATI_GGUF_UINT16, 2, 0xfffe, 65534.0},
    {ATI_GGUF_INT16, 2, 0x8000, -32768.0},
    {ATI_GGUF_UINT32, 4, 0xfffffffe, 4294967294.0},
    {ATI_GGUF_INT32, 4, 0xffffffff, -1.0},
    {ATI_GGUF_UINT64, 8, UINT64_MAX, 0x1p64},
    {ATI_GGUF_INT64, 8, (uint64_t)1 << 63, -0x1p63},
    {ATI_GGUF_FLOAT32, 4, 0xbfc00000, -1.5},
    {ATI_GGUF_FLOAT64, 8, 0x3ff8000000000000, 1.5},
};

static void test_numbers(void) {
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        gguf_file file;
        ati_gguf gguf;
        ati_error error;
        size_t size = 0;
        double number = 0.0;
        begin_value(&file, "a", numbers[i].type);
        gguf_put(&file, &numbers[i].bits, numbers[i].bytes);
        CHECK(open_as(&file, "t.gguf", &gguf, &error) == ATI_OK);
        const ati_gguf_value *value = ati_gguf_find(&gguf, "a");
        test_about("%s", ati_gguf_type_name((ati_gguf_type)numbers[i].type));
        CHECK(ati_gguf_number(value, &number, &error) == ATI_OK && number == numbers[i].value);
        bool is_float = numbers[i].type == ATI_GGUF_FLOAT32 || numbers[i].type == ATI_GGUF_FLOAT64;
        ati_status status = ati_gguf_size(value, &size, &error);
        if (is_float || numbers[i].value < 0.0) {
            CHECK_REFUSED(status, ATI_FORMAT, &error,
                          is_float ? "expected a whole number" : "expected 0 or more");
        } else {
            CHECK(status == ATI_OK && size == numbers[i].bits);
        }
        ati_gguf_close(&gguf);
    }
    test_about("%s", "");
}

static void test_values_of_another_type(void) {
    const uint32_t infinite = 0x7f800000;
    gguf_file file;
    ati_gguf gguf;
    ati_error error;
    size_t size;
    double number;
    bool is_true;
    const char *text;
    gguf_begin(&file, 3, 0, 4);
    gguf_put_key(&file, "text", ATI_GGUF_STRING);
    gguf_put_string(&file, "so");
    gguf_put_key(&file, "list", ATI_GGUF_ARRAY);
    gguf_put_u32(&file, ATI_GGUF_UINT32);
    gguf_put_u64(&file, 2);
    gguf_put_u64(&file, (uint64_t)8 << 32 | 7);
    gguf_put_key(&file, "far", ATI_GGUF_FLOAT32);
    gguf_put_u32(&file, infinite);
    gguf_put_key(&file, "yes", ATI_GGUF_BOOL);
    gguf_put(&file, "\1", 1);
    CHECK(open_as(&file, "t.gguf", &gguf, &error) == ATI_OK);
    const ati_gguf_value *value = ati_gguf_find(&gguf, "text");
    CHECK(ati_gguf_string(value, &text, &error) == ATI_OK && strcmp(text, "so") == 0);
    CHECK_REFUSED(ati_gguf_size(value, &size, &error), ATI_FORMAT, &error,
                  "'text' is of type string, expected a whole number");
    CHECK_REFUSED(ati_gguf_number(value, &number, &error), ATI_FORMAT, &error, "a number");
    CHECK_REFUSED(ati_gguf_bool(value, &is_true, &error), ATI_FORMAT, &error, "a boolean");
    value = ati_gguf_find(&gguf, "list");
    CHECK(ati_gguf_size_at(value, 1, &size, &error) == ATI_OK && size == 8);
    CHECK(ati_gguf_number_at(value, 0, &number, &error) == ATI_OK && number == 7.0);
    CHECK_REFUSED(ati_gguf_bool_at(value, 0, &is_true, &error), ATI_FORMAT, &error,
                  "'list' is an array of 2 uint32, expected booleans");
    CHECK_REFUSED(ati_gguf_size(value, &size, &error), ATI_FORMAT, &error, "a whole number");
    CHECK_REFUSED(ati_gguf_number(value, &number, &error), ATI_FORMAT, &error, "a number");
    CHECK_REFUSED(ati_gguf_string(value, &text, &error), ATI_FORMAT, &error, "a string");
    value = ati_gguf_find(&gguf, "far");
    CHECK_REFUSED(ati_gguf_number(value, &number, &error), ATI_FORMAT, &error, "finite");
    value = ati_gguf_find(&gguf, "yes");
    CHECK(ati_gguf_bool(value, &is_true, &error) == ATI_OK && is_true);
    CHECK(ati_gguf_bool_at(value, 0, &is_true, &error) == ATI_OK && is_true);
    CHECK(ati_gguf_find(&gguf, "absent") == NULL && ati_gguf_find(&gguf, "") == NULL);
    ati_gguf_close(&gguf);
}

static void test_strings(void) {
    static const char *const texts[] = {"a", "", "bcd"};
    gguf_file file;
    ati_gguf gguf;
    ati_error error;
    size_t at = 0, length = 0;
    begin_array(&file, ATI_GGUF_STRING, 4);
    for (size_t i = 0; i < 3; i++) {
        gguf_put_string(&file, texts[i]);
    }
    gguf_put_u64(&file, 3);
    gguf_put(&file, "\xff\0z", 3);
    CHECK(open_as(&file, "t.gguf", &gguf, &error) == ATI_OK);
    const ati_gguf_value *value = ati_gguf_find(&gguf, "a");
    CHECK(value->count == 4 && value->item == ATI_GGUF_STRING);
    for (size_t i = 0; i < 3; i++) {
        const char *text = ati_gguf_next_string(value, &at, &length);
        CHECK(length == strlen(texts[i]) && memcmp(text, texts[i], length) == 0);
    }
    CHECK(memcmp(ati_gguf_next_string(value, &at, &length), "\xff\0z", 3) == 0 && length == 3);
    CHECK(ati_gguf_next_string(value, &at, &length) == NULL);
    ati_gguf_close(&gguf);
}

static void test_refused_values(void) {
    gguf_file file;
    begin_value(&file, "a", 13);
    gguf_put_u64(&file, 0);
    refuse(&file, "'a' has values of type 13, expected 0 to 12");
    begin_value(&file, "a", ATI_GGUF_BOOL);
    gguf_put(&file, "\2", 1);
    refuse(&file, "'a' holds a boolean that is neither 0 nor 1");
    begin_array(&file, ATI_GGUF_BOOL, 3);
    gguf_put(&file, "\0\1\2", 3);
    refuse(&file, "neither 0 nor 1");
    begin_array(&file, ATI_GGUF_ARRAY, 0);
    refuse(&file, "'a' is an array of arrays");
    begin_array(&file, ATI_GGUF_UINT64, UINT64_MAX / 8 + 2);
    gguf_put_u64(&file, 0);
    refuse(&file, "expected at most 1 in a file of");
    begin_array(&file, ATI_GGUF_STRING, 3);
    gguf_put_u64(&file, 0);
    refuse(&file, "expected at most 1 in a file of");
    begin_array(&file, ATI_GGUF_STRING, 1);
    gguf_put_u64(&file, UINT64_MAX);
    refuse(&file, "a takes 18446744073709551615 bytes");
    begin_value(&file, "a", ATI_GGUF_STRING);
    gguf_put_u64(&file, 2);
    gguf_put(&file, "x", 1);
    refuse(&file, "a takes 2 bytes from byte 45 on, but 1 are left");
    begin_value(&file, "a", ATI_GGUF_STRING);
    gguf_put_u64(&file, 2);
    gguf_put(&file, "x\0", 2);
    refuse(&file, "a has a NUL inside");
}

static void test_refused_keys(void) {
    static char longest[65537];
    gguf_file file;
    memset(longest, 'k', sizeof longest - 1);
    begin_value(&file, longest, ATI_GGUF_UINT8);
    gguf_put(&file, "\0", 1);
    refuse(&file, "a key has 65536 bytes, expected 1 to 65535");
    begin_value(&file, "", ATI_GGUF_UINT8);
    gguf_put(&file, "\0", 2);
    refuse(&file, "a key has 0 bytes");
    begin_value(&file, "\xc3(", ATI_GGUF_UINT8);
    gguf_put(&file, "\0", 1);
    refuse(&file, "a key is no UTF-8: '\\xc3('");
    gguf_begin(&file, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        gguf_put_key(&file, "same", ATI_GGUF_UINT8);
        gguf_put(&file, "\0", 1);
    }
    refuse(&file, "'same' occurs twice");
    gguf_begin(&file, 3, 0, UINT64_MAX);
    gguf_put_data(&file, 28);
    refuse(&file, "keys: a count of 18446744073709551615, expected at most 2");
    gguf_begin(&file, 3, (uint64_t)1 << 62, 0);
    refuse(&file, "tensors: a count of 4611686018427387904, expected at most 0");
}

/* ---- Files ---- */

static void test_beginnings(void) {
    gguf_file file;
    refuse(&(gguf_file){.size = 0}, "but 0 are left in the file");
    refuse(&(gguf_file){.bytes = "GGUF", .size = 6}, "but 2 are left in the file");
    refuse(&(gguf_file){.bytes = "GGML\3\0\0\0", .size = 24}, "does not begin with 'GGUF'");
    gguf_begin(&file, 1, 0, 0);
    refuse_as(&file, "t.gguf", ATI_UNSUPPORTED, "has version 1 of GGUF, expected 2 or 3: convert");
    gguf_begin(&file, 4, 0, 0);
    refuse_as(&file, "t.gguf", ATI_UNSUPPORTED, "has version 4 of GGUF");
    gguf_begin(&file, 3 << 24, 0, 0);
    refuse_as(&file, "t.gguf", ATI_UNSUPPORTED, "is a big-endian GGUF file");
    for (uint32_t version = 2; version <= 3; version++) {
        ati_gguf gguf;
        ati_error error;
        gguf_begin(&file, version, 0, 0);
        CHECK(open_as(&file, "t.gguf", &gguf, &error) == ATI_OK && gguf.n_tensors == 0);
        ati_gguf_close(&gguf);
    }
    refuse_as(NULL, "absent.gguf", ATI_IO, "cannot open");
}

/* A file of one tensor of the given description, and `size` bytes of data. */
static void make_tensor(gguf_file *file, uint32_t rank, const uint64_t *dims, uint32_t type,
                        uint64_t offset, size_t size) {
    gguf_begin(file, 3, 1, 0);
    gguf_put_tensor(file, "t", rank, dims, type, offset);
    gguf_put_data(file, size);
}

#define DIMS(...)        \
    (const uint64_t[]) { \
        __VA_ARGS__      \
    }

static void test_refused_tensors(void) {
    gguf_file file;
    make_tensor(&file, 0, DIMS(1), F32, 0, 4);
    refuse(&file, "tensor 't' has 0 dimensions, expected 1 to 4");
    make_tensor(&file, 5, DIMS(1, 1, 1, 1, 1), F32, 0, 4);
    refuse(&file, "tensor 't' has 5 dimensions");
    make_tensor(&file, 2, DIMS(0, 1), F32, 0, 4);
    refuse(&file, "has a dimension of 0");
    make_tensor(&file, 2, DIMS(33, 1), Q8_0, 0, 34);
    refuse(&file, "rows of 33 values, expected a multiple of 32, a block of Q8_0");
    make_tensor(&file, 1, DIMS(2), F32, 0, 7);
    refuse(&file, "expected inside the file's");
    make_tensor(&file, 1, DIMS(1), F32, 16, 32);
    refuse(&file, "has the offset 16, expected a multiple of 32");
    make_tensor(&file, 1, DIMS(1), F32, UINT64_MAX - 31, 4);
    refuse(&file, "whose place in the file is no number");
    make_tensor(&file, 2, DIMS((uint64_t)1 << 32, (uint64_t)1 << 32), F32, 0, 4);
    refuse(&file, "a shape whose size in bytes is no number");
    make_tensor(&file, 1, DIMS((uint64_t)1 << 62), F32, 0, 4);
    refuse(&file, "a shape whose size in bytes is no number");
    make_tensor(&file, 1, DIMS(1), 42, 0, 4);
    refuse_as(&file, "t.gguf", ATI_UNSUPPORTED, "tensor 't' has the type 42, which is not known");
    make_tensor(&file, 1, DIMS(1), 4, 0, 4);
    refuse_as(&file, "t.gguf", ATI_UNSUPPORTED, "tensor 't' has the type Q4_2, which ggml has");
}

static void test_two_tensors(void) {
    gguf_file file;
    gguf_begin(&file, 3, 2, 0);
    gguf_put_tensor(&file, "b", 1, DIMS(8), F32, 0);
    gguf_put_tensor(&file, "b", 1, DIMS(8), F32, 32);
    gguf_put_data(&file, 64);
    refuse(&file, "tensor 'b' occurs twice");
    gguf_begin(&file, 3, 2, 0);
    gguf_put_tensor(&file, "b", 1, DIMS(9), F32, 0);
    gguf_put_tensor(&file, "a", 1, DIMS(8), F32, 32);
    gguf_put_data(&file, 64);
    refuse(&file, "tensor 'a' overlaps 'b'");
    gguf_begin(&file, 3, 2, 0);
    gguf_put_tensor(&file, "b", 1, DIMS(1), F32, 0);
    gguf_put_tensor(&file, "a", 1, DIMS(1), F32, 0);
    gguf_put_data(&file, 64);
    refuse(&file, "overlaps");
}

static void test_alignment(void) {
    static const uint32_t refused[] = {0, 3, 48, 1U << 21, 0xffffffff};
    gguf_file file;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        begin_value(&file, "general.alignment", ATI_GGUF_UINT32);
        gguf_put_u32(&file, refused[i]);
        refuse(&file, "expected a power of two");
    }
    begin_value(&file, "general.alignment", ATI_GGUF_FLOAT32);
    gguf_put_u32(&file, 0);
    refuse(&file, "'general.alignment' is of type float32");
    ati_gguf gguf;
    ati_error error;
    gguf_begin(&file, 3, 2, 1);
    gguf_put_key(&file, "general.alignment", ATI_GGUF_UINT32);
    gguf_put_u32(&file, 256);
    gguf_put_tensor(&file, "b", 3, DIMS(4, 3, 2), F32, 256);
    gguf_put_tensor(&file, "a", 1, DIMS(64), F32, 0);
    gguf_put(&file, (const char[512]){0}, 256 - file.size % 256);
    gguf_put(&file, (const char[512]){0}, 256 + 96);
    CHECK(open_as(&file, "t.gguf", &gguf, &error) == ATI_OK && gguf.n_tensors == 2);
    const ati_gguf_tensor *b = ati_gguf_find_tensor(&gguf, "b");
    CHECK(b == &gguf.tensors[1] && b->offset == 512 && b->bytes == 96 && b->rank == 3);
    CHECK(b->shape[0] == 2 && b->shape[1] == 3 && b->shape[2] == 4);
    CHECK(strcmp(b->type->name, "F32") == 0 && ati_gguf_find_tensor(&gguf, "c") == NULL);
    ati_gguf_close(&gguf);
}

/* Two arrays of empty strings, which are as many as may be together, and one more. */
static void test_most_strings(void) {
    const uint64_t half = (uint64_t)1 << 21;
    gguf_file file;
    ati_gguf gguf;
    ati_error error;
    for (uint64_t more = 0; more < 2; more++) {
        begin_array(&file, ATI_GGUF_STRING, half);
        file.bytes[16] = 2; /* keys */
        size_t first = file.size, size = first + half * 8;
        gguf_put_key(&file, "b", ATI_GGUF_ARRAY);
        gguf_put_u32(&file, ATI_GGUF_STRING);
        gguf_put_u64(&file, half + more);
        unsigned char *bytes = calloc(2 * size, 1);
        memcpy(bytes, file.bytes, first);
        memcpy(bytes + size, file.bytes + first, file.size - first);
        test_write(folder, "strings.gguf", bytes, 2 * size);
        free(bytes);
        ati_status status = open_as(NULL, "strings.gguf", &gguf, &error);
        if (more == 0) {
            CHECK(status == ATI_OK && ati_gguf_find(&gguf, "b")->count == half);
        } else {
            CHECK_REFUSED(status, ATI_FORMAT, &error,
                          "b: a count of 2097153, expected at most 2097152");
        }
        ati_gguf_close(&gguf);
    }
}

/* A header of many times the bytes that are read first, and one of more than can be. */
static void test_long_headers(void) {
    enum { LONG = 9 << 20 };
    char path[512];
    unsigned char *bytes = calloc(LONG, 1);
    gguf_file file;
    ati_gguf gguf;
    ati_error error;
    begin_array(&file, ATI_GGUF_UINT8, 0);
    begin_array(&file, ATI_GGUF_UINT8, LONG - file.size);
    memcpy(bytes, file.bytes, file.size);
    test_write(folder, "long.gguf", bytes, LONG);
    CHECK(open_as(NULL, "long.gguf", &gguf, &error) == ATI_OK);
    CHECK(ati_gguf_find(&gguf, "a")->bytes == LONG - file.size);
    ati_gguf_close(&gguf);
    begin_array(&file, ATI_GGUF_UINT8, (uint64_t)300 << 20);
    snprintf(path, sizeof path, "%s/most.gguf", folder);
    FILE *most = fopen(path, "wb");
    CHECK(most != NULL && fwrite(file.bytes, 1, file.size, most) == file.size);
    CHECK(fseek(most, 301 << 20, SEEK_SET) == 0 && fputc(0, most) == 0); /* a hole before it */
    fclose(most);
    CHECK_REFUSED(ati_gguf_open(path, NULL, &gguf, &error), ATI_FORMAT, &error,
                  "has a header of more than 268435456 bytes");
    free(bytes);
}

/* ---- Files of a split model ---- */

static void write_part(uint16_t number, uint16_t count, int32_t n_tensors, const char *tensor,
                       const char *name) {
    gguf_file file;
    gguf_begin_part(&file, number, count, n_tensors);
    gguf_put_tensor(&file, tensor, 1, DIMS(8), F32, 0);
    gguf_put_data(&file, 32);
    gguf_write(&file, folder, name);
}

static void test_split(void) {
    ati_gguf gguf;
    ati_error error;
    write_part(0, 3, 3, "c", "m-00001-of-00003.gguf");
    write_part(1, 3, 3, "a", "m-00002-of-00003.gguf");
    refuse_as(NULL, "m-00001-of-00003.gguf", ATI_IO, "m-00003-of-00003.gguf");
    write_part(2, 3, 3, "b", "m-00003-of-00003.gguf");
    CHECK(open_as(NULL, "m-00001-of-00003.gguf", &gguf, &error) == ATI_OK);
    CHECK(gguf.n_files == 3 && gguf.n_tensors == 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK(gguf.tensors[i].name[0] == "abc"[i] && gguf.tensors[i].file == (i + 1) % 3);
    }
    CHECK(ati_gguf_find(&gguf, "split.count") != NULL);
    ati_gguf_close(&gguf);
    refuse_as(NULL, "m-00002-of-00003.gguf", ATI_FORMAT,
              "is file 2 of 3 of a model: open the first, '");
    refuse_as(NULL, "m-00002-of-00003.gguf", ATI_FORMAT, "m-00001-of-00003.gguf'");
    write_part(1, 3, 3, "a", "other.gguf");
    refuse_as(NULL, "other.gguf", ATI_FORMAT, "is file 2 of 3 of a model: open the first");
    write_part(0, 3, 3, "a", "other.gguf");
    refuse_as(NULL, "other.gguf", ATI_FORMAT, "a name that ends in '-00001-of-00003.gguf'");
    write_part(2, 1, 1, "a", "other.gguf");
    refuse_as(NULL, "other.gguf", ATI_FORMAT, "is file 3 of 1 of a model: open the first");
    write_part(0, 1, 1, "a", "other.gguf");
    CHECK(open_as(NULL, "other.gguf", &gguf, &error) == ATI_OK && gguf.n_files == 1);
    ati_gguf_close(&gguf);
    write_part(0, 3, 3, "a", "m-00001-of-00004.gguf");
    refuse_as(NULL, "m-00001-of-00004.gguf", ATI_FORMAT, "m-00001-of-00003.gguf'");
}

static void test_parts_that_do_not_belong(void) {
    const char *first = "m-00001-of-00003.gguf", *second = "m-00002-of-00003.gguf";
    write_part(0, 3, 3, "c", first);
    write_part(2, 3, 3, "b", "m-00003-of-00003.gguf");
    write_part(2, 3, 3, "a", second);
    refuse_as(NULL, first, ATI_FORMAT, "says it is file 3 of 3, expected 2 of 3");
    write_part(1, 4, 3, "a", second);
    refuse_as(NULL, first, ATI_FORMAT, "says it is file 2 of 4, expected 2 of 3");
    write_part(1, 3, 3, "c", second);
    refuse_as(NULL, first, ATI_FORMAT, "tensor 'c' occurs twice, also in '");
    write_part(1, 3, 3, "a", second);
    write_part(0, 3, 4, "c", first);
    refuse_as(NULL, first, ATI_FORMAT, "'split.tensors.count' is 4, but the model's files hold 3");
    write_part(0, 1025, 4, "c", first);
    refuse_as(NULL, first, ATI_FORMAT, "'split.count' is 1025, expected at most 1024");
    write_part(0, 3, -1, "c", first);
    refuse_as(NULL, first, ATI_FORMAT, "'split.tensors.count' is -1, expected 0 or more");
}

/* ---- As a checkpoint ---- */

/* Blocks of Q8_0, [2, 96], with the scale 1: value i is i - 96. */
static void write_q8(const char *name) {
    gguf_file file;
    gguf_begin(&file, 3, 2, 0);
    gguf_put_tensor(&file, "w", 2, DIMS(96, 2), Q8_0, 0);
    gguf_put_tensor(&file, "z", 1, DIMS(256), IQ2_XXS, 224);
    gguf_put_data(&file, 0);
    for (int block = 0; block < 6; block++) {
        gguf_put(&file, "\0\x3c", 2);
        for (int i = 0; i < 32; i++) {
            int8_t value = (int8_t)(block * 32 + i - 96);
            gguf_put(&file, &value, 1);
        }
    }
    gguf_put_data(&file, 66);
    gguf_write(&file, folder, name);
}

static void test_checkpoint_of_a_file(void) {
    enum { N = 192 };
    const size_t dims[] = {2, 96}, one = 256;
    char path[512];
    ati_gguf gguf;
    ati_checkpoint checkpoint;
    ati_error error;
    float values[N];
    write_q8("q.gguf");
    snprintf(path, sizeof path, "%s/q.gguf", folder);
    CHECK(ati_gguf_open(path, NULL, &gguf, &error) == ATI_OK);
    CHECK(ati_checkpoint_open_gguf(&gguf, NULL, &checkpoint, &error) == ATI_OK);
    CHECK(ati_checkpoint_expect(&checkpoint, "w", 2, dims, &error) == ATI_OK);
    CHECK_REFUSED(ati_checkpoint_expect(&checkpoint, "w", 1, dims, &error), ATI_FORMAT, &error,
                  "expected shape [2], found [2, 96]");
    CHECK_REFUSED(ati_checkpoint_expect(&checkpoint, "x", 2, dims, &error), ATI_FORMAT, &error,
                  "tensor 'x' is missing from '");
    CHECK_REFUSED(ati_checkpoint_expect(&checkpoint, "z", 1, &one, &error), ATI_UNSUPPORTED, &error,
                  "IQ4_NL, IQ4_XS or MXFP4, found IQ2_XXS");
    CHECK_REFUSED(ati_checkpoint_expect_bytes(&checkpoint, "w", 2, dims, &error), ATI_UNSUPPORTED,
                  &error, "expected dtype U8, found Q8_0");
    /* Every range: within a block, over its ends, of whole blocks. */
    for (size_t first = 0; first < N; first++) {
        for (size_t n = 0; n <= N - first; n++) {
            bool right = true;
            values[n < N ? n : 0] = 1000.0F;
            CHECK(ati_checkpoint_read_f32(&checkpoint, "w", first, n, values, &error) == ATI_OK);
            for (size_t i = 0; i < n; i++) {
                right = right && values[i] == (float)(first + i) - 96.0F;
            }
            CHECK(right && (n == N || values[n] == 1000.0F));
        }
    }
    ati_checkpoint_close(&checkpoint);
    ati_gguf_close(&gguf);
}

/* Opens a split model and reads a tensor. */
static ati_status open_and_read(const char *path, ati_poll poll, void *context, ati_error *error) {
    ati_gguf_contents *contents = NULL;
    float values[8];
    ati_status status = ati_gguf_contents_open(path, poll, context, &contents, error);
    CHECK((contents != NULL) == (status == ATI_OK));
    if (status == ATI_OK) {
        status = ati_gguf_contents_read(contents, 0, values, poll, context, error);
    }
    ati_gguf_contents_close(contents);
    CHECK(ati_allocations_live() == 0);
    return status;
}

/* Every allocation made to fail, once and from then on. */
static void test_without_memory(const char *path) {
    ati_error error;
    ati_fail_allocation(0, false);
    CHECK(open_and_read(path, NULL, NULL, &error) == ATI_OK);
    long sites = ati_allocations_seen();
    CHECK(sites > 20);
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        for (long n = 1; n <= sites; n++) {
            ati_fail_allocation(n, from_then_on != 0);
            CHECK_REFUSED(open_and_read(path, NULL, NULL, &error), ATI_NOMEM, &error,
                          "no memory for");
        }
    }
    ati_fail_allocation(0, false);
}

/* Every question answered with a stop. */
static void test_polls(const char *path) {
    test_caller never = {0};
    ati_error error;
    ati_poll_always(true);
    CHECK(open_and_read(path, test_answer, &never, &error) == ATI_OK && never.asked > 10);
    for (long last = 1; last <= never.asked; last++) {
        test_caller self = {.last = last};
        CHECK_REFUSED(open_and_read(path, test_answer, &self, &error), ATI_CANCELLED, &error,
                      "cancelled");
        CHECK(self.asked == last);
    }
    ati_poll_always(false);
}

static void test_failures_of_the_machine(void) {
    char path[512];
    snprintf(path, sizeof path, "%s/m-00001-of-00003.gguf", folder);
    write_part(0, 3, 3, "c", "m-00001-of-00003.gguf");
    test_without_memory(path);
    test_polls(path);
}

void test_gguf(void) {
    folder = test_folder();
    test_numbers();
    test_values_of_another_type();
    test_strings();
    test_refused_values();
    test_refused_keys();
    test_beginnings();
    test_refused_tensors();
    test_two_tensors();
    test_alignment();
    test_long_headers();
    test_most_strings();
    test_split();
    test_parts_that_do_not_belong();
    test_checkpoint_of_a_file();
    test_failures_of_the_machine();
}
