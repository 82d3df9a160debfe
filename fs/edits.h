/* edits.h: the rows of the copy-on-write layer of one environment: `.fusepkg/edits.db`.
 *
 * An inode-based layer: nodes, names, and for each node that has bytes of its own one data file (edit_data.h).
 * Everything is keyed by node id (view.h), never by path, so that a renamed directory, a hard link, or an unlinked
 * file that is still open is a plain row. Without rows the tree is the view's.
 *
 *     node(id, mode, uid, gid, links, subdirs, rdev, atime, mtime, ctime, data, below, parent, target)
 *     entry(dir, cookie, name, id, type, horizon)
 *     done(cell, connection, request, result, id)
 *     announce(dir, name)
 *     cut(dir, name, horizon, generation)
 *     meta(key, value)
 *
 * A **node** row of an image's or the base's id overrides the attributes that the view gives; one of an id with bit 62
 * is a node that was made here.  `data`: its bytes lie in its data file, which then also says its size, mtime and
 * atime.  `subdirs` of a directory: how many more (or fewer) it shows than the view's.  `below`: the directory of the
 * view that shows through it (its own id for one of the view's, 0 for none).  `parent`: for directories that were made
 * or moved here, where they are; 0: where the view has them. `links` 0: removed, and kept for those who hold it open.
 *
 * An **entry** row of a directory says what a name is, whatever the view has there: the node ID, or nothing (a
 * whiteout, id 0). `cookie` is image_cookie(name).  `horizon` is the highest slot when it was made: what a later slot
 * brings to that name is newer, and wins.
 *
 * `done`: the last change that each of the mount's cells has made, replaced in the same transaction as its effect: a
 * request that is served a second time, after a crash, is answered and not repeated.
 *
 * `announce`: of what a switch or a revert changed the kernel has to be told; put in the same transaction, removed
 * when it has been.  A process that takes over a mount tells it again.  NULL: the directory itself.
 *
 * `cut`: the cuts (view.h) that keep something apart in the view of the rows' generation, DIR being the view's.  They
 * are of names that rows said something else of before, or of directories that were removed since.  Made when there is
 * the first one: earlier versions do not have it.  Those of another generation do not count: an earlier version has
 * carried the rows over since.
 *
 * SQLite: WAL, synchronous=NORMAL, exclusive: opened by the owner of the environment's lock alone.  A killed process
 * loses nothing; a power cut loses at most the last moments, or nothing before the last edits_sync. Errors: -ENOSPC,
 * -EDQUOT, -EIO, -EROFS, … as the file system below gave them; -EUCLEAN: the database is damaged. So is one with a
 * name that can be none. After a failure within a transaction it must be rolled back. Threads: none of its own; all
 * calls are made under the tree's lock (tree.h). */
#ifndef FUSEPKG_EDITS_H
#define FUSEPKG_EDITS_H

#include "store/buf.h"

#include <sys/stat.h>

#define EDITS_FILE "edits.db"
#define EDIT_ID_FIRST (UINT64_C(1) << 62) /* ids of nodes that were made here grow from here, and are never given twice */

struct edits;

/* Opens or makes DIRFD/edits.db, DIRFD being the .fusepkg folder.  ENVIRONMENT is the environment's id: a database of
 * another one is an error. */
int edits_open(int dirfd, const char *environment, struct edits **ret, struct errtext *err);
void edits_close(struct edits *e); /* NULL is fine; checkpoints */
/* Gives the database, if there is one, to another environment: that of a copied venv, which nobody has open.
 * edits_adopt.c */
int edits_adopt(int dirfd, const char *environment, struct errtext *err);
/* For a venv that cannot be written: a copy of its database in a temporary folder, which goes with the process.
 * -ENOENT: it has none. */
int edits_open_copy(int dirfd, const char *environment, struct edits **ret, struct errtext *err);

/* On a full disk even a removal takes space, in the WAL.  So the WAL has blocks of its own, in which it can begin anew,
 * and the database has some for whatever is in the WAL: nobody else can take them.  And some more is reserved
 * (`.fusepkg/edits.reserve`).  A removal that finds the disk full has room made, TRIES (from 0) times, and is tried
 * again; the reserve is made again when something was freed. */
#define EDITS_RESERVE_FILE "edits.reserve"
void edits_reserve_make(struct edits *e);
bool edits_reserve_give(struct edits *e, unsigned tries); /* false: there was none */
/* For changes that free nothing themselves, once: the WAL begins anew, the reserve stays.  False: nothing was gained. */
bool edits_make_room(struct edits *e);

static inline bool edits_is_new(uint64_t id)
{
        return (id & EDIT_ID_FIRST) != 0;
}

/* Transactions.  Reading needs none.  edits_commit rolls back when it fails. */
int edits_begin(struct edits *e);
int edits_commit(struct edits *e);

