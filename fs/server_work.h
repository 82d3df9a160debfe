/* server_work.h: the workers: reading requests of the kernel, and having them answered.
 *
 * A request is read straight into the worker's **cell**: page-aligned memory that is resident before the kernel
 * writes to it.  Were it not, a SIGKILL of this process while the kernel copies a WRITE would give its writer
 * EIO, and nothing could mend that.  A cell whose header has a length holds a request that was read and not
 * answered: what a process that takes over begins with.
 *
 * Waking a worker up costs more than most requests take.  So one of them has the **turn**: it alone reads.  It
 * keeps the turn while it answers what is brief, and looks for the next request for up to SPIN_US before it
 * sleeps; the others are not even asked.  It hands the turn on before it answers what may take long (copies,
 * syncs), or as long as requests are slow; and it does not spin while others want its processor.  A brief
 * request waits for locks of this process and for the file systems below, never for another request. */
#ifndef FUSEPKG_SERVER_WORK_H
#define FUSEPKG_SERVER_WORK_H

#include "fs/server.h"

enum {
        CELL_HEADER = 4096,
        CELL_BYTES = SERVER_MAX_WRITE + 4096, /* what the kernel demands: a WRITE of that size and its headers */
        SPIN_US = 200,
        CROWDED_US = 30,  /* a processor that was given away and came back as late as this is wanted by others */
        SLOW_US = 1000,
        AWHILE = 64,      /* requests until it is tried again */
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
