#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "testing.h"

static ati_json *parse(const char *text) {
    ati_json *json;
    ati_error error;
    ati_status status = ati_json_parse(text, strlen(text), "t.json", NULL, &json, &error);
    if (status != ATI_OK) {
        printf("%s: %s\n", text, error.message);
    }
    CHECK(status == ATI_OK);
    return json;
}

static void refuse_bytes(const char *text, size_t length, const char *why) {
    ati_json *json;
    ati_error error;
    CHECK_REFUSED(ati_json_parse(text, length, "t.json", NULL, &json, &error), ATI_FORMAT, &error,
                  why);
    CHECK(json == NULL);
    ati_json_free(json);
}

static void refuse(const char *text, const char *why) {
    refuse_bytes(text, strlen(text), why);
}

static void test_values(void) {
    ati_json *json = parse(" {\"a\": [1, 2.5e1, true, null], \"b\": {\"c\": \"x\"}, \"d\": {}} ");
    ati_json_value a = ati_json_get(json, ATI_JSON_ROOT, "a"), at = ati_json_first(json, a);
    uint64_t number = 0;
    double real = 0;
    bool flag = false;
    CHECK(ati_json_count(json, ATI_JSON_ROOT) == 3 && ati_json_count(json, a) == 4);
    CHECK(ati_json_uint(json, at, &number) && number == 1);
    at = ati_json_next(json, a, at);
    CHECK(!ati_json_uint(json, at, &number) && ati_json_double(json, at, &real) && real > 24.9 &&
          real < 25.1);
    at = ati_json_next(json, a, at);
    CHECK(ati_json_bool(json, at, &flag) && flag);
    at = ati_json_next(json, a, at);
    CHECK(ati_json_type_of(json, at) == ATI_JSON_NULL && !ati_json_bool(json, at, &flag));
    CHECK(ati_json_next(json, a, at) == ATI_JSON_NONE);
    ati_json_value b = ati_json_get(json, ATI_JSON_ROOT, "b");
    CHECK(ati_json_is(json, ati_json_get(json, b, "c"), "x"));
    CHECK(ati_json_get(json, b, "missing") == ATI_JSON_NONE);
    CHECK(ati_json_get(json, ATI_JSON_NONE, "c") == ATI_JSON_NONE);
    CHECK(ati_json_first(json, ati_json_get(json, ATI_JSON_ROOT, "d")) == ATI_JSON_NONE);
    ati_json_free(json);
}

static void test_strings(void) {
    ati_json *json =
        parse("[\"\\u00e9\\n\\\"\\/\", \"\\ud83d\\ude00\", \"a\\u0000b\", \"\\u20AC\"]");
    ati_json_value at = ati_json_first(json, ATI_JSON_ROOT);
    size_t length;
    CHECK(ati_json_is(json, at, "\xc3\xa9\n\"/"));
    at = ati_json_next(json, ATI_JSON_ROOT, at);
    CHECK(ati_json_is(json, at, "\xf0\x9f\x98\x80"));
    at = ati_json_next(json, ATI_JSON_ROOT, at);
    CHECK(memcmp(ati_json_string(json, at, &length), "a\0b", 4) == 0 && length == 3);
    CHECK(!ati_json_is(json, at, "a"));
    at = ati_json_next(json, ATI_JSON_ROOT, at);
    CHECK(ati_json_is(json, at, "\xe2\x82\xac"));
    ati_json_free(json);
}

static void test_numbers(void) {
    ati_json *json = parse("[18446744073709551615, 18446744073709551616, -1, 1e999, -0.0, 1e-05]");
    ati_json_value at = ati_json_first(json, ATI_JSON_ROOT);
    uint64_t number;
    double real;
    CHECK(ati_json_uint(json, at, &number) && number == UINT64_MAX);
    at = ati_json_next(json, ATI_JSON_ROOT, at);
    CHECK(!ati_json_uint(json, at, &number) && ati_json_double(json, at, &real));
    at = ati_json_next(json, ATI_JSON_ROOT, at);
    CHECK(!ati_json_uint(json, at, &number) && ati_json_double(json, at, &real) && real < -0.5);
    at = ati_json_next(json, ATI_JSON_ROOT, at);
    CHECK(!ati_json_double(json, at, &real));
    ati_json_free(json);
}

