/* outside.h: what an environment has outside of site-packages: scripts in bin/ (real files) and symlinks into the
 * data folder.
 *
 * What should be there follows from the environment; what fusepkg has put there is listed in `.fusepkg/outside`
 * (outside_list.h), with the generation that it was made for.  outside_apply brings the venv from the one to the
 * other: it runs right after a commit, and any command that holds the lock runs it again when the generations differ
 * (a crash came between).  Files are written below `.fusepkg/outside.new/` and renamed.
 *
 * Nothing of the user's is lost.  A file in bin/ is ours when its bytes are those of a script that the list or the
 * environment knows by that name; a symlink is ours when it points into the data folder.  Whatever else is in the
 * way, a script of ours that he has changed included, is moved to `.fusepkg/kept/<generation>/`, with a warning.
 *
 * Scripts of bare distributions (what pip or uv put into the bare site-packages) that the environment hides are moved
 * to `.fusepkg/bare/<dist-info>/bin/` while their distribution cannot be seen; umount puts them back. */
#ifndef FUSEPKG_OUTSIDE_H
#define FUSEPKG_OUTSIDE_H

#include "fs/image_pool.h"
#include "store/record.h"
#include "store/wheel.h"
#include "tools/target.h"

/* The scripts of one slot: entry points and .data/scripts, as their final bytes. */
struct outside_script {
        char *name;         /* "black" */
        uint32_t entry;     /* of the image: its bytes are the script's, unless */
        char *data;         /* these are (owned, or NULL) */
        uint64_t len;       /* bytes, either way */
        bool executable;    /* always: installers set it whatever the wheel says */
        uint8_t sha256[SHA256_SIZE];
};
struct outside_scripts {
        struct outside_script *scripts; /* sorted by name */
        size_t count;
};
int outside_scripts_of(const struct target *t, struct image_pool *pool, const struct image *img,
                       struct outside_scripts *ret, struct errtext *err);
void outside_scripts_release(struct outside_scripts *s);
/* Makes the file DIRFD/NAME (which must not exist) with the script's bytes, mode 0777 & ~UMASK; a reflink where
 * possible. */
int outside_script_write(struct image_pool *pool, const struct image *img, const struct outside_script *script,
                         int dirfd, const char *name, unsigned umask_, struct errtext *err);

/* Refuses, before a commit, what could not be applied. */
int outside_check(const struct target *t, struct errtext *err);
/* Calls FN for each script that a slot from number FIRST_NEW on shares with another one that has other bytes (as
 * view_conflicts does for files): PATH is "bin/black". */
int outside_conflicts(const struct target *t, const struct environment *next, uint32_t first_new,
                      struct image_pool *pool,
                      int (*fn)(const char *path, const char *loser, const char *winner, void *user), void *user,
                      struct errtext *err);
/* Where in site-packages PATH of the venv is ("share/jupyter/x"), when a folder on its way is a symlink of ours, or lacks,
 * as one that has gone: appends ".fusepkg-data/data/share/jupyter/x".  Else nothing. */
int outside_follow(const struct target *t, const char *path, struct buf *ret);
/* NOW is the committed environment.  Does nothing when the list is already of its generation.  A link that no package
 * needs any more stays while the edits, which are asked about, have something behind it. */
int outside_apply(const struct target *t, const struct environment *now, struct image_pool *pool, struct errtext *err);

/* Before a commit that hides DIST_INFO: notes which scripts it has, from the rows of its RECORD. */
int outside_bare_note(const struct target *t, const char *dist_info, struct errtext *err);
/* Clears what killed commands left of that: notes that no environment came to refer to, temporary files. */
void outside_bare_sweep(const struct target *t);
/* Around mounts, with the lock held: outside_bare_hide before mounting (the same as outside_apply),
 * outside_bare_restore after unmounting (and after a mount that failed).  Both are idempotent. */
int outside_bare_hide(const struct target *t, struct image_pool *pool, struct errtext *err);
int outside_bare_restore(const struct target *t, struct errtext *err);

#endif
