/* tree_paths.h: the paths of many directories of the tree, one after the other.
 *
 * To go up to the root from each of them costs the square of the depth.  So the way to the last one is kept, and only
 * what it does not have in common with the next is looked up.  The tree's lock is held from the first call to the last:
 * nothing moves meanwhile. */
#ifndef FUSEPKG_TREE_PATHS_H
#define FUSEPKG_TREE_PATHS_H

#include "fs/tree_private.h"

struct tree_paths {
        struct tree_step *steps; /* the directories on the way to the last one, the uppermost first; without the root */
        size_t count;
        size_t cap;
        struct buf path;
};

/* *RET: valid until the next call.  -ENOENT: the directory is gone. */
int tree_paths_find(struct tree_paths *p, struct tree *t, uint64_t dir, const char **ret);
void tree_paths_release(struct tree_paths *p);

#endif
