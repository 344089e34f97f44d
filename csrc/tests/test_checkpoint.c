#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "testing.h"

#define EMPTY_MAP "{\"weight_map\":{"
#define FLOAT(name, begin, end) \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" begin "," end "]}"

static void refuse(const char *folder, ati_status expected, const char *why) {
    ati_checkpoint checkpoint;
    ati_error error;
    CHECK_REFUSED(ati_checkpoint_open(folder, NULL, &checkpoint, &error), expected, &error, why);
    CHECK(checkpoint.shards == NULL && checkpoint.path == NULL);
    ati_checkpoint_close(&checkpoint);
}

static void refuse_index(const char *index, ati_status expected, const char *why) {
    char *folder = test_folder();
    test_write_safetensors(folder, "one.safetensors",
                           "{" FLOAT("a", "0", "4") "," FLOAT("b", "4", "8") "}", 8);
    test_write_text(folder, "model.safetensors.index.json", index);
    refuse(folder, expected, why);
}

static void test_names(void) {
    static const char *const names[] = {
        "../one.safetensors",
        "/etc/a.safetensors",
        "sub/one.safetensors",
        "..",
        ".",
        "",
        ".safetensors",
        ".one.safetensors",
        "a\\\\b.safetensors",
        "one.safetensors\\u0000",
        "one",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char index[200];
        snprintf(index, sizeof index, EMPTY_MAP "\"a\":\"%s\"}}", names[i]);
        refuse_index(index, ATI_FORMAT, "expected the name of a file in the same folder");
    }
    refuse_index(EMPTY_MAP "\"a\":7}}", ATI_FORMAT, "a number");
    refuse_index(EMPTY_MAP "\"a\\u0000\":\"one.safetensors\"}}", ATI_FORMAT, "NUL");
}

static void test_index(void) {
    refuse_index("{}", ATI_FORMAT, "weight_map");
    refuse_index("[]", ATI_FORMAT, "weight_map");
    refuse_index("{\"weight_map\":[]}", ATI_FORMAT, "weight_map");
    refuse_index("", ATI_FORMAT, "not valid JSON");
    refuse_index(EMPTY_MAP
                 "\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}",
                 ATI_IO, "/two.safetensors'");
    refuse_index(EMPTY_MAP
                 "\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"one.safetensors\"}}",
                 ATI_FORMAT, "places tensor 'c'");
    refuse_index(EMPTY_MAP
                 "\"a\":\"one.safetensors\",\"aa\":\"one.safetensors\",\"b\":\"one.safetensors\"}}",
                 ATI_FORMAT, "places tensor 'aa'");
    refuse_index(EMPTY_MAP "\"b\":\"one.safetensors\"}}", ATI_FORMAT, "holds tensor 'a'");
    refuse_index(EMPTY_MAP "\"a\":\"one.safetensors\"}}", ATI_FORMAT, "holds tensor 'b'");
    refuse_index(EMPTY_MAP "\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}", ATI_FORMAT,
                 "'a' occurs twice");
}

static void test_many_shards(void) {
    char *folder = test_folder(), *index = malloc(64 * 2000);
    if (index == NULL) {
        abort();
    }
    int used = snprintf(index, 64, EMPTY_MAP);
    for (int i = 0; i < 1025; i++) {
        used += snprintf(index + used, 64, "%s\"t%d\":\"f%d.safetensors\"", i > 0 ? "," : "", i, i);
    }
    snprintf(index + used, 64, "}}");
    test_write_text(folder, "model.safetensors.index.json", index);
    refuse(folder, ATI_FORMAT, "names 1025 files");
    free(index);
}

enum { SHARDS = 40, TENSORS = 25 };

/* Shards whose names interleave: tensor i of shard s is called "i.s". */
static void write_interleaved(const char *folder) {
    static char index[SHARDS * TENSORS * 48], header[TENSORS * 96];
    size_t used = (size_t)snprintf(index, sizeof index, EMPTY_MAP);
    for (int s = 0; s < SHARDS; s++) {
        char name[32];
        size_t at = 0;
        snprintf(name, sizeof name, "f%d.safetensors", s);
        for (int i = 0; i < TENSORS; i++) {
            const char *comma = s + i > 0 ? "," : "";
            used += (size_t)snprintf(index + used, sizeof index - used, "%s\"%d.%d\":\"%s\"", comma,
                                     i, s, name);
            at += (size_t)snprintf(header + at, sizeof header - at,
                                   "%s\"%d.%d\":{\"dtype\":\"U8\",\"shape\":[1],"
                                   "\"data_offsets\":[%d,%d]}",
                                   i > 0 ? "," : "{", i, s, i, i + 1);
        }
        snprintf(header + at, sizeof header - at, "}");
        test_write_safetensors(folder, name, header, TENSORS);
    }
    snprintf(index + used, sizeof index - used, "}}");
    test_write_text(folder, "model.safetensors.index.json", index);
}

/* One table has the tensors of all shards in the order of their names, which a search halves:
 * its steps do not grow with the shards. */
