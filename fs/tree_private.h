/* tree_private.h: what the files of the tree share; nobody else includes it.  All functions are called under the
 * tree's lock unless they say otherwise. */
#ifndef FUSEPKG_TREE_PRIVATE_H
#define FUSEPKG_TREE_PRIVATE_H

#include "fs/tree.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TREE_DEPTH_MAX = 4096 }; /* of directories: a circle is damage */

/* Ids of nodes, as of the removed ones (links 0): open addressing, 0 is empty. */
struct id_set {
        uint64_t *ids;
        size_t count;
        size_t size;
};

enum { TREE_SOURCES = 1024 }; /* what is compiled in a second or two */

/* A source of Python's that was compiled within the second of its last change: tree_bytecode.c. */
struct tree_source {
        uint64_t dir;
        uint64_t cookie; /* of the name */
        uint64_t id;     /* that has the name now */
        int64_t next;    /* s: what a change of it has at least */
};

struct tree {
        pthread_mutex_t lock;
        pthread_mutex_t refs_lock;
        pthread_mutex_t copy_lock;  /* a leaf, as the next one's */
        pthread_cond_t copy_cond;
        struct tree_copying *copies; /* under way, one for a file at a time; guarded by copy_lock, as the next */
        bool copies_stopped;
        void (*long_copy)(bool begins, void *user); /* immutable once threads run, as the next; may be NULL */
        void *long_copy_user;
        struct view_ref *current;   /* guarded by refs_lock; changes under lock as well, so either will do to read it */
        struct edits *edits;        /* immutable, as the next; the rows are guarded by lock */
        struct edit_data *data;
        int64_t last_time;          /* ns: the last that tree_now gave; guarded by lock */
        struct id_set removed;      /* guarded by lock, as the next two */
        char **links;               /* that tree_linked_gone removed */
        size_t link_count;
        struct tree_source sources[TREE_SOURCES]; /* the last that were noted; guarded by lock, as the next */
        size_t source_count;        /* of all that were, since none mattered */
        _Atomic int64_t sources_until; /* s of the clock: from then on none of them matters */
};

/* The current view: valid while the lock is held. */
static inline const struct view *tree_current(const struct tree *t)
{
        return t->current->view;
}

/* The time of a change: later than any that was given, and than the generation's. */
int64_t tree_now(struct tree *t);
/* Times as rows have them, from 1677 to 2262 (ns; what lies beyond is the first or the last second of it), and back. */
int64_t tree_ns(struct timespec t);
struct timespec tree_time(int64_t ns);

/* The row of a node, or what the view has as a row that is not there yet (*RET_STORED false).  A file of the view that
 * no name shows any more has 0 links. -ENOENT. */
int tree_node(struct tree *t, uint64_t id, struct edit_node *ret, bool *ret_stored);
/* What programs see of it. */
int tree_stat(struct tree *t, const struct edit_node *n, bool stored, struct node *ret);
/* The view's directory that shows through DIR; 0: none. */
int tree_below(struct tree *t, uint64_t dir, uint64_t *ret);
/* tree_above, under the lock. */
uint64_t tree_above_locked(struct tree *t, uint64_t dir);
/* What the view has at that name, whatever the rows say; -ENOENT. */
int tree_lookup_below(struct tree *t, uint64_t dir, const char *name, size_t len, struct node *ret);
/* Does the view's node come after that horizon? */
bool tree_is_newer(const struct tree *t, uint64_t id, uint32_t horizon);
/* Does a row say what a name is, where the view has BELOW for it? */
bool tree_row_hides(const struct tree *t, const struct edit_entry *row, uint64_t below, mode_t below_type);
/* What the name is: its id and type; -ENOENT. */
int tree_resolve(struct tree *t, uint64_t dir, const char *name, size_t len, uint64_t *ret_id, mode_t *ret_type);

