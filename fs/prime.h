/* prime.h: the helper process that makes the kernel ask its one-time questions right after mounting.
 *
 * OPEN, OPENDIR, FLUSH, GETXATTR, LISTXATTR and STATX are answered with ENOSYS once, and never asked again.  Asking
 * them now means that no user pays for it, and that no process ever waits in a forced FLUSH for a mount that has just
 * died.  It is a process of its own, forked before the threads start, since whoever serves a mount must never touch
 * it. */
#ifndef FUSEPKG_PRIME_H
#define FUSEPKG_PRIME_H

#include "store/base.h"

#include <sys/types.h>

struct prime {
        pid_t pid;
        int go_fd;
};

/* Forks the helper, which waits; FUSE_FD is closed in it. */
int prime_fork(const char *site, int fuse_fd, struct prime *ret);
/* Lets it run and waits for it (at most 10 s). As root it also raises the mount's read-ahead to 1 MiB. */
int prime_run(struct prime *p);

#endif
