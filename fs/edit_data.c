#include "fs/edit_cache.h"
#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
        NAME_DIGITS = 16,
        NAME_SIZE = NAME_DIGITS + sizeof(".new"), /* with the final NUL */
};

struct edit_data {
        int fd;
        struct edit_cache cache;
        uint64_t spare_id; /* 0: no file lies ready */
        int spare_fd;
        _Atomic bool wants_spare;

        pthread_mutex_t sync_lock;
        _Atomic bool changed; /* names came or went since the folder was synced */
};

static void data_name(uint64_t id, const char *suffix, char ret[NAME_SIZE])
{
        snprintf(ret, NAME_SIZE, "%016" PRIx64 "%s", id, suffix);
}

int edit_data_open(int dirfd, struct edit_data **ret, struct errtext *err)
{
        struct edit_data *d = calloc(1, sizeof(*d));
        struct stat folder;
        bool made;
        char why[128];
        int r;

        if (!d)
                return errtext_set(err, -ENOMEM, "out of memory");
        made = mkdirat(dirfd, EDIT_DATA_DIR, 0700) == 0;
        d->fd = r = dir_make(dirfd, EDIT_DATA_DIR, 0700);
        if (r < 0) {
                free(d);
                return errtext_set(err, r, "cannot open .fusepkg/" EDIT_DATA_DIR ": %s", errno_name(r, why));
        }
        /* What root makes in somebody's venv is the owner's, who mounts it next time. */
        if (made && geteuid() == 0 && fstat(dirfd, &folder) == 0 && folder.st_uid != 0) {
                int ignored = fchown(d->fd, folder.st_uid, folder.st_gid);

                (void)ignored;
        }
        edit_cache_init(&d->cache);
        pthread_mutex_init(&d->sync_lock, NULL);
        /* A process before us may have been killed in between. */
        atomic_store(&d->changed, true);
        *ret = d;
        return 0;
}

void edit_data_drop_spare(struct edit_data *d)
{
        char name[NAME_SIZE];

        if (!d->spare_id)
                return;
        data_name(d->spare_id, "", name);
        unlinkat(d->fd, name, 0);
        close(d->spare_fd);
        d->spare_id = 0;
}

void edit_data_close(struct edit_data *d)
{
        if (!d)
                return;
        edit_data_drop_spare(d);
        edit_cache_release(&d->cache);
        close(d->fd);
        pthread_mutex_destroy(&d->sync_lock);
        free(d);
}

int edit_data_fd(const struct edit_data *d)
{
        return d->fd;
}

/* Open files --------------------------------------------------------------------------------------------------- */

struct edit_file *edit_file_cached(struct edit_data *d, uint64_t id)
{
        return edit_cache_hold(&d->cache, id, NULL);
}

int edit_file_get(struct edit_data *d, uint64_t id, struct edit_file **ret)
{
        char name[NAME_SIZE];
        int r;

        data_name(id, "", name);
        do {
                uint64_t seen;
                int fd;

                *ret = edit_cache_hold(&d->cache, id, &seen);
                if (*ret)
                        return 0;
                fd = file_open_own(d->fd, name, O_RDWR, 0);
                /* Of a venv that cannot be written: to be read. */
                if (fd == -EROFS || fd == -EACCES)
                        fd = file_open_own(d->fd, name, O_RDONLY, 0);
                /* Anything but a plain file of one name was not made here. */
                if (fd == -ENOENT || fd == -EPERM || fd == -ELOOP || fd == -EISDIR || fd == -ENXIO)
                        return -EIO;
                if (fd < 0)
                        return fd;
                r = edit_cache_publish(&d->cache, id, fd, seen, ret);
        } while (r == -EAGAIN);
        return r;
}

void edit_file_put(struct edit_data *d, struct edit_file *f)
{
        edit_cache_put(&d->cache, f);
}

int edit_file_fd(const struct edit_file *f)
{
        return f->fd;
}

/* Making and removing ------------------------------------------------------------------------------------------ */

