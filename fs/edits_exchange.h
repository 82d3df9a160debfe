/* edits_exchange.h: where a request for the edits and its report are (edits_report.h).
 *
 * That is `.fusepkg`.  Where it has no room, or cannot be written, the command makes a folder for them in memory, or in
 * /tmp: `fusepkg-<id of the environment>`, of the venv's owner, for nobody else to look into.  A mount that finds no
 * request in `.fusepkg` looks there, and trusts it for the same reason: only the owner of the venv, or root, has it. */
#ifndef FUSEPKG_EDITS_EXCHANGE_H
#define FUSEPKG_EDITS_EXCHANGE_H

/* STATE_FD: .fusepkg.  Makes it anew, empty; opens one that is there (-ENOENT: there is none; -EPERM: it is
 * another's).  A descriptor. */
int edits_exchange_make(int state_fd, const char *environment);
int edits_exchange_open(int state_fd, const char *environment);
void edits_exchange_remove(int state_fd, const char *environment);

#endif
