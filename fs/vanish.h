/* vanish.h: noticing that an environment was deleted under its mount.
 *
 * `rm -rf .venv` takes `.fusepkg/environment` away and then fails at the mount point with EBUSY.  The mount sees that
 * the environment is gone and goes, too, so that `rm` succeeds when it is called again.  A commit replaces the
 * environment by a rename: it is never missing then.
 *
 * inotify tells; where there is none to be had (fs.inotify.max_user_instances is 128 on many machines), and on NFS,
 * where other hosts may do it, the folder is looked at every VANISH_LOOK_MS. Threads: one, the main thread's. */
#ifndef FUSEPKG_VANISH_H
#define FUSEPKG_VANISH_H

#include "store/base.h"

enum {
        VANISH_LOOK_MS = 1000,
        VANISH_SURE_MS = 200, /* tools that restore a backup may remove a file and then write it */
};

struct vanish {
        int state_fd; /* borrowed: the .fusepkg folder */
        int fd;       /* to be polled for reading, or -1 */
        int dir_fd;   /* where fd tells of signals: the folder that sends them; else -1 */
        int64_t missing_since_ms; /* 0: it is there; in the future: when to try again */
        bool left;    /* the mount was taken away: nothing is left to notice */
};

/* SIGIO must be blocked in all threads. */
void vanish_init(struct vanish *v, int state_fd);
void vanish_release(struct vanish *v);
/* How long to wait for V->fd at most. */
int vanish_timeout_ms(const struct vanish *v);
/* To be called when V->fd can be read, or the time is over: has the environment been gone for VANISH_SURE_MS? */
bool vanish_is_gone(struct vanish *v);
/* R is how taking the mount away went: after a failure it is tried again in a second. */
void vanish_leave(struct vanish *v, int r);

#endif
