#include "checkpoint/checkpoint.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/json.h"
#include "base/sort.h"

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
static const char pickled_name[] = "pytorch_model.bin";

#define MOST_INDEX_BYTES ((size_t)64 << 20)
#define CHUNK ((size_t)1 << 18) /* bytes or elements that are read from one poll to the next */

/* An item of the index: this tensor is in that file. */
typedef struct {
    const char *tensor, *file;
} placed;

/* model.safetensors.index.json while its shards are opened. */
typedef struct {
    char *text, *path;
    ati_json *json;
    size_t n;        /* tensors */
    placed *places;  /* [n] */
    uint32_t *order; /* [2 * n]: places by file and tensor; the second half is scratch */
    ati_poller *poller;
    ati_error *error;
} shard_index;

static int compare_places(const void *context, uint32_t a, uint32_t b) {
    const placed *places = context;
    int order = strcmp(places[a].file, places[b].file);
    return order != 0 ? order : strcmp(places[a].tensor, places[b].tensor);
}

/* A string without a NUL inside, or NULL. */
static const char *plain_string(const ati_json *json, ati_json_value value) {
    size_t length;
    const char *text = ati_json_string(json, value, &length);
    return text != NULL && strlen(text) == length ? text : NULL;
}

/* Shards lie beside the index: nothing in a name may lead out of the folder. Its ending tells
 * others, such as who digests the folder, which files hold tensors. */
static bool is_shard_name(const char *name) {
    static const char ending[] = ".safetensors";
    size_t length = name != NULL ? strlen(name) : 0;
    return length >= sizeof ending && strcmp(name + length - (sizeof ending - 1), ending) == 0 &&
           name[0] != '.' && strpbrk(name, "/\\") == NULL;
}

static ati_status list_places(shard_index *index) {
    ati_json_value map = ati_json_get(index->json, ATI_JSON_ROOT, "weight_map");
    ati_json_value key = ati_json_first(index->json, map);
    for (size_t i = 0; i < index->n; i++) {
        ati_json_value value = ati_json_member(index->json, key);
        placed *place = &index->places[i];
        place->tensor = plain_string(index->json, key);
        place->file = plain_string(index->json, value);
        if (place->tensor == NULL) {
            return ati_fail(index->error, ATI_FORMAT, "'%s' has a tensor with a NUL in its name",
                            index->path);
        }
        if (!is_shard_name(place->file)) {
            return ati_fail(index->error, ATI_FORMAT,
                            "'%s' places tensor '%.200s' in %s '%.200s', expected the name of a "
                            "file in the same folder that ends in .safetensors",
                            index->path, place->tensor, ati_json_describe(index->json, value),
                            place->file != NULL ? place->file : "");
        }
        index->order[i] = (uint32_t)i;
        key = ati_json_next(index->json, map, key);
    }
    return ati_sort(index->order, index->order + index->n, index->n, compare_places, index->places,
                    index->poller, index->error);
}

static ati_status read_index(const char *folder, shard_index *index) {
    size_t length = 0;
    ati_status status = ati_file_read_all(folder, index_name, MOST_INDEX_BYTES, index->poller,
                                          &index->text, &length, &index->path, index->error);
    if (status == ATI_OK) {
        status = ati_json_parse(index->text, length, index->path, index->poller, &index->json,
                                index->error);
    }
    if (status != ATI_OK) {
        return status;
    }
    ati_json_value map = ati_json_get(index->json, ATI_JSON_ROOT, "weight_map");
    if (map == ATI_JSON_NONE || ati_json_type_of(index->json, map) != ATI_JSON_OBJECT) {
        return ati_fail(index->error, ATI_FORMAT, "'%s' has no object 'weight_map'", index->path);
    }
    index->n = ati_json_count(index->json, map);
    index->places = ati_calloc(index->n, sizeof *index->places);
    index->order = ati_calloc(2 * index->n, sizeof *index->order);
    if (index->places == NULL || index->order == NULL) {
        return ati_fail_memory(index->error, index->n * sizeof *index->places, "a shard index");
    }
    return list_places(index);
}

static void free_index(shard_index *index) {
    ati_json_free(index->json);
    ati_free(index->text);
    ati_free(index->path);
    ati_free(index->places);
    ati_free(index->order);
}

/* Compares a shard's tensors, by name, with the places [n] that the index has
 * for that file, in the same order. */
