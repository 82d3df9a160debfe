/* identity.h: is this venv where it was?  `.fusepkg/venv` has the path (percent-encoded, one line) at which fusepkg
 * last worked on it.
 *
 * A venv that was moved works on: what fusepkg wrote with its path in it, scripts, is written again.  One that was
 * copied has the identity of another one that is still there: two writers would share a lease in the store and take
 * each other for themselves; so it is refused until `fusepkg mount --adopt-copy` gives it one of its own. */
#ifndef FUSEPKG_IDENTITY_H
#define FUSEPKG_IDENTITY_H

#include "tools/target.h"

#define IDENTITY_FILE "venv" /* in .fusepkg */

enum identity {
        IDENTITY_HERE,   /* or nothing is known, or it is only seen by another path */
        IDENTITY_MOVED,
        IDENTITY_COPIED,
};

/* Without a note it may have been moved before the add that was killed could write it. */
bool identity_is_noted(const struct target *t);
/* *RET_OLD, on the heap: the place that is noted; NULL for IDENTITY_HERE. */
int identity_tell(const struct target *t, enum identity *ret, char **ret_old);
/* -ESTALE, with a sentence that says what to do, for a copy. */
int identity_check(const struct target *t, struct errtext *err);
/* With the venv's lock, before outside_apply: a copy is refused; after a move outside_apply will write everything
 * again.  Notes where the venv is. */
int identity_settle(const struct target *t, struct errtext *err);
/* Notes where it is; the second one, only if nothing is noted yet. */
int identity_note(const struct target *t, struct errtext *err);
int identity_note_first(const struct target *t, struct errtext *err);

#endif
