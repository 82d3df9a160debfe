/* cells.h: what a process that takes over finds in the cells of the one before it (handover.h), and who is to blame.
 *
 * A request whose answer the kernel has taken is not done again: somebody may have undone its effect meanwhile.  One
 * that is still waited for is done again, unless it is what kills the mount:
 * - REPLAYS_MAX times a thread crashed while it was at it: the request's own doing;
 * - REPLAYS_MAX processes ended with it, for whatever reason, and it is older than REPLAY_LIMIT_S.  Kills from outside
 *   and upgrades are not its doing, and may come faster than a large copy ends: so those alone do not count.
 * It is answered with EIO then, it alone. */
#ifndef FUSEPKG_CELLS_H
#define FUSEPKG_CELLS_H

#include "fs/handover.h"

enum {
        REPLAYS_MAX = 3,
        REPLAY_LIMIT_S = 16,
};

/* Does the kernel still wait for the answer to that request? */
bool cell_is_pending(int fuse_fd, uint64_t unique);
/* It is answered; the cell is free. */
void cell_drop(struct server_cell *c);
/* Before anything is done again: lets go of what is not to be. */
void cells_sort(struct handover *h, int fuse_fd, struct log *log);
/* For a worker that crashes: the request that this thread is at takes the blame, and the keeper learns that it was no
 * kill from outside.  To be called in a signal handler: goes by HANDOVER_FD_MEMORY alone. */
void cells_blame(void);
/* Has cells_blame called, before the process dies of it, for what a crash raises.  Not with sanitizers: they speak
 * instead. */
void cells_watch_faults(void);

#endif
