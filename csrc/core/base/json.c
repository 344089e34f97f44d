#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* declares uselocale there */

#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#include "base/alloc.h"
#include "base/error.h"
#include "base/sort.h"
#include "base/utf8.h"

/* A value. Those of an object alternate: key, value, key, value. Three words,
 * since hostile text may hold a value in every second byte. */
typedef struct {
    uint32_t start;     /* string (decoded, in place) or number: where in the text */
    uint32_t next;      /* the node after this one and all that is inside it */
    uint32_t size_type; /* bytes or items, times 8, plus the type */
} node;

struct ati_json {
    char *text;  /* [length + 1] */
    node *nodes; /* [n_nodes] */
    size_t n_nodes;
};

/* Texts need not hold more values than this for their size: a third of the
 * bytes, and a good many more so that it never bites in a short text. */
#define MOST_NODES(length) ((length) / 3 + 65536)
#define FEW_MEMBERS 8                   /* compared each with each */
#define BYTES_A_POLL ((size_t)64 << 10) /* read in about a millisecond */

typedef struct {
    ati_json *json;
    size_t length, at;
    size_t most_nodes;
    size_t depth;
    uint32_t open[ATI_JSON_DEPTH]; /* nodes of the arrays and objects around `at` */
    const char *path;
    ati_poller *poller;
    size_t poll_at; /* asks when `at` is there */
    ati_error *error;
} parser;

static ati_json_type type_of(const node *n) {
    return (ati_json_type)(n->size_type & 7);
}

static size_t size_of(const node *n) {
    return n->size_type >> 3;
}

static uint32_t pack(size_t size, ati_json_type type) {
    return (uint32_t)(size << 3) | (uint32_t)type;
}

static ati_status fail(const parser *p, const char *what) {
    return ati_fail(p->error, ATI_FORMAT, "'%s' is not valid JSON: %s at byte %zu", p->path, what,
                    p->at);
}

static ati_status poll_when_there(parser *p) {
    if (p->at < p->poll_at) {
        return ATI_OK;
    }
    p->poll_at = p->at + BYTES_A_POLL;
    return ati_poller_check(p->poller, p->error);
}

/* The byte at the cursor; NUL at the end, which is no part of any JSON. */
static char peek(const parser *p) {
    return p->json->text[p->at];
}

static void skip_space(parser *p) {
    while (peek(p) == ' ' || peek(p) == '\n' || peek(p) == '\r' || peek(p) == '\t') {
        p->at++;
    }
}

static ati_status add_node(parser *p, size_t start, size_t size, ati_json_type type) {
    ati_json *json = p->json;
    if (json->n_nodes == p->most_nodes) {
        return fail(p, "more values than a text of this size should hold");
    }
    json->nodes[json->n_nodes] = (node){
        .start = (uint32_t)start,
        .next = (uint32_t)json->n_nodes + 1,
        .size_type = pack(size, type),
    };
    json->n_nodes++;
    return ATI_OK;
}

/* Four hexadecimal digits at the cursor. */
static bool read_hex4(parser *p, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(p);
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10;
        } else {
            return false;
        }
        *out = *out << 4 | digit;
        p->at++;
    }
    return true;
}

/* What follows "\u". A surrogate must be the first half of a pair. */
static ati_status read_unicode_escape(parser *p, uint32_t *out) {
    uint32_t low;
    if (!read_hex4(p, out)) {
        return fail(p, "a \\u without four hexadecimal digits");
    }
    if (*out >= 0xd800 && *out <= 0xdfff) {
        if (*out >= 0xdc00 || peek(p) != '\\' || p->json->text[p->at + 1] != 'u') {
            return fail(p, "half a surrogate pair");
        }
        p->at += 2;
        if (!read_hex4(p, &low) || low < 0xdc00 || low > 0xdfff) {
            return fail(p, "half a surrogate pair");
        }
        *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    }
    return ATI_OK;
}

/* An escape at the cursor, decoded to out; *n bytes, never more than it took. */
static ati_status read_escape(parser *p, char *out, size_t *n) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    p->at++;
    char c = peek(p);
    if (c == 'u') {
        uint32_t character = 0;
        p->at++;
        ati_status status = read_unicode_escape(p, &character);
        *n = status == ATI_OK ? ati_utf8_write(character, out) : 0;
        return status;
    }
    const char *found = c != '\0' ? strchr(names, c) : NULL;
    if (found == NULL) {
        return fail(p, "an unknown escape");
    }
    p->at++;
    *out = values[found - names];
    *n = 1;
    return ATI_OK;
}

/* A string at the cursor, decoded in place: what is written never overtakes
 * what is read. */
