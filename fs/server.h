/* server.h: one mounted environment: what the threads of fusepkg-mount share.
 *
 * Threads: SERVER_THREADS workers read requests and answer them; the reloader alone changes the view and sends invalidations, holding
 * no lock, since the kernel may wait for an answer of a worker before it takes one.
 * Lock order: a request holds a reference to the view that it began with; `lock` guards the pointer and the counts of references and is never
 * held while anything else is done. */
#ifndef FUSEPKG_SERVER_H
#define FUSEPKG_SERVER_H

#define FUSE_USE_VERSION 314

#include "fs/control.h"
#include "fs/log.h"
#include "fs/prefetch.h"
#include "fs/view.h"

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
        SERVER_THREADS = 3, /* fastest for the first touch of a large library: tried */
        RELOADS_MAX = 64,   /* commands that wait for one reload */
};

struct view_ref {
        struct view *view;
        unsigned refs; /* guarded by the server's lock */
};

struct server {
        struct fuse_session *se; /* immutable once threads run, as all without a remark */
        struct image_pool *pool;
        struct base *base;
        struct store *store;
        int state_fd;
        int lock_fd; /* the environment is ours as long as this is open: owner.h */
        struct log log;
        int done_fd; /* an eventfd: a worker found the mount gone */

        pthread_mutex_t lock;
        struct view_ref *current; /* guarded by lock */

        _Atomic uint64_t requests[CONTROL_OPCODES];
        _Atomic uint64_t announced; /* generation */

        struct prefetch prefetch;

        pthread_mutex_t reload_lock;
        pthread_cond_t reload_cond;
        fuse_req_t reload_waiting[RELOADS_MAX]; /* guarded by reload_lock, as the next two */
        size_t reload_count;
        bool reload_wanted; /* without anybody waiting: SIGHUP */
};

/* The view as it is now, to be given back. */
struct view_ref *server_view(struct server *s);
void server_view_done(struct server *s, struct view_ref *ref);
/* Puts NEXT (owned from now on) in the place of the current view, which is returned with the reference that the server had. */
struct view_ref *server_swap(struct server *s, struct view_ref *next);

extern const struct fuse_lowlevel_ops server_ops;

/* A worker: reads and answers until the mount is gone; ARG is the server. */
void *server_work(void *arg);

/* reload.c */
void *reload_thread(void *arg);
/* Queues a reload; REQ (or NULL) is answered when it is done. */
void reload_request(struct server *s, fuse_req_t req);

#endif