/* tree_lookup, tree_readdir, tree_find, tree_path, under the lock; FN of tree_list may call what takes no lock. */
int tree_stat_named(struct tree *t, uint64_t id, struct node *ret);
int tree_list(struct tree *t, uint64_t dir, uint64_t after, bool plus,
              int (*fn)(const struct tree_dirent *d, void *user), void *user);
int tree_find_locked(struct tree *t, const char *path, uint64_t *ret_id, mode_t *ret_type);
int tree_path_locked(struct tree *t, uint64_t id, struct buf *ret);
/* A directory and a name that show the node; -ENOENT: none. */
int tree_place(struct tree *t, uint64_t id, uint64_t *ret_dir, struct buf *ret_name);
int tree_is_empty_dir(struct tree *t, uint64_t dir, bool *ret);

/* In a transaction: begins one, after looking whether this request was done before (then 1, its result in *RET_DONE);
 * ends it: commits when R is 0 and notes what was done, else rolls back. */
int tree_begin(struct tree *t, const struct tree_call *c, struct edit_done *ret_done);
int tree_end(struct tree *t, const struct tree_call *c, int r, uint64_t id);
/* The node itself changed: its ctime, which of a file whose bytes are here is the data file's.  Only the file system
 * below knows what its clock says: it lags behind the precise one, and what is written after must not be older. */
void tree_date(struct tree *t, struct edit_node *n, int64_t now);
/* A directory's entries changed: its times, and SUBDIRS more directories in it. */
int tree_touch_dir(struct tree *t, uint64_t dir, int subdirs, int64_t now);
/* The name shows ID from now on; or nothing (a whiteout where the view has something). */
int tree_set_name(struct tree *t, uint64_t dir, const char *name, uint64_t id, mode_t type);
int tree_clear_name(struct tree *t, uint64_t dir, const char *name);
/* No row says what the name is any more; but where cuts of the view act, one that hides what they took from it. */
int tree_free_name(struct tree *t, uint64_t dir, const char *name);
/* A directory was removed: its row stays, with no links and no names. */
int tree_drop_dir(struct tree *t, uint64_t id, int64_t now);
/* Links outside to directories of the data tree (tree_linked.c): the name of the one to DIR, seen from the venv,
 * appended (nothing: there is none); before DIR goes.  After the commit: the link goes as well; DIR has arrived where
 * it is now. */
int tree_linked_name(struct tree *t, uint64_t dir, struct buf *ret);
void tree_linked_gone(struct tree *t, const char *link);
void tree_linked_back(struct tree *t, uint64_t dir);
/* Without the lock: bytes of F, the node's data file, were changed (tree_bytecode.c). */
void tree_bytes_changed(struct tree *t, uint64_t id, struct edit_file *f);
/* One name less: the row's links, or a removed node. */
int tree_drop_link(struct tree *t, uint64_t id, int64_t now);

/* A list of cuts that grows; the second is for edits_cuts_each.  tree_cuts.c */
struct tree_cuts {
        struct view_cut *list;
        size_t count;
        size_t cap;
};
int tree_cuts_add(struct tree_cuts *c, uint64_t dir, struct span name, uint32_t horizon);
int tree_cuts_add_kept(uint64_t dir, struct span name, uint32_t horizon, void *user);
/* In a transaction: puts down beside the rows what cuts keep apart in the current view, whatever becomes of the rows
 * that made them.  In one of its own, if there are any, where a mount or a process begins to serve it. */
int tree_cuts_keep(struct tree *t);
int tree_cuts_settle(struct tree *t);

/* When a mount starts: rows of the base's nodes follow what became of the bare folder meanwhile; *RET_KEPT grows by
 * what was put to kept (tree_bare.c). */
int tree_settle_bare(struct tree *t, size_t *ret_kept);

int id_set_add(struct id_set *s, uint64_t id);
void id_set_remove(struct id_set *s, uint64_t id);
bool id_set_has(const struct id_set *s, uint64_t id);

#endif
