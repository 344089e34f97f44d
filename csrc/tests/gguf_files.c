#include "gguf_files.h"

#include <stdlib.h>
#include <string.h>

#include "testing.h"

void gguf_put(gguf_file *file, const void *bytes, size_t size) {
    if (size > sizeof file->bytes - file->size) {
        abort();
    }
    memcpy(file->bytes + file->size, bytes, size);
    file->size += size;
}

void gguf_put_u32(gguf_file *file, uint32_t number) {
    gguf_put(file, &number, sizeof number);
}

void gguf_put_u64(gguf_file *file, uint64_t number) {
    gguf_put(file, &number, sizeof number);
}

void gguf_put_string(gguf_file *file, const char *text) {
    gguf_put_u64(file, strlen(text));
    gguf_put(file, text, strlen(text));
}

void gguf_begin(gguf_file *file, uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
    file->size = 0;
    gguf_put(file, "GGUF", 4);
    gguf_put_u32(file, version);
    gguf_put_u64(file, n_tensors);
    gguf_put_u64(file, n_keys);
}

void gguf_put_key(gguf_file *file, const char *key, uint32_t type) {
    gguf_put_string(file, key);
    gguf_put_u32(file, type);
}

void gguf_begin_part(gguf_file *file, uint16_t number, uint16_t count, int32_t n_tensors) {
    gguf_begin(file, 3, 1, 3);
    gguf_put_key(file, "split.no", ATI_GGUF_UINT16);
    gguf_put(file, &number, sizeof number);
    gguf_put_key(file, "split.count", ATI_GGUF_UINT16);
    gguf_put(file, &count, sizeof count);
    gguf_put_key(file, "split.tensors.count", ATI_GGUF_INT32);
    gguf_put(file, &n_tensors, sizeof n_tensors);
}

void gguf_put_tensor(gguf_file *file, const char *name, uint32_t rank, const uint64_t *dims,
                     uint32_t type, uint64_t offset) {
    gguf_put_string(file, name);
    gguf_put_u32(file, rank);
    gguf_put(file, dims, rank * sizeof *dims);
    gguf_put_u32(file, type);
    gguf_put_u64(file, offset);
}

void gguf_put_data(gguf_file *file, size_t size) {
    static const unsigned char zeros[1 << 12];
    gguf_put(file, zeros, (32 - file->size % 32) % 32);
    gguf_put(file, zeros, size);
}

void gguf_write(const gguf_file *file, const char *folder, const char *name) {
    test_write(folder, name, file->bytes, file->size);
}
