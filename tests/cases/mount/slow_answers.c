/* slow_answers.c: LD_PRELOAD for fusepkg-mount: what it says about a name is up to 30 ms late, so that many look-ups
 * are on their way while it switches to the next generation. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ENTRY_SIZE = 128 }; /* struct fuse_entry_out */

ssize_t writev(int fd, const struct iovec *iov, int count)
{
        ssize_t (*real)(int, const struct iovec *, int);
        uint64_t unique = 0; /* 0: a notification */

        *(void **)&real = dlsym(RTLD_NEXT, "writev");
        if (iov[0].iov_len >= 16)
                memcpy(&unique, (const char *)iov[0].iov_base + 8, sizeof(unique));
        if (unique && count == 2 && iov[1].iov_len == ENTRY_SIZE)
                usleep((unsigned)(random() % 30000));
        return real(fd, iov, count);
}
