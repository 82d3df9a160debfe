/* environment_dirs.h: the `dir` rows of the next generation; a part of environment_commit.
 *
 * A directory belongs to its path: its id is that of its lowest provider, its time that of the last change of its own
 * entries. So a directory needs a row once a provider leaves while others stay (the id that was, if it was the leaving
 * one's; the time of the loss, or what the time was), and keeps it while anybody provides that path.  Rows of paths
 * that nobody provides are dropped. */
#ifndef FUSEPKG_ENVIRONMENT_DIRS_H
#define FUSEPKG_ENVIRONMENT_DIRS_H

#include "fs/environment.h"

/* Replaces next->dirs, from old->dirs, the slots that left and the base's distributions that were hidden; next->time
 * must be set.  See environment_commit for IMAGES and SITE; OLD may be NULL. */
int environment_dirs_update(const struct environment *old, struct environment *next,
                            const struct image_source *images, const struct site_now *site, struct errtext *err);

#endif
