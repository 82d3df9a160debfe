/* target.h: the venv that a command works on.
 *
 * Order: --venv/--python/-p, $VIRTUAL_ENV, then `.venv` in this folder and its parents (a folder, or a file holding a
 * path). One that was found by searching must belong to the caller.  Root refuses another user's venv without
 * --allow-root. A dead mount (ENOTCONN) found there is detached and mounted again first.
 *
 * The store: $FUSEPKG_STORE, else the recorded one, else $XDG_DATA_HOME/fusepkg, else ~/.local/share/fusepkg.  One
 * that is not the recorded one (by its id) is an error that names both. */
#ifndef FUSEPKG_TARGET_H
#define FUSEPKG_TARGET_H

#include "fs/environment.h"
#include "fs/view.h"
#include "store/store.h"
#include "tools/command.h"

struct target {
        char *venv;       /* absolute, resolved: scripts name it, so it must be the same in every command */
        char *site;       /* absolute: VENV/lib/python3.12/site-packages */
        char *site_rel;   /* "lib/python3.12/site-packages" */
        char *python;     /* "3.12", "3.13t": the name of the folder in lib/ */
        char *interpreter;/* VENV/bin/python */
        uid_t owner;      /* of the venv's folder */
        gid_t group;
        int venv_fd;
        int state_fd;     /* VENV/.fusepkg, -1 while it does not exist */
        int lock_fd;      /* VENV/.lock, held (flock) after target_lock */
        struct environment *environment; /* NULL while there is none */
};
#define TARGET_INIT { .venv_fd = -1, .state_fd = -1, .lock_fd = -1 }

/* The options that every command with a target takes, for its table. */
#define TARGET_OPTIONS                                                                                     \
        { "--venv", 0, "DIR", "the virtual environment (also: $VIRTUAL_ENV, or .venv here or above)" },    \
        { "--python", 'p', "PATH", "the same, by its interpreter or its folder" },                         \
        { "--allow-root", 0, NULL, "as root, work on a venv that belongs to another user" }

/* Finds the venv, loads the environment if there is one, and repairs a dead mount. */
int target_open(const struct options *o, struct target *ret, struct errtext *err);
/* The same for who mounts it itself, or wants no mount: a dead one is detached. */
int target_open_detached(const struct options *o, struct target *ret, struct errtext *err);
/* The same, but a dead mount stays. */
int target_open_as_is(const struct options *o, struct target *ret, struct errtext *err);
/* By path, and as it is. */
int target_open_path(const char *venv, struct target *ret, struct errtext *err);
/* A dead mount (both of its processes were killed) is mounted again, as it was; where that cannot be, it is detached,
 * and a warning says why. */
int target_repair(const struct target *t, struct errtext *err);
void target_close(struct target *t);

static inline void cleanup_target_(struct target *t)
{
        target_close(t);
}
#define cleanup_target __attribute__((cleanup(cleanup_target_)))

/* Takes VENV/.lock as uv does (says "waiting for lock" after a second), makes .fusepkg, and reads the environment
 * again. */
int target_lock(struct target *t, struct errtext *err);
/* The same, but -EWOULDBLOCK when somebody holds it: then nothing has changed, and t->lock_fd is -1. */
int target_try_lock(struct target *t, struct errtext *err);

/* When root works for another user: gives him the file FD, and what root has made in .fusepkg.  Else nothing. */
void target_give(const struct target *t, int fd);
void target_give_state(const struct target *t);

/* Opens the store that belongs to the target; makes a new one only with STORE_CREATE and when none is recorded. */
int target_store(const struct target *t, enum store_mode mode, struct store **ret, struct errtext *err);
/* Is S the store that the environment records? */
int target_check_store(const struct target *t, const struct store *s, struct errtext *err);
/* Without a target: $FUSEPKG_STORE or the default. */
int default_store(enum store_mode mode, struct store **ret, struct errtext *err);
int default_store_path(char **ret);

/* A view of the environment as it is now, mounted or not: with the base when the bare folder can be seen (not
 * mounted), without it otherwise (then *RET_BASE is NULL, and the base's files are only visible through the mount).
 * -ENOENT: there is no environment. To be freed in the order view, base, pool. */
int target_view(const struct target *t, const struct store *s, struct image_pool **ret_pool, struct base **ret_base,
                struct view **ret_view, struct errtext *err);

/* The base alone; NULL while the bare folder cannot be seen.  NUMBERED: its ids are those that the mount and the edits
 * know it by; else they mean something in this process alone. */
int target_base(const struct target *t, bool numbered, struct base **ret, struct errtext *err);

/* Distributions of the base that are visible: calls FN with each dist-info (or egg-info) folder's name, name and
 * version. */
int target_each_bare(const struct target *t,
                     int (*fn)(const char *dist_info, const char *name, const char *version, void *user), void *user);
/* The same in a site-packages that is open already: mount_open_bare. */
int target_each_bare_in(const struct target *t, int site_fd,
                        int (*fn)(const char *dist_info, const char *name, const char *version, void *user), void *user);
/* What a live mount shows, edits and all: SLOT is NULL for what is not ours.  SITE_FD is of mount_open_shown. */
int target_each_shown(const struct target *t, int site_fd,
                      int (*fn)(const char *dist_info, const char *name, const char *version, const struct slot *slot,
                                void *user),
                      void *user);

#endif
