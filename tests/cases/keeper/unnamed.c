/* unnamed.c: LD_PRELOAD for fusepkg-mount: the process that answers O_TMPFILE is killed before it does, and the next one
 * answers late: once, if the files UNNAMED_KILL and UNNAMED_LATE are there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REPLY_SIZE = 128 + 16, LATE_S = 2 }; /* struct fuse_entry_out, struct fuse_open_out */

ssize_t writev(int fd, const struct iovec *iov, int count)
{
        ssize_t (*real)(int, const struct iovec *, int);

        *(void **)&real = dlsym(RTLD_NEXT, "writev");
        if (count == 2 && iov[1].iov_len == REPLY_SIZE) {
                if (unlink(getenv("UNNAMED_KILL")) == 0)
                        kill(getpid(), SIGKILL);
                if (unlink(getenv("UNNAMED_LATE")) == 0)
                        sleep(LATE_S);
        }
        return real(fd, iov, count);
}