static void test_malformed(void) {
    static const char *const texts[] = {
        "",           " ",       "{",         "}",       "[1,]",   "[,1]",
        "{\"a\":1,}", "{\"a\"}", "{\"a\":}",  "{a:1}",   "{1:1}",  "[1 2]",
        "01",         "1.",      ".5",        "+1",      "1e",     "-",
        "0x10",       "NaN",     "Infinity",  "tru",     "nul",    "'a'",
        "\"a",        "\"\\x\"", "\"\\u12\"", "\"\\",    "[1}",    "{\"a\":1]",
        "1 1",        "[]]",     "{}x",       "// x\n1", "\"\t\"", "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        refuse(texts[i], "t.json");
    }
    refuse_bytes("1\0", 2, "after the value");
    refuse_bytes("\"a\0b\"", 5, "control character");
    refuse_bytes("[\"a\"", 4, "expected ','");
}

static void test_text_encoding(void) {
    refuse("\"\\ud800\"", "surrogate");
    refuse("\"\\udc00\\ud800\"", "surrogate");
    refuse("\"\\ud800\\u0041\"", "surrogate");
    refuse("\"\\udc00\\udc00\"", "surrogate");
    refuse("\"\xc0\xaf\"", "UTF-8");         /* overlong */
    refuse("\"\xe0\x80\xaf\"", "UTF-8");     /* overlong */
    refuse("\"\xed\xa0\x80\"", "UTF-8");     /* surrogate */
    refuse("\"\xf4\x90\x80\x80\"", "UTF-8"); /* above U+10FFFF */
    refuse("\"\xe2\x82\"", "UTF-8");         /* cut */
    refuse("\"\xff\"", "UTF-8");
}

static void test_duplicates(void) {
    char text[4096] = "{";
    size_t used = 1;
    refuse("{\"a\":1,\"a\":2}", "occurs twice");
    refuse("{\"a\":1,\"\\u0061\":2}", "occurs twice");
    refuse("[{\"x\":{\"a\":1,\"b\":1,\"a\":1}}]", "'a' occurs twice");
    for (int i = 0; i < 100; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "\"key%d\":0,", i);
    }
    snprintf(text + used, sizeof text - used, "\"last\":0}");
    ati_json_free(parse(text));
    snprintf(text + used, sizeof text - used, "\"key57\":0}");
    refuse(text, "'key57' occurs twice");
}

static char *repeat(const char *unit, size_t times, const char *end) {
    size_t length = strlen(unit), size = length * times + strlen(end) + 1;
    char *text = malloc(size);
    if (text == NULL) {
        abort();
    }
    for (size_t i = 0; i < times; i++) {
        memcpy(text + i * length, unit, length);
    }
    memcpy(text + length * times, end, strlen(end) + 1);
    return text;
}

static void test_bounds(void) {
    char *text = repeat("[", 1000000, "");
    refuse(text, "nested more than 64");
    free(text);
    text = repeat("{\"a\":", 65, "");
    refuse(text, "nested more than 64");
    free(text);
    text = repeat("[", 64, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    ati_json_free(parse(text));
    free(text);
    text = repeat("[],", 0, "[");
    refuse(text, "expected a value");
    free(text);
    text = repeat("[1,", 1, "");
    refuse(text, "expected a value");
    free(text);
    text = repeat("1", 129, "");
    refuse(text, "128 characters");
    free(text);
    text = repeat("1,", 1000000, "");
    text[0] = '[';
    text[1] = ' ';
    refuse(text, "more values");
    free(text);
}

/* An object of n different keys that are alike for long, in no order. */
static char *many_keys(size_t n) {
    char *text = malloc(n * 64);
    size_t used = 1;
    if (text == NULL) {
        abort();
    }
    text[0] = '{';
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, 64, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%07zu\":0,",
                                 (i * 7919) % n);
    }
    text[used - 1] = '}';
    text[used] = '\0';
    return text;
}

static void test_many_keys(void) {
    clock_t start = clock();
    char *text = many_keys(100000);
    ati_json_free(parse(text));
    free(text);
    text = many_keys(262145);
    refuse(text, "more than 262144 members");
    free(text);
    CHECK(clock() - start < 5 * CLOCKS_PER_SEC);
}

void test_json(void) {
    test_values();
    test_strings();
    test_numbers();
    test_malformed();
    test_text_encoding();
    test_duplicates();
    test_bounds();
    test_many_keys();
}