static ati_status check_shard(const shard_index *index, const uint32_t *order, size_t n,
                              const ati_safetensors *shard) {
    for (size_t i = 0; i < n || i < shard->n_tensors; i++) {
        const char *wanted = i < n ? index->places[order[i]].tensor : NULL;
        const char *found = i < shard->n_tensors ? shard->tensors[i].name : NULL;
        int order_of_two = wanted == NULL ? 1 : found == NULL ? -1 : strcmp(wanted, found);
        if (order_of_two < 0) {
            return ati_fail(index->error, ATI_FORMAT,
                            "'%s' places tensor '%.200s' in '%s', which has no such tensor",
                            index->path, wanted, shard->file.path);
        }
        if (order_of_two > 0) {
            return ati_fail(index->error, ATI_FORMAT,
                            "'%s' holds tensor '%.200s', which '%s' does not place there",
                            shard->file.path, found, index->path);
        }
    }
    return ATI_OK;
}

/* Where the places of the file that order[start] is in end. */
static size_t end_of_file(const shard_index *index, size_t start) {
    const char *file = index->places[index->order[start]].file;
    size_t end = start;
    while (end < index->n && strcmp(index->places[index->order[end]].file, file) == 0) {
        end++;
    }
    return end;
}

static ati_status open_shards(const shard_index *index, ati_checkpoint *checkpoint) {
    size_t n_files = 0;
    for (size_t i = 0; i < index->n; i = end_of_file(index, i)) {
        n_files++;
    }
    if (n_files > ATI_MAX_SHARDS) {
        return ati_fail(index->error, ATI_FORMAT, "'%s' names %zu files, expected at most %d",
                        index->path, n_files, ATI_MAX_SHARDS);
    }
    checkpoint->shards = ati_calloc(n_files, sizeof *checkpoint->shards);
    if (checkpoint->shards == NULL) {
        return ati_fail_memory(index->error, n_files * sizeof *checkpoint->shards, "shards");
    }
    ati_status status = ATI_OK;
    for (size_t i = 0, end; i < index->n && status == ATI_OK; i = end) {
        const char *file = index->places[index->order[i]].file;
        ati_safetensors *shard = &checkpoint->shards[checkpoint->n_files];
        end = end_of_file(index, i);
        status = ati_safetensors_open(checkpoint->path, file, index->poller, shard, index->error);
        if (status == ATI_OK) {
            checkpoint->n_files++;
            status = check_shard(index, index->order + i, end - i, shard);
        }
        if (status == ATI_OK) {
            status = ati_poller_check(index->poller, index->error);
        }
    }
    return status;
}

static ati_status open_single(ati_checkpoint *checkpoint, ati_error *error) {
    bool pickled = false;
    checkpoint->shards = ati_calloc(1, sizeof *checkpoint->shards);
    if (checkpoint->shards == NULL) {
        return ati_fail_memory(error, sizeof *checkpoint->shards, "a safetensors file");
    }
    ati_status status = ati_safetensors_open(checkpoint->path, single_name, checkpoint->poller,
                                             checkpoint->shards, error);
    checkpoint->n_files = status == ATI_OK ? 1 : 0;
    if (status == ATI_IO &&
        ati_file_exists(checkpoint->path, pickled_name, &pickled, NULL) == ATI_OK && pickled) {
        return ati_fail(error, ATI_UNSUPPORTED,
                        "'%s' holds %s, which may run code when it is read, and no %s: save the "
                        "model as safetensors",
                        checkpoint->path, pickled_name, single_name);
    }
    return status;
}

/* Which of the two kinds the folder has: as for transformers, the single file
 * where there are both. With neither, opening the single file will say so. */
static ati_status is_sharded(const char *folder, bool *sharded, ati_error *error) {
    bool single = false;
    *sharded = false;
    ati_status status = ati_file_exists(folder, single_name, &single, error);
    return status == ATI_OK && !single ? ati_file_exists(folder, index_name, sharded, error)
                                       : status;
}

static bool all_begin_with(const ati_checkpoint *checkpoint, const char *beginning, size_t n) {
    size_t n_tensors = 0;
    for (size_t i = 0; i < checkpoint->n_files; i++) {
        const ati_safetensors *shard = &checkpoint->shards[i];
        for (size_t j = 0; j < shard->n_tensors; j++) {
            if (strncmp(shard->tensors[j].name, beginning, n) != 0) {
                return false;
            }
        }
        n_tensors += shard->n_tensors;
    }
    return n_tensors > 0;
}

/* A state dict of a wrapper has the wrapper's name before every tensor's: that of
 * DistributedDataParallel, of torch.compile, or both. Without it the names are the model's,
 * and in the same order. */
