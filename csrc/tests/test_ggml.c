/* Blocks of every type that is read: the same values as by their definition, written here value by
 * value and in double precision, and in any number of blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/ggml_plain.h"
#include "gguf/ggml_type.h"
#include "testing.h"

enum { BLOCKS = 5, MOST_BYTES = 256 };

static double half(const uint8_t *bytes) {
    int bits = bytes[0] | bytes[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static int nibble(const uint8_t *bytes, int i, int distance) {
    return i < distance ? bytes[i] & 15 : bytes[i - distance] >> 4;
}

static int bit(const uint8_t *bytes, int i) {
    return bytes[i / 8] >> (i % 8) & 1;
}

/* Value i of a block. */
typedef double value_of(const uint8_t *block, int i);

static double q4_0(const uint8_t *b, int i) {
    return half(b) * (nibble(b + 2, i, 16) - 8);
}

static double q4_1(const uint8_t *b, int i) {
    return half(b) * nibble(b + 4, i, 16) + half(b + 2);
}

static double q5_0(const uint8_t *b, int i) {
    return half(b) * (nibble(b + 6, i, 16) + 16 * bit(b + 2, i) - 16);
}

static double q5_1(const uint8_t *b, int i) {
    return half(b) * (nibble(b + 8, i, 16) + 16 * bit(b + 4, i)) + half(b + 2);
}

static double q8_0(const uint8_t *b, int i) {
    return half(b) * (int8_t)b[2 + i];
}

static const int table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};

static double iq4_nl(const uint8_t *b, int i) {
    return half(b) * table[nibble(b + 2, i, 16)];
}

