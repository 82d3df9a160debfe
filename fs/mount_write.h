/* mount_write.h: `fusepkg-mount --write DIR`: what would be mounted, as plain files in DIR, without mounting
 * (tree_plain.h).
 *
 * DIR must be an empty folder of the caller's, with mode 0700: so that root, at work in another user's venv, writes to
 * no place that this user has put there.  On success "written <files> <bytes>" is printed. */
#ifndef FUSEPKG_MOUNT_WRITE_H
#define FUSEPKG_MOUNT_WRITE_H

#include "fs/server.h"

int mount_write(struct server *s, const char *dir, struct errtext *err);

#endif
