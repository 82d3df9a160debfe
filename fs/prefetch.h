/* prefetch.h: a library that is being mapped is given to the kernel whole.
 *
 * The kernel reads a mapped file window by window, around the pages that are touched, and a later import still
 * runs into the ends of windows: a few READs each time, for ever.  So once an ELF file is read out of order, or
 * its first few bytes are (as the dynamic loader does; copying and hashing read in order, in large pieces), its
 * rest is stored into the page cache by NOTIFY_STORE, from a thread of its own, up to PREFETCH_MAX bytes; from
 * the second import on there is nothing left to ask for.
 *
 * Files can be written.  A page that is stored takes the place of what the cache has, and that may be newer: so
 * only libraries are given, and only as long as they are the view's; the thread looks after each piece whether
 * the file was changed meanwhile, takes the piece back if so, and stops; and who truncates a file waits for the
 * piece that is under way (prefetch_wait).  What remains: a write into a library, in place and without
 * truncating it, in the moment in which it is loaded for the first time after a mount, may lose the page that
 * is stored between the writer's copy into the cache and the arrival of its WRITE.
 *
 * Threads: prefetch_note and prefetch_wait are called by the workers. */
#ifndef FUSEPKG_PREFETCH_H
#define FUSEPKG_PREFETCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

enum {
        PREFETCH_MAX = 64 << 20,    /* bytes of a file: a larger one is more than an import wants */
        PREFETCH_PIECE = 128 << 10, /* bytes stored at once */
        PREFETCH_ELF_READ = 64 << 10, /* the kernel reads no more ahead for a loader that wants the header */
        PREFETCH_PAUSE_MS = 20,     /* before the first: who reads a header to write to the file does so by then */
        PREFETCH_QUEUE = 256,
        PREFETCH_RECENT = 1024,     /* files whose reads are watched; a power of two */
};

struct prefetch_recent {
        uint64_t id;
        uint64_t end;   /* where the last read ended */
        bool stored;    /* or queued */
};

struct prefetch {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        uint64_t queue[PREFETCH_QUEUE]; /* guarded by lock, as all below; ids */
        size_t count;
        struct prefetch_recent recent[PREFETCH_RECENT]; /* by a hash of the id: a later file takes the place */

        pthread_mutex_t storing;  /* held while a piece is stored; never together with another lock */
        _Atomic uint64_t current; /* the file that is stored now, or 0 */
};

#define PREFETCH_INITIALIZER \
        { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER, .storing = PTHREAD_MUTEX_INITIALIZER }

/* A worker has answered a READ of a file of the store with LEN bytes of DATA. */
void prefetch_note(struct prefetch *p, uint64_t id, uint64_t offset, const char *data, size_t len);
/* The file has bytes of its own from now on: when this returns nothing more of the old ones is stored.  Not for who holds
 * pages of it (a WRITE): the kernel may wait for them. */
void prefetch_wait(struct prefetch *p, uint64_t id);
/* ARG is the server. */
void *prefetch_thread(void *arg);

#endif
