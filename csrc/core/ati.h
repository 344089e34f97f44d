/*
 * attninfluence core: the forward pass of a causal decoder with any set of
 * attention heads masked, and the losses, copies and logits read from it.
 *
 *     ati_model *model = NULL;
 *     ati_workspace *workspace = NULL;
 *     ati_error error;
 *     if (ati_model_open(&(ati_opening){.path = "folder"}, &model, &error) != ATI_OK ||
 *         ati_workspace_new(model, &workspace, &error) != ATI_OK)
 *         ... error.message says what, where, expected and found ...
 *     ati_run(model, workspace, &batch, &error);
 *     ati_workspace_free(workspace);
 *     ati_model_free(model);
 *
 * Nothing here prints, exits, keeps globals that a caller could see, or starts
 * a thread that outlives the call that started it.
 */
#ifndef ATI_H
#define ATI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ATI_API __attribute__((visibility("default")))
#else
#define ATI_API
#endif

/* What a call came to. Every function that can fail returns one of these. */
typedef enum {
    ATI_OK = 0,
    ATI_NOMEM,       /* memory or a thread could not be had */
    ATI_IO,          /* a file could not be opened or read; `system_error` says why */
    ATI_ARG,         /* the caller's arguments do not fit each other or the model */
    ATI_FORMAT,      /* a file is not what its format demands */
    ATI_UNSUPPORTED, /* a valid model that this library does not run */
    ATI_CANCELLED,   /* `poll` asked to stop; outputs are undefined */
} ati_status;

/* Owned by the caller; written only when a call returns something but ATI_OK. */
typedef struct {
    char message[1024]; /* one sentence, UTF-8, no newline, NUL-terminated */
    int system_error;   /* errno of an ATI_IO, else 0 */
    char path[512];     /* the file an ATI_IO concerns, else "" (cut when longer) */
} ati_error;

/* The arithmetic of the products. Norms, rotary embedding, softmax and losses are
 * float32 in all of them. */
typedef enum {
    ATI_AUTO, /* bf16 where the CPU has instructions for it, else fp32 */
    ATI_FP32,
    ATI_BF16, /* factors rounded to bfloat16, sums in float32 */
    ATI_INT8, /* weights and what they multiply rounded to 8 bits; attention as in bf16 */
} ati_precision;

/* "auto", "fp32", "bf16" or "int8"; static. */
ATI_API const char *ati_precision_name(ati_precision precision);

enum { ATI_MOST_KERNELS = 8 }; /* of one precision */

/* An opened model: weights and configuration. Immutable, so any number of
 * threads may use one at the same time. */
typedef struct ati_model ati_model;

/* The scratch of one ati_run at a time. Two threads need two workspaces. */
typedef struct ati_workspace ati_workspace;

typedef struct {
    size_t n_layers;
    size_t n_heads;    /* query heads a layer */
    size_t n_kv_heads; /* key/value heads a layer */
    size_t head_dim;
    size_t hidden_size;
    size_t intermediate_size;
    size_t vocab_size;
    size_t max_position_embeddings;
    double rope_theta;            /* base of the rotary frequencies; 0: nothing turns */
    double window_rope_theta;     /* of windowed layers; 0: the same */
    double rope_factor;           /* of the rope_type; 1 where it has none */
    size_t rope_original_context; /* before it was stretched; 0: the rope_type knows of none */
    size_t rotary_dim;            /* dimensions of a head that turn; 0: none do */
    size_t window;                /* keys that a row of a windowed layer sees; 0: there is none */
    size_t n_windowed_layers;     /* layers with a window */
    size_t n_unrotated_layers;    /* layers that turn nothing */
    size_t n_experts;             /* of a layer with experts; 0: there is none */
    size_t experts_per_token;
    size_t n_parameters;  /* values of the tensors read; a tied matrix counts once */
    size_t layer_weights; /* of matrices that a token meets in all layers */
    size_t weight_bytes;  /* memory the packed weights take */
    size_t fp32_bytes;    /* what they take, or would take, in each precision */
    size_t bf16_bytes;
    size_t int8_bytes;
    const char *model_type; /* as in config.json; static, as are the next three */
    const char *rope_type;  /* as in config.json, or "none" */
    const char *precision;  /* "fp32", "bf16" or "int8" */
    const char *kernel;     /* the instructions in use; see ati_kernels */
    bool tied;              /* the output projection is the embedding matrix */
} ati_model_info;

