#include "tools/dist_file.h"

#include "store/files.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>

static int open_regular(const struct target *t, const char *path)
{
        /* No magic links: /proc/self/fd/3 is not the venv's. */
        struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS };
        cleanup_close int found = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
        char link[32];
        struct stat st;
        int fd;

        if (found < 0 || fstat(found, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (geteuid() != t->owner && st.st_uid != t->owner)
                return -EACCES;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
        fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int dist_file_follow(const struct target *t, const char *target, struct buf *ret)
{
        /* A relative one leads to another file of the venv, which is not what installers make. */
        cleanup_close int fd = target[0] == '/' ? open_regular(t, target) : -ENOENT;
        int r = fd < 0 ? fd : file_read_all(fd, DIST_FILE_MAX, ret);

        return r < 0 && r != -ENOMEM ? -ENOENT : r;
}

int dist_file_read(const struct target *t, int dirfd, const char *path, struct buf *ret)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        int r = file_read_at(dirfd, path, DIST_FILE_MAX, ret);
        cleanup_free char *folder = r == -ELOOP && slash ? strndup(path, (size_t)(slash - path)) : NULL;
        cleanup_close int fd = folder ? file_open_beneath(dirfd, folder, O_PATH | O_DIRECTORY, 0) : -1;
        char target[PATH_MAX];
        ssize_t n = fd < 0 ? -1 : readlinkat(fd, name, target, sizeof(target) - 1);

        if (n < 0)
                return r;
        target[n] = '\0';
        return dist_file_follow(t, target, ret);
}
