/* log.h: the mount's log: lines with the time, appended to a file in the .fusepkg folder (and stderr in the
 * foreground).
 *
 * A file of more than LOG_MAX bytes is renamed to log.1 first.  A line that repeats the one before is not written
 * again until another came. Threads: log_line may be called from any thread. */
#ifndef FUSEPKG_LOG_H
#define FUSEPKG_LOG_H

#include "store/base.h"

#include <pthread.h>

enum { LOG_MAX = 1 << 20 };

struct log {
        int state_fd;  /* borrowed */
        int fd;
        bool to_stderr;
        pthread_mutex_t lock;
        char last[512]; /* guarded by lock */
};

/* Without rights to the file lines go nowhere (or to stderr): a log is no reason to fail. */
void log_open(struct log *l, int state_fd, bool to_stderr);
void log_line(struct log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