static ati_status read_string(parser *p) {
    if (peek(p) != '"') {
        return fail(p, "expected a string");
    }
    char *text = p->json->text;
    size_t start = ++p->at, end = start, n = 0;
    while (peek(p) != '"') {
        unsigned char c = (unsigned char)peek(p);
        ati_status status = poll_when_there(p);
        if (status == ATI_OK && c == '\\') {
            status = read_escape(p, text + end, &n);
        }
        if (status != ATI_OK) {
            return status;
        }
        if (c != '\\') {
            if (c < 0x20) {
                return fail(p, p->at == p->length ? "a string without an end"
                                                  : "a control character in a string");
            }
            n = ati_utf8_length((const unsigned char *)text + p->at, p->length - p->at);
            if (n == 0) {
                return fail(p, "invalid UTF-8");
            }
            memmove(text + end, text + p->at, n);
            p->at += n;
        }
        end += n;
    }
    p->at++;
    text[end] = '\0';
    return add_node(p, start, end - start, ATI_JSON_STRING);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool skip_digits(parser *p) {
    size_t start = p->at;
    while (is_digit(peek(p))) {
        p->at++;
    }
    return p->at > start;
}

static ati_status read_number(parser *p) {
    size_t start = p->at;
    if (peek(p) == '-') {
        p->at++;
    }
    if (peek(p) == '0') {
        p->at++;
    } else if (!skip_digits(p)) {
        return fail(p, "expected a value");
    }
    if (peek(p) == '.') {
        p->at++;
        if (!skip_digits(p)) {
            return fail(p, "expected a digit");
        }
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') {
            p->at++;
        }
        if (!skip_digits(p)) {
            return fail(p, "expected a digit");
        }
    }
    if (p->at - start > ATI_JSON_MAX_NUMBER) {
        return fail(p, "a number of more than 128 characters");
    }
    return add_node(p, start, p->at - start, ATI_JSON_NUMBER);
}

static ati_status read_word(parser *p, const char *word, ati_json_type type) {
    size_t length = strlen(word);
    if (p->length - p->at < length || memcmp(p->json->text + p->at, word, length) != 0) {
        return fail(p, "expected a value");
    }
    p->at += length;
    return add_node(p, p->at, 0, type);
}

static ati_status open_container(parser *p, ati_json_type type) {
    if (p->depth == ATI_JSON_DEPTH) {
        return fail(p, "arrays and objects nested more than 64 deep");
    }
    ati_status status = add_node(p, p->at, 0, type);
    if (status == ATI_OK) {
        p->open[p->depth++] = (uint32_t)p->json->n_nodes - 1;
        p->at++;
    }
    return status;
}

/* A value at the cursor; of an array or object only its opening. */
static ati_status read_value(parser *p) {
    skip_space(p);
    switch (peek(p)) {
    case '{':
        return open_container(p, ATI_JSON_OBJECT);
    case '[':
        return open_container(p, ATI_JSON_ARRAY);
    case '"':
        return read_string(p);
    case 't':
        return read_word(p, "true", ATI_JSON_TRUE);
    case 'f':
        return read_word(p, "false", ATI_JSON_FALSE);
    case 'n':
        return read_word(p, "null", ATI_JSON_NULL);
    default:
        return read_number(p);
    }
}

static ati_status read_key(parser *p) {
    skip_space(p);
    ati_status status = read_string(p);
    if (status != ATI_OK) {
        return status;
    }
    skip_space(p);
    if (peek(p) != ':') {
        return fail(p, "expected ':'");
    }
    p->at++;
    return ATI_OK;
}

/* Orders keys, by length first. */
static int compare_keys(const void *context, uint32_t a, uint32_t b) {
    const ati_json *json = context;
    const node *x = &json->nodes[a], *y = &json->nodes[b];
    size_t length = size_of(x);
    if (length != size_of(y)) {
        return length < size_of(y) ? -1 : 1;
    }
    return memcmp(json->text + x->start, json->text + y->start, length);
}

static ati_status fail_duplicate(const parser *p, uint32_t key) {
    return ati_fail(p->error, ATI_FORMAT, "'%s': key '%.200s' occurs twice in one object", p->path,
                    p->json->text + p->json->nodes[key].start);
}

/* Writes the key nodes of an object to keys. */
static void list_keys(const ati_json *json, size_t object, uint32_t *keys) {
    size_t n = size_of(&json->nodes[object]);
    for (size_t i = 0, at = object + 1; i < n; i++) {
        keys[i] = (uint32_t)at;
        at = json->nodes[at + 1].next;
    }
}