/* Between them many rows are read for half the price, and nothing is written.  What fails here costs time alone. */
void edits_read_begin(struct edits *e);
void edits_read_end(struct edits *e);
void edits_rollback(struct edits *e);
/* What was committed is on the disk when this returns.  May be called without a transaction only. */
int edits_sync(struct edits *e);
/* No row of any kind but meta: the tree is the view's. */
bool edits_is_empty(const struct edits *e);

struct edit_node {
        uint64_t id;
        mode_t mode;      /* with the type */
        uid_t uid;
        gid_t gid;
        uint32_t links;   /* files: names; directories: 1, or 0 when removed */
        int32_t subdirs;
        uint64_t rdev;
        int64_t atime;    /* ns since the epoch */
        int64_t mtime;
        int64_t ctime;
        bool data;
        uint64_t below;
        uint64_t parent;
};

/* -ENOENT: no row. */
int edits_node_get(struct edits *e, uint64_t id, struct edit_node *ret);
int edits_node_put(struct edits *e, const struct edit_node *n); /* a symlink's target stays */
int edits_node_drop(struct edits *e, uint64_t id);
int edits_target_get(struct edits *e, uint64_t id, struct buf *ret); /* appended */
int edits_target_set(struct edits *e, uint64_t id, const char *target);
/* A number for a new node; in a transaction. */
int edits_new_id(struct edits *e, uint64_t *ret);
/* The same outside of a transaction: one of those that are reserved, or 0. */
uint64_t edits_spare_id(struct edits *e);
/* The directory that shows BELOW and is another; -ENOENT: none. */
int edits_above(struct edits *e, uint64_t below, uint64_t *ret);
/* Calls FN for each node in the order of ids, until it returns non-zero, which is returned.  FN may change rows but
 * those of later ids. */
int edits_nodes(struct edits *e, int (*fn)(const struct edit_node *n, void *user), void *user);

struct edit_entry {
        uint64_t dir;
        uint64_t cookie;
        struct span name;    /* valid during the call only */
        uint64_t id;         /* 0: a whiteout */
        mode_t type;         /* S_IFDIR, …; 0 for a whiteout */
        uint32_t horizon;
};

/* RET's name is the caller's.  -ENOENT: no row. */
int edits_entry_get(struct edits *e, uint64_t dir, const char *name, size_t len, struct edit_entry *ret);
int edits_entry_put(struct edits *e, const struct edit_entry *n); /* inserts or replaces; the cookie is worked out */
int edits_entry_drop(struct edits *e, uint64_t dir, const char *name, size_t len);
/* All rows of DIR with a cookie above AFTER, in the order of their cookies, at most LIMIT (0: all); all rows of all
 * directories by (dir, cookie); all that name ID.  FN returns non-zero to stop, which is returned; it must not change
 * entries (collect first). */
int edits_entries(struct edits *e, uint64_t dir, uint64_t after, size_t limit,
                  int (*fn)(const struct edit_entry *n, void *user), void *user);
int edits_all_entries(struct edits *e, int (*fn)(const struct edit_entry *n, void *user), void *user);
int edits_entries_of(struct edits *e, uint64_t id, int (*fn)(const struct edit_entry *n, void *user), void *user);
int edits_drop_dir(struct edits *e, uint64_t dir); /* all entries of a directory */
/* Whiteouts count: is there any row? */
bool edits_has_entries(struct edits *e, uint64_t dir);

/* Up to which generation the rows were carried (tree_carry.c); 0 in a new one. */
int edits_generation_get(struct edits *e, uint64_t *ret);
int edits_generation_set(struct edits *e, uint64_t generation);

/* The last change of a cell; -ENOENT. */
struct edit_done {
        uint64_t connection;
        uint64_t request;
        int result;          /* 0 or -errno */
        uint64_t id;         /* of the node that the reply is about, or 0 */
};
int edits_done_get(struct edits *e, uint32_t cell, struct edit_done *ret);
int edits_done_put(struct edits *e, uint32_t cell, const struct edit_done *d);
/* Is the reply to one of them about that node?  In doubt it is. */
bool edits_done_made(struct edits *e, uint64_t id);

/* In a transaction; all of them in their order, NAME valid during the call (NULL: DIR itself); none is left. */
int edits_announce_put(struct edits *e, uint64_t dir, const char *name);
int edits_announce_each(struct edits *e, int (*fn)(uint64_t dir, const char *name, void *user), void *user);
int edits_announce_clear(struct edits *e);

/* Putting and clearing in a transaction; one may be there.  Each: those of the rows' generation, NAME valid during the
 * call. */
int edits_cut_put(struct edits *e, uint64_t dir, const char *name, uint32_t horizon, uint64_t generation);
int edits_cuts_each(struct edits *e, int (*fn)(uint64_t dir, struct span name, uint32_t horizon, void *user),
                    void *user);
int edits_cuts_clear(struct edits *e);

/* SQLite's own check; a sentence when something is wrong (-EUCLEAN). */
int edits_integrity(struct edits *e, struct errtext *err);

#endif
