#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"

#define PIECE ((size_t)1 << 20)       /* bytes read from one poll to the next */
#define MOST_A_READ ((size_t)1 << 30) /* macOS refuses reads of 2 GiB and more */

/* What stands in a clone for a file that Git LFS keeps elsewhere, and its largest size. */
static const char lfs_beginning[] = "version https://git-lfs.github.com/spec/";
#define MOST_LFS_BYTES 1024

char *ati_path_join(const char *folder, const char *name) {
    size_t folder_length = strlen(folder), name_length = strlen(name), size;
    if (!ati_add(folder_length, name_length, &size) || !ati_add(size, 2, &size)) {
        return NULL;
    }
    char *path = ati_calloc(size, 1);
    if (path != NULL) {
        memcpy(path, folder, folder_length);
        if (folder_length > 0 && folder[folder_length - 1] != '/') {
            path[folder_length++] = '/';
        }
        memcpy(path + folder_length, name, name_length);
    }
    return path;
}

ati_status ati_file_exists(const char *folder, const char *name, bool *exists, ati_error *error) {
    struct stat status;
    char *path = ati_path_join(folder, name);
    if (path == NULL) {
        return ati_fail_memory(error, strlen(folder) + strlen(name), "a path");
    }
    *exists = stat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
    ati_free(path);
    return ATI_OK;
}

/* Fills file->size; only regular files have one that can be relied on. */
static ati_status measure(ati_file *file, ati_error *error) {
    struct stat status;
    if (fstat(file->fd, &status) != 0) {
        return ati_fail_io(error, file->path, "look at");
    }
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return ati_fail_io(error, file->path, "read");
    }
    if (!S_ISREG(status.st_mode)) {
        return ati_fail(error, ATI_FORMAT, "'%s' is not a regular file", file->path);
    }
    if (status.st_size < 0 || (uintmax_t)status.st_size > SIZE_MAX) {
        errno = EFBIG;
        return ati_fail_io(error, file->path, "read");
    }
    file->size = (size_t)status.st_size;
    return ATI_OK;
}

/* Such a file is no damaged one, and what reads it could only say so. */
static ati_status refuse_lfs_pointer(const ati_file *file, ati_error *error) {
    char beginning[sizeof lfs_beginning - 1];
    if (file->size < sizeof beginning || file->size > MOST_LFS_BYTES) {
        return ATI_OK;
    }
    ati_status status = ati_file_read(file, 0, sizeof beginning, beginning, error);
    if (status == ATI_OK && memcmp(beginning, lfs_beginning, sizeof beginning) == 0) {
        return ati_fail(error, ATI_FORMAT,
                        "'%s' is a Git LFS pointer, not the file itself: run git lfs pull in its "
                        "folder, or download it",
                        file->path);
    }
    return status;
}

ati_status ati_file_open(const char *folder, const char *name, ati_file *file, ati_error *error) {
    *file = (ati_file){.fd = -1};
    ati_status status = ATI_OK;
    file->path = ati_path_join(folder, name);
    if (file->path == NULL) {
        status = ati_fail_memory(error, strlen(folder) + strlen(name), "a path");
        goto exit;
    }
    /* Not blocking: a named pipe would otherwise wait for its writer. */
    do {
        file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (file->fd < 0 && errno == EINTR);
    status = file->fd < 0 ? ati_fail_io(error, file->path, "open") : measure(file, error);
    if (status == ATI_OK) {
        status = refuse_lfs_pointer(file, error);
    }
exit:
    if (status != ATI_OK) {
        ati_file_close(file);
    }
    return status;
}

void ati_file_close(ati_file *file) {
    /* A zeroed file has no path: its fd 0 is not ours. */
    if (file->path != NULL && file->fd >= 0) {
        (void)close(file->fd);
    }
    ati_free(file->path);
    *file = (ati_file){0};
}

ati_status ati_file_read(const ati_file *file, size_t offset, size_t bytes, void *out,
                         ati_error *error) {
    size_t done = 0;
    while (done < bytes) {
        size_t want = bytes - done < MOST_A_READ ? bytes - done : MOST_A_READ;
        ssize_t got = pread(file->fd, (char *)out + done, want, (off_t)(offset + done));
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return ati_fail(error, ATI_FORMAT, "'%s' ends at byte %zu, expected %zu more",
                            file->path, offset + done, bytes - done);
        } else if (errno != EINTR) {
            return ati_fail_io(error, file->path, "read");
        }
    }
    return ATI_OK;
}

ati_status ati_file_read_long(const ati_file *file, size_t offset, size_t bytes, void *out,
                              ati_poller *poller, ati_error *error) {
    ati_status status = ATI_OK;
    for (size_t done = 0, some; done < bytes && status == ATI_OK; done += some) {
        some = bytes - done < PIECE ? bytes - done : PIECE;
        status = ati_file_read(file, offset + done, some, (char *)out + done, error);
        if (status == ATI_OK) {
            status = ati_poller_check(poller, error);
        }
    }
    return status;
}

ati_status ati_file_read_all(const char *folder, const char *name, size_t most, ati_poller *poller,
                             char **text, size_t *length, char **path, ati_error *error) {
    *text = NULL;
    *path = NULL;
    ati_file file = {0};
    char *buffer = NULL;
    ati_status status = ati_file_open(folder, name, &file, error);
    if (status != ATI_OK) {
        goto exit;
    }
    if (file.size > most) {
        status = ati_fail(error, ATI_FORMAT, "'%s' has %zu bytes, expected at most %zu", file.path,
                          file.size, most);
        goto exit;
    }
    buffer = ati_calloc(file.size + 1, 1);
    if (buffer == NULL) {
        status = ati_fail_memory(error, file.size + 1, "a file's text");
        goto exit;
    }
    status = ati_file_read_long(&file, 0, file.size, buffer, poller, error);
    if (status != ATI_OK) {
        goto exit;
    }
    *text = buffer;
    buffer = NULL;
    *length = file.size;
    *path = file.path;
    (void)close(file.fd);
    file = (ati_file){0};
exit:
    ati_free(buffer);
    ati_file_close(&file);
    return status;
}