static double mxfp4(const uint8_t *b, int i) {
    static const double numbers[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
    int q = nibble(b + 1, i, 16);
    return ldexp(q < 8 ? numbers[q] : -numbers[q - 8], b[0] - 127);
}

static int two_bits(const uint8_t *q, int i) {
    return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

static double q2_k(const uint8_t *b, int i) {
    int scales = b[i / 16];
    return half(b + 80) * (scales & 15) * two_bits(b + 16, i) - half(b + 82) * (scales >> 4);
}

static double q3_k(const uint8_t *b, int i) {
    const uint8_t *scales = b + 96;
    int g = i / 16, scale = nibble(scales, g, 8) + 16 * (scales[8 + g % 4] >> (g / 4 * 2) & 3);
    int third = b[i % 32] >> (i / 32) & 1;
    return half(b + 108) * (scale - 32) * (two_bits(b + 32, i) + 4 * third - 4);
}

/* Six bits of number g of 8, the scale or the least value. */
static int six_bits(const uint8_t *scales, int g, bool is_least) {
    const uint8_t *own = scales + 4 * is_least;
    return g < 4 ? own[g] & 63 : (scales[4 + g] >> 4 * is_least & 15) + 16 * (own[g - 4] >> 6);
}

static double q4_k(const uint8_t *b, int i) {
    int g = i / 32, q = nibble(b + 16 + g / 2 * 32, i % 64, 32);
    return half(b) * six_bits(b + 4, g, false) * q - half(b + 2) * six_bits(b + 4, g, true);
}

static double q5_k(const uint8_t *b, int i) {
    int g = i / 32, q = nibble(b + 48 + g / 2 * 32, i % 64, 32) + 16 * (b[16 + i % 32] >> g & 1);
    return half(b) * six_bits(b + 4, g, false) * q - half(b + 2) * six_bits(b + 4, g, true);
}

static double q6_k(const uint8_t *b, int i) {
    int low = nibble(b + i / 128 * 64, i % 128, 64), high = two_bits(b + 128, i);
    return half(b + 208) * (int8_t)b[192 + i / 16] * (low + 16 * high - 32);
}

static double iq4_xs(const uint8_t *b, int i) {
    int g = i / 32, high = (b[2] | b[3] << 8) >> (2 * g) & 3;
    int scale = (b[4 + g / 2] >> (g % 2 * 4) & 15) + 16 * high - 32;
    return half(b) * scale * table[nibble(b + 8 + g * 16, i % 32, 16)];
}

static const struct {
    uint32_t number;
    const char *name;
    value_of *value;
    int halves[2]; /* bytes at which float16 numbers stand; -1: none */
} types[] = {
    {1, "F16", (value_of *)0, {0, -1}}, {2, "Q4_0", q4_0, {0, -1}},
    {3, "Q4_1", q4_1, {0, 2}},          {6, "Q5_0", q5_0, {0, -1}},
    {7, "Q5_1", q5_1, {0, 2}},          {8, "Q8_0", q8_0, {0, -1}},
    {10, "Q2_K", q2_k, {80, 82}},       {11, "Q3_K", q3_k, {108, -1}},
    {12, "Q4_K", q4_k, {0, 2}},         {13, "Q5_K", q5_k, {0, 2}},
    {14, "Q6_K", q6_k, {208, -1}},      {20, "IQ4_NL", iq4_nl, {0, -1}},
    {23, "IQ4_XS", iq4_xs, {0, -1}},    {39, "MXFP4", mxfp4, {-1, -1}},
};

/* Bytes of BLOCKS blocks with no pattern; their values are finite. */
static void fill_blocks(uint8_t *bytes, size_t size, const int halves[2], unsigned seed) {
    const uint8_t exponent = (uint8_t)seed;
    for (size_t i = 0; i < BLOCKS * size; i++) {
        seed = seed * 1664525U + 1013904223U;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    for (size_t b = 0; b < BLOCKS; b++) {
        if (halves[0] < 0) { /* the least exponents, and none whose values are not finite */
            bytes[b * size] = b == 0 ? exponent : bytes[b * size] % 253;
        }
        for (int h = 0; h < 2 && halves[h] >= 0; h++) {
            bytes[b * size + (size_t)halves[h] + 1] &= 0xbf;
        }
    }
}

/* One rounding of the product and one of the sum: as near as float32 can be. */
static bool is_near(float found, double expected, double least) {
    return fabs((double)found - expected) <= 0x1p-22 * (fabs(expected) + least) + 0x1p-149;
}

static void test_type(size_t t) {
    const ati_ggml_type *type = ati_ggml_type_of(types[t].number);
    uint8_t bytes[BLOCKS * MOST_BYTES];
    float values[BLOCKS * ATI_GGML_MOST_VALUES], one[ATI_GGML_MOST_VALUES];
    test_about("%s", types[t].name);
    CHECK(strcmp(type->name, types[t].name) == 0 && type->bytes <= MOST_BYTES);
    for (unsigned seed = 0; seed < 40; seed++) {
        fill_blocks(bytes, type->bytes, types[t].halves, seed);
        type->unpack(bytes, BLOCKS, values);
        for (size_t b = 0; b < BLOCKS; b++) {
            const uint8_t *block = bytes + b * type->bytes;
            bool right = true;
            type->unpack(block, 1, one);
            CHECK(memcmp(one, values + b * type->values, type->values * sizeof *one) == 0);
            /* What is subtracted, or added, has an error of its own. */
            double least =
                types[t].halves[1] > 0 ? 63.0 * fabs(half(block + types[t].halves[1])) : 0.0;
            for (int i = 0; i < (int)type->values; i++) {
                double value = types[t].value != NULL ? types[t].value(block, i) : half(block);
                right = right && is_near(one[i], value, least);
            }
            CHECK(right);
        }
    }
    test_about("%s", "");
}

static void test_names(void) {
    static const char *const names[] = {"F32", "IQ1_M", "TQ2_0", "NVFP4", "Q1_0"};
    static const uint32_t numbers[] = {0, 29, 35, 40, 41};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(strcmp(ati_ggml_type_of(numbers[i])->name, names[i]) == 0);
    }
    CHECK(ati_ggml_type_of(42) == NULL && ati_ggml_type_of(UINT32_MAX) == NULL);
    /* The sentence that lists what is read names each of it, and nothing else. */
    for (uint32_t number = 0; number < 42; number++) {
        const ati_ggml_type *type = ati_ggml_type_of(number);
        const char *at = type->name != NULL ? strstr(ati_ggml_read_types, type->name) : NULL;
        const char *end = at != NULL ? at + strlen(type->name) : NULL;
        bool is_named = at != NULL && (*end == ',' || *end == ' ' || *end == '\0') &&
                        (at == ati_ggml_read_types || at[-1] == ' ');
        CHECK(is_named == (type->unpack != NULL));
        CHECK(type->values <= ATI_GGML_MOST_VALUES);
    }
}

void test_ggml(void) {
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        test_type(t);
    }
    test_names();
}
