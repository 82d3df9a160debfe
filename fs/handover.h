/* handover.h: what one process of a mount leaves to the next: a memfd, and descriptors under fixed numbers.
 *
 * A mount is served by a **worker** and watched by a **keeper** (keeper.h); either starts the other anew when it dies.
 * Both map this memory, shared, and it is all that they know of each other's past: a new process reads it and goes on.
 * It holds the requests themselves, too: the worker has the kernel write them straight into its cells (server_work.h),
 * so that what was taken from the kernel and not answered is there when the worker is not.
 *
 * Layout: struct handover, then HANDOVER_CELLS cells (struct server_cell), page-aligned.  A process that does not know
 * VERSION, or finds other sizes, must not touch it: it ends with a sentence in `said`, and the one before it is
 * started again.  Whoever changes the layout gives it another version.
 *
 * Descriptors: the numbers below are the same in a keeper and in a worker that has just been executed, whichever
 * program it is of. What is not there yet is held by a copy of another.  Each fork makes them inheritable between fork
 * and exec, and the new process takes that back at once (handover_open).
 *
 * Threads and processes: `atomic` fields change at any time; the others are written by the one that is named, before
 * it wakes the other up. */
#ifndef FUSEPKG_HANDOVER_H
#define FUSEPKG_HANDOVER_H

#include "fs/server_work.h"

enum {
        HANDOVER_VERSION = 3,
        HANDOVER_CELLS = SERVER_THREADS + 1, /* the last is the keeper's */
        HANDOVER_KEEPER_CELL = SERVER_THREADS,
        HANDOVER_PARKED = RELOADS_MAX,
        HANDOVER_PATH = 4096,
        HANDOVER_INIT = 256,                 /* bytes of INIT, and of its reply */
        PARKED_BYTES = 128,
};

enum handover_fd {
        HANDOVER_FD_MEMORY = 3,
        HANDOVER_FD_STATE,    /* .fusepkg */
        HANDOVER_FD_SITE,     /* the bare site-packages, opened before anything was mounted over it */
        HANDOVER_FD_LOCK,     /* .fusepkg/lock: one open file for all of us, so that the lock is held until the last has gone */
        HANDOVER_FD_PROGRAM,  /* the executable of this mount: another one may have its name by now */
        HANDOVER_FD_FUSE,     /* /dev/fuse; not there before the first worker has mounted */
        HANDOVER_FD_SOCKET,   /* between keeper and worker */
        HANDOVER_FD_PEER,     /* of a new keeper: a pidfd of the worker */
        HANDOVER_FD_HOLD,     /* of store_hold_open(): what a worker holds of a store without leases stays held when it is killed */
        HANDOVER_FDS_END,
};

enum handover_worker {
        WORKER_NONE,
        WORKER_LOADING,
        WORKER_SERVING,
};

/* A request that is answered by the reloader, and has left its cell. */
struct handover_parked {
        _Atomic uint32_t size; /* 0: free */
        _Alignas(8) char bytes[PARKED_BYTES]; /* struct fuse_in_header first, as `init` */
};

struct handover {
        char magic[8];             /* HANDOVER_MAGIC */
        uint32_t version;
        uint32_t size;             /* of all, with the cells */
        uint32_t cells;
        uint32_t cell_size;
        /* Immutable since the start of the mount: */
        uint64_t mount_id;         /* random, below 2^63: `connection` in the edits' table of what was done */
        uint64_t first;            /* the generation that was mounted: slots since then may be in use */
        int64_t since;             /* seconds since the epoch */
        bool foreground;
        bool allow_other;
        char site[HANDOVER_PATH];
        char state[HANDOVER_PATH];
        char program[HANDOVER_PATH]; /* the path that was executed: where the next version will lie; "" when unknown */

        _Atomic uint64_t announced;  /* the worker's: the generation of which the kernel was told everything */
        _Atomic uint32_t worker_state;
        _Atomic int32_t keeper_pid;
        _Atomic int32_t worker_pid;
        _Atomic uint32_t stopping;   /* the mount goes: nobody is started any more */
        _Atomic uint32_t read_only;  /* the mount is */
        _Atomic uint32_t resting;    /* no request for a while: the keeper sleeps, and whoever takes the next one wakes it */
        _Atomic uint32_t faulted;    /* the worker's, when it dies of a fault of its own: cells.h */
        uint64_t device;             /* the mount's, as dev_t; the first worker's */

        uint32_t restarts;           /* the keeper's, as all below */
        uint32_t upgrades;           /* that were asked for and have ended */
        bool degraded;               /* requests end with EIO */
        char reason[256];            /* of the last restart */
        char upgrade[256];           /* how the last upgrade ended: "ok", or a sentence */

        char said[ERRTEXT_SIZE];     /* the worker's last sentence: why it cannot serve */
        uint32_t init_size;          /* the first worker's, as the next three */
        uint32_t init_reply_size;
        _Alignas(8) char init[HANDOVER_INIT];
        _Alignas(8) char init_reply[HANDOVER_INIT];

        struct handover_parked parked[HANDOVER_PARKED];
};

#define HANDOVER_MAGIC "fpkghand"

/* Makes the memory and places its descriptor at HANDOVER_FD_MEMORY. */
int handover_new(struct handover **ret);
/* Maps what a process was started with, and makes all of its descriptors close-on-exec again.  -EPROTO: another
 * version's. */
int handover_open(struct handover **ret);
struct server_cell *handover_cell(struct handover *h, unsigned i);
size_t handover_cell_offset(unsigned i); /* in the memory */

/* In the child after a fork: lets the descriptors below HANDOVER_FDS_END that are open go along, and becomes the
 * program of HANDOVER_FD_PROGRAM as `fusepkg-mount MODE`.  Returns on failure only. */
int handover_execute(const struct handover *h, const char *mode);

/* One message over HANDOVER_FD_SOCKET: a letter, and maybe a descriptor (or -1). */
enum handover_message {
        MESSAGE_MOUNTED = 'M', /* worker: here is /dev/fuse */
        MESSAGE_TAKEN = 'T',   /* keeper: I have it */
        MESSAGE_SERVING = 'S', /* worker */
        MESSAGE_STOP = 'E',    /* keeper: end, leaving nothing half done */
        MESSAGE_RELOAD = 'R',  /* keeper: read the environment again */
        MESSAGE_HAND_ON = 'H', /* keeper: requests wait, and nobody reads them: server_hand_on */
        MESSAGE_REST = 'I',    /* keeper: no request for a while: memory is given back */
        MESSAGE_AWAKE = 'A',   /* worker: a request has come while `resting` was set */
};
int handover_send(int fd, enum handover_message message, int passed);
/* 0: the other has gone; -EAGAIN: nothing to be read, without BLOCK.  *RET_PASSED: a descriptor, or -1; may be NULL. */
int handover_receive(int fd, bool block, int *ret_passed);

#endif