static void test_one_table(void) {
    char *folder = test_folder();
    ati_checkpoint checkpoint;
    ati_error error;
    write_interleaved(folder);
    CHECK(ati_checkpoint_open(folder, NULL, &checkpoint, &error) == ATI_OK);
    CHECK(checkpoint.n_files == SHARDS && checkpoint.n_tensors == SHARDS * TENSORS);
    for (size_t i = 0; i < checkpoint.n_tensors; i++) {
        const ati_checkpoint_tensor *at = &checkpoint.tensors[i];
        const ati_safetensors *shard = checkpoint.shards;
        while (shard < checkpoint.shards + SHARDS && &shard->file != at->file) {
            shard++;
        }
        CHECK(i == 0 || strcmp(at[-1].tensor->name, at->tensor->name) < 0);
        CHECK(ati_checkpoint_find(&checkpoint, at->tensor->name) == at);
        CHECK(shard < checkpoint.shards + SHARDS);
        CHECK((size_t)(at->tensor - shard->tensors) < TENSORS);
    }
    CHECK(ati_checkpoint_find(&checkpoint, "") == NULL);
    CHECK(ati_checkpoint_find(&checkpoint, "9.40") == NULL);
    CHECK(ati_checkpoint_find(&checkpoint, "a") == NULL);
    ati_checkpoint_close(&checkpoint);
    CHECK(checkpoint.tensors == NULL && checkpoint.n_tensors == 0);
}

static void test_reading(void) {
    char *folder = test_folder();
    const size_t vector[] = {1}, matrix[] = {1, 1};
    float out[1];
    bool same = false;
    ati_checkpoint checkpoint;
    ati_error error;
    test_write_safetensors(folder, "x.safetensors",
                           "{" FLOAT("a", "0", "4") "," FLOAT("c", "4", "8") "}", 8);
    test_write_safetensors(folder, "y.safetensors", "{" FLOAT("b", "0", "4") "}", 4);
    test_write_text(folder, "model.safetensors.index.json",
                    EMPTY_MAP
                    "\"b\":\"y.safetensors\",\"c\":\"x.safetensors\",\"a\":\"x.safetensors\"}}");
    CHECK(ati_checkpoint_open(folder, NULL, &checkpoint, &error) == ATI_OK);
    CHECK(checkpoint.n_files == 2);
    CHECK(ati_checkpoint_read_f32(&checkpoint, "b", 0, 1, out, &error) == ATI_OK);
    CHECK_REFUSED(ati_checkpoint_expect(&checkpoint, "d", 1, vector, &error), ATI_FORMAT, &error,
                  "tensor 'd' is missing");
    CHECK_REFUSED(ati_checkpoint_expect(&checkpoint, "a", 2, matrix, &error), ATI_FORMAT, &error,
                  "expected shape [1, 1], found [1]");
    CHECK(ati_checkpoint_same(&checkpoint, "a", "b", &same, &error) == ATI_OK && same);
    ati_checkpoint_close(&checkpoint);
}

/* Two shards, whose tensors are called `first` and `second`, opened; `found` is then there. */
static void open_names(const char *first, const char *second, const char *found) {
    static const char header[] = "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],"
                                 "\"data_offsets\":[0,4]}}";
    char *folder = test_folder(), text[400];
    ati_checkpoint checkpoint;
    ati_error error;
    snprintf(text, sizeof text, header, first);
    test_write_safetensors(folder, "one.safetensors", text, 4);
    snprintf(text, sizeof text, header, second);
    test_write_safetensors(folder, "two.safetensors", text, 4);
    snprintf(text, sizeof text, EMPTY_MAP "\"%s\":\"one.safetensors\",\"%s\":\"two.safetensors\"}}",
             first, second);
    test_write_text(folder, "model.safetensors.index.json", text);
    CHECK(ati_checkpoint_open(folder, NULL, &checkpoint, &error) == ATI_OK);
    CHECK(ati_checkpoint_find(&checkpoint, found) != NULL);
    ati_checkpoint_close(&checkpoint);
}

static void test_wrappers(void) {
    open_names("module.a", "module.b", "a");
    open_names("_orig_mod.a", "_orig_mod.b", "b");
    open_names("_orig_mod.module.a", "_orig_mod.module.b", "b");
    open_names("module._orig_mod.a", "module._orig_mod.b", "a");
    open_names("module.a", "b", "module.a");
    open_names("module.a", "_orig_mod.b", "_orig_mod.b");
    open_names("module.a", "modules.b", "modules.b");
}

static void test_lfs_pointers(void) {
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n"
                                  "oid sha256:0\nsize 300\n";
    char *folder = test_folder();
    test_write_text(folder, "model.safetensors", pointer);
    refuse(folder, ATI_FORMAT, "model.safetensors' is a Git LFS pointer, not the file itself");
    refuse_index(pointer, ATI_FORMAT, "index.json' is a Git LFS pointer, not the file itself");
}

void test_checkpoint(void) {
    char *folder = test_folder();
    refuse(folder, ATI_IO, "model.safetensors'");
    test_write_text(folder, "pytorch_model.bin", "");
    refuse(folder, ATI_UNSUPPORTED, "save the model as safetensors");
    test_names();
    test_index();
    test_many_shards();
    test_one_table();
    test_reading();
    test_wrappers();
    test_lfs_pointers();
}