/* Called on the thread that made a long call, at least every 0.1 s or so while the
 * call works; anything but 0 ends it with ATI_CANCELLED. */
typedef int (*ati_poll)(void *context);

/* What a model is opened from. Zeros are the defaults of all but the path. */
typedef struct {
    const char *path; /* a folder: config.json and, without `packed`, safetensors files; or a
                         GGUF file, of several the first */
    ati_precision precision;
    const char *kernel; /* NULL: the best; bits are promised for one kernel only */
    const char *packed; /* a file of packed weights, or NULL */
    const char *key;    /* what that file must say it holds */
    ati_poll poll;      /* or NULL */
    void *poll_context;
} ati_opening;

/* How a masked head attends (METHOD.md section 3). */
typedef enum {
    ATI_MASK_UNIFORM, /* the mean of the values at every key the row may see */
    ATI_MASK_ZERO,    /* no output */
} ati_mask;

/* One reading of the documents with some heads masked. */
typedef struct {
    const uint8_t *heads; /* [n_layers, n_heads], not 0 where masked */
    ati_mask mask;
} ati_variant;

typedef struct {
    const int32_t *ids;  /* [n_tokens], each in 0..vocab_size-1 */
    size_t n_tokens;     /* at least 2; at most the context where positions are learned */
    size_t first_scored; /* first token whose loss is wanted, 1..n_tokens-1 */

    /* Outputs; NULL where not wanted. Reading 0 is the base, reading 1 + v
     * variant v. n_scored = n_tokens - first_scored. */
    float *const *losses; /* [1 + n_variants] of [n_scored], nats; no NULL entries */
    int32_t *predicted;   /* [n_scored] the base reading's most likely token */
    float *const *logits; /* [1 + n_variants] of [n_tokens, vocab_size], NULL entries allowed */
    float *attention;     /* [n_tokens, n_tokens] of `layer`, `head`, base reading */
    size_t layer, head;

    /* Copies (METHOD.md section 2), base reading: for the steps that predict
     * tokens first_scored..n_tokens-1, how often each head's largest weight
     * lies in [needle_start, needle_stop) on the very token predicted. */
    int32_t *copies; /* [n_layers, n_heads] */
    size_t needle_start, needle_stop;
} ati_document;

typedef struct {
    const ati_document *documents; /* [n_documents] */
    size_t n_documents;
    const ati_variant *variants; /* [n_variants], all read on one base pass */
    size_t n_variants;
    size_t n_threads; /* 1 to 4096; the calling thread is one of them */
    ati_poll poll;    /* or NULL */
    void *poll_context;
} ati_batch;

/*
 * Fills `names` with the kernels of a precision (of the one that ATI_AUTO picks) that
 * this CPU runs, the best first, and returns how many there are, at least 1. A name
 * is of the instructions of products with weights and, after a "+", of attention
 * where they differ ("avx512_vnni+avx512_bf16"). "portable" is plain C; "openblas" is
 * the library, which names itself in full once a model uses it. Texts are static.
 */
ATI_API size_t ati_kernels(ati_precision precision, const char *names[ATI_MOST_KERNELS]);

/* Opens a model. A file of packed weights may be replaced but not written to while the
 * model is open; one of another key, precision, kernel, version or size, or damaged, is
 * ATI_FORMAT. On ATI_OK the caller owns *model; otherwise *model is NULL. */
ATI_API ati_status ati_model_open(const ati_opening *from, ati_model **model, ati_error *error);

/* What ati_model_open takes of a precision and a kernel, named in full: replaces ATI_AUTO
 * and a NULL kernel. The text is static. */
ATI_API ati_status ati_kernel_choose(ati_precision *precision, const char **kernel,
                                     ati_error *error);

/* Weights packed for a kernel can be kept in a file, which any number of processes map
 * and share: the header that ati_model_packed_header writes, then the weight_bytes bytes
 * at ati_model_packed. `key`, at most 127 bytes, says which weights they are; `poll` may
 * be NULL. */
enum { ATI_PACKED_HEADER = 4096 };
ATI_API const void *ati_model_packed(const ati_model *model);
ATI_API ati_status ati_model_packed_header(const ati_model *model, const char *key, ati_poll poll,
                                           void *poll_context,
                                           unsigned char header[ATI_PACKED_HEADER],
                                           ati_error *error);