/* Refuses an object that has a key twice. */
static ati_status check_keys(const parser *p, size_t object) {
    const ati_json *json = p->json;
    size_t n = size_of(&json->nodes[object]);
    if (n <= FEW_MEMBERS) {
        uint32_t keys[FEW_MEMBERS];
        list_keys(json, object, keys);
        for (size_t i = 1; i < n; i++) {
            for (size_t j = 0; j < i; j++) {
                if (compare_keys(json, keys[i], keys[j]) == 0) {
                    return fail_duplicate(p, keys[i]);
                }
            }
        }
        return ATI_OK;
    }
    uint32_t *keys = ati_calloc(2 * n, sizeof *keys);
    if (keys == NULL) {
        return ati_fail_memory(p->error, 2 * n * sizeof *keys, "the keys of a JSON object");
    }
    list_keys(json, object, keys);
    ati_status status = ati_sort(keys, keys + n, n, compare_keys, json, p->poller, p->error);
    for (size_t i = 1; i < n && status == ATI_OK; i++) {
        if (compare_keys(json, keys[i - 1], keys[i]) == 0) {
            status = fail_duplicate(p, keys[i]);
        }
    }
    ati_free(keys);
    return status;
}

static ati_status close_container(parser *p) {
    size_t index = p->open[--p->depth];
    node *container = &p->json->nodes[index];
    p->at++;
    container->next = (uint32_t)p->json->n_nodes;
    return type_of(container) == ATI_JSON_OBJECT ? check_keys(p, index) : ATI_OK;
}

/* Counts an item of the innermost container and reads the key before it, if any. */
static ati_status begin_item(parser *p) {
    node *container = &p->json->nodes[p->open[p->depth - 1]];
    ati_json_type type = type_of(container);
    if (size_of(container) == ATI_JSON_MAX_MEMBERS && type == ATI_JSON_OBJECT) {
        return fail(p, "an object of more than 262144 members");
    }
    container->size_type = pack(size_of(container) + 1, type);
    return type == ATI_JSON_OBJECT ? read_key(p) : ATI_OK;
}

static char closing(const parser *p) {
    return type_of(&p->json->nodes[p->open[p->depth - 1]]) == ATI_JSON_OBJECT ? '}' : ']';
}

/* What stands after a value: closes containers until one goes on with a further
 * item, or none is open. */
