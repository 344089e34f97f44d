/* Files read at stated offsets, exactly or not at all. */
#ifndef ATI_FILE_H
#define ATI_FILE_H

#include "base/poll.h"

typedef struct {
    char *path; /* owned, NUL-terminated */
    int fd;
    size_t size; /* bytes, when it was opened */
} ati_file;

/* Opens folder/name, which must be a regular file and no Git LFS pointer. On ATI_OK
 * the caller owns what *file holds (ati_file_close); otherwise *file is zeroed. */
ati_status ati_file_open(const char *folder, const char *name, ati_file *file, ati_error *error);

/* A zeroed file is allowed; *file is zeroed. */
void ati_file_close(ati_file *file);

/* Reads exactly `bytes` bytes at `offset` into out. A file that ended early is
 * ATI_FORMAT. */
ati_status ati_file_read(const ati_file *file, size_t offset, size_t bytes, void *out,
                         ati_error *error);

/* The same of what may be long. `poller` may be NULL. */
ati_status ati_file_read_long(const ati_file *file, size_t offset, size_t bytes, void *out,
                              ati_poller *poller, ati_error *error);

/* The whole of folder/name, refused above `most` bytes. On ATI_OK the caller
 * owns *text (ati_free), NUL-terminated, *length bytes before the NUL. *path is
 * the file's path, owned by the caller too. Otherwise both are NULL. `poller` may be
 * NULL. */
ati_status ati_file_read_all(const char *folder, const char *name, size_t most, ati_poller *poller,
                             char **text, size_t *length, char **path, ati_error *error);

/* Whether folder/name is there, whatever it is; also when that cannot be seen,
 * so that opening it says why. */
ati_status ati_file_exists(const char *folder, const char *name, bool *exists, ati_error *error);

/* "folder/name", owned by the caller (ati_free), or NULL without memory. */
char *ati_path_join(const char *folder, const char *name);

#endif
