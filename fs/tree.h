/* tree.h: the tree as programs see it: the view of the current generation, and the edits above it.
 *
 * What a name in a directory is: the entry row, if there is one and the view has nothing newer than its horizon there;
 * else what the view has in the directory `below`.  What a node is: its row, else the view.  A directory shows the
 * entries of its rows and of its `below`, by cookie. fs/README.md has the invariants, the life of an inode, and what a
 * crash leaves.
 *
 * Threads: any thread may call; the tree's lock guards the rows, and the pair of rows and view: a switch changes both
 * at once.  Bytes are copied and synced outside of it.  Lock order: tree lock, then leaves (copies, view references,
 * data files, image pool, base). */
#ifndef FUSEPKG_TREE_H
#define FUSEPKG_TREE_H

#include "fs/edit_data.h"
#include "fs/edits.h"
#include "fs/view.h"

#include <sys/statvfs.h>

struct view_ref {
        struct view *view;
        unsigned refs; /* guarded by the tree's lock of references */
};

struct tree;

/* Takes V over.  E and D may be NULL: then every change is -EROFS. They stay the caller's, and outlive the tree. */
int tree_new(struct view *v, struct edits *e, struct edit_data *d, struct tree **ret);
/* FN is called by a thread that begins to copy up a large file, and when that has ended: it is away for seconds. */
void tree_on_long_copy(struct tree *t, void (*fn)(bool begins, void *user), void *user);
/* At the end of the process: nobody else gets the tree's lock any more, and what was made ready goes.  -ETIMEDOUT after SECONDS. */
int tree_lock_for_ever(struct tree *t, unsigned seconds);
/* The current view, to be given back. */
struct view_ref *tree_view(struct tree *t);
void tree_view_done(struct tree *t, struct view_ref *ref);

/* Who asks; what non-idempotent requests are remembered by: cell NO_CELL: not at all. */
enum { NO_CELL = UINT32_MAX };
struct tree_call {
        uid_t uid;
        gid_t gid;
        uint32_t cell;
        uint64_t connection;
        uint64_t request;
        bool replayed; /* it may have been done: look into `done` first */
};

/* Reading: as the functions of view.h. */
int tree_lookup(struct tree *t, uint64_t dir, const char *name, size_t len, struct node *ret);
int tree_getattr(struct tree *t, uint64_t id, struct node *ret);
int tree_readlink(struct tree *t, uint64_t id, struct buf *ret);
uint64_t tree_parent(struct tree *t, uint64_t dir);
/* With attributes where PLUS (else only id, and the type in st_mode). FN is called under the tree's lock: it must not
 * call back. */
struct tree_dirent {
        struct span name;
        uint64_t cookie;
        struct node node;
};
int tree_readdir(struct tree *t, uint64_t dir, uint64_t after, bool plus,
                 int (*fn)(const struct tree_dirent *d, void *user), void *user);
/* Walks a relative path ("" is the root), following nothing; the path of a node that has one (-ENOENT: removed),
 * appended. */
int tree_find(struct tree *t, const char *path, struct node *ret);
int tree_path(struct tree *t, uint64_t id, struct buf *ret);

/* Changes.  The kernel has checked rights.  -EROFS, -ENOSPC, -EDQUOT, -EIO … from
 * below. */
struct tree_new_node {
        mode_t mode;         /* with the type; of a symlink S_IFLNK */
        dev_t rdev;
        const char *target;  /* symlinks */
};
int tree_make(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name, const struct tree_new_node *n,
              struct node *ret);
/* Makes ready what the next file needs, while nobody waits; nothing when files are not being made, or in doubt. */
void tree_prepare(struct tree *t);
int tree_make_unnamed(struct tree *t, const struct tree_call *c, uint64_t dir, mode_t mode, struct node *ret); /* O_TMPFILE */
int tree_link(struct tree *t, const struct tree_call *c, uint64_t id, uint64_t dir, const char *name, struct node *ret);
int tree_unlink(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name);
int tree_rmdir(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name);
/* FLAGS: RENAME_NOREPLACE, RENAME_EXCHANGE. */
int tree_rename(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name, uint64_t to_dir,
                const char *to_name, unsigned flags);
/* After a file was made, linked or renamed, NAME in DIR being new: keeps bytecode from passing for that of another source
 * (tree_bytecode.c).  The id of a file that has got another time, of which the kernel may know the former; 0: none. */
uint64_t tree_named(struct tree *t, uint64_t dir, const char *name);

/* Mode, owner and times; not the size.  A time of -1 in tv_nsec: leave; of UTIME_NOW: now. */
struct tree_attr {
        bool set_mode, set_uid, set_gid;
        mode_t mode;
        uid_t uid;
        gid_t gid;
        struct timespec atime; /* tv_nsec UTIME_OMIT: leave, UTIME_NOW: now */
        struct timespec mtime;
};
int tree_setattr(struct tree *t, uint64_t id, const struct tree_attr *a, struct node *ret);

