/* server_work.h: the workers: reading requests of the kernel, and having them answered.
 *
 * A request is read straight into the worker's **cell**: page-aligned memory that is resident before the kernel
 * writes to it.  Were it not, a SIGKILL of this process while the kernel copies a WRITE would give its writer
 * EIO, and nothing could mend that.  A cell whose header has a length holds a request that was read and not
 * answered: what a process that takes over begins with.
 *
 * Waking a worker up costs more than most requests take.  So one of them has the **turn**: it alone reads.  It
 * keeps the turn while it answers what is brief, and looks for the next request for up to SPIN_US before it
 * sleeps; the others are not even asked.  When none has come for QUIET_US it makes ready what the next one may need
 * (tree_prepare).  It hands the turn on before it answers what may take long (copies, syncs), or as long as requests
 * are slow; and it does not spin while others want its processor.  A brief request waits for locks of this process and
 * for the file systems below, never for another request; where such a file system stalls, the keeper sees it, and the
 * turn is taken from it (server_hand_on).
 *
 * The cells lie in memory that the next process has as well (handover.h).  It begins with those that are not empty:
 * what the kernel still waits for is answered, by a thread each, and only then anything new is read. */
#ifndef FUSEPKG_SERVER_WORK_H
#define FUSEPKG_SERVER_WORK_H

#include "fs/server.h"

enum {
        CELL_HEADER = 4096,
        CELL_BYTES = SERVER_MAX_WRITE + 4096, /* what the kernel demands: a WRITE of that size and its headers */
        SPIN_US = 200,
        QUIET_US = 15,
        CROWDED_US = 30,  /* a processor that was given away and came back as late as this is wanted by others */
        SLOW_US = 1000,
        SLOW_FIRST = 8,   /* requests that are handed on after a slow one; the next slow one doubles it, up to: */
        AWHILE = 64,      /* requests; and until spinning is tried again */
        REPLAY_WAIT_MS = 1000,
};

/* The worker's state, for whoever watches it. */
enum cell_state {
        CELL_IDLE,
        CELL_BUSY,
};

struct server_cell {
        _Atomic uint32_t state;
        uint32_t size;          /* bytes of the request; while busy, as the next */
        _Atomic int64_t since;  /* CLOCK_MONOTONIC, ns: when it was read */
        _Atomic uint32_t replays; /* how often a new process has begun with it */
        _Atomic int32_t tid;    /* of the thread that is at it */
        _Atomic int64_t begun;  /* as `since`, by the first process that had it; 0: not known */
        _Atomic uint32_t faults; /* threads that have crashed at it: cells.h */
        char pad[CELL_HEADER - 36];
        char bytes[CELL_BYTES]; /* struct fuse_in_header first */
};

_Static_assert(sizeof(struct server_cell) == CELL_HEADER + CELL_BYTES, "cells lie side by side on pages");

/* Bit 63 of a request's number: the kernel gives it a second time. */
#define SERVER_RESENT (UINT64_C(1) << 63)
/* In a process that takes over, after cells_sort and the start of the workers: waits until they have answered what is
 * left, has the kernel repeat what is in no cell, and lets them read.  Otherwise: lets them read. */
void server_open_turn(struct server *s);
/* Whoever has the turn has been at one request for a second: another worker gets it. */
void server_hand_on(struct server *s);
/* The cell of the calling worker; NULL in another thread. */
struct server_cell *server_own_cell(struct server *s, uint32_t *ret_index, bool *ret_replayed);

#endif
