/* server.h: one mounted environment: what the threads of fusepkg-mount share.
 *
 * Threads: SERVER_THREADS workers read requests and answer them; the reloader alone changes the view and sends invalidations, holding
 * no lock, since the kernel may wait for an answer of a worker before it takes one.
 * What they answer comes from the tree (tree.h), which has its own locks. */
#ifndef FUSEPKG_SERVER_H
#define FUSEPKG_SERVER_H

#define FUSE_USE_VERSION 314

#include "fs/control.h"
#include "fs/forget.h"
#include "fs/log.h"
#include "fs/prefetch.h"
#include "fs/tree.h"

#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
        SERVER_THREADS = 3, /* fastest for the first touch of a large library: tried */
        RELOADS_MAX = 64,   /* commands that wait for one reload */
        SERVER_MAX_WRITE = 128 << 10, /* bytes of one WRITE */
};

struct server_cell;

struct server {
        struct fuse_session *se; /* immutable once threads run, as all without a remark */
        struct image_pool *pool;
        struct base *base;
        struct store *store;
        int state_fd;
        int lock_fd; /* the environment is ours as long as this is open: owner.h */
        struct log log;
        int done_fd; /* an eventfd: a worker found the mount gone */

        const char *site;            /* where it was mounted */
        struct tree *tree;
        struct edits *edits;         /* NULL, as the next: there are none, and can be none */
        bool read_only;              /* the venv cannot be written */
        struct edit_data *edit_data;

        struct server_cell *cells;   /* of the workers, as the next: server_work.h */
        _Atomic unsigned workers;
        _Atomic uint64_t init_unique;
        pthread_mutex_t turn;        /* held by the worker that reads */
        unsigned crowded;            /* guarded by turn, as the next: requests before it spins again */
        unsigned slow;               /* requests before it answers one without handing the turn on */

        _Atomic uint64_t requests[CONTROL_OPCODES];
        _Atomic uint64_t announced; /* generation */

        struct prefetch prefetch;
        struct forget forget;

        pthread_mutex_t reload_lock;
        pthread_cond_t reload_cond;
        fuse_req_t reload_waiting[RELOADS_MAX]; /* guarded by reload_lock, as the next two */
        size_t reload_count;
        bool reload_wanted; /* without anybody waiting: SIGHUP */
        bool edits_wanted;  /* there is a request for the edits: edits_report.h */
};

extern const struct fuse_lowlevel_ops server_ops;

/* server_work.c: what workers need, made between mounting and starting them; a worker, which reads and answers until the
 * mount is gone (ARG is the server). */
int server_prepare(struct server *s);
void *server_work(void *arg);

/* reload.c */
void *reload_thread(void *arg);
/* Queues a reload, and after it, if EDITS, what `.fusepkg/edits.request` asks for; REQ (or NULL) is answered when it is done. */
void reload_request(struct server *s, fuse_req_t req, bool edits);

#endif
