/* keeper_private.h: what the files of the keeper share. */
#ifndef FUSEPKG_KEEPER_PRIVATE_H
#define FUSEPKG_KEEPER_PRIVATE_H

#include "fs/keeper.h"

#include <sys/types.h>

/* Milliseconds, of the keeper's own clock: time in which it did not run itself (a frozen container) does not count. */
enum {
        KEEPER_TICK = 1000,        /* while something is under way */
        KEEPER_IDLE = 2000,        /* … and nothing is; after so much of that the keeper rests */
        KEEPER_STEP_MAX = 3000,    /* what a pause counts for at most */
        CELL_LIMIT = 16000,        /* a request without an answer: its storage stalls */
        SYNC_LIMIT = 25000,        /* fsync, on a disk that shows no progress */
        STALL_MEMORY = 30000,      /* for so long after one that stalled … */
        STALL_LIMIT = 1000,        /* … requests get less time: one read(2) of a program may be several, one after the other */
        UNREAD_HAND_ON = 1000,     /* requests wait, and nobody reads */
        UNREAD_LIMIT = 16000,
        STOPPED_LIMIT = 3000,      /* a worker that somebody has stopped */
        REFUSE_AFTER = 8000,       /* without a worker that serves, requests end with EIO */
        REFUSE_LOADING = 24000,    /* the same, while the first one after one that served gets ready */
        REFUSE_FAILED = 2000,      /* the same, where it said why it cannot */
        LOAD_LIMIT = 60000,
        STOP_LIMIT = 8000,         /* of a worker that was asked to end */
        PAUSE_FIRST = 100,
        PAUSE_MAX = 10000,
        FAILURES_FREE = 3,         /* starts without success, one after the other, before there are pauses */
        SERVED_LONG = 60000,       /* a worker that crashed after that was no failure to start */
};

struct keeper_watch {
        uint64_t unique;  /* of the request in the cell */
        int64_t from;     /* of the wait: it begins again whenever its thread has moved */
        uint64_t moved;   /* what that was at the last look */
        int64_t read;     /* the cell's `since` */
        bool refused;
};

struct keeper {
        struct handover *h;
        int signal_fd;
        int ready_fd;         /* of the starter, until the mount is up or has failed */
        int64_t now;          /* as all times here */
        int64_t last_real;
        int64_t down_since;   /* no worker has served since; 0: one serves */
        int64_t start_at;     /* of the next worker, while there is none */
        int64_t kill_at;      /* the worker is to be gone by then; 0: no */
        int64_t loading_since;
        unsigned failures;    /* starts, one after the other, that did not come to serving, or ended soon by a fault */
        int64_t serving_since;
        int status;           /* of the worker that ended, where we are its parent */
        bool reaped;
        bool is_mounted;      /* there is a connection */
        bool is_up;           /* the mount has been served */
        bool upgrading;
        int previous_fd;      /* the program before the upgrade */
        pid_t recorder;       /* children; 0: none */
        pid_t detacher;
        bool record_due;
        char line[512];       /* for the log */
        char killed[128];     /* why we have killed the worker; "" when we have not */
        struct keeper_watch watch[HANDOVER_CELLS];
        int64_t unread_since;
        int64_t stopped_since;
        int64_t stalled_until;
        int64_t quiet_since;  /* no request since; 0: there are some */
        bool resting;         /* there is nothing to look at before a request comes */
};

/* keeper_watch.c.  Looks at the cells, at each tick. */
void keeper_watch(struct keeper *k);
/* Until the next look, in ms; -1: there is nothing to look at. */
int keeper_timeout(const struct keeper *k);
/* A request has come, or something is under way. */
void keeper_awake(struct keeper *k);
/* Without a worker: answers what waits, and what a dead worker has left. */
void keeper_refuse_left(struct keeper *k);
void keeper_refuse_next(struct keeper *k);
void keeper_kill(struct keeper *k, const char *why);
/* keeper_record.c.  What the lock says, and a LINE (or NULL) for the log; says it later if the last is still being
 * said. */
void keeper_record(struct keeper *k, const char *line);
void keeper_record_now(struct keeper *k);
void keeper_detach(struct keeper *k);

#endif
