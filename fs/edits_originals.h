/* edits_originals.h: what the bare site-packages has at changed paths, for a command that cannot see it under the
 * mount.
 *
 * Each regular file or symlink is written to `.fusepkg/edits.originals/<id, %016x>` (of a symlink its target); the
 * command removes the folder. */
#ifndef FUSEPKG_EDITS_ORIGINALS_H
#define FUSEPKG_EDITS_ORIGINALS_H

#include "fs/edits_items.h"
#include "fs/edits_report.h"

/* LINES gets the report's `original` lines: of modified and removed files, and of all that was in a removed folder. */
int edits_originals(const struct edit_items *items, int state_fd, struct buf *lines, struct errtext *err);

#endif
