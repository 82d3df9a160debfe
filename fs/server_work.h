/* server_work.h: the workers: reading requests of the kernel, and having them answered.
 *
 * A request is read straight into the worker's **cell**: page-aligned memory that is resident before the kernel writes
 * to it.  Were it not, a SIGKILL of this process while the kernel copies a WRITE would give its writer EIO, and nothing
 * could mend that.  A cell whose header has a length holds a request that was read and not answered: what a process that
 * takes over begins with.
 *
 * After an answer the next request is mostly near: a worker looks for it for up to SPIN_US before it sleeps, since to
 * wake it up costs more than most requests take.  One worker does so at a time, and steps aside for whoever else wants
 * its processor. */
#ifndef FUSEPKG_SERVER_WORK_H
#define FUSEPKG_SERVER_WORK_H

#include "fs/server.h"

enum {
        CELL_HEADER = 4096,
        CELL_BYTES = SERVER_MAX_WRITE + 4096, /* what the kernel demands: a WRITE of that size and its headers */
        SPIN_US = 200,
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
        char pad[CELL_HEADER - 16];
        char bytes[CELL_BYTES]; /* struct fuse_in_header first */
};

_Static_assert(sizeof(struct server_cell) == CELL_HEADER + CELL_BYTES, "cells lie side by side on pages");

#endif
