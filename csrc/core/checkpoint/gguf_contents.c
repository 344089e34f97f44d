/* What GGUF files hold, for the core's callers. */
#include "base/alloc.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"

struct ati_gguf_contents {
    ati_gguf gguf;
    ati_checkpoint checkpoint; /* the same tensors */
};

ati_status ati_gguf_contents_open(const char *path, ati_poll poll, void *poll_context,
                                  ati_gguf_contents **contents, ati_error *error) {
    ati_poller poller = {.poll = poll, .context = poll_context};
    ati_gguf_contents *opened = ati_calloc(1, sizeof *opened);
    *contents = NULL;
    if (opened == NULL) {
        return ati_fail_memory(error, sizeof *opened, "a GGUF file");
    }
    ati_status status = ati_gguf_open(path, &poller, &opened->gguf, error);
    if (status == ATI_OK) {
        status = ati_checkpoint_open_gguf(&opened->gguf, NULL, &opened->checkpoint, error);
    }
    if (status == ATI_OK) {
        *contents = opened;
    } else {
        ati_gguf_contents_close(opened);
    }
    return status;
}

void ati_gguf_contents_close(ati_gguf_contents *contents) {
    if (contents != NULL) {
        ati_checkpoint_close(&contents->checkpoint);
        ati_gguf_close(&contents->gguf);
        ati_free(contents);
    }
}

const char *ati_gguf_contents_file(const ati_gguf_contents *contents, size_t i) {
    return i < contents->gguf.n_files ? contents->gguf.files[i].file.path : NULL;
}

const ati_gguf_value *ati_gguf_contents_value(const ati_gguf_contents *contents, size_t i) {
    return i < contents->gguf.files->n_values ? &contents->gguf.files->values[i] : NULL;
}

bool ati_gguf_contents_tensor(const ati_gguf_contents *contents, size_t i,
                              ati_gguf_tensor_info *info) {
    if (i >= contents->gguf.n_tensors) {
        return false;
    }
    const ati_gguf_tensor *tensor = &contents->gguf.tensors[i];
    *info = (ati_gguf_tensor_info){
        .name = tensor->name, .type = tensor->type->name, .rank = tensor->rank};
    for (size_t d = 0; d < tensor->rank; d++) {
        info->shape[d] = tensor->shape[d];
    }
    return true;
}

ati_status ati_gguf_contents_read(const ati_gguf_contents *contents, size_t i, float *out,
                                  ati_poll poll, void *poll_context, ati_error *error) {
    ati_poller poller = {.poll = poll, .context = poll_context};
    ati_checkpoint checkpoint = contents->checkpoint;
    const ati_tensor *tensor = checkpoint.tensors[i].tensor;
    size_t n = 1;
    for (size_t d = 0; d < tensor->rank; d++) {
        n *= tensor->shape[d];
    }
    checkpoint.poller = &poller;
    ati_status status =
        ati_checkpoint_expect(&checkpoint, tensor->name, tensor->rank, tensor->shape, error);
    return status == ATI_OK ? ati_checkpoint_read_f32(&checkpoint, tensor->name, 0, n, out, error)
                            : status;
}
