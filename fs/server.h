/* server.h: one mounted environment: what the threads of fusepkg-mount share.
 *
 * Threads: SERVER_THREADS workers read requests and answer them, SERVER_READERS at a time, besides those that copy; the
 * reloader alone changes the view and sends invalidations, holding no lock, since the kernel may wait for an answer of
 * a worker before it takes one. What they answer comes from the tree (tree.h), which has its own locks. */
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
        SERVER_READERS = 3, /* threads at a time: fastest for the first touch of a large library: tried */
        SERVER_SPARE = 4,   /* more of them, each in the place of one that copies a large file up */
        SERVER_THREADS = SERVER_READERS + SERVER_SPARE,
        RELOADS_MAX = 64,   /* commands that wait for one reload */
        SERVER_MAX_WRITE = 128 << 10, /* bytes of one WRITE */
};

struct server_cell;
struct handover;

/* A worker thread. */
struct server_thread {
        pthread_t thread;
        uint32_t cell;  /* the one it is at; its own, as the next */
        bool replayed;  /* what it is at may have been done by a process that died */
        _Atomic bool running; /* `thread` is there; the others are its own */
};

/* Who waits for the reloader. */
struct reload_waiting {
        fuse_req_t req;
        unsigned parked; /* handover.h; or HANDOVER_PARKED: nowhere */
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

        const char *site;            /* where it was mounted */
        struct tree *tree;
        struct view *announced_view; /* the reloader's, after a takeover: what the kernel was told last, where that is not what is served */
        struct edits *edits;         /* NULL, as the next: there are none, and can be none */
        bool read_only;              /* the venv cannot be written */
        struct edit_data *edit_data;

        struct handover *handover;   /* immutable, as the next: the memory that the next process has as well */
        bool took_over;              /* from a process that died or ended: the kernel has a mount already */
        struct server_thread threads[SERVER_THREADS]; /* of the workers, as the next ones: server_work.h */
        _Atomic unsigned workers;
        _Atomic uint64_t init_unique;
        pthread_mutex_t turn_lock;   /* a leaf */
        pthread_cond_t turn_cond;
        pthread_cond_t spare_cond;   /* of those that may not read for now */
        int away;                    /* guarded by turn_lock, as the next two: workers that copy large files up */
        int turn;                    /* the worker that reads; TURN_FREE, TURN_CLOSED */
        unsigned replaying;          /* workers that have not begun to read */
        _Atomic unsigned crowded;    /* of who has the turn, as the next: requests before it spins again */
        _Atomic unsigned slow;       /* requests before it answers one without handing the turn on */
        _Atomic unsigned slow_for;   /* what the last one set that to, which was slow; 0: it was not */
        _Atomic int64_t preparing;   /* CLOCK_MONOTONIC, ns: since when it makes something ready; 0: it does not */

        _Atomic uint64_t requests[CONTROL_OPCODES];
        _Atomic uint64_t announced; /* generation */

        struct prefetch prefetch;
        struct forget forget;

        pthread_mutex_t reload_lock;
        pthread_cond_t reload_cond;
        struct reload_waiting reload_waiting[RELOADS_MAX]; /* guarded by reload_lock, as the next two */
        size_t reload_count;
        unsigned parked_again; /* while a parked request is processed again: where it is parked; else HANDOVER_PARKED */
        bool reload_wanted; /* without anybody waiting: SIGHUP */
        bool edits_wanted;  /* there is a request for the edits: edits_report.h */
};

extern const struct fuse_lowlevel_ops server_ops;

/* server_work.c: what workers need, made between mounting and starting them; a worker, which reads and answers until
 * the mount is gone (ARG is the server). */
int server_prepare(struct server *s);
void *server_work(void *arg);
/* In a process that takes over: gives libfuse the INIT that the kernel sent to the first one.  -EPROTO: what it would
 * answer now is not what the kernel was told. */
int server_replay_init(struct server *s);

/* reload.c */
void *reload_thread(void *arg);
/* Queues a reload, and after it, if EDITS, what `.fusepkg/edits.request` asks for; REQ (or NULL) is answered when it
 * is done. */
void reload_request(struct server *s, fuse_req_t req, bool edits);

#endif
