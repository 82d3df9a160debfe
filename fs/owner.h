/* owner.h: one mount owns an environment: `.fusepkg/lock`, as control.h describes it. */
#ifndef FUSEPKG_OWNER_H
#define FUSEPKG_OWNER_H

#include "store/base.h"

/* Takes the lock and writes who we are into it; returns a descriptor whose closing gives the lock up, or -EBUSY with a
 * sentence that names the owner.  PATIENT: waits for some
 * seconds, since what a killed command has asked of the edits may not be done yet. */
int owner_lock(int state_fd, bool patient, struct errtext *err);
/* Says it again, and MORE lines (control.h). */
int owner_write(int lock_fd, int pid, int64_t since, const char *more);

#endif
