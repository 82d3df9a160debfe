/* mount_load.h: from the folders of an environment to the tree of a server. */
#ifndef FUSEPKG_MOUNT_LOAD_H
#define FUSEPKG_MOUNT_LOAD_H

#include "fs/server.h"

/* Where no kernel holds anything of it: S has state_fd, the lock, and the log.  Takes SITE_FD, the bare folder, over.
 * */
int mount_load(struct server *s, int site_fd, struct errtext *err);
/* In a process that takes over: serves what the one before it did, of the same generation, with what left since the
 * mount began still readable; the reloader is told what the kernel was not (S->announced_view), and that there is a
 * newer generation.  *RET_REMOVED, on the heap: nodes to ask the kernel about. */
int mount_load_again(struct server *s, int site_fd, uint64_t **ret_removed, size_t *ret_n, struct errtext *err);
/* A descriptor of store_hold_open() for the environment's store, where that is read-only; else, and when anything is
 * wrong, which mount_load() will say, -1. */
int mount_load_hold(int state_fd);

#endif
