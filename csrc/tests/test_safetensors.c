#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/safetensors.h"
#include "testing.h"

/* Parses a header that n bytes of tensors follow. */
static ati_status parse(const char *header, size_t n, ati_safetensors *st, ati_error *error) {
    return ati_safetensors_parse(header, strlen(header), n, "t.safetensors", NULL, st, error);
}

static void refuse(const char *header, size_t n, const char *why) {
    ati_safetensors st;
    ati_error error;
    CHECK_REFUSED(parse(header, n, &st, &error), ATI_FORMAT, &error, why);
    CHECK(st.tensors == NULL && st.names == NULL);
    ati_safetensors_close(&st);
}

#define TENSOR(name, dtype, shape, begin, end)                                                   \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end \
    "]}"

static void test_good_header(void) {
    ati_safetensors st;
    ati_error error;
    const char *header =
        "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("b", "F32", "[2,1]", "4", "12") "," TENSOR(
            "a", "BF16", "[2]", "0", "4") "," TENSOR("empty", "F64", "[0,3]", "4",
                                                     "4") "," TENSOR("scalar", "U8", "[]", "12",
                                                                     "13") "}   ";
    CHECK(parse(header, 13, &st, &error) == ATI_OK);
    CHECK(st.n_tensors == 4);
    for (size_t i = 1; i < st.n_tensors; i++) {
        CHECK(strcmp(st.tensors[i - 1].name, st.tensors[i].name) < 0);
    }
    const ati_tensor *b = &st.tensors[1], *scalar = &st.tensors[3];
    CHECK(strcmp(b->name, "b") == 0 && b->blocks == ati_ggml_type_of(ATI_GGML_F32));
    CHECK(b->offset == 4 && b->bytes == 8 && b->rank == 2 && b->shape[1] == 1);
    CHECK(strcmp(scalar->name, "scalar") == 0 && scalar->is_bytes && scalar->blocks == NULL);
    ati_safetensors_close(&st);
    CHECK(parse("{}", 0, &st, &error) == ATI_OK);
    ati_safetensors_close(&st);
}

static void test_places(void) {
    refuse("{" TENSOR("a", "F32", "[2]", "0", "8") "}", 7, "'a' lies at bytes 0 to 8");
    refuse("{" TENSOR("a", "F32", "[2]", "0", "8") "}", 9, "9 bytes follow the header");
    refuse("{}", 1, "1 bytes follow the header");
    refuse("{" TENSOR("a", "F32", "[2]", "8", "0") "}", 8, "'a' lies at bytes 8 to 0");
    refuse("{" TENSOR("a", "F32", "[1]", "0", "4") "," TENSOR("b", "F32", "[1]", "0", "4") "}", 4,
           "overlaps");
    refuse("{" TENSOR("a", "F32", "[2]", "0", "8") "," TENSOR("b", "F32", "[1]", "4", "8") "}", 8,
           "'b' overlaps");
    refuse("{" TENSOR("a", "F32", "[1]", "0", "4") "," TENSOR("b", "F32", "[1]", "8", "12") "}", 12,
           "'b' leaves a hole");
    refuse("{" TENSOR("a", "F32", "[1]", "4", "8") "}", 8, "leaves a hole");
    refuse("{" TENSOR("a", "F32", "[1]", "0", "18446744073709551615") "}", 8, "lies at bytes");
    refuse("{" TENSOR("a", "F32", "[1]", "0", "18446744073709551616") "}", 8, "no sizes");
    refuse("{" TENSOR("a", "F32", "[1]", "-4", "0") "}", 8, "no sizes");
    refuse("{" TENSOR("a", "F32", "[1]", "0", "4.0") "}", 4, "no sizes");
}

static void test_shapes(void) {
    refuse("{" TENSOR("a", "F32", "[3]", "0", "8") "}", 8, "takes 12 bytes");
    refuse("{" TENSOR("a", "F32", "[2,1,2]", "0", "8") "}", 8, "takes 16 bytes");
    refuse("{" TENSOR("a", "F32", "[]", "0", "8") "}", 8, "takes 4 bytes");
    /* Products that wrap around to what is there. */
    refuse("{" TENSOR("a", "F32", "[4611686018427387905]", "0", "4") "}", 4, "no number");
    refuse("{" TENSOR("a", "U8", "[4294967296,4294967296]", "0", "0") "}", 0, "no number");
    refuse("{" TENSOR("a", "F32", "[-1]", "0", "4") "}", 4, "not made of sizes");
    refuse("{" TENSOR("a", "F32", "[1.5]", "0", "4") "}", 4, "not made of sizes");
    refuse("{" TENSOR("a", "F32", "[\"1\"]", "0", "4") "}", 4, "not made of sizes");
    refuse("{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "8 dimensions");
    refuse("{" TENSOR("a", "F32", "{}", "0", "4") "}", 4, "no array 'shape'");
    refuse("{" TENSOR("a", "F4", "[3]", "0", "1") "}", 1, "no number");
}

static void test_entries(void) {
    refuse("{" TENSOR("a", "F33", "[1]", "0", "4") "}", 4, "'F33'");
    refuse("{" TENSOR("a", "f32", "[1]", "0", "4") "}", 4, "'f32'");
    refuse("{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a number");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "alone");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two numbers");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4, "alone");
    refuse("{\"a\":[]}", 0, "alone");
    refuse("{" TENSOR("a", "F32", "[1]", "0", "4") "," TENSOR("a", "F32", "[1]", "4", "8") "}", 8,
           "'a' occurs twice");
    refuse("{" TENSOR("a\\u0000b", "F32", "[1]", "0", "4") "}", 4, "NUL");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, "no string");
    refuse("{\"__metadata__\":[]}", 0, "an array");
    refuse(" {}", 0, "begin with '{'");
    refuse("[]", 0, "begin with '{'");
    refuse("", 0, "begin with '{'");
    refuse("{}x", 0, "after the value");
}