static ati_status end_value(parser *p) {
    while (p->depth > 0) {
        ati_status status;
        skip_space(p);
        if (peek(p) == ',') {
            p->at++;
            return begin_item(p);
        }
        if (peek(p) != closing(p)) {
            return fail(p, closing(p) == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        status = close_container(p);
        if (status != ATI_OK) {
            return status;
        }
    }
    return ATI_OK;
}

static ati_status read_text(parser *p) {
    ati_status status;
    do {
        size_t depth = p->depth;
        status = poll_when_there(p);
        if (status == ATI_OK) {
            status = read_value(p);
        }
        if (status == ATI_OK && p->depth > depth) {
            skip_space(p);
            status = peek(p) == closing(p) ? end_value(p) : begin_item(p);
        } else if (status == ATI_OK) {
            status = end_value(p);
        }
    } while (status == ATI_OK && p->depth > 0);
    if (status != ATI_OK) {
        return status;
    }
    skip_space(p);
    return p->at == p->length ? ATI_OK : fail(p, "something after the value");
}

/* Copies the text, and counts the values that it holds at most: one, and one for each sign
 * that comes between or before values. */
static ati_status copy_text(parser *p, const char *text) {
    size_t n = 1;
    ati_status status = ATI_OK;
    for (size_t i = 0; i < p->length && status == ATI_OK; i++) {
        n += text[i] == ',' || text[i] == ':' || text[i] == '[' || text[i] == '{';
        p->json->text[i] = text[i];
        status = i % BYTES_A_POLL == 0 ? ati_poller_check(p->poller, p->error) : ATI_OK;
    }
    p->most_nodes = n < MOST_NODES(p->length) ? n : MOST_NODES(p->length);
    return status;
}

static ati_status make_json(parser *p, const char *text) {
    ati_status status = ATI_NOMEM;
    p->json = ati_calloc(1, sizeof *p->json);
    if (p->json != NULL) {
        p->json->text = ati_calloc(p->length + 1, 1);
    }
    if (p->json != NULL && p->json->text != NULL) {
        status = copy_text(p, text);
    }
    if (status == ATI_OK) {
        p->json->nodes = ati_calloc(p->most_nodes, sizeof(node));
        status = p->json->nodes != NULL ? ATI_OK : ATI_NOMEM;
    }
    return status == ATI_NOMEM ? ati_fail_memory(p->error, p->length, "a JSON text") : status;
}

ati_status ati_json_parse(const char *text, size_t length, const char *path, ati_poller *poller,
                          ati_json **out, ati_error *error) {
    *out = NULL;
    if (length > ATI_JSON_MAX_BYTES) {
        return ati_fail(error, ATI_FORMAT, "'%s' has %zu bytes of JSON, expected at most %zu", path,
                        length, ATI_JSON_MAX_BYTES);
    }
    parser p = {.length = length, .path = path, .poller = poller, .error = error};
    ati_status status = make_json(&p, text);
    if (status == ATI_OK) {
        status = read_text(&p);
    }
    if (status == ATI_OK) {
        *out = p.json;
        p.json = NULL;
    }
    ati_json_free(p.json);
    return status;
}

void ati_json_free(ati_json *json) {
    if (json != NULL) {
        ati_free(json->text);
        ati_free(json->nodes);
        ati_free(json);
    }
}

ati_json_type ati_json_type_of(const ati_json *json, ati_json_value value) {
    return value < json->n_nodes ? type_of(&json->nodes[value]) : ATI_JSON_NULL;
}

static bool is_type(const ati_json *json, ati_json_value value, ati_json_type type) {
    return value < json->n_nodes && type_of(&json->nodes[value]) == type;
}

static bool is_container(const ati_json *json, ati_json_value value) {
    return is_type(json, value, ATI_JSON_ARRAY) || is_type(json, value, ATI_JSON_OBJECT);
}

size_t ati_json_count(const ati_json *json, ati_json_value value) {
    return is_container(json, value) ? size_of(&json->nodes[value]) : 0;
}

ati_json_value ati_json_first(const ati_json *json, ati_json_value parent) {
    return ati_json_count(json, parent) > 0 ? parent + 1 : ATI_JSON_NONE;
}

ati_json_value ati_json_member(const ati_json *json, ati_json_value key) {
    (void)json;
    return key + 1;
}

ati_json_value ati_json_next(const ati_json *json, ati_json_value parent, ati_json_value item) {
    ati_json_value last = is_type(json, parent, ATI_JSON_OBJECT) ? item + 1 : item;
    ati_json_value next = json->nodes[last].next;
    return next < json->nodes[parent].next ? next : ATI_JSON_NONE;
}

ati_json_value ati_json_get(const ati_json *json, ati_json_value object, const char *key) {
    if (!is_type(json, object, ATI_JSON_OBJECT)) {
        return ATI_JSON_NONE;
    }
    ati_json_value at = ati_json_first(json, object);
    while (at != ATI_JSON_NONE) {
        if (ati_json_is(json, at, key)) {
            return ati_json_member(json, at);
        }
        at = ati_json_next(json, object, at);
    }
    return ATI_JSON_NONE;
}

const char *ati_json_string(const ati_json *json, ati_json_value value, size_t *length) {
    if (!is_type(json, value, ATI_JSON_STRING)) {
        return NULL;
    }
    *length = size_of(&json->nodes[value]);
    return json->text + json->nodes[value].start;
}

bool ati_json_is(const ati_json *json, ati_json_value value, const char *text) {
    size_t length;
    const char *string = ati_json_string(json, value, &length);
    return string != NULL && length == strlen(text) && memcmp(string, text, length) == 0;
}

bool ati_json_uint(const ati_json *json, ati_json_value value, uint64_t *out) {
    if (!is_type(json, value, ATI_JSON_NUMBER)) {
        return false;
    }
    const char *text = json->text + json->nodes[value].start;
    *out = 0;
    for (size_t i = 0; i < size_of(&json->nodes[value]); i++) {
        if (!is_digit(text[i]) || __builtin_mul_overflow(*out, (uint64_t)10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(text[i] - '0'), out)) {
            return false;
        }
    }
    return true;
}

/* strtod, whatever decimal point the process's locale has. */
static bool parse_double(const char *text, double *out) {
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) {
        return false;
    }
    locale_t before = uselocale(plain);
    *out = strtod(text, NULL);
    (void)uselocale(before);
    freelocale(plain);
    return isfinite(*out);
}

bool ati_json_double(const ati_json *json, ati_json_value value, double *out) {
    if (!is_type(json, value, ATI_JSON_NUMBER)) {
        return false;
    }
    char text[ATI_JSON_MAX_NUMBER + 1];
    size_t length = size_of(&json->nodes[value]);
    memcpy(text, json->text + json->nodes[value].start, length);
    text[length] = '\0';
    return parse_double(text, out);
}

bool ati_json_bool(const ati_json *json, ati_json_value value, bool *out) {
    *out = is_type(json, value, ATI_JSON_TRUE);
    return *out || is_type(json, value, ATI_JSON_FALSE);
}

const char *ati_json_describe(const ati_json *json, ati_json_value value) {
    static const char *const names[] = {
        [ATI_JSON_NULL] = "null",        [ATI_JSON_FALSE] = "false",
        [ATI_JSON_TRUE] = "true",        [ATI_JSON_NUMBER] = "a number",
        [ATI_JSON_STRING] = "a string",  [ATI_JSON_ARRAY] = "an array",
        [ATI_JSON_OBJECT] = "an object",
    };
    return value < json->n_nodes ? names[type_of(&json->nodes[value])] : "nothing";
}