/* NULL is allowed. No run may be using the model. */
ATI_API void ati_model_free(ati_model *model);

ATI_API ati_model_info ati_model_describe(const ati_model *model);

/* On ATI_OK the caller owns *workspace. It grows to the largest batch it has
 * seen and no further. */
ATI_API ati_status ati_workspace_new(const ati_model *model, ati_workspace **workspace,
                                     ati_error *error);

/* NULL is allowed. The model may be gone already. */
ATI_API void ati_workspace_free(ati_workspace *workspace);

/* Reads every document and writes the outputs it asks for. A document's
 * outputs are the same bits whatever else is in the batch, in whatever order
 * and on however many threads. Loss values may be non-finite; that is the
 * caller's to judge. Starts n_threads - 1 threads and joins them. */
ATI_API ati_status ati_run(const ati_model *model, ati_workspace *workspace, const ati_batch *batch,
                           ati_error *error);

/*
 * GGUF files: what they hold, besides a model to open.
 */

/* By the numbers of the format. */
typedef enum {
    ATI_GGUF_UINT8,
    ATI_GGUF_INT8,
    ATI_GGUF_UINT16,
    ATI_GGUF_INT16,
    ATI_GGUF_UINT32,
    ATI_GGUF_INT32,
    ATI_GGUF_FLOAT32,
    ATI_GGUF_BOOL, /* a byte, 0 or 1 */
    ATI_GGUF_STRING,
    ATI_GGUF_ARRAY,
    ATI_GGUF_UINT64,
    ATI_GGUF_INT64,
    ATI_GGUF_FLOAT64,
    ATI_GGUF_N_TYPES,
} ati_gguf_type;

/* A value of the metadata; what it points to is the contents'. */
typedef struct {
    const char *key;    /* UTF-8 */
    const char *path;   /* of the file that it is in */
    ati_gguf_type type; /* ATI_GGUF_ARRAY for all arrays */
    ati_gguf_type item; /* of an array's items, never ATI_GGUF_ARRAY; else `type` */
    size_t count;       /* items of an array; else 1 */
    /* As in the file, little-endian and not aligned: a number, or an array's [count]. A
     * string alone has a NUL behind it, and none inside; strings of an array are read one
     * after the other (ati_gguf_next_string). */
    const unsigned char *data;
    size_t bytes; /* of data */
} ati_gguf_value;

typedef struct {
    const char *name; /* UTF-8 */
    const char *type; /* as ggml calls it: "Q4_K" */
    size_t rank;
    size_t shape[4]; /* [rank], row-major: [out, ..., in] */
} ati_gguf_tensor_info;

/* A GGUF file, or the files of a split one. Immutable, for any number of threads. */
typedef struct ati_gguf_contents ati_gguf_contents;

/* Opens the file, or the first of several and with it the others, and checks all but the values
 * of tensors. `poll` may be NULL. On ATI_OK the caller owns *contents; otherwise it is NULL. */
ATI_API ati_status ati_gguf_contents_open(const char *path, ati_poll poll, void *poll_context,
                                          ati_gguf_contents **contents, ati_error *error);

/* NULL is allowed. */
ATI_API void ati_gguf_contents_close(ati_gguf_contents *contents);

/* Item i, from 0 on; NULL, or false, past the last. Files as `path` leads to them, values by
 * their keys, tensors by their names. */
ATI_API const char *ati_gguf_contents_file(const ati_gguf_contents *contents, size_t i);
ATI_API const ati_gguf_value *ati_gguf_contents_value(const ati_gguf_contents *contents, size_t i);
ATI_API bool ati_gguf_contents_tensor(const ati_gguf_contents *contents, size_t i,
                                      ati_gguf_tensor_info *info);

/* The string of an array of them that stands at *at, which is 0 for the first, and moves *at to
 * the next; NULL after the last. *length bytes, UTF-8 or not, NULs among them, none behind. */
ATI_API const char *ati_gguf_next_string(const ati_gguf_value *value, size_t *at, size_t *length);

/* Writes the values of tensor i, which is there, to out [its shape], as the weights of a model
 * are read. A type that is not read and values that are not finite are refused by name. */
ATI_API ati_status ati_gguf_contents_read(const ati_gguf_contents *contents, size_t i, float *out,
                                          ati_poll poll, void *poll_context, ati_error *error);

#endif
