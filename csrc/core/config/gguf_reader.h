/* What the metadata of a GGUF file say of its model, on their way to the text of a
 * config.json. For config_gguf*.c. */
#ifndef ATI_GGUF_READER_H
#define ATI_GGUF_READER_H

#include "base/error.h"
#include "config/gguf_family.h"
#include "gguf/gguf.h"

enum { ATI_MOST_KEY_NAME = 128 }; /* bytes of a key that is read, its NUL among them */

typedef struct {
    const ati_gguf *gguf;
    const char *path; /* for messages */
    const ati_gguf_family *row;
    const ati_family *family;
    size_t n_layers, n_heads, hidden_size, head_dim; /* once they are read; 0: not there */
    char *text;                                      /* [size] a JSON object, from its brace on */
    size_t used, size;                               /* used >= size: it did not fit */
    ati_error *error;
} ati_gguf_reader;

/* "llama.block_count" of "block_count". */
void ati_gguf_key_name(const ati_gguf_reader *r, const char *key, char out[ATI_MOST_KEY_NAME]);

/* The architecture's value of that key, or NULL. */
const ati_gguf_value *ati_gguf_key(const ati_gguf_reader *r, const char *key);

/* Its size; of an array, one for each layer, the one that all have, or it is refused.
 * `missing` where there is none. */
ati_status ati_gguf_key_size(const ati_gguf_reader *r, const char *key, size_t missing,
                             size_t *out);

/* Its number; `missing` where there is none. */
ati_status ati_gguf_key_number(const ati_gguf_reader *r, const char *key, double missing,
                               double *out);

/* Whether the file has a tensor of that name. */
bool ati_gguf_has(const ati_gguf_reader *r, const char *name);

/* Refuses the architecture's key: "'path': 'llama.key' is <format>". */
ATI_PRINTF(4, 5)
ati_status ati_gguf_refuse(const ati_gguf_reader *r, ati_status status, const char *key,
                           const char *format, ...);

/* Appends to the text. */
ATI_PRINTF(2, 3) void ati_gguf_write(ati_gguf_reader *r, const char *format, ...);

/* Appends a member of the object; not for a NULL name. */
void ati_gguf_write_size(ati_gguf_reader *r, const char *name, size_t size);
void ati_gguf_write_number(ati_gguf_reader *r, const char *name, double number);
void ati_gguf_write_flag(ati_gguf_reader *r, const char *name, bool flag);

/* Appends which layers have a window, and how wide it is. */
ati_status ati_gguf_write_windows(ati_gguf_reader *r);

/* Appends how many experts there are, and which layers have none. */
ati_status ati_gguf_write_experts(ati_gguf_reader *r);

/* Appends the settings of rotary embedding. */
ati_status ati_gguf_write_ropes(ati_gguf_reader *r);

/* Refuses a key of the architecture that is not known, or says what is not supported. */
ati_status ati_gguf_refuse_unread(const ati_gguf_reader *r);

#endif
