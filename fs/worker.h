/* worker.h: the process that serves a mount.
 *
 * It is what its keeper (keeper.h) started as `fusepkg-mount --worker`, with the descriptors and the memory of
 * handover.h.  The first one of a mount loads the environment, mounts, and gives the keeper the connection; one that
 * follows takes over what the last one held: the kernel notices nothing but a pause. It is told by messages what to
 * do, and obeys no signal but SIGKILL.  When its keeper dies it starts another. */
#ifndef FUSEPKG_WORKER_H
#define FUSEPKG_WORKER_H

/* Never returns. */
void worker_main(void) __attribute__((noreturn));

/* Exit statuses; the sentence for the second is in the memory's `said`. */
enum {
        WORKER_ENDED = 0,
        WORKER_REFUSES = 1,
        WORKER_UNKNOWN_LAYOUT = 3,
};

#endif
