/* The tensors of a model: of a folder, in model.safetensors or in the shards that
 * model.safetensors.index.json names, or of GGUF files. */
#ifndef ATI_CHECKPOINT_H
#define ATI_CHECKPOINT_H

#include "checkpoint/safetensors.h"
#include "gguf/gguf.h"

#define ATI_MAX_SHARDS 1024 /* files of one checkpoint, all open at a time */

/* A tensor and the file that it is in. */
typedef struct {
    const ati_tensor *tensor;
    const ati_file *file;
} ati_checkpoint_tensor;

typedef struct {
    char *path;           /* of the folder, or of the first GGUF file; owned */
    const char *readable; /* the dtypes that are read as float32, in words; static */
    ati_poller *poller;   /* the caller's, who is asked while tensors are found and read; or NULL */
    size_t n_files;
    ati_safetensors *shards; /* [n_files]; NULL: they are GGUF files */
    ati_tensor *listed;      /* [n_tensors], those of GGUF files; else NULL */
    size_t n_tensors;
    ati_checkpoint_tensor *tensors; /* [n_tensors], those of all shards, by name */
} ati_checkpoint;

/* Opens every shard and checks it (safetensors.h). A shard's name must be a
 * plain file name that ends in .safetensors; each tensor of the index must be in the shard it names, and
 * each tensor of a shard in the index. Where every name begins with "module." or
 * "_orig_mod.", as a wrapper's state dict has them, it goes without. On ATI_OK the
 * caller owns what *checkpoint holds, but for `poller`, which outlives it or is NULL; otherwise
 * it is zeroed. */
ati_status ati_checkpoint_open(const char *folder, ati_poller *poller, ati_checkpoint *checkpoint,
                               ati_error *error);

/* The tensors of GGUF files by the names that they have there. `gguf` and `poller`, which may be
 * NULL, outlive *checkpoint; the rest as above. */
ati_status ati_checkpoint_open_gguf(const ati_gguf *gguf, ati_poller *poller,
                                    ati_checkpoint *checkpoint, ati_error *error);

/* Zeroed is allowed. */
void ati_checkpoint_close(ati_checkpoint *checkpoint);

/* The item of checkpoint->tensors that is called `name`; NULL when there is none. A search
 * in the order of the names, however many shards there are. */
const ati_checkpoint_tensor *ati_checkpoint_find(const ati_checkpoint *checkpoint,
                                                 const char *name);

/* Checks that `name` is there with exactly the shape dims [rank] and a dtype that
 * is read as float32: F32, F16 and BF16, of GGUF files those of ati_ggml_read_types; refuses it by
 * name otherwise. */
ati_status ati_checkpoint_expect(const ati_checkpoint *checkpoint, const char *name, size_t rank,
                                 const size_t *dims, ati_error *error);

/* The same with the dtype U8. */
ati_status ati_checkpoint_expect_bytes(const ati_checkpoint *checkpoint, const char *name,
                                       size_t rank, const size_t *dims, ati_error *error);

/* Whether the tensors called a and b, both present, hold the same bytes as the
 * same dtype and shape. */
ati_status ati_checkpoint_same(const ati_checkpoint *checkpoint, const char *a, const char *b,
                               bool *same, ati_error *error);

/* Reads the elements first..first + n - 1 of `name`, a tensor that is there and has
 * them (ati_checkpoint_expect), into out [n]. A value that is not finite is refused
 * by name. */
ati_status ati_checkpoint_read_f32(const ati_checkpoint *checkpoint, const char *name, size_t first,
                                   size_t n, float *out, ati_error *error);

/* Reads the bytes first..first + n - 1 of `name`, a tensor of bytes that is there and
 * has them (ati_checkpoint_expect_bytes), into out [n]. */
ati_status ati_checkpoint_read_bytes(const ati_checkpoint *checkpoint, const char *name,
                                     size_t first, size_t n, uint8_t *out, ati_error *error);

#endif
