/* eject.h: making the venv an ordinary one again.
 *
 * In this order, under the venv's lock and mount_lock, so that nobody mounts meanwhile:
 *
 *  1. What a killed run left goes.  The mount is taken away; scripts and symlinks outside of site-packages are brought up to date.
 *  2. `fusepkg-mount --write` writes the tree, edits included, to `site-packages.eject`, a folder beside site-packages, and syncs it.
 *         A kill leaves the environment as it was, unmounted, and that folder.
 *  3. `.fusepkg/eject` notes which folder is to be site-packages, by its inode.
 *  4. Each symlink into the data folder is exchanged for what it leads to.
 *         A kill leaves the environment as it was, with some files in the places of symlinks.
 *  5. site-packages and what was written are exchanged: renameat2, one step.
 *         A kill after it leaves an ordinary venv, for every program: only the folders of steps 6 and 7 are in excess.
 *  6. What was kept for the user moves to `fusepkg-kept` in the venv.
 *  7. The bare folder that was exchanged goes, then `.fusepkg`, the note last.
 *  8. Both locks are given up, and the store forgets the venv.
 *         A kill before it leaves that to the next gc, which sees that the venv has no environment.
 *
 * Run again, it begins anew before step 5 and goes on after it: the note's inode tells. */
#ifndef FUSEPKG_EJECT_H
#define FUSEPKG_EJECT_H

#include "tools/target.h"

#define EJECT_FILE "eject"                   /* the note, in .fusepkg */
#define EJECT_DIR "site-packages.eject"      /* beside site-packages */
#define EJECT_KEPT "fusepkg-kept"            /* in the venv */

/* Did a run come to an end but for steps 6 and 7? */
bool eject_is_swapped(const struct target *t);
/* Opens the folder that holds site-packages. */
int eject_open_lib(const struct target *t);
/* Steps 2 to 5, unmounted. */
struct eject_result {
        uint64_t files;
        uint64_t bytes;
};
int eject_swap(const struct target *t, struct eject_result *ret, struct errtext *err);
/* Steps 6 and 7.  The folder with what was kept is appended to RET_KEPT, if there is any. */
int eject_finish(struct target *t, struct buf *ret_kept, struct errtext *err);
/* Step 8: the venv's lock is not held (index.h has the order of locks).  It cannot fail: gc would find out by itself. */
void eject_forget(const struct target *t);

#endif
