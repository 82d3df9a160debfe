/* kept_list.h: what lies in .fusepkg/kept: files that commands took away from the user, and kept. */
#ifndef FUSEPKG_KEPT_LIST_H
#define FUSEPKG_KEPT_LIST_H

#include "tools/target.h"

/* In front of a path of kept_list(): where it is below the venv, as all commands say it. */
#define KEPT_LIST_PREFIX ENVIRONMENT_DIR "/kept/"

/* Calls FN with each path below .fusepkg/kept ("7/pkg/a.py"), in no order, until it returns non-zero, which is
 * returned. */
int kept_list(const struct target *t, int (*fn)(const char *path, void *user), void *user);

#endif
