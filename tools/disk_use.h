/* disk_use.h: how much of a disk files take: blocks, not lengths. */
#ifndef FUSEPKG_DISK_USE_H
#define FUSEPKG_DISK_USE_H

#include "store/base.h"

/* All below the folder FD and the folder itself, in bytes; other file systems are not entered, and what
 * vanishes meanwhile does not count. */
int disk_use_tree(int fd, uint64_t *ret_bytes);
/* One file or symlink; 0 for one that is not there. */
uint64_t disk_use_file(int dirfd, const char *path);

#endif
