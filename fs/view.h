/* view.h: the merged tree of one generation, found and not built.
 *
 * A view is an immutable snapshot: an environment, its images, and the base (the bare site-packages).  Nodes are named
 * by 64-bit ids that mean the same for ever:
 *
 *     1                          the root: site-packages
 *     2                          the marker file .fusepkg
 *     3                          the data folder .fusepkg-data
 *     16 … 2^32-1                files and folders of the base (base.h numbers them)
 *     slot << 32 | entry         an entry of the slot's image
 *     slot << 32 | 1 << 31 | n   the slot's n-th generated file
 *     bit 62 set                 kept for edits
 *
 * A directory's id is that of its lowest provider, or what a `dir` row pins.  Directories that one provider owns alone
 * are answered from its image; those with several are merged when the view is made, and only they take memory.
 *
 * In a merged directory the later slot wins a file; a directory and a file of one name: the later wins as well.
 *
 * Threads: immutable after view_new; base numbers are behind the base's own lock. */
#ifndef FUSEPKG_VIEW_H
#define FUSEPKG_VIEW_H

#include "fs/base_layer.h"
#include "fs/environment.h"
#include "fs/image_pool.h"

#include <sys/stat.h>

enum {
        NODE_ROOT = 1,
        NODE_MARKER = 2,
        NODE_DATA = 3,
};

struct view;

/* BASE may be NULL (no base).  STATE_FD is the .fusepkg folder, borrowed for the life of the view.  The environment is
 * copied.  Missing or damaged images are an error.  PREVIOUS (may be NULL) is the view that this one follows: ids of
 * the slots that left since stay readable, for those who hold such files open. */
int view_new(const struct environment *e, struct image_pool *pool, struct base *base, int state_fd,
             const struct view *previous, struct view **ret, struct errtext *err);

/* A name from which the edits have taken a directory away: once a slot above HORIZON brings something to that name,
 * providers up to HORIZON are not there.  They stay a directory under its old id, reachable by that alone (the same
 * holds within it); later providers make one of their own at the name.  Where the slots up to HORIZON have no
 * directory at the name, there is nothing to cut. Of a name that was taken several times each cut parts what came
 * before it from what came after. */
struct view_cut {
        uint64_t dir;
        char *name;
        uint32_t horizon;
        bool acts; /* the view's own: see view_is_cut */
};
/* The same with CUTS[0..N), in any order, copied. */
int view_new_cut(const struct environment *e, struct image_pool *pool, struct base *base, int state_fd,
                 const struct view *previous, const struct view_cut *cuts, size_t n, struct view **ret,
                 struct errtext *err);
/* Does a cut there keep anything apart (`acts`): have slots up to its horizon a directory at the name, or pinned ids?
 * Otherwise the view is the same without it. */
bool view_is_cut(const struct view *v, uint64_t dir, const char *name, size_t len);
/* The highest horizon of the name's cuts that do so; -ENOENT: none. */
int view_cut_horizon(const struct view *v, uint64_t dir, const char *name, size_t len, uint32_t *ret);
/* Was it made with that one?  And all of them. */
bool view_has_cut(const struct view *v, const struct view_cut *cut);
const struct view_cut *view_cuts(const struct view *v, size_t *ret_n);
void view_free(struct view *v);
/* The .fusepkg folder, borrowed. */
int view_state_fd(const struct view *v);
const struct environment *view_environment(const struct view *v);

struct node {
        uint64_t id;
        struct stat st; /* st_ino is the id */
};

/* -ENOENT, -ENOTDIR. */
int view_lookup(const struct view *v, uint64_t dir, const char *name, size_t len, struct node *ret);
int view_getattr(const struct view *v, uint64_t id, struct node *ret);
/* Appends the target of a symlink (only the base has them). */
int view_readlink(const struct view *v, uint64_t id, struct buf *ret);

/* Calls FN for each entry of DIR whose cookie is above AFTER (0: from the start), in the order of the cookies; the
 * data folder is left out.  Stops, with 0, when FN returns non-zero.  "." and ".." are the caller's. */
struct view_dirent {
        struct span name;
        uint64_t id;
        uint64_t cookie;
        mode_t type;       /* S_IFDIR, S_IFREG, … */
};
int view_readdir(const struct view *v, uint64_t dir, uint64_t after,
                 int (*fn)(const struct view_dirent *d, void *user), void *user);
/* The parent of a directory, for ".."; 1 for the root. */
uint64_t view_parent(const struct view *v, uint64_t dir);

/* Walks a relative path ("" is the root). */
int view_find(const struct view *v, const char *path, struct node *ret);

/* Reads: returns the number of bytes, less than LEN only at the end of the file; -EIO for damaged contents, with a
 * sentence. */
ssize_t view_read(const struct view *v, uint64_t id, void *data, size_t len, uint64_t offset, struct errtext *err);
/* Opens the file that holds a node's bytes and nothing else, unchecked, for file systems that can share them.
 * -ENOENT: they lie among others. */
int view_open(const struct view *v, uint64_t id);

/* Is the directory answered from one image or the base alone, and do both views show the same of it?  Then so is all
 * below it. */
bool view_same_dir(const struct view *a, const struct view *b, uint64_t dir);

/* Where the view shows a node: its directory and its name there, appended.  -ENOENT: nowhere (hidden by another, or of
 * a slot that left, or a directory that a cut took away), or it is the root.  Whether that directory is shown itself
 * is not asked: it may have been moved. */
int view_place(const struct view *v, uint64_t id, uint64_t *ret_dir, struct buf *ret_name);
/* The path of a node, appended; -ENOENT also where a directory above it is not shown. */
int view_path(const struct view *v, uint64_t id, struct buf *ret);
/* The same, and of a directory that is not shown because a cut took it away, or something later has its name, where it
 * would be. */
int view_place_before(const struct view *v, uint64_t id, uint64_t *ret_dir, struct buf *ret_name);
int view_path_before(const struct view *v, uint64_t id, struct buf *ret);
/* The highest slot that provides a node: of a file its own, of a directory its latest provider; 0: the base, or the
 * view itself. -ENOENT: no such node. */
int view_newest(const struct view *v, uint64_t id, uint32_t *ret);
/* The directory of NEXT that shows what is left of the directory ID of V: with the cuts kept it is ID as long as its
 * lowest provider stays, or a `dir` row pins it.  -ENOENT: nothing is left. */
int view_successor(const struct view *v, uint64_t id, const struct view *next, uint64_t *ret);
/* The highest slot number that was ever given. */
uint32_t view_horizon(const struct view *v);
/* Does the view show anything of it, or has its slot left? */
bool view_is_retired(const struct view *v, uint64_t id);

/* Totals over all slots: files as they are seen by their own slot, and what copies of them would take, in bytes. */
void view_totals(const struct view *v, uint64_t *ret_files, uint64_t *ret_bytes);

/* Calls FN for each path that two slots (or a slot and the base) claim with different bytes, the winner last: for
 * `add`'s warnings about NEWEST, the slots with numbers from FIRST_NEW on.  Small files are compared; objects by their
 * names. */
int view_conflicts(const struct view *v, uint32_t first_new,
                   int (*fn)(const char *path, const char *loser, const char *winner, void *user), void *user);

#endif
