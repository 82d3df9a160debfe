/* edits_revert.h: making paths the environment's again: what edits_report.c does for a request's `revert` lines.
 *
 * Chosen is what lies at or below a path, as it is now or as the environment has it; with a moved directory its old
 * place as well; and of a changed source the bytecode.  Bytes of the user's are kept first (kept.h), bytecode is not.
 * Then all rows change in one transaction. A kill before its commit leaves copies in kept, which the next attempt
 * finds again. Called under the tree's lock. */
#ifndef FUSEPKG_EDITS_REVERT_H
#define FUSEPKG_EDITS_REVERT_H

#include "fs/edits_items.h"

/* LINES gets the report's `kept` and `reverted` lines. -EINVAL: a path is below a directory that was removed as a
 * whole; -EBUSY: something is blocked (below). */
int edits_revert(struct tree *t, int state_fd, char *const *paths, size_t n, struct tree_changes *changes,
                 struct buf *lines, struct errtext *err);
/* What keeps it from coming back: LINES gets a `blocked` line for each slot that has something in a directory which was
 * removed or moved from its name, and to which a later package has brought another since.  Changes nothing. */
int edits_blocked(struct tree *t, char *const *paths, size_t n, struct buf *lines, struct errtext *err);

/* edits_restore.c: the rows of the chosen ones of ITEMS (those with CHOSEN[i]), in a transaction of its own. */
int edits_restore(struct edit_items *items, const bool *chosen, struct tree_changes *changes);

#endif