static void drop_wrappers(ati_checkpoint *checkpoint) {
    static const char *const wrappers[] = {"module.", "_orig_mod."};
    const size_t n = sizeof wrappers / sizeof *wrappers;
    for (size_t w = 0; w < n;) {
        size_t length = strlen(wrappers[w]);
        if (!all_begin_with(checkpoint, wrappers[w], length)) {
            w++;
            continue;
        }
        for (size_t i = 0; i < checkpoint->n_files; i++) {
            for (size_t j = 0; j < checkpoint->shards[i].n_tensors; j++) {
                checkpoint->shards[i].tensors[j].name += length;
            }
        }
        w = 0; /* there may be another within it */
    }
}

static int compare_names(const void *context, uint32_t a, uint32_t b) {
    const ati_checkpoint_tensor *tensors = context;
    return strcmp(tensors[a].tensor->name, tensors[b].tensor->name);
}

/* Writes the tensors of every shard to tensors, shard by shard. */
static void list_tensors(const ati_checkpoint *checkpoint, ati_checkpoint_tensor *tensors) {
    size_t n = 0;
    for (size_t i = 0; i < checkpoint->n_files; i++) {
        const ati_safetensors *shard = &checkpoint->shards[i];
        for (size_t j = 0; j < shard->n_tensors; j++) {
            tensors[n++] = (ati_checkpoint_tensor){&shard->tensors[j], &shard->file};
        }
    }
}

/* Fills checkpoint->tensors; each name is in one shard, as the index says. */
static ati_status sort_tensors(ati_checkpoint *checkpoint, ati_error *error) {
    size_t n = 0;
    for (size_t i = 0; i < checkpoint->n_files; i++) {
        n += checkpoint->shards[i].n_tensors;
    }
    uint32_t *order = ati_calloc(2 * n, sizeof *order);
    ati_checkpoint_tensor *listed = ati_calloc(n, sizeof *listed);
    checkpoint->tensors = ati_calloc(n, sizeof *checkpoint->tensors);
    ati_status status = ATI_OK;
    if (order == NULL || listed == NULL || checkpoint->tensors == NULL) {
        status = ati_fail_memory(error, n * sizeof *listed, "a table of tensors");
        goto exit;
    }
    list_tensors(checkpoint, listed);
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    status = ati_sort(order, order + n, n, compare_names, listed, checkpoint->poller, error);
    for (size_t i = 0; i < n; i++) {
        checkpoint->tensors[i] = listed[order[i]];
    }
    checkpoint->n_tensors = n;
exit:
    ati_free(order);
    ati_free(listed);
    return status;
}

ati_status ati_checkpoint_open(const char *folder, ati_poller *poller, ati_checkpoint *checkpoint,
                               ati_error *error) {
    shard_index index = {.poller = poller, .error = error};
    bool sharded = false;
    *checkpoint = (ati_checkpoint){.poller = poller, .readable = "F32, F16 or BF16"};
    ati_status status = is_sharded(folder, &sharded, error);
    if (status != ATI_OK) {
        goto exit;
    }
    checkpoint->path = ati_path_join(folder, "");
    if (checkpoint->path == NULL) {
        status = ati_fail_memory(error, strlen(folder), "a path");
        goto exit;
    }
    status = sharded ? read_index(folder, &index) : open_single(checkpoint, error);
    if (status == ATI_OK && sharded) {
        status = open_shards(&index, checkpoint);
    }
    if (status == ATI_OK) {
        drop_wrappers(checkpoint);
        status = sort_tensors(checkpoint, error);
    }
exit:
    free_index(&index);
    if (status != ATI_OK) {
        ati_checkpoint_close(checkpoint);
    }
    return status;
}

/* A tensor of a GGUF file as one of any file. */
static ati_tensor take_gguf_tensor(const ati_gguf_tensor *from) {
    ati_tensor tensor = {.name = from->name,
                         .dtype_name = from->type->name,
                         .blocks = from->type->unpack != NULL ? from->type : NULL,
                         .rank = from->rank,
                         .offset = from->offset,
                         .bytes = from->bytes};
    memcpy(tensor.shape, from->shape, sizeof from->shape);
    return tensor;
}

