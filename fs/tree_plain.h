/* tree_plain.h: the tree as plain files: how an environment becomes an ordinary one again (`fusepkg-mount --write
 * DIR`).
 *
 * Edits are in it.  Bytes are reflinks where the file systems allow it: of the store's object, and then compared with
 * what the tree says, or of the edits' data file; copies otherwise.  Modes, times and hard links are kept; owners too,
 * as root.  The marker is left out.
 *
 * Threads: the tree must have no other user. */
#ifndef FUSEPKG_TREE_PLAIN_H
#define FUSEPKG_TREE_PLAIN_H

#include "fs/image_pool.h"
#include "fs/tree.h"

/* What `.fusepkg-data` shows is written to DIR/data and DIR/headers (where there is such), site-packages to DIR/site.
 * DIR must be new. */
#define TREE_PLAIN_SITE "site"

struct tree_plain {
        uint64_t files;
        uint64_t bytes;  /* of files, however they came there */
};

/* DIR_FD is the empty folder DIR.  All is on the disk when this returns. */
int tree_plain_write(struct tree *t, const struct store *s, struct image_pool *pool, int dir_fd, struct tree_plain *ret,
                     struct errtext *err);

#endif
