/* files.h: reading, writing and removing files without being led astray.
 *
 * Every name is resolved relative to a directory descriptor that the caller holds, and no symlink is ever
 * followed below it (openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS).  All descriptors are
 * O_CLOEXEC.  All functions are thread-safe. */
#ifndef FUSEPKG_FILES_H
#define FUSEPKG_FILES_H

#include "store/buf.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>

/* openat2 as above; returns the descriptor or -errno. */
int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/* The same, and no mount is entered either (-EXDEV). */
int file_open_local(int dirfd, const char *path, int flags);

/* As file_open_beneath, for a file that is written in place, in a folder that may be another user's (root in his venv):
 * a regular file with no other name, else -EPERM; one that root makes becomes the folder's owner's. */
int file_open_own(int dirfd, const char *path, int flags, mode_t mode);

/* Reads LEN bytes at OFFSET, less only at the end of the file: how many. */
ssize_t file_pread(int fd, void *data, size_t len, off_t offset);
/* Reads all LEN bytes at OFFSET; -EIO when the file ends before. */
int file_pread_full(int fd, void *data, size_t len, off_t offset);
int file_write_full(int fd, const void *data, size_t len);

/* Appends the whole file to RET; -EFBIG when it has more than MAX bytes. */
int file_read_all(int fd, size_t max, struct buf *ret);
int file_read_at(int dirfd, const char *path, size_t max, struct buf *ret);

/* Replaces DIRFD/NAME as one step: a temporary file beside it, written, synced (the folder too) when SYNC,
 * renamed.  A kill in between leaves at most a file named NAME.tmp-<random>. */
int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, bool sync);
/* Removes what killed ones left in DIRFD/PATH, of the names for which IS_LEFT says so: that nobody is replacing. */
void file_replace_sweep(int dirfd, const char *path, bool (*is_left)(struct span name, const void *user),
                        const void *user);

/* Opens a folder below DIRFD for readdir; NULL, with errno set, when it cannot be opened. */
DIR *dir_stream(int dirfd, const char *path);

/* mkdirat that takes an existing directory for success, and opens it. */
int dir_make(int dirfd, const char *name, mode_t mode);

/* Removes NAME and all below it; a missing one is success.  Never crosses a symlink or a mount. */
int dir_remove_tree(int dirfd, const char *name);

/* SIZE - 1 random hexadecimal digits and a NUL. */
int random_hex(char *ret_text, size_t size);

#endif
