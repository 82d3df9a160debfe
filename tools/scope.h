/* scope.h: a mount gets a scope of its own where systemd would end it with the session or terminal it was started from.
 *
 * systemd ends whole cgroups: that of a terminal's tab, or of a session at its logout (KillUserProcesses=).  Both
 * processes of a mount would go in one moment.  So the command that has mounted asks the manager for a transient scope
 * of them, fusepkg-PID-NUMBER.scope; what the two start later is born there.  When the manager ends, at shutdown or
 * with its user's last session, the scope's SIGTERM unmounts cleanly, and the next Python mounts again.
 *
 * Who moves where, by the cgroup of the caller:
 *   - in a scope of his user manager (…/user@UID.service/…/x.scope: a terminal): to another one of that manager;
 *   - in a login session (…/session-N.scope): to the user manager, if it lingers (`loginctl enable-linger`).  One that
 *     does not ends with the last session, and would take the mount from what a user has left running, which by the
 *     default of most distributions stays with its session's scope;
 *   - root in either: to the system's manager;
 *   - in a service, a container, or where there is no systemd: nothing moves.  A unit that mounts keeps what it has mounted.
 *
 * The manager is spoken to over its private socket, which systemctl uses as well: one request and its reply, no other
 * process, no library. Nothing here fails a mount, and nothing waits for long. */
#ifndef FUSEPKG_SCOPE_H
#define FUSEPKG_SCOPE_H

#include "store/buf.h"

#include <sys/types.h>

enum scope_manager {
        SCOPE_NONE,
        SCOPE_USER,
        SCOPE_SYSTEM,
};

/* CGROUPS is the text of /proc/self/cgroup.  LINGERS: the manager of UID outlives its sessions. */
enum scope_manager scope_choose(const char *cgroups, uid_t uid, bool lingers);
/* Appends the message (D-Bus, little-endian) that asks for a scope of PIDS.  WITH_OOM: one that goes on when the kernel
 * has killed one of them for lack of memory; older managers do not know that of scopes, and refuse. */
int scope_message(const char *name, const char *description, const pid_t *pids, size_t n, bool with_oom,
                  struct buf *ret);
/* The manager to be asked by this process, as above. */
enum scope_manager scope_find(void);
/* Asks it for a scope of the PIDS (one or more) that serve SITE.  1: they are moved; 0: it refuses; else -errno. */
int scope_move(enum scope_manager which, const char *site, const pid_t *pids, size_t n);

#endif
