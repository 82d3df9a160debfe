/* mountinfo.h: the kernel's list of mounts: the text of /proc/self/mountinfo.
 *
 * Reading it touches no mount, so it tells of dead and hanging ones too.  Format: proc_pid_mountinfo(5); blanks,
 * tabs, newlines and backslashes in paths are written as octal escapes.  Malformed lines are skipped. */
#ifndef FUSEPKG_MOUNTINFO_H
#define FUSEPKG_MOUNTINFO_H

#include "store/buf.h"

#include <sys/types.h>

#define MOUNTINFO_TYPE "fuse.fusepkg" /* the type of our mounts */

struct mountinfo {
        dev_t device;
        char type[64]; /* "ext4", "fuse.fusepkg"; cut when longer */
        bool allow_other; /* FUSE: all users see it */
};

/* Appends the list. */
int mountinfo_load(struct buf *ret);
/* What is mounted at PATH (absolute, without symlinks) itself: the topmost one.  -ENOENT: nothing. */
int mountinfo_at(const char *text, size_t len, const char *path, struct mountinfo *ret);
/* The mount that PATH lies in. */
int mountinfo_holding(const char *text, size_t len, const char *path, struct mountinfo *ret);
/* Where the mount with that DEVICE can be seen, appended: the first place if there are several.  -ENOENT: nowhere. */
int mountinfo_point(const char *text, size_t len, dev_t device, struct buf *ret);

#endif
