/* prefetch.h: a library that is being mapped is read whole.
 *
 * The kernel reads a mapped file window by window, around the pages that are touched, and a later import still runs
 * into the ends of windows: a few READs each time, for ever.  So once a file is read out of order, or the first few
 * bytes of an ELF file are (as the dynamic loader does; copying and hashing read in order, in large pieces), the
 * kernel is asked to read all of it, up to PREFETCH_MAX bytes; from the second import on there is nothing left to ask
 * for.
 *
 * Each READ also makes the kernel forget the file's time of access, and with it ask for all attributes once more, when
 * the file is next looked at: the second import would send a GETATTR for each file that the first one read.  So what
 * was read is looked at, a moment later.
 *
 * The pages are read, not stored by NOTIFY_STORE: that would overwrite what somebody writes to the file at the same
 * moment.  Only a process outside of the mount's own may touch the mounted tree (it would wait for itself): a child,
 * which has no descriptor of /dev/fuse, opens the file by its path, asks for its pages (posix_fadvise), and ends.
 *
 * Threads: prefetch_note and prefetch_read are called by the workers. */
#ifndef FUSEPKG_PREFETCH_H
#define FUSEPKG_PREFETCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

enum {
        PREFETCH_MAX = 64 << 20,    /* bytes of a file: a larger one is more than an import wants */
        PREFETCH_ELF_READ = 64 << 10, /* the kernel reads no more ahead for a loader that wants the header */
        PREFETCH_QUEUE = 256,
        PREFETCH_LOOK = 1024,       /* files to be looked at: of a walk through everything the rest is left alone */
        PREFETCH_LOOK_MS = 100,
        PREFETCH_LIMIT_S = 30,      /* then the child ends itself */
        PREFETCH_RECENT = 1024,     /* files whose reads are watched; a power of two */
};

struct prefetch_recent {
        uint64_t id;
        uint64_t end;   /* where the last read ended */
        bool asked;     /* or queued */
};

struct prefetch {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        uint64_t queue[PREFETCH_QUEUE]; /* guarded by lock, as all below; ids */
        size_t count;
        uint64_t look[PREFETCH_LOOK];   /* ids */
        size_t look_count;
        struct prefetch_recent recent[PREFETCH_RECENT]; /* by a hash of the id: a later file takes the place */
};

#define PREFETCH_INITIALIZER { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER }

/* A worker has answered a READ of a file of the store with LEN bytes of DATA. */
void prefetch_note(struct prefetch *p, uint64_t id, uint64_t offset, const char *data, size_t len);
/* A worker has answered a READ of any file. */
void prefetch_read(struct prefetch *p, uint64_t id);
/* ARG is the server. */
void *prefetch_thread(void *arg);

#endif
