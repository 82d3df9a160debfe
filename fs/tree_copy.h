/* tree_copy.h: copy-up: a file of the view gets bytes of its own.
 *
 * The copy is made outside of the tree's lock, from a view that is held, under a temporary name; synced, renamed; then
 * the lock is taken, and one transaction says in the row that the file has data.  Whatever fails before leaves it
 * as it was, and nothing under its name. */
#ifndef FUSEPKG_TREE_COPY_H
#define FUSEPKG_TREE_COPY_H

#include "fs/tree_private.h"

enum { COPY_PIECE = 1 << 20 }; /* bytes read and written at once */

/* A thread that wants the copies to rest, before it takes the tree's lock: none is under way until it lets them go
 * on. */
void tree_copies_stop(struct tree *t);
void tree_copies_go_on(struct tree *t);

/* The file's first LIMIT bytes, or fewer; without the tree's lock.  Who comes second is given the first one's. */
int tree_copy_up(struct tree *t, uint64_t id, uint64_t limit, struct edit_file **ret);

#endif
