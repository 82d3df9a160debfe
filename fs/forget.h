/* forget.h: removed nodes that the kernel may have let go of.
 *
 * A FORGET of a removed node (tree_is_removed) prompts a question: INVAL_INODE, of which the kernel says ENOENT when
 * it has no such inode.  Only then are row and bytes dropped: no look-up is counted, so a crash loses no count.  The
 * kernel may wait within a notification for whoever evicts the inode, so a thread of its own asks, holding no lock.
 *
 * Threads: forget_note is called by the workers. */
#ifndef FUSEPKG_FORGET_H
#define FUSEPKG_FORGET_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct server;

enum { FORGET_PAUSE_MS = 200 }; /* after a drop: for more of them to be dropped at once */

struct forget {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        uint64_t *ids; /* guarded by lock, as the next two */
        size_t count;
        size_t cap;
};

#define FORGET_INITIALIZER { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }

/* The kernel has forgotten ID; without memory to note it, it is dropped at the next mount. */
void forget_note(struct server *s, uint64_t id);
/* ARG is the server. */
void *forget_thread(void *arg);

#endif
