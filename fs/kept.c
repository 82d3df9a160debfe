#include "fs/kept.h"

#include "store/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
        PIECE = 128 << 10,
        NUMBERS_MAX = 1000, /* of files of one name that were kept in one generation */
        NAME_SIZE = 300,
};

#define TEMPORARY ".kept.tmp"

/* In a user namespace that does not know the owner it cannot be given away, and serves all the same. */
static void give(int state_fd, int dirfd, const char *name)
{
        struct stat st;
        int ignored;

        if (geteuid() != 0 || fstat(state_fd, &st) < 0 || st.st_uid == 0)
                return;
        ignored = fchownat(dirfd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
        (void)ignored;
}

static int make_folder(int state_fd, int dirfd, const char *name)
{
        bool absent = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
        int fd = dir_make(dirfd, name, 0755);

        if (fd >= 0 && absent)
                give(state_fd, dirfd, name);
        return fd;
}

/* NAME, or numbered.  The temporary file's is never given: it is not there for long. */
static int first_number(const char *name)
{
        return strcmp(name, TEMPORARY) == 0;
}

static void number_name(const char *name, int number, char ret[NAME_SIZE])
{
        if (number == 0)
                snprintf(ret, NAME_SIZE, "%.255s", name);
        else
                snprintf(ret, NAME_SIZE, "%.240s.%d", name, number);
}

/* What was kept before may stand where a folder is needed. */
static int make_free_folder(int state_fd, int dirfd, const char *name, char ret_name[NAME_SIZE])
{
        int fd = -ENOTDIR;

        for (int i = first_number(name); (fd == -ENOTDIR || fd == -ELOOP) && i < NUMBERS_MAX; i++) {
                number_name(name, i, ret_name);
                fd = make_folder(state_fd, dirfd, ret_name);
        }
        return fd;
}

/* The folder that PATH is in; its own path, with a slash at its end, is added to RET_FOLDER; *RET_NAME is the last
 * part of PATH. */
static int open_parent(int state_fd, uint64_t generation, const char *path, struct buf *ret_folder,
                       const char **ret_name)
{
        char number[32];
        cleanup_close int fd = make_folder(state_fd, state_fd, KEPT_DIR);
        int next, r;

        snprintf(number, sizeof(number), "%llu", (unsigned long long)generation);
        if (fd < 0)
                return fd;
        next = make_folder(state_fd, fd, number);
        for (;;) {
                const char *slash = strchr(path, '/');
                char name[256], got[NAME_SIZE];

                if (next < 0)
                        return next;
                close(fd);
                fd = next;
                if (!slash)
                        break;
                if ((size_t)(slash - path) >= sizeof(name))
                        return -ENAMETOOLONG;
                memcpy(name, path, (size_t)(slash - path));
                name[slash - path] = '\0';
                path = slash + 1;
                next = make_free_folder(state_fd, fd, name, got);
                r = next < 0 ? 0 : buf_printf(ret_folder, "%s/", got);
                if (r < 0) {
                        close(next);
                        return r;
                }
        }
        *ret_name = path;
        return steal_fd(&fd);
}

static bool same_bytes(int a, int dirfd, const char *name)
{
        cleanup_close int b = file_open_beneath(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
        cleanup_free char *data = malloc(2 * (size_t)PIECE);
        struct stat x, y;

        if (b < 0 || !data || fstat(a, &x) < 0 || fstat(b, &y) < 0 || !S_ISREG(y.st_mode) || x.st_size != y.st_size)
                return false;
        for (off_t at = 0; at < x.st_size; at += PIECE) {
                size_t n = x.st_size - at < PIECE ? (size_t)(x.st_size - at) : PIECE;

                if (file_pread_full(a, data, n, at) < 0 || file_pread_full(b, data + PIECE, n, at) < 0 ||
                    memcmp(data, data + PIECE, n) != 0)
                        return false;
        }
        return true;
}

static bool same_link(const char *target, int dirfd, const char *name)
{
        char text[4096];
        ssize_t n = readlinkat(dirfd, name, text, sizeof(text));

        return n >= 0 && (size_t)n == strlen(target) && memcmp(text, target, (size_t)n) == 0;
}

/* Gives the temporary file its name: NAME, or the first numbered one that is free or has the same bytes.  FD: a file,
 * else TARGET. */
static int settle(int dirfd, int fd, const char *target, const char *name, char ret_name[NAME_SIZE])
{
        for (int i = first_number(name); i < NUMBERS_MAX; i++) {
                number_name(name, i, ret_name);
                if (renameat2(dirfd, TEMPORARY, dirfd, ret_name, RENAME_NOREPLACE) == 0)
                        return 0;
                if (errno == EINVAL && faccessat(dirfd, ret_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        return renameat(dirfd, TEMPORARY, dirfd, ret_name) < 0 ? -errno : 0; /* NFS has no NOREPLACE */
                if (errno != EEXIST && errno != EINVAL)
                        return -errno;
                if (target ? same_link(target, dirfd, ret_name) : same_bytes(fd, dirfd, ret_name))
                        return unlinkat(dirfd, TEMPORARY, 0) < 0 ? -errno : 0;
        }
        return -EEXIST;
}

static int finish(int r, int state_fd, int dirfd, int fd, const char *target, const struct buf *folder,
                  const char *name, struct buf *ret_path)
{
        char got[NAME_SIZE];

        if (r == 0)
                r = settle(dirfd, fd, target, name, got);
        if (r < 0) {
                (void)unlinkat(dirfd, TEMPORARY, 0);
                return r;
        }
        give(state_fd, dirfd, got);
        if (!ret_path)
                return 0;
        r = folder->len ? buf_add(ret_path, folder->data, folder->len) : 0;
        return r < 0 ? r : buf_add_str(ret_path, got);
}

int kept_put(int state_fd, uint64_t generation, const char *path, int (*fill)(int fd, void *user), void *user,
             mode_t mode, const struct timespec times[2], struct buf *ret_path)
{
        const char *name;
        cleanup_buf struct buf folder = { 0 };
        cleanup_close int dir = open_parent(state_fd, generation, path, &folder, &name);
        cleanup_close int fd = -1;
        int r;

        if (dir < 0)
                return dir;
        (void)unlinkat(dir, TEMPORARY, 0);
        fd = file_open_beneath(dir, TEMPORARY, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (fd < 0)
                return fd;
        r = fill(fd, user);
        if (r == 0 && (fchmod(fd, mode & 0777) < 0 || futimens(fd, times) < 0))
                r = -errno;
        return finish(r, state_fd, dir, fd, NULL, &folder, name, ret_path);
}

static int copy_file(int to, void *user)
{
        int from = *(int *)user;
        cleanup_free char *data = NULL;
        ssize_t n;
        off_t at = 0;

        if (ioctl(to, FICLONE, from) == 0)
                return 0;
        data = malloc(PIECE);
        if (!data)
                return -ENOMEM;
        while ((n = pread(from, data, PIECE, at)) != 0) {
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                r = file_write_full(to, data, (size_t)n);
                if (r < 0)
                        return r;
                at += n;
        }
        return 0;
}

int kept_put_file(int state_fd, uint64_t generation, const char *path, int from, mode_t mode, struct buf *ret_path)
{
        struct stat st;

        if (fstat(from, &st) < 0)
                return -errno;

        const struct timespec times[2] = { st.st_atim, st.st_mtim };

        return kept_put(state_fd, generation, path, copy_file, &from, mode, times, ret_path);
}

int kept_put_link(int state_fd, uint64_t generation, const char *path, const char *target, struct buf *ret_path)
{
        const char *name;
        cleanup_buf struct buf folder = { 0 };
        cleanup_close int dir = open_parent(state_fd, generation, path, &folder, &name);
        int r;

        if (dir < 0)
                return dir;
        (void)unlinkat(dir, TEMPORARY, 0);
        r = symlinkat(target, dir, TEMPORARY) < 0 ? -errno : 0;
        return finish(r, state_fd, dir, -1, target, &folder, name, ret_path);
}
