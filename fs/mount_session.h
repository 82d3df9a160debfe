/* mount_session.h: getting the kernel's connection: mount(2) as root or in a user namespace, fusermount3 for others. */
#ifndef FUSEPKG_MOUNT_SESSION_H
#define FUSEPKG_MOUNT_SESSION_H

#include "fs/server.h"

/* Mounts at SITE: nosuid, nodev, read-only, default_permissions, type fuse.fusepkg.  The sentence says what libfuse
 * and fusermount3 said. */
int mount_session(struct server *s, const char *site, bool allow_other, struct errtext *err);

/* libfuse's part alone, for a connection that is there: server_prepare gives it that. */
int mount_session_new(struct server *s, bool allow_other);

#endif
