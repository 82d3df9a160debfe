/* keeper.h: the process that holds a mount together.
 *
 * It is what a command started, and what stays: it holds the environment's lock, the bare folder, the connection to
 * the kernel and the memory with the requests (handover.h), starts the worker that serves, and starts it again when it
 * dies.  As the pid of the lock file it takes the mount's signals: SIGTERM and SIGINT unmount, SIGHUP has the
 * environment read again, SIGUSR1 has the mount go over to the program that now lies where its own did.
 *
 * It allocates nothing once it runs, uses no library but libc, and touches neither the mount nor, itself, any disk:
 * what writes (the lock's lines, the log) or looks paths up (unmounting) are children of a moment, so that a disk that
 * stalls stops them and not it.  (Two things it does itself: to write what the starter waits for, and to open the
 * program that it is told to go over to.)
 *
 * When it dies the worker starts the next one, which finds everything in the memory and under the same descriptors. */
#ifndef FUSEPKG_KEEPER_H
#define FUSEPKG_KEEPER_H

#include "fs/handover.h"

/* Starts the first worker and never returns.  READY_FD (or -1) gets the line of control.h. */
void keeper_main(struct handover *h, int ready_fd) __attribute__((noreturn));
/* `fusepkg-mount --keeper`: goes on with what handover_open finds. */
void keeper_again(void) __attribute__((noreturn));

#endif
