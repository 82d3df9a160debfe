/* kept.h: what fusepkg's own commands take away from the user is put to `.fusepkg/kept/<generation>/<path>` first.
 *
 * A name that is taken already gets ".1", ".2", … at its end, that of a folder as well where a file has it: nothing
 * that was kept is ever overwritten but by the same bytes, so that who is killed in between and begins again leaves no
 * second copy.  Folders are made as needed;
 * all belongs to the owner of the state folder. Threads: none shared; the caller sees to it that two do not keep the
 * same path. */
#ifndef FUSEPKG_KEPT_H
#define FUSEPKG_KEPT_H

#include "store/buf.h"

#include <sys/stat.h>

#define KEPT_DIR "kept"

/* FILL writes the bytes to an empty file, which then gets MODE's permissions and TIMES (see utimensat).  PATH is
 * relative and tidy.  The path below kept/<generation> that it got is appended to RET_PATH (may be NULL). */
int kept_put(int state_fd, uint64_t generation, const char *path, int (*fill)(int fd, void *user), void *user,
             mode_t mode, const struct timespec times[2], struct buf *ret_path);
/* The same with the bytes, permissions and times of an open file. */
int kept_put_file(int state_fd, uint64_t generation, const char *path, int from, mode_t mode, struct buf *ret_path);
int kept_put_link(int state_fd, uint64_t generation, const char *path, const char *target, struct buf *ret_path);

#endif
