#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>

enum {
        OPEN_TRIES = 32,        /* openat2 answers EAGAIN when a rename elsewhere disturbs a walk over ".." */
        REMOVE_DEPTH_MAX = 32,  /* descriptors that a removal holds at most, see remove_contents() */
        REMOVE_PASSES_MAX = 4096,
};

static int open_resolved(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        struct open_how how = {
                .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                .mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
                .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };

        for (int i = 0;; i++) {
                long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);

                if (fd >= 0)
                        return (int)fd;
                if (errno != EINTR && (errno != EAGAIN || i >= OPEN_TRIES))
                        return -errno;
        }
}

int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
        return open_resolved(dirfd, path, flags, mode, 0);
}

int file_open_local(int dirfd, const char *path, int flags)
{
        return open_resolved(dirfd, path, flags, 0, RESOLVE_NO_XDEV);
}

int file_open_own(int dirfd, const char *path, int flags, mode_t mode)
{
        cleanup_close int fd = file_open_beneath(dirfd, path, flags | O_NOFOLLOW | O_NONBLOCK, mode);
        struct stat st, folder;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0 || fstat(dirfd, &folder) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
                return -EPERM;
        if (geteuid() == 0 && st.st_uid == 0 && folder.st_uid != 0) {
                /* In a user namespace that does not know the owner it cannot be given away, and serves all the same. */
                int ignored = fchown(fd, folder.st_uid, folder.st_gid);

                (void)ignored;
        }
        return steal_fd(&fd);
}

ssize_t file_pread(int fd, void *data, size_t len, off_t offset)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(fd, (char *)data + done, len - done, offset + (off_t)done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

int file_pread_full(int fd, void *data, size_t len, off_t offset)
{
        ssize_t n = file_pread(fd, data, len, offset);

        return n < 0 ? (int)n : (size_t)n < len ? -EIO : 0;
}

int file_write_full(int fd, const void *data, size_t len)
{
        const char *p = data;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

int file_read_all(int fd, size_t max, struct buf *ret)
{
        size_t old = ret->len, got = 0, piece = 4096;
        struct stat st;
        ssize_t n;
        int r = 0;

        if (max > SIZE_MAX / 4)
                max = SIZE_MAX / 4;
        /* The size is a hint (files in /proc have none): one byte more, so that the end is seen without growing. */
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
                piece = ((size_t)st.st_size < max ? (size_t)st.st_size : max) + 1;
        for (;;) {
                r = buf_reserve(ret, piece);
                if (r < 0)
                        break;
                n = pread(fd, ret->data + ret->len, piece, (off_t)got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        r = -errno;
                if (n <= 0)
                        break;
                got += (size_t)n;
                ret->len += (size_t)n;
                if (got > max) {
                        r = -EFBIG;
                        break;
                }
                piece = 4096 > got / 2 ? 4096 : got / 2;
        }
        if (r < 0)
                ret->len = old;
        if (ret->data)
                ret->data[ret->len] = '\0';
        return r;
}

int file_read_at(int dirfd, const char *path, size_t max, struct buf *ret)
{
        /* O_NONBLOCK: a FIFO in the place of a file must not hang us. */
        cleanup_close int fd = file_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK, 0);

        return fd < 0 ? fd : file_read_all(fd, max, ret);
}

int random_hex(char *ret_text, size_t size)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i + 1 < size; i++) {
                unsigned char byte;
                ssize_t n;

                do
                        n = getrandom(&byte, 1, 0);
                while (n < 0 && errno == EINTR);
                if (n != 1)
                        return n < 0 ? -errno : -EIO;
                ret_text[i] = digits[byte & 15];
        }
        ret_text[size - 1] = '\0';
        return 0;
}

static int fill_and_rename(int dirfd, int fd, const char *temporary, const char *name, struct span bytes, mode_t mode,
                           bool sync)
{
        int r = file_write_full(fd, bytes.data, bytes.len);

        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) || renameat(dirfd, temporary, dirfd, name) < 0)
                return -errno;
        return 0;
}

/* A directory that may only be searched, or an O_PATH one, cannot be synced itself: a second description can. */
static int sync_folder(int dirfd)
{
        cleanup_close int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return errno == EINVAL ? 0 : -errno; /* EINVAL: a file system that has nothing to sync */
        return 0;
}

#define TEMPORARY ".tmp-"