/* A new empty file; what has the name is litter. */
static int create_anew(struct edit_data *d, const char *name)
{
        int fd = file_open_own(d->fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);

        if (fd == -EEXIST && unlinkat(d->fd, name, 0) == 0)
                fd = file_open_own(d->fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
        return fd;
}

bool edit_data_wants_spare(const struct edit_data *d)
{
        return atomic_load(&d->wants_spare);
}

void edit_data_prepare(struct edit_data *d, uint64_t id)
{
        char name[NAME_SIZE];
        int fd;

        atomic_store(&d->wants_spare, false);
        data_name(id, "", name);
        fd = create_anew(d, name);
        if (fd < 0)
                return;
        d->spare_fd = fd;
        d->spare_id = id;
        atomic_store(&d->changed, true);
}

uint64_t edit_data_spare(const struct edit_data *d)
{
        return d->spare_id;
}

/* The file that lies ready, if it still does; its times are those of now. */
static int take_spare(struct edit_data *d)
{
        struct stat st;

        d->spare_id = 0;
        if (futimens(d->spare_fd, NULL) == 0 && fstat(d->spare_fd, &st) == 0 && st.st_nlink == 1 && st.st_size == 0)
                return d->spare_fd;
        close(d->spare_fd);
        return -1;
}

int edit_file_create(struct edit_data *d, uint64_t id)
{
        char name[NAME_SIZE];
        int fd = -1, r;

        edit_cache_forget(&d->cache, id);
        data_name(id, "", name);
        if (id == d->spare_id)
                fd = take_spare(d);
        if (fd < 0)
                fd = create_anew(d, name);
        if (fd < 0)
                return fd;
        atomic_store(&d->wants_spare, d->spare_id == 0);
        r = edit_cache_add(&d->cache, id, fd);
        if (r < 0)
                unlinkat(d->fd, name, 0);
        else
                atomic_store(&d->changed, true);
        return r;
}

int edit_file_remove(struct edit_data *d, uint64_t id)
{
        char name[NAME_SIZE];
        int r;

        data_name(id, "", name);
        r = unlinkat(d->fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
        /* After the name is gone, so that nobody opens it in between. */
        edit_cache_forget(&d->cache, id);
        atomic_store(&d->changed, true);
        return r;
}

int edit_file_date(struct edit_data *d, uint64_t id)
{
        char name[NAME_SIZE];

        data_name(id, "", name);
        return fchmodat(d->fd, name, 0600, 0) < 0 ? -errno : 0;
}

int edit_file_stat(struct edit_data *d, uint64_t id, struct stat *ret)
{
        struct edit_file *f = edit_file_cached(d, id);
        char name[NAME_SIZE];
        int r;

        if (f) {
                r = fstat(f->fd, ret) < 0 ? -errno : 0;
                edit_file_put(d, f);
                return r;
        }
        data_name(id, "", name);
        if (fstatat(d->fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -EIO : -errno;
        return S_ISREG(ret->st_mode) ? 0 : -EIO;
}

bool edit_file_is_there(struct edit_data *d, uint64_t id)
{
        char name[NAME_SIZE];

        data_name(id, "", name);
        return faccessat(d->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int edit_file_copy(struct edit_data *d, uint64_t id, int (*fill)(int fd, void *user), void *user,
                   const struct timespec times[2], bool sync)
{
        char temporary[NAME_SIZE], name[NAME_SIZE];
        cleanup_close int fd = -1;
        int r;

        data_name(id, ".new", temporary);
        data_name(id, "", name);
        fd = create_anew(d, temporary);
        if (fd < 0)
                return fd;
        r = fill(fd, user);
        if (r == 0 && futimens(fd, times) < 0)
                r = -errno;
        if (r == 0 && sync && fsync(fd) < 0)
                r = -errno;
        if (r == 0 && renameat(d->fd, temporary, d->fd, name) < 0)
                r = -errno;
        if (r < 0) {
                unlinkat(d->fd, temporary, 0);
                return r;
        }
        edit_cache_forget(&d->cache, id);
        atomic_store(&d->changed, true);
        return 0;
}

/* The folder as a whole ---------------------------------------------------------------------------------------- */

/* Most files that are synced over and over (databases) are old ones.  The lock: who finds nothing to do must not be
 * faster than who does it. */
int edit_data_sync(struct edit_data *d)
{
        int r = 0;

        pthread_mutex_lock(&d->sync_lock);
        if (atomic_exchange(&d->changed, false) && fsync(d->fd) < 0) {
                r = -errno;
                atomic_store(&d->changed, true);
        }
        pthread_mutex_unlock(&d->sync_lock);
        return r;
}

/* Of a data file, or of the copy of one (*RET_COPY) that was never finished. */
static bool parse_name(const char *name, uint64_t *ret_id, bool *ret_copy)
{
        uint64_t id = 0;

        for (size_t i = 0; i < NAME_DIGITS; i++) {
                const char *digits = "0123456789abcdef", *at = name[i] ? strchr(digits, name[i]) : NULL;

                if (!at)
                        return false;
                id = id << 4 | (uint64_t)(at - digits);
        }
        if (name[NAME_DIGITS] != '\0' && strcmp(name + NAME_DIGITS, ".new") != 0)
                return false;
        *ret_id = id;
        *ret_copy = name[NAME_DIGITS] != '\0';
        return true;
}

int edit_data_sweep(struct edit_data *d, bool (*wanted)(uint64_t id, void *user), void *user)
{
        DIR *dir = dir_stream(d->fd, ".");
        struct dirent *e;
        int r = 0;

        if (!dir)
                return -errno;
        while (r == 0 && (errno = 0, e = readdir(dir)) != NULL) {
                uint64_t id;
                bool copy;

                if (!parse_name(e->d_name, &id, &copy) || (!copy && wanted(id, user)))
                        continue;
                if (unlinkat(d->fd, e->d_name, 0) < 0 && errno != ENOENT)
                        r = -errno;
                if (!copy)
                        edit_cache_forget(&d->cache, id);
        }
        if (r == 0 && errno != 0)
                r = -errno;
        closedir(dir);
        return r;
}
