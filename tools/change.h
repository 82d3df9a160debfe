/* change.h: one change of an environment, from the lock to the mount: what `add` and `remove` share.
 *
 * Order: change_open, change_open_store, change_lock, the caller edits NEXT and calls change_hide and change_note,
 * change_commit, change_show.  Up to the commit nothing that anybody sees has changed; a kill after it leaves what
 * the next command that changes the venv, or mounts it, repairs (outside.h). */
#ifndef FUSEPKG_CHANGE_H
#define FUSEPKG_CHANGE_H

#include "fs/image_pool.h"
#include "store/index.h"
#include "tools/change_edits.h"
#include "tools/mounts.h"
#include "tools/target.h"

struct change_line {
        char sign; /* '+' or '-' */
        char *name;
        char *version;
};

struct change {
        struct target t;
        struct store *store;
        struct index *index;
        int use_fd;                /* store_use() of a store that can only be read; else the index's */
        struct image_pool *pool;
        struct environment *next;  /* a copy of the environment, or a new one; from change_lock to change_commit */
        struct change_edits edits; /* what pip and uv did: change_edits.h */
        struct change_line *lines;
        size_t line_count;
        bool adopting;             /* set by the caller: it is a copied venv, which gets an identity of its own */
        bool made_state;           /* .fusepkg is new: removed again when nothing comes of it */
        uint64_t started_ns;       /* when the lock was taken */
        bool committed;
        bool unsettled;            /* from change_lock to change_show: scripts of hidden distributions are away */
};
#define CHANGE_INIT { .t = TARGET_INIT, .use_fd = -1 }

/* Finds the venv, without changing it. */
int change_open(const struct options *o, struct change *ret, struct errtext *err);
/* Opens its store, which is made when there is none yet. */
int change_open_store(struct change *c, struct errtext *err);
void change_release(struct change *c);

/* Takes the venv's lock, reads the environment again, finishes what a killed command left undone, and prepares NEXT. */
int change_lock(struct change *c, struct errtext *err);

/* Hides the distributions of the base that are called NAME; *RET_HIDDEN (may be NULL) is how many there were. */
int change_hide(struct change *c, const char *name, size_t *ret_hidden, struct errtext *err);
/* Notes a line of the result: what is said after the commit. */
int change_note(struct change *c, char sign, const char *name, const char *version, struct errtext *err);

/* Makes NEXT the truth and applies it outside of site-packages; says what was installed and uninstalled. */
int change_commit(struct change *c, struct errtext *err);
/* A mount is told to read the environment again; where there is none, one is started if MOUNT. */
int change_show(struct change *c, bool mount, const struct mount_options *how, struct errtext *err);

static inline void cleanup_change_(struct change *c)
{
        change_release(c);
}
#define cleanup_change __attribute__((cleanup(cleanup_change_)))

#endif
