/* bare_seen.h: what has appeared in the bare site-packages while it was not mounted.
 *
 * uv, which starts no Python when it knows the interpreter already, is kept from it (python_start.h).  Others (cp, pip
 * with --target, whoever installs when mounting has failed) are not: a folder without the right to write would keep
 * `rm -rf` of its owner away as well, and not root.  So it is noticed:
 * `.fusepkg/bare-seen` has the names that were there when fusepkg last saw the folder, `.fusepkg/bare-new` those that
 * have appeared since and that nobody was told of (both: one percent-encoded name a line).  All of it is shown in the
 * mount, below what fusepkg installed; but a distribution that fusepkg has, too, is newer in the bare folder, and so
 * it takes the place of ours: see bare_seen_adopt. */
#ifndef FUSEPKG_BARE_SEEN_H
#define FUSEPKG_BARE_SEEN_H

#include "tools/change.h"
#include "tools/outside_list.h"

#define BARE_SEEN_FILE "bare-seen"
#define BARE_NEW_FILE "bare-new"

/* Notes what has appeared, and what is there.  Only while the bare folder can be seen; by whoever mounts, or holds the
 * venv's lock. */
int bare_seen_update(const struct target *t);
/* What has appeared and was not told yet; reads the folder as well when it can be seen.  To be released with
 * outside_paths_release. */
int bare_seen_new(const struct target *t, struct outside_paths *ret);
/* Tells it, as a warning, and forgets it. */
void bare_seen_warn(const struct target *t);

/* With the venv's lock, before anything else is changed in C->next: slots of distributions that have appeared leave
 * it, so that what appeared is shown.  Notes a line for each. */
int bare_seen_adopt(struct change *c, struct errtext *err);

#endif
