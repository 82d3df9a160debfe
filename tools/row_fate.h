/* row_fate.h: what becomes of what is at a path that the RECORD of a distribution lists, when that is removed.
 *
 * pip and uv list what they write with its hash, and remove whatever has that name since.  We do not: a thing that is
 * not what the row says is the user's, or another package's.  uv's link mode "symlink" writes symlinks into its cache,
 * which are what the row says when they lead to its bytes. */
#ifndef FUSEPKG_ROW_FATE_H
#define FUSEPKG_ROW_FATE_H

#include "store/record.h"
#include "tools/edit_report.h"
#include "tools/target.h"

enum row_fate {
        ROW_STAYS,   /* something else: a symlink, a folder, a file of a package; or nothing */
        ROW_GOES,
        ROW_IS_KEPT, /* it goes, and its bytes, which are the user's, are kept */
};

/* What the edits have at a path in site-packages; NULL: nothing that an installer makes. */
const struct edit_change *row_fate_find(const struct edit_report *r, const char *path);
/* An enum row_fate, or -errno; THING as found (may be NULL). */
int row_fate_inside(const struct target *t, const struct edit_change *thing, const struct record_row *row);
/* PATH, in the venv, is outside of site-packages.  What cannot be read can be moved away. */
int row_fate_outside(const struct target *t, const char *path, const struct record_row *row);

#endif
