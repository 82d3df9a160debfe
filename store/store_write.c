/* The writing half of store.h: locks, staging folders, publishing.  A mount never links it. */
#include "store/store.h"

#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

enum {
        FOLDER_MODE = 0700,
        TRIES_MAX = 100, /* somebody else may win a race now and then, not for ever */
};

int store_lock_key(const struct store *s, const uint8_t key[SHA256_SIZE], bool wait)
{
        struct le64 first;
        struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

        if (s->lock_fd < 0)
                return -EROFS;
        memcpy(&first, key, sizeof first);
        range.l_start = (off_t)(le64_get(first) >> 1);

        cleanup_close int fd = file_open_beneath(s->root_fd, "lock", O_RDWR | O_NONBLOCK, 0);

        if (fd < 0)
                return fd;
        while (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range) < 0) {
                if (errno == EINTR)
                        continue;
                return errno == EACCES ? -EAGAIN : -errno;
        }
        return steal_fd(&fd);
}

/* A living ingest holds a lock on its folder: what can be locked is litter. */
static void clear_one(const struct store *s, const char *name)
{
        cleanup_close int fd = file_open_beneath(s->staging_fd, name, O_RDONLY | O_NONBLOCK, 0);

        if (fd == -ELOOP)
                unlinkat(s->staging_fd, name, 0);
        /* What cannot be removed is left to the next run: it harms nobody. */
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
                dir_remove_tree(s->staging_fd, name);
}

static int clear_staging(const struct store *s)
{
        int fd = openat(s->staging_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;

        if (!dir) {
                int r = -errno;

                cleanup_close_(&fd);
                return r;
        }
        while ((e = readdir(dir)))
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        clear_one(s, e->d_name);
        closedir(dir);
        return 0;
}

/* Makes and locks one folder.  Between the two, somebody's clear_staging may take it for dead: then the lock is
 * refused, or the folder gone once we have it; both are -EAGAIN. */
static int make_staging(const struct store *s, struct staging *ret)
{
        struct staging g;
        struct stat mine, there;
        int r = random_hex(g.name, sizeof g.name);

        if (r < 0)
                return r;
        if (mkdirat(s->staging_fd, g.name, FOLDER_MODE) < 0)
                return errno == EEXIST ? -EAGAIN : -errno;

        cleanup_close int fd = file_open_beneath(s->staging_fd, g.name, O_RDONLY | O_DIRECTORY, 0);

        if (fd < 0)
                return fd == -ENOENT ? -EAGAIN : fd;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        if (fstat(fd, &mine) < 0)
                return -errno;
        if (fstatat(s->staging_fd, g.name, &there, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -EAGAIN : -errno;
        if (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
                return -EAGAIN;
        store_give_to_owner(s, fd);
        g.fd = steal_fd(&fd);
        *ret = g;
        return 0;
}

int store_staging_open(const struct store *s, struct staging *ret, struct errtext *err)
{
        char text[128];
        int r;

        if (s->staging_fd < 0)
                return errtext_set(err, -EROFS, "the store '%s' was opened for reading only", s->path);
        r = clear_staging(s);
        if (r == 0)
                r = -EAGAIN;
        for (int i = 0; r == -EAGAIN && i < TRIES_MAX; i++)
                r = make_staging(s, ret);
        if (r < 0)
                return errtext_set(err, r, "cannot write to the store '%s': %s", s->path, errno_name(r, text));
        return 0;
}

void store_staging_close(const struct store *s, struct staging *g)
{
        if (g->fd < 0)
                return;
        dir_remove_tree(s->staging_fd, g->name);
        close(g->fd);
        g->fd = -1;
}

static int open_shard(const struct store *s, int dirfd, const uint8_t id[SHA256_SIZE])
{
        char shard[3];
        int fd;

        hex_encode(id, 1, shard);
        fd = file_open_beneath(dirfd, shard, O_RDONLY | O_DIRECTORY, 0);
        if (fd == -ENOENT) {
                fd = dir_make(dirfd, shard, FOLDER_MODE);
                if (fd >= 0)
                        store_give_to_owner(s, fd);
        }
        return fd;
}

static int publish(const struct store *s, int dirfd, const struct staging *g, const char *name,
                   const uint8_t id[SHA256_SIZE])
{
        char hex[SHA256_HEX_SIZE];
        struct stat staged, there, root;
        cleanup_close int shard = open_shard(s, dirfd, id);

        if (shard < 0)
                return shard;
        hex_encode(id, SHA256_SIZE, hex);
        if (fstatat(g->fd, name, &staged, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISREG(staged.st_mode) || (staged.st_mode & 07777) != 0444)
                return -EINVAL;
        if (fstatat(shard, hex, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(there.st_mode) &&
            there.st_size == staged.st_size)
                return unlinkat(g->fd, name, 0) < 0 ? -errno : 0;
        if (geteuid() == 0 && fstat(s->root_fd, &root) == 0 && root.st_uid != staged.st_uid &&
            fchownat(g->fd, name, root.st_uid, root.st_gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL)
                return -errno;
        return renameat(g->fd, name, shard, hex) < 0 ? -errno : 0;
}

int store_publish_object(const struct store *s, const struct staging *g, const char *name,
                         const uint8_t id[SHA256_SIZE])
{
        return publish(s, s->objects_fd, g, name, id);
}

int store_publish_image(const struct store *s, const struct staging *g, const char *name,
                        const uint8_t id[SHA256_SIZE])
{
        return publish(s, s->images_fd, g, name, id);
}
