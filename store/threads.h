/* threads.h: one function on all cores at once. */
#ifndef FUSEPKG_THREADS_H
#define FUSEPKG_THREADS_H

#include "store/base.h"

enum { THREADS_MAX = 64 }; /* more cores than a disk can feed, and each thread may hold a few descriptors */

/* WANTED, or for 0 the number of cores that this process may use; 1 to THREADS_MAX. */
unsigned threads_count(unsigned wanted);

/* Runs FN(USER) in COUNT threads, one of which is the caller's, and returns when all have returned.  Where threads
 * cannot be made fewer do the work, at worst the caller alone.  Signals are left to the caller's thread. */
void threads_run(unsigned count, void (*fn)(void *user), void *user);

#endif
