/* control.h: what commands and a running mount say to each other.
 *
 * The mount is `fusepkg-mount`, started as
 *     fusepkg-mount [--foreground] [--allow-other] [--ready-fd N] --site SITE_PACKAGES --state VENV/.fusepkg
 * It opens both folders, takes the lock, reads the environment and its store, mounts, primes the kernel's answers, and
 * then writes one line to the descriptor N and closes it: "ok\n" or "error <sentence>\n", which begins with
 * CONTROL_REFUSED when this machine does not let us mount.  In the background it has no descriptor, working directory
 * or session of its starter, and logs to VENV/.fusepkg/log.
 *
 * VENV/.fusepkg/lock is locked (flock, exclusive) as long as the mount lives, and says who that is, in lines:
 *     host <name>
 *     boot <boot id of the kernel>
 *     pid <n>
 *     since <seconds since the epoch>
 * and, from the moment it is ready, also
 *     worker <n>                 who serves; 0: nobody at the moment
 *     first <generation>         that was mounted: the history since then is kept
 *     restarts <n>               of the worker
 *     state serving | degraded   degraded: requests end with errors
 *     reason <words>             of the last restart
 *     upgrades <n> <words>       that were asked for and have ended; how the last one did: "ok" or a sentence
 * Its end is filled with newlines, so that it is replaced by one write of one size.
 * `pid` is the keeper (keeper.h says what signals it takes).
 *
 * Ioctls on a descriptor of the mounted root: */
#ifndef FUSEPKG_CONTROL_H
#define FUSEPKG_CONTROL_H

#include <stdint.h>
#include <sys/ioctl.h>

#define CONTROL_LOCK_FILE "lock"
#define CONTROL_LOG_FILE "log"
#define CONTROL_REFUSED "cannot mount at "

enum { CONTROL_OPCODES = 64 };

struct control_requests {
        uint64_t count[CONTROL_OPCODES]; /* by FUSE opcode, since the mount; control's own ioctls are not counted */
        uint64_t generation;             /* the one that was fully announced to the kernel */
};

/* "Read the truth again": returns 0 once the new generation is served and the kernel has dropped what changed. */
#define CONTROL_RELOAD _IO('F', 0x51)
/* "There is a request for the edits": edits_report.h. */
#define CONTROL_EDITS _IO('F', 0x53)
#define CONTROL_REQUESTS _IOR('F', 0x52, struct control_requests)

#endif