static void open_refused(const char *folder, const char *why) {
    ati_safetensors st;
    ati_error error;
    CHECK_REFUSED(ati_safetensors_open(folder, "t", NULL, &st, &error), ATI_FORMAT, &error, why);
    CHECK(st.file.path == NULL);
}

static void test_files(void) {
    char *folder = test_folder();
    ati_safetensors st;
    ati_error error;
    CHECK_REFUSED(ati_safetensors_open(folder, "t", NULL, &st, &error), ATI_IO, &error,
                  "cannot open");
    CHECK(error.system_error != 0 && strstr(error.path, "/t") != NULL);
    CHECK_REFUSED(ati_safetensors_open("/", "tmp", NULL, &st, &error), ATI_IO, &error, "directory");
    CHECK_REFUSED(ati_safetensors_open("/dev", "null", NULL, &st, &error), ATI_FORMAT, &error,
                  "not a regular file");
    test_write_text(folder, "t", "");
    open_refused(folder, "has 0 bytes");
    test_write(folder, "t", "\2\0\0\0\0\0\0", 7);
    open_refused(folder, "has 7 bytes");
    test_write(folder, "t", "\2\0\0\0\0\0\0\0{", 9);
    open_refused(folder, "announces a header of 2 bytes");
    test_write(folder, "t", "\377\377\377\377\377\377\377\377{}", 10);
    open_refused(folder, "announces a header of 18446744073709551615 bytes");
    test_write(folder, "t", "\0\0\0\0\0\0\0\0", 8);
    open_refused(folder, "begin with '{'");
    test_write_safetensors(folder, "t", "{" TENSOR("a", "F32", "[3]", "0", "12") "}", 11);
    open_refused(folder, "'a' lies at bytes 0 to 12");
}

static void test_conversion(void) {
    /* 1, -2, the largest, the smallest subnormal, the largest one, -0 */
    const uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x8000};
    const float wide[] = {1.0f, -2.0f, 65504.0f, 0x1p-24f, 1023.0f * 0x1p-24f, -0.0f};
    const uint16_t brain[] = {0x3f80, 0xc000, 0x7f7f, 0x0001, 0x007f, 0x8000};
    const float wide_brain[] = {1.0f, -2.0f, 0x1.fep127f, 0x1p-133f, 127.0f * 0x1p-133f, -0.0f};
    const char *kinds[] = {"F16", "BF16"};
    const void *from[] = {half, brain};
    const void *expected[] = {wide, wide_brain};
    char *folder = test_folder();
    for (int i = 0; i < 2; i++) {
        char bytes[200];
        float out[6];
        ati_safetensors st;
        ati_error error;
        int n =
            snprintf(bytes, sizeof bytes,
                     "{\"a\":{\"dtype\":\"%s\",\"shape\":[6],\"data_offsets\":[0,12]}}", kinds[i]);
        memmove(bytes + 8, bytes, (size_t)n);
        memset(bytes, 0, 8);
        bytes[0] = (char)n;
        memcpy(bytes + 8 + n, from[i], 12);
        test_write(folder, "t", bytes, (size_t)n + 20);
        CHECK(ati_safetensors_open(folder, "t", NULL, &st, &error) == ATI_OK);
        CHECK(ati_tensor_read_f32(&st.file, st.tensors, 0, 6, out, &error) == ATI_OK);
        CHECK(memcmp(out, expected[i], sizeof out) == 0);
        CHECK(ati_tensor_read_f32(&st.file, st.tensors, 2, 3, out, &error) == ATI_OK);
        CHECK(memcmp(out, (const float *)expected[i] + 2, 3 * sizeof *out) == 0);
        ati_safetensors_close(&st);
    }
}

/* Every half-precision number against its definition. */
static void test_all_halves(void) {
    char *folder = test_folder(), header[] = "{" TENSOR("a", "F16", "[2]", "0", "4") "}";
    unsigned char bytes[8 + sizeof header + 3] = {sizeof header - 1};
    memcpy(bytes + 8, header, sizeof header - 1);
    for (uint32_t h = 0; h < 0x10000; h += 97) {
        float out[2];
        ati_safetensors st;
        ati_error error;
        unsigned char *data = bytes + 8 + sizeof header - 1;
        data[2] = (unsigned char)h;
        data[3] = (unsigned char)(h >> 8);
        test_write(folder, "t", bytes, sizeof bytes);
        CHECK(ati_safetensors_open(folder, "t", NULL, &st, &error) == ATI_OK);
        ati_status status = ati_tensor_read_f32(&st.file, st.tensors, 0, 2, out, &error);
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        if (exponent == 31) {
            CHECK_REFUSED(status, ATI_FORMAT, &error, "at [1]");
            status = ati_tensor_read_f32(&st.file, st.tensors, 1, 1, out, &error);
            CHECK_REFUSED(status, ATI_FORMAT, &error, "at [1]");
        } else {
            double value =
                exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
            CHECK(status == ATI_OK && (double)fabsf(out[1]) - value == 0.0);
            CHECK(!signbit(out[1]) == !(h & 0x8000));
        }
        ati_safetensors_close(&st);
    }
}

void test_safetensors(void) {
    test_good_header();
    test_places();
    test_shapes();
    test_entries();
    test_files();
    test_conversion();
    test_all_halves();
}
