/* program.h: running another program and reading what it says. */
#ifndef FUSEPKG_PROGRAM_H
#define FUSEPKG_PROGRAM_H

#include "store/buf.h"

enum { PROGRAM_OUTPUT_MAX = 64 * 1024 };

/* Runs ARGV (found in $PATH, or in /usr/bin, /bin, /usr/sbin and /sbin) without standard input, appends what it
 * writes to stdout and stderr (at most PROGRAM_OUTPUT_MAX bytes), and returns its exit status, 128 + n for a signal
 * n, or -errno when it could not be started.  It inherits no descriptor but these three. */
int program_run(const char *const argv[], struct buf *ret_output);

/* The last line that is not empty, in place: cuts the buffer's text. */
const char *program_last_line(struct buf *output);

#endif
