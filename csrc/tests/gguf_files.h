/* GGUF files put together piece by piece, sound or not. */
#ifndef GGUF_FILES_H
#define GGUF_FILES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    unsigned char bytes[1 << 17];
    size_t size;
} gguf_file;

/* Empties the file, then "GGUF", the version and the numbers of tensors and keys. */
void gguf_begin(gguf_file *file, uint32_t version, uint64_t n_tensors, uint64_t n_keys);

/* The same for part `number`, from 0 on, of `count`, with a tensor to follow, of `n_tensors` in
 * all; its three keys are there. */
void gguf_begin_part(gguf_file *file, uint16_t number, uint16_t count, int32_t n_tensors);

void gguf_put(gguf_file *file, const void *bytes, size_t size);
void gguf_put_u32(gguf_file *file, uint32_t number);
void gguf_put_u64(gguf_file *file, uint64_t number);

/* The text up to its NUL, with its length before it. */
void gguf_put_string(gguf_file *file, const char *text);

/* A key and the type of the value that follows. */
void gguf_put_key(gguf_file *file, const char *key, uint32_t type);

/* dims [rank], the innermost first, as the file has them. */
void gguf_put_tensor(gguf_file *file, const char *name, uint32_t rank, const uint64_t *dims,
                     uint32_t type, uint64_t offset);

/* Zeros up to a multiple of 32 bytes, then `size` zeros. */
void gguf_put_data(gguf_file *file, size_t size);

void gguf_write(const gguf_file *file, const char *folder, const char *name);

#endif