int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, bool sync)
{
        char random[17], temporary[NAME_MAX + 1];
        int r;

        if (name[0] == '\0' || strchr(name, '/'))
                return -EINVAL;
        r = random_hex(random, sizeof random);
        if (r < 0)
                return r;
        snprintf(temporary, sizeof temporary, "%.200s" TEMPORARY "%s", name, random);

        cleanup_close int fd = file_open_beneath(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL, 0600);

        if (fd < 0)
                return fd;
        r = fill_and_rename(dirfd, fd, temporary, name, (struct span){ data, len }, mode, sync);
        if (r < 0) {
                unlinkat(dirfd, temporary, 0);
                return r;
        }
        return sync ? sync_folder(dirfd) : 0;
}

void file_replace_sweep(int parent_fd, const char *path, bool (*is_left)(struct span name, const void *user),
                        const void *user)
{
        DIR *dir = dir_stream(parent_fd, path);
        const struct dirent *d;

        if (!dir)
                return;
        while ((d = readdir(dir))) {
                const char *end = strstr(d->d_name, TEMPORARY);

                if (end && is_left((struct span){ d->d_name, (size_t)(end - d->d_name) }, user))
                        (void)unlinkat(dirfd(dir), d->d_name, 0);
        }
        closedir(dir);
}

DIR *dir_stream(int dirfd, const char *path)
{
        int fd = file_open_beneath(dirfd, path, O_RDONLY | O_DIRECTORY, 0);
        DIR *dir;

        if (fd < 0) {
                errno = -fd;
                return NULL;
        }
        dir = fdopendir(fd);
        if (!dir) {
                int saved = errno;

                close(fd);
                errno = saved;
        }
        return dir;
}

int dir_make(int dirfd, const char *name, mode_t mode)
{
        if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST) {
                int saved = errno;
                int fd = file_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);

                /* A read-only file system says so before it looks whether the directory is there. */
                return fd >= 0 ? fd : -saved;
        }
        return file_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
}

struct removal {
        int top_fd;
        int depth;
};

static int remove_contents(struct removal *rm, int fd);

static int remove_directory(struct removal *rm, int dirfd, const char *name)
{
        char moved[33] = "tmp-";
        int r;

        if (rm->depth >= REMOVE_DEPTH_MAX) {
                r = random_hex(moved + 4, sizeof moved - 4);
                if (r < 0)
                        return r;
                return renameat(dirfd, name, rm->top_fd, moved) < 0 ? -errno : 0;
        }

        cleanup_close int fd = file_open_local(dirfd, name, O_RDONLY | O_DIRECTORY);

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        rm->depth++;
        r = remove_contents(rm, fd);
        rm->depth--;
        if (r < 0)
                return r;
        return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_entry(struct removal *rm, int dirfd, const char *name)
{
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
                return 0;
        /* Linux says EISDIR for a directory; POSIX, and some network file systems with it, EPERM. */
        if (errno != EISDIR && errno != EPERM)
                return -errno;

        int r = remove_directory(rm, dirfd, name);

        return r == -ENOTDIR ? -EPERM : r;
}

/* Trees deeper than REMOVE_DEPTH_MAX are brought up to the top directory bit by bit, so that neither the stack nor the
 * table of descriptors is bounded by what somebody else has nested. */
static int remove_contents(struct removal *rm, int fd)
{
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        struct dirent *e;
        int r = 0;

        if (!dir) {
                r = -errno;
                cleanup_close_(&copy);
                return r;
        }
        while (r == 0 && (errno = 0, e = readdir(dir)))
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = remove_entry(rm, fd, e->d_name);
        if (r == 0 && errno != 0 && !e)
                r = -errno;
        closedir(dir);
        return r;
}

int dir_remove_tree(int dirfd, const char *name)
{
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return -errno;

        cleanup_close int fd = file_open_local(dirfd, name, O_RDONLY | O_DIRECTORY);

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd == -ENOTDIR ? -EPERM : fd;

        struct removal rm = { .top_fd = fd, .depth = 1 };

        for (int pass = 0; pass < REMOVE_PASSES_MAX; pass++) {
                int r = remove_contents(&rm, fd);

                if (r < 0)
                        return r;
                if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                        return 0;
                if (errno != ENOTEMPTY && errno != EEXIST)
                        return -errno;
        }
        return -ENOTEMPTY;
}
