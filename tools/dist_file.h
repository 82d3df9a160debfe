/* dist_file.h: files in the dist-info folder of a distribution that pip or uv brought, for reading.
 *
 * `uv pip install --link-mode symlink` makes each of them a symlink to an absolute path in uv's cache.  These are the
 * only symlinks in a venv that are followed, by the last name alone, and whoever may write to the venv chooses where
 * they lead: so nothing but a regular file is opened, not even for a moment, as a device may act on that, and a FIFO
 * waits.
 *
 * Who works on the venv of another user (root) may read what that user may not: then only files that are the venv's
 * owner's are read, who may read them anyway.  Not root's, be they readable to all: whether he can reach them, the
 * folders above them say.  Of a cache that belongs to neither, nothing is read: as if it had been pruned. */
#ifndef FUSEPKG_DIST_FILE_H
#define FUSEPKG_DIST_FILE_H

#include "tools/target.h"

enum { DIST_FILE_MAX = 64 << 20 /* bytes: RECORDs of large packages have a few */ };

/* Appends the file that a symlink with that TARGET leads to.  -ENOENT: to none that can be read, or may. */
int dist_file_follow(const struct target *t, const char *target, struct buf *ret);
/* Appends the file DIRFD/PATH, or what it leads to.  -errno. */
int dist_file_read(const struct target *t, int dirfd, const char *path, struct buf *ret);

#endif
