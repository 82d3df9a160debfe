/* The half of store.h that a mount never needs: locks, staging folders, publishing, and walking. */
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

/* Calls VISIT for each name in the directory FD but "." and "..". */
static int each_name(int fd, int (*visit)(const char *name, void *user), void *user)
{
        int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        struct dirent *e;

        if (!dir) {
                r = -errno;
                cleanup_close_(&copy);
                return r;
        }
        while (r == 0 && (errno = 0, e = readdir(dir)))
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = visit(e->d_name, user);
        if (r == 0)
                r = -errno;
        closedir(dir);
        return r;
}

/* A living ingest holds a lock on its folder: what can be locked is litter. */
static int clear_one(const char *name, void *user)
{
        const struct store *s = user;
        cleanup_close int fd = file_open_beneath(s->staging_fd, name, O_RDONLY | O_NONBLOCK, 0);

        if (fd == -ELOOP)
                unlinkat(s->staging_fd, name, 0);
        /* What cannot be removed is left to the next run: it harms nobody. */
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
                dir_remove_tree(s->staging_fd, name);
        return 0;
}

/* Makes and locks one folder.  Between the two, somebody's clear_one() may take it for dead: then the lock is
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

void store_staging_clear(const struct store *s)
{
        if (s->staging_fd >= 0)
                each_name(s->staging_fd, clear_one, (void *)s);
}

int store_staging_open(const struct store *s, struct staging *ret, struct errtext *err)
{
        char text[128];
        int r;

        if (s->staging_fd < 0)
                return errtext_set(err, -EROFS, "the store '%s' was opened for reading only", s->path);
        r = each_name(s->staging_fd, clear_one, (void *)s);
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

struct walk {
        const char *folder;
        int (*fn)(const char *name, const uint8_t *id, void *user);
        void *user;
};

struct shard_walk {
        const struct walk *walk;
        const char *shard;
        int fd; /* of the folder that holds the shard */
};

static bool is_lower_hex(const char *name, size_t len)
{
        return strlen(name) == len && strspn(name, "0123456789abcdef") == len;
}

static int visit_file(const char *name, void *user)
{
        const struct shard_walk *w = user;
        uint8_t id[SHA256_SIZE];
        char path[600];
        bool ours = is_lower_hex(name, 2 * SHA256_SIZE) && strncmp(name, w->shard, 2) == 0 &&
                    hex_decode(name, 2 * SHA256_SIZE, id, sizeof id) == 0;

        snprintf(path, sizeof path, "%s/%s/%s", w->walk->folder, w->shard, name);
        return w->walk->fn(path, ours ? id : NULL, w->walk->user);
}

static int visit_shard(const char *name, void *user)
{
        struct shard_walk *w = user;
        char path[600];

        if (is_lower_hex(name, 2)) {
                cleanup_close int fd = file_open_beneath(w->fd, name, O_RDONLY | O_DIRECTORY, 0);

                w->shard = name;
                if (fd >= 0)
                        return each_name(fd, visit_file, w);
                if (fd != -ENOTDIR && fd != -ELOOP)
                        return fd == -ENOENT ? 0 : fd;
        }
        snprintf(path, sizeof path, "%s/%s", w->walk->folder, name);
        return w->walk->fn(path, NULL, w->walk->user);
}

int store_each_object(const struct store *s, int (*fn)(const char *name, const uint8_t *id, void *user), void *user)
{
        const struct walk w = { "objects", fn, user };
        struct shard_walk sw = { &w, NULL, s->objects_fd };

        return each_name(s->objects_fd, visit_shard, &sw);
}

int store_each_image(const struct store *s, int (*fn)(const char *name, const uint8_t *id, void *user), void *user)
{
        const struct walk w = { "images", fn, user };
        struct shard_walk sw = { &w, NULL, s->images_fd };

        return each_name(s->images_fd, visit_shard, &sw);
}
