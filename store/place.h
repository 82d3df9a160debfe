/* place.h: was a folder deleted, or is the disk that it lies on not there?
 *
 * A place is one line about a folder that exists, to be judged later by its path:
 *
 *     <what the root of its mount is>;<file handle>
 *
 * The first half identifies the file system: its type, its fsid, and the root's inode and time of birth.  Device
 * numbers, and an fsid that is one, are not in it: they are given anew.  It is empty where nothing tells file systems
 * of a kind apart.  The handle (name_to_handle_at) is that of the folder on a local file system; only root may ask for
 * what it names.
 *
 * A folder is gone only if its file system is there, at its path, and it is not. */
#ifndef FUSEPKG_PLACE_H
#define FUSEPKG_PLACE_H

#include "store/buf.h"

enum place_state {
        PLACE_THERE,   /* there is a folder at the path, on that file system */
        PLACE_OTHER,   /* there is a folder at the path, but it may not be on that file system */
        PLACE_GONE,    /* deleted */
        PLACE_MISSING, /* its file system is there, and nothing at the path: deleted, or moved */
        PLACE_MOVED,   /* it is elsewhere now */
        PLACE_AWAY,    /* its file system is not there, or cannot be told from others */
        PLACE_UNKNOWN, /* the path cannot be looked at */
};

/* Appends the place of the folder FD, perhaps an empty one. */
int place_describe(int fd, struct buf *ret);
/* LOST: there may be a folder at the path, but the caller has found that it is not, or no more, what it was.
 * RET_WHERE: the path now, for PLACE_MOVED, or the reason in words, for PLACE_UNKNOWN. */
int place_judge(const char *path, const char *place, bool lost, enum place_state *ret, struct buf *ret_where);

#endif