/* Bytes: tree_data.c.  The first change of an image's or the base's bytes copies the file up. */
ssize_t tree_read(struct tree *t, uint64_t id, void *data, size_t len, uint64_t offset, struct errtext *err);
ssize_t tree_write(struct tree *t, uint64_t id, const void *data, size_t len, uint64_t offset);
int tree_truncate(struct tree *t, uint64_t id, uint64_t size);
int tree_fallocate(struct tree *t, uint64_t id, int mode, uint64_t offset, uint64_t len);
int64_t tree_lseek(struct tree *t, uint64_t id, uint64_t offset, int whence); /* SEEK_DATA, SEEK_HOLE */
ssize_t tree_copy_range(struct tree *t, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                        size_t len);
int tree_fsync(struct tree *t, uint64_t id, bool data_only); /* directories as well */
int tree_statfs(struct tree *t, struct statvfs *ret);

/* Removed nodes.  The kernel has forgotten ID at least once: true when it is one to be asked about; then, once the
 * kernel has let go of it: drops row and bytes. */
bool tree_is_removed(struct tree *t, uint64_t id);
int tree_drop_removed(struct tree *t, const uint64_t *ids, size_t n);
/* At the start, when no kernel holds anything: drops all removed nodes, and data files without rows.  *RET_LOST: rows
 * whose data file a power cut took: new files are empty now, others the view's again. */
int tree_sweep(struct tree *t, size_t *ret_lost);

/* The switch: carries the edits over to NEXT (taken over on success) and makes it the current view, in one step.  What
 * was changed by carrying is added to the list, for the kernel to be told; STATE_FD/kept/<generation> takes what the
 * user changed in what leaves (tree_carry.c). */
struct tree_change {
        uint64_t dir;
        char *name;   /* NULL: the attributes and listing of the directory (or file) itself */
};
struct tree_changes {
        struct tree_change *list;
        size_t count;
        size_t cap;
        size_t kept;  /* files put to .fusepkg/kept */
        uint64_t *moved; /* directories of the view that only rows name: what is in them may have changed as well */
        size_t moved_count;
        struct view_cut *cuts; /* after -EAGAIN: those that the next view must have */
        size_t cut_count;
};
void tree_changes_release(struct tree_changes *c);
int tree_changes_add(struct tree_changes *c, uint64_t dir, const char *name); /* NAME is copied */
/* NEXT was made with the cuts that tree_cuts gave; -EAGAIN: it must be made with those in RET.  On failure nothing
 * changed. */
int tree_switch(struct tree *t, struct view *next, struct tree_changes *ret, struct view_ref **ret_old,
                struct errtext *err);
/* The names that a view above which E's rows stand must keep apart (view_new_cut); E may be NULL. */
int tree_cuts(struct edits *e, struct view_cut **ret, size_t *ret_n);
void tree_cuts_free(struct view_cut *cuts, size_t n);
/* Makes the view of E that the rows need, and switches to it: PREVIOUS as for view_new.  tree_settle.c */
int tree_advance(struct tree *t, const struct environment *e, struct image_pool *pool, struct base *base,
                 const struct view *previous, struct tree_changes *ret, struct view_ref **ret_old, struct errtext *err);
/* Is what the name shows (or that it shows nothing) said by a row? */
bool tree_has_row(struct tree *t, uint64_t dir, const char *name, size_t len);
/* At the start of a mount, after tree_new with a view that has the rows' cuts, and before tree_sweep: carries rows of
 * another generation over to that view. POOL and BASE are the view's.  *RET_NOTE (for the log) is filled when the old
 * generation could not be read: then what the user has in directories that are gone is put to kept under "unknown".
 * tree_settle.c. */
int tree_settle(struct tree *t, struct image_pool *pool, struct base *base, size_t *ret_kept, struct errtext *ret_note,
                struct errtext *err);
/* The directory that shows what the view has at DIR (it is DIR, but where an edited directory shows it below itself);
 * tree.c. */
uint64_t tree_above(struct tree *t, uint64_t dir);

/* tree_announce.c.  Of what switches and reverts changed the kernel must be told, by whoever serves it: the list is
 * put into the rows with the change itself (tree_announce: in its transaction, under the lock), and taken out when it
 * has been told. */
int tree_announce(struct tree *t, const struct tree_changes *c);
void tree_told(struct tree *t);
/* In a process that takes over: what may not have been told, with the directories of the view that rows name
 * (`moved`). */
int tree_untold(struct tree *t, struct tree_changes *ret);
/* In a process that takes over, instead of tree_sweep: the kernel may hold removed nodes.  They are removed still, and
 * *RET (on the heap) lists them, to be asked about; not those whose making may not have been answered yet. */
int tree_take_over(struct tree *t, uint64_t **ret, size_t *ret_n);

/* Everything about the rows that must hold: see README.md; calls FN with a sentence for each thing that does not. */
int tree_check(struct tree *t, int (*fn)(const char *sentence, void *user), void *user);

#endif
