/* mount_place.h: where our mount is, now: a venv can be moved with its mount in it.
 *
 * Neither function touches the mount: they read /proc/self/mountinfo. */
#ifndef FUSEPKG_MOUNT_PLACE_H
#define FUSEPKG_MOUNT_PLACE_H

#include "store/base.h"

#include <sys/types.h>

/* The device of the mount at SITE, where it was just mounted; 0 when it cannot be told. */
dev_t mount_place_device(const char *site);
/* Takes the mount with that device away, wherever it is (SITE when the device is 0).  Who uses it keeps it: the
 * process must go on serving until the kernel says that it is gone. */
int mount_place_detach(dev_t device, const char *site);

#endif