ati_status ati_checkpoint_open_gguf(const ati_gguf *gguf, ati_poller *poller,
                                    ati_checkpoint *checkpoint, ati_error *error) {
    size_t n = gguf->n_tensors;
    *checkpoint = (ati_checkpoint){.poller = poller,
                                   .readable = ati_ggml_read_types,
                                   .path = ati_path_join("", gguf->files[0].file.path),
                                   .listed = ati_calloc(n, sizeof *checkpoint->listed),
                                   .tensors = ati_calloc(n, sizeof *checkpoint->tensors)};
    if (checkpoint->path == NULL || checkpoint->listed == NULL || checkpoint->tensors == NULL) {
        ati_checkpoint_close(checkpoint);
        return ati_fail_memory(error, n * sizeof *checkpoint->listed, "a table of tensors");
    }
    for (size_t i = 0; i < n; i++) {
        checkpoint->listed[i] = take_gguf_tensor(&gguf->tensors[i]);
        checkpoint->tensors[i] = (ati_checkpoint_tensor){&checkpoint->listed[i],
                                                         &gguf->files[gguf->tensors[i].file].file};
    }
    checkpoint->n_tensors = n;
    checkpoint->n_files = gguf->n_files;
    return ATI_OK;
}

void ati_checkpoint_close(ati_checkpoint *checkpoint) {
    for (size_t i = 0; checkpoint->shards != NULL && i < checkpoint->n_files; i++) {
        ati_safetensors_close(&checkpoint->shards[i]);
    }
    ati_free(checkpoint->tensors);
    ati_free(checkpoint->listed);
    ati_free(checkpoint->shards);
    ati_free(checkpoint->path);
    *checkpoint = (ati_checkpoint){0};
}

static int compare_name(const void *name, const void *at) {
    return strcmp(name, ((const ati_checkpoint_tensor *)at)->tensor->name);
}

const ati_checkpoint_tensor *ati_checkpoint_find(const ati_checkpoint *checkpoint,
                                                 const char *name) {
    return bsearch(name, checkpoint->tensors, checkpoint->n_tensors, sizeof *checkpoint->tensors,
                   compare_name);
}

/* "[2, 3]", cut to fit. */
static void write_shape(const size_t *dims, size_t rank, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < rank && used < size; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%zu", i > 0 ? ", " : "", dims[i]);
    }
    if (used < size) {
        snprintf(out + used, size - used, "]");
    }
}

static ati_status fail_shape(const ati_checkpoint_tensor *at, size_t rank, const size_t *dims,
                             ati_error *error) {
    char expected[ATI_MAX_RANK * 24], found[ATI_MAX_RANK * 24];
    write_shape(dims, rank, expected, sizeof expected);
    write_shape(at->tensor->shape, at->tensor->rank, found, sizeof found);
    return ati_fail(error, ATI_FORMAT, "tensor '%.200s' in '%s': expected shape %s, found %s",
                    at->tensor->name, at->file->path, expected, found);
}

/* What a wrapper of some layers alone left within a name, or NULL. */
static const char *find_wrapper(const ati_checkpoint *checkpoint) {
    static const char *const wrappers[] = {"_orig_mod.", "_fsdp_wrapped_module.",
                                           "_checkpoint_wrapped_module."};
    for (size_t i = 0; i < checkpoint->n_tensors; i++) {
        for (size_t w = 0; w < sizeof wrappers / sizeof *wrappers; w++) {
            if (strstr(checkpoint->tensors[i].tensor->name, wrappers[w]) != NULL) {
                return wrappers[w];
            }
        }
    }
    return NULL;
}

static ati_status fail_missing(const ati_checkpoint *checkpoint, const char *name,
                               ati_error *error) {
    bool single = checkpoint->n_files == 1;
    const ati_safetensors *shards = checkpoint->shards;
    const char *wrapper = find_wrapper(checkpoint);
    return ati_fail(error, ATI_FORMAT, "tensor '%s' is missing from '%s'%s%s%s%s", name,
                    single && shards != NULL ? shards[0].file.path : checkpoint->path,
                    single ? "" : " (in none of its shards)",
                    wrapper != NULL ? "; a wrapper left '" : "", wrapper != NULL ? wrapper : "",
                    wrapper != NULL ? "' in names of others: save the model that it wraps" : "");
}

/* A tensor that is there with exactly the shape dims [rank]. */
static ati_status expect_shape(const ati_checkpoint *checkpoint, const char *name, size_t rank,
                               const size_t *dims, const ati_checkpoint_tensor **found,
                               ati_error *error) {
    const ati_checkpoint_tensor *at = *found = ati_checkpoint_find(checkpoint, name);
    ati_status status = ati_poller_check(checkpoint->poller, error);
    if (status != ATI_OK) {
        return status;
    }
    if (at == NULL) {
        return fail_missing(checkpoint, name, error);
    }
    if (at->tensor->rank != rank || memcmp(at->tensor->shape, dims, rank * sizeof *dims) != 0) {
        return fail_shape(at, rank, dims, error);
    }
    return ATI_OK;
}

