/* mounts.h: is it mounted, by whom, and making it so. */
#ifndef FUSEPKG_MOUNTS_H
#define FUSEPKG_MOUNTS_H

#include "store/base.h"
#include "tools/target.h"

enum mount_state {
        MOUNT_NONE,
        MOUNT_LIVE,
        MOUNT_DEAD,   /* ENOTCONN */
        MOUNT_FOREIGN /* something else is mounted there */
};

struct mount_info {
        enum mount_state state;
        dev_t device;
        bool allow_other;    /* all users see it */
        bool locked;         /* a mount process lives and owns the environment, maybe where its mount cannot be seen */
        char host[256];      /* of the lock's owner; "" when unknown, as are the next ones when it is not locked */
        char boot[40];
        int pid;             /* of the keeper; 0 when unknown */
        int worker;          /* who serves: 0 when nobody does at the moment */
        unsigned restarts;   /* of the worker */
        char reason[256];    /* of the last one; "" */
        bool degraded;       /* nobody can serve it: requests end with errors */
        bool has_keeper;     /* it knows the signals of fs/keeper.h */
        unsigned upgrades;   /* that were asked for and have ended */
        char upgrade[256];   /* how the last one ended: "ok" or a sentence */
        int64_t since;       /* seconds since the epoch; 0 when unknown */
};

/* Looks SITE (absolute, without symlinks) up in /proc/self/mountinfo (never touching a dead mount's files) and reads
 * the lock of STATE_FD (or -1). */
int mount_examine(const char *site, int state_fd, struct mount_info *ret);

/* Site-packages is one folder while it is mounted and another one else, and whoever opens it after a look at the list
 * of mounts may have either: only some umounts wait for the venv's lock, and no mount of a Python that starts does.
 * These open what they say, for reading, into *RET: 1; or 0, it is the other way now.  -EAGAIN: it never stays. */
int mount_open_shown(const struct target *t, int *ret); /* what a live mount shows; keeps umount from it meanwhile */
int mount_open_bare(const struct target *t, int *ret);  /* what lies below, while no mount lives */
const char *mount_state_name(enum mount_state s); /* "mounted", "unmounted", "dead", "foreign" */

/* Keeps everybody from mounting until *RET is closed; *RET stays as it was on a read-only disk. */
#define MOUNTS_LOCK_FILE "mount-lock"
int mount_lock(const struct target *t, int *ret, struct errtext *err);
/* The same without waiting: false when somebody is mounting.  Makes no file: where there is none nobody ever was. */
bool mount_try_lock(const struct target *t, int *ret);

/* Starts fusepkg-mount (found beside this executable or in its libexec folder, or $FUSEPKG_MOUNT_PROGRAM) and waits
 * until it is ready.  It holds mount_lock meanwhile, as Python's start may do it without the venv's lock; fusepkg.pth,
 * by which that comes (python_start.h), is written here.  -EALREADY: it is mounted; -ENODEV:
 * this machine does not let us mount. */
struct mount_options {
        bool allow_other;
        bool foreground; /* replaces this process: returns only on failure */
};
int mount_start(const struct target *t, const struct mount_options *o, struct errtext *err);
/* When nothing is mounted, but another mount is on its way, that of a command that was killed, say: waits for it.  Is
 * it mounted then? */
bool mount_came(const struct target *t);
/* The path of that program, on the heap; -ENOENT. */
int mount_program(char **ret);
/* After mount_start has failed with ERROR: says with ui_hint() what this machine lacks for mounting, when that can be
 * told; nothing when it was not the machine that refused (-ENODEV). */
void mount_hints(const struct target *t, int error);
/* Unmounts, and waits until the mount's process has let go of its lock.  -EBUSY: somebody uses it, and the sentence
 * names who.  -EXDEV: it is mounted where we cannot reach it. */
int mount_stop(const struct target *t, bool lazy, struct errtext *err);
/* Takes it away whoever uses it (and says who that was), and ends its processes.  Always ends itself. */
int mount_force(const struct target *t, struct errtext *err);
#define MOUNTS_MTAB "/etc/mtab" /* without which fusermount3 mounts, but does not unmount */
#define MOUNTS_MTAB_MISSING \
        "fusermount3 needs " MOUNTS_MTAB ", which is missing; let root make it (ln -s ../proc/self/mounts " MOUNTS_MTAB ")"
/* umount2(2), or fusermount3 where the caller may not; waits for nothing.  -EBUSY: somebody uses it. */
int mount_unmount(const char *site, bool lazy, struct errtext *err);
/* Detaches a dead mount. */
int mount_detach(const char *site, struct errtext *err);
/* Tells a live mount to read the environment again and waits until it has; 0 also when nothing is mounted. */
int mount_reload(const struct target *t, struct errtext *err);
/* The same for a mount that may not answer (its process may be stopped): -ETIMEDOUT after SECONDS. */
int mount_reload_within(const struct target *t, unsigned seconds, struct errtext *err);

/* A pidfd of the process that the lock names by PID, or -ESRCH: it is none of a mount of this environment (any more, or
 * not one that we know by that number: mount_process.c).  -EPERM: somebody else's, of whom we may not know. */
int mount_process(const struct target *t, int pid);
/* Sends it a signal; errors as mount_process, and those of kill(2). */
int mount_signal(const struct target *t, int pid, int number);

/* Calls FN with the venv of each of our mounts that can be seen from here, live or not; touches none of them.  Ends
 * with what FN returns if that is not 0. */
int mounts_each(int (*fn)(const char *venv, void *user), void *user);

/* Appends "python3 (1234), bash (77)": the processes of whom the caller may know that use the mount with that device
 * at SITE. */
int mount_users(dev_t device, const char *site, struct buf *ret);

#endif
