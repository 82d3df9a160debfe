/* edit_cache.h: the open data files of the edits (edit_data.h): at most EDIT_DATA_OPEN, found by node id; the one that
 * was used longest ago makes room.
 *
 * A file is held by its users, and stays open until the last has let go of it, cached or not.  Threads: all functions
 * may be called from any thread; the lock is a leaf. */
#ifndef FUSEPKG_EDIT_CACHE_H
#define FUSEPKG_EDIT_CACHE_H

#include "fs/edit_data.h"

#include <pthread.h>

enum { EDIT_CACHE_SLOTS = 2 * EDIT_DATA_OPEN }; /* ids are given in order: most slots have one */

struct edit_file {
        uint64_t id;
        int fd;
        unsigned users; /* guarded by the cache's lock, as all below */
        bool cached;
        struct edit_file *older, *newer;
        struct edit_file *next; /* in its slot */
};

struct edit_cache {
        pthread_mutex_t lock;
        struct edit_file *slots[EDIT_CACHE_SLOTS];
        struct edit_file *oldest, *newest;
        size_t count;
        uint64_t forgotten; /* how often an id was forgotten: what was opened before may be another file */
};

void edit_cache_init(struct edit_cache *c);
void edit_cache_release(struct edit_cache *c);

/* Held, or NULL: then *RET_SEEN (if not NULL) is what edit_cache_publish wants to know. */
struct edit_file *edit_cache_hold(struct edit_cache *c, uint64_t id, uint64_t *ret_seen);
/* FD, which is taken over, as the file of ID: gives that, or the one that another thread has put there meanwhile.
 * -EAGAIN: an id was forgotten since SEEN; -ENOMEM. */
int edit_cache_publish(struct edit_cache *c, uint64_t id, int fd, uint64_t seen, struct edit_file **ret);
/* A new file, that nobody holds yet; -ENOMEM. */
int edit_cache_add(struct edit_cache *c, uint64_t id, int fd);
void edit_cache_forget(struct edit_cache *c, uint64_t id);
void edit_cache_put(struct edit_cache *c, struct edit_file *f);

#endif