static ati_status fail_dtype(const ati_checkpoint_tensor *at, const char *expected,
                             ati_error *error) {
    return ati_fail(error, ATI_UNSUPPORTED, "tensor '%.200s' in '%s': expected dtype %s, found %s",
                    at->tensor->name, at->file->path, expected, at->tensor->dtype_name);
}

ati_status ati_checkpoint_expect(const ati_checkpoint *checkpoint, const char *name, size_t rank,
                                 const size_t *dims, ati_error *error) {
    const ati_checkpoint_tensor *at = NULL;
    ati_status status = expect_shape(checkpoint, name, rank, dims, &at, error);
    return status == ATI_OK && at->tensor->blocks == NULL
               ? fail_dtype(at, checkpoint->readable, error)
               : status;
}

ati_status ati_checkpoint_expect_bytes(const ati_checkpoint *checkpoint, const char *name,
                                       size_t rank, const size_t *dims, ati_error *error) {
    const ati_checkpoint_tensor *at = NULL;
    ati_status status = expect_shape(checkpoint, name, rank, dims, &at, error);
    return status == ATI_OK && !at->tensor->is_bytes ? fail_dtype(at, "U8", error) : status;
}

ati_status ati_checkpoint_read_bytes(const ati_checkpoint *checkpoint, const char *name,
                                     size_t first, size_t n, uint8_t *out, ati_error *error) {
    const ati_checkpoint_tensor *at = ati_checkpoint_find(checkpoint, name);
    assert(at != NULL);
    ati_status status = ATI_OK;
    for (size_t i = 0, some; i < n && status == ATI_OK; i += some) {
        some = n - i < CHUNK ? n - i : CHUNK;
        status = ati_tensor_read_bytes(at->file, at->tensor, first + i, some, out + i, error);
        if (status == ATI_OK) {
            status = ati_poller_check(checkpoint->poller, error);
        }
    }
    return status;
}

ati_status ati_checkpoint_read_f32(const ati_checkpoint *checkpoint, const char *name, size_t first,
                                   size_t n, float *out, ati_error *error) {
    const ati_checkpoint_tensor *at = ati_checkpoint_find(checkpoint, name);
    assert(at != NULL);
    ati_status status = ATI_OK;
    for (size_t i = 0, some; i < n && status == ATI_OK; i += some) {
        some = n - i < CHUNK ? n - i : CHUNK;
        status = ati_tensor_read_f32(at->file, at->tensor, first + i, some, out + i, error);
        if (status == ATI_OK) {
            status = ati_poller_check(checkpoint->poller, error);
        }
    }
    return status;
}

/* Whether two tensors of the same size hold the same bytes. buffer [2 * CHUNK]. */
static ati_status compare_bytes(const ati_checkpoint_tensor *const pair[2], ati_poller *poller,
                                char *buffer, bool *same, ati_error *error) {
    size_t n = pair[0]->tensor->bytes;
    ati_status status = ATI_OK;
    *same = true;
    for (size_t at = 0; at < n && *same && status == ATI_OK; at += CHUNK) {
        size_t some = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < 2 && status == ATI_OK; i++) {
            status = ati_file_read(pair[i]->file, pair[i]->tensor->offset + at, some,
                                   buffer + i * CHUNK, error);
        }
        *same = status == ATI_OK && memcmp(buffer, buffer + CHUNK, some) == 0;
        if (status == ATI_OK) {
            status = ati_poller_check(poller, error);
        }
    }
    return status;
}

/* Whether two tensors have the same dtype and shape. */
static bool are_alike(const ati_tensor *a, const ati_tensor *b) {
    return a->dtype_name == b->dtype_name && a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0;
}

ati_status ati_checkpoint_same(const ati_checkpoint *checkpoint, const char *a, const char *b,
                               bool *same, ati_error *error) {
    const ati_checkpoint_tensor *const pair[] = {ati_checkpoint_find(checkpoint, a),
                                                 ati_checkpoint_find(checkpoint, b)};
    *same = false;
    if (pair[0] == NULL || pair[1] == NULL || !are_alike(pair[0]->tensor, pair[1]->tensor)) {
        return ATI_OK;
    }
    char *buffer = ati_calloc(2, CHUNK);
    if (buffer == NULL) {
        return ati_fail_memory(error, 2 * CHUNK, "comparing two tensors");
    }
    ati_status status = compare_bytes(pair, checkpoint->poller, buffer, same, error);
    ati_free(buffer);
    return status;
}
