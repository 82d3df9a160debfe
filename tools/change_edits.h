/* change_edits.h: what a change of an environment does about the edits: what pip and uv did through the mount is taken
 * into account first, and what they brought is removed as they would; but what has become something else since stays,
 * and files of it that were changed go to `.fusepkg/kept` first (row_fate.h).  The functions are change.c's; the state
 * is in struct change. */
#ifndef FUSEPKG_CHANGE_EDITS_H
#define FUSEPKG_CHANGE_EDITS_H

#include "tools/edit_dists.h"

struct change;

struct change_edits {
        struct edit_report report;
        struct edit_dists dists;
        struct buf request;          /* what is to be removed through the mount */
        struct buf back;             /* and what is then to be our packages' again */
        struct edit_words outside;   /* and outside of it: paths in the venv */
        struct edit_words changed;   /* those of both whose bytes are not what RECORD says: they are kept */
};

/* With the lock held and NEXT made: packages whose metadata was removed through the mount leave NEXT. */
int change_edits_load(struct change *c, struct errtext *err);
/* Notes that the distributions called NAME that pip or uv brought go; *RET_COUNT is how many there are. */
int change_edits_remove(struct change *c, const char *name, size_t *ret_count, struct errtext *err);
/* Before the commit: does it. */
int change_edits_apply(struct change *c, struct errtext *err);
/* Without a mount, after the commit: the edits are carried to the new generation. */
int change_edits_carry(struct change *c, struct errtext *err);
void change_edits_release(struct change_edits *e);

#endif
