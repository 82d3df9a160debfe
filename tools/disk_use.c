#include "tools/disk_use.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
        BLOCK = 512, /* of st_blocks, whatever the file system's own is */
        DEPTH_MAX = 128,
};

uint64_t disk_use_file(int dirfd, const char *path)
{
        struct stat st;

        return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (uint64_t)st.st_blocks * BLOCK;
}

static int add_folder(int fd, dev_t device, int depth, uint64_t *bytes);

static int add_entry(int dirfd, const char *name, dev_t device, int depth, uint64_t *bytes)
{
        struct stat st;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (st.st_dev != device)
                return 0;
        *bytes += (uint64_t)st.st_blocks * BLOCK;
        if (!S_ISDIR(st.st_mode))
                return 0;
        cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return add_folder(fd, device, depth + 1, bytes);
}

static int add_folder(int fd, dev_t device, int depth, uint64_t *bytes)
{
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent *d;
        DIR *dir;
        int r = 0;

        if (copy < 0)
                return -errno;
        dir = fdopendir(copy);
        if (!dir || depth > DEPTH_MAX) {
                r = dir ? -ELOOP : -errno;
                if (dir)
                        closedir(dir);
                else
                        close(copy);
                return r;
        }
        while (r == 0 && (d = readdir(dir)))
                if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
                        r = add_entry(copy, d->d_name, device, depth, bytes);
        closedir(dir);
        return r;
}

int disk_use_tree(int fd, uint64_t *ret_bytes)
{
        uint64_t bytes;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        bytes = (uint64_t)st.st_blocks * BLOCK;
        r = add_folder(fd, st.st_dev, 0, &bytes);
        if (r == 0)
                *ret_bytes = bytes;
        return r;
}
