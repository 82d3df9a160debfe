/* python_start.h: what makes Python's start mount the environment: `fusepkg.pth` in the bare site-packages; and what
 * keeps uv from taking the bare folder for the environment.
 *
 * Python runs it (the module `site` does, once or twice a start) when the bare folder can be seen, that is after a
 * reboot or `umount`: a mounted view hides it (fs/base_hide.c), so that with a mount there a start costs nothing more.
 * It runs `fusepkg mount --no-wait` by the absolute path recorded in it, as the venv's owner only, and waits for it;
 * then it lets `site` read the folder again, so that the .pth (and .start) files of the mounted view count, and drops
 * what importlib has noticed of the bare one.  When that fails it says so in one line, and Python goes on.
 *
 * The venv may be moved: the file finds it from its own place.
 *
 * uv starts no Python when it knows the interpreter already.  Before it lists, installs or removes anything, it reads
 * what is installed, and gives up with the name of what it cannot read: so there is a distribution whose file name has
 * no version, and tells what to do.  What Python reads is the metadata in it, which are in order: where mounting has
 * failed, pip and importlib.metadata see a distribution `fusepkg-is-not-mounted`.  Unlike a folder without the right to
 * write, it stops root as well, and does not stop `rm -rf`. */
#ifndef FUSEPKG_PYTHON_START_H
#define FUSEPKG_PYTHON_START_H

#include "tools/target.h"

/* Writes both files, unless they are there as they should be, and forgets an eject that was not finished (eject.h): the
 * environment is used again. Only while the bare folder can be seen. */
int python_start_write(const struct target *t, struct errtext *err);

/* The text for a fusepkg at PROGRAM and a SITE relative to its venv, appended; for tests. */
int python_start_text(const char *program, const char *site, struct buf *ret);

#endif
