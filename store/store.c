#include "store/store.h"

#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

#define IDENTITY_WORD "fusepkg store "
#define IDENTITY_START IDENTITY_WORD "1\nid "

enum {
        FOLDER_MODE = 0700,
        IDENTITY_MAX = 4096, /* bytes; ours has 52 */
        TRIES_MAX = 100,     /* somebody else may win a race now and then, not for ever */
};

static void cleanup_store_(struct store **s)
{
        store_close(*s);
}

#define cleanup_store __attribute__((cleanup(cleanup_store_)))

/* PATH as the user spelled it, but absolute: symlinks on the way to a store are the user's own business, and may be
 * there so that the store can move. */
static int absolute_path(const char *path, char **ret)
{
        cleanup_buf struct buf b = { 0 };
        cleanup_free char *cwd = NULL;
        int r = 0;

        if (path[0] == '\0')
                return -ENOENT;
        if (path[0] != '/') {
                cwd = getcwd(NULL, 0);
                if (!cwd)
                        return -errno;
                r = buf_printf(&b, "%s/", strcmp(cwd, "/") == 0 ? "" : cwd);
                while (strncmp(path, "./", 2) == 0)
                        for (path += 2; *path == '/';)
                                path++;
        }
        if (r == 0)
                r = buf_add_str(&b, path);
        if (r < 0)
                return r;
        while (b.len > 1 && b.data[b.len - 1] == '/')
                b.data[--b.len] = '\0';
        *ret = buf_steal(&b);
        return *ret ? 0 : -ENOMEM;
}

/* mkdir -p.  0700, as the XDG base directory specification asks of who makes these folders. */
static int make_path(const char *path)
{
        cleanup_free char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1;; p++) {
                char c = *p;

                if (c != '/' && c != '\0')
                        continue;
                *p = '\0';
                if (mkdir(copy, FOLDER_MODE) < 0 && errno != EEXIST && (c == '\0' || access(copy, F_OK) < 0))
                        return -errno;
                *p = c;
                if (c == '\0')
                        return 0;
        }
}

static int check_owner(const struct store *s, int fd, const char *what, enum store_mode mode, struct errtext *err)
{
        uid_t me = geteuid();
        struct stat st;

        if (fstat(fd, &st) < 0)
                return errtext_set(err, -errno, "cannot examine the store '%s'", s->path);
        if (st.st_uid == me || me == 0 || (st.st_uid == 0 && mode == STORE_READ))
                return 0;
        return errtext_set(err, -EPERM, "the store '%s' cannot be used: %s belongs to user %u, not to user %u", s->path,
                           what, (unsigned)st.st_uid, (unsigned)me);
}

void store_give_to_owner(const struct store *s, int fd)
{
        struct stat st;

        if (geteuid() == 0 && fstat(s->root_fd, &st) == 0 && st.st_uid != 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
                errno = 0; /* a user namespace without that user: nothing better can be done */
}

static int store_cannot(const struct store *s, int r, struct errtext *err)
{
        char text[128];

        if (r == -EACCES)
                return errtext_set(err, r, "no rights to use the store '%s': %s", s->path, errno_name(r, text));
        if (r == -EROFS)
                return errtext_set(err, r, "the store '%s' is on a read-only file system", s->path);
        if (r == -ENOENT)
                return errtext_set(err, r, "there is no store at '%s'", s->path);
        return errtext_set(err, r, "cannot open the store '%s': %s", s->path, errno_name(r, text));
}

static int open_root(struct store *s, enum store_mode mode, struct errtext *err)
{
        int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, r;

        s->root_fd = open(s->path, flags);
        if (s->root_fd < 0 && errno == ENOENT && mode == STORE_CREATE) {
                r = make_path(s->path);
                if (r < 0)
                        return store_cannot(s, r, err);
                s->root_fd = open(s->path, flags);
        }
        if (s->root_fd < 0)
                return store_cannot(s, -errno, err);
        return check_owner(s, s->root_fd, "it", mode, err);
}

static int read_identity(struct store *s, struct errtext *err)
{
        cleanup_buf struct buf b = { 0 };
        uint8_t id[(STORE_ID_SIZE - 1) / 2];
        size_t start = strlen(IDENTITY_START);
        int r = file_read_at(s->root_fd, "store", IDENTITY_MAX, &b);

        if (r < 0)
                return r == -ENOENT ? r : store_cannot(s, r, err);
        if (b.len == start + STORE_ID_SIZE && memcmp(b.data, IDENTITY_START, start) == 0 &&
            b.data[b.len - 1] == '\n' && hex_decode(b.data + start, STORE_ID_SIZE - 1, id, sizeof id) == 0) {
                hex_encode(id, sizeof id, s->id);
                return 0;
        }
        if (b.len > start && memcmp(b.data, IDENTITY_WORD, strlen(IDENTITY_WORD)) == 0 && b.data[start - 5] != '1')
                return errtext_set(err, -ENOTSUP, "the store '%s' was made by a newer fusepkg", s->path);
        return errtext_set(err, -EINVAL, "'%s' is no store: its file 'store' is not one of fusepkg's", s->path);
}

/* Whether the folder is empty but for what an interrupted creation may have left. */
static int is_unused(const struct store *s)
{
        static const char *const known[] = { ".", "..", "lock", "objects", "images", "staging", "lost+found" };
        int fd = openat(s->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *e;
        int unused = 1;

        if (!dir) {
                int r = -errno;

                cleanup_close_(&fd);
                return r;
        }
        while (unused && (e = readdir(dir))) {
                size_t i = 0;

                while (i < ARRAY_LEN(known) && strcmp(e->d_name, known[i]) != 0)
                        i++;
                unused = i < ARRAY_LEN(known);
        }
        closedir(dir);
        return unused;
}

static int open_folder(const struct store *s, const char *name, enum store_mode mode, int *ret, struct errtext *err)
{
        int fd = file_open_beneath(s->root_fd, name, O_RDONLY | O_DIRECTORY, 0), r;

        if (fd == -ENOENT && mode != STORE_READ) {
                fd = dir_make(s->root_fd, name, FOLDER_MODE);
                if (fd >= 0)
                        store_give_to_owner(s, fd);
        }
        if (fd == -ENOENT || fd == -ENOTDIR)
                return errtext_set(err, -EINVAL, "'%s' is no store: its folder '%s' is missing", s->path, name);
        if (fd == -ELOOP || fd == -EXDEV)
                return errtext_set(err, -EINVAL, "the store '%s' cannot be used: its folder '%s' is a symlink", s->path,
                                   name);
        if (fd < 0)
                return store_cannot(s, fd, err);
        r = check_owner(s, fd, name, mode, err);
        if (r < 0) {
                close(fd);
                return r;
        }
        *ret = fd;
        return 0;
}

static int open_parts(struct store *s, enum store_mode mode, struct errtext *err)
{
        int r;

        if (mode != STORE_READ) {
                s->lock_fd = file_open_beneath(s->root_fd, "lock", O_RDWR | O_CREAT | O_NONBLOCK, 0600);
                if (s->lock_fd < 0)
                        return store_cannot(s, s->lock_fd, err);
                store_give_to_owner(s, s->lock_fd);
        }
        r = open_folder(s, "objects", mode, &s->objects_fd, err);
        if (r == 0)
                r = open_folder(s, "images", mode, &s->images_fd, err);
        if (r == 0 && mode != STORE_READ)
                r = open_folder(s, "staging", mode, &s->staging_fd, err);
        return r;
}

/* Puts the identity in place, whole and once: the name appears by a link, which never replaces. */
static int write_identity(const struct store *s)
{
        char id[STORE_ID_SIZE], name[33], text[IDENTITY_MAX];
        int r = random_hex(id, sizeof id);

        if (r == 0)
                r = random_hex(name, sizeof name);
        if (r < 0)
                return r;
        snprintf(text, sizeof text, IDENTITY_START "%s\n", id);

        cleanup_close int fd = file_open_beneath(s->staging_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0444);

        if (fd < 0)
                return fd;
        store_give_to_owner(s, fd);
        r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : file_write_full(fd, text, strlen(text));
        if (r == 0 && linkat(s->staging_fd, name, s->root_fd, "store", 0) < 0) {
                r = errno == EEXIST ? 0 : -errno;
                /* A file system without links. */
                if (r == -EPERM || r == -ENOTSUP || r == -ENOSYS || r == -EMLINK)
                        r = renameat2(s->staging_fd, name, s->root_fd, "store", RENAME_NOREPLACE) == 0 ? 0 : -errno;
        }
        unlinkat(s->staging_fd, name, 0);
        /* An environment that names this id may soon be on disk: so must the id. */
        if (r == 0 && fsync(fd) < 0 && errno != EINVAL)
                r = -errno;
        return r == -EEXIST || r == -ENOENT || r == -EWOULDBLOCK ? 0 : r; /* another one was quicker */
}

/* Any number of processes may do this at once: each makes what is missing, one identity wins. */
static int create(struct store *s, struct errtext *err)
{
        struct stat st;
        int r;

        if (fstat(s->root_fd, &st) == 0 && (st.st_mode & 0777) != FOLDER_MODE)
                if (fchmod(s->root_fd, FOLDER_MODE) < 0)
                        return store_cannot(s, -errno, err);
        r = open_parts(s, STORE_CREATE, err);
        if (r < 0)
                return r;
        for (int i = 0; i < TRIES_MAX; i++) {
                r = write_identity(s);
                if (r < 0)
                        return store_cannot(s, r, err);
                r = read_identity(s, err);
                if (r != -ENOENT)
                        return r;
        }
        return store_cannot(s, -EAGAIN, err);
}

/* -ENOENT from read_identity() is no error yet: the store may be missing, or in the making. */
static int open_or_create(struct store *s, enum store_mode mode, struct errtext *err)
{
        int r = read_identity(s, err);

        if (r == 0)
                return open_parts(s, mode, err);
        if (r != -ENOENT)
                return r;
        r = is_unused(s);
        if (r < 0)
                return store_cannot(s, r, err);
        if (r == 0) {
                /* Another process may have finished it between the two looks. */
                r = read_identity(s, err);
                if (r == -ENOENT)
                        return errtext_set(err, -EINVAL, "'%s' is no store, and not empty", s->path);
                return r < 0 ? r : open_parts(s, mode, err);
        }
        return mode == STORE_CREATE ? create(s, err) : store_cannot(s, -ENOENT, err);
}

int store_open(const char *path, enum store_mode mode, struct store **ret, struct errtext *err)
{
        cleanup_store struct store *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return errtext_set(err, -ENOMEM, "out of memory");
        s->root_fd = s->objects_fd = s->images_fd = s->staging_fd = s->lock_fd = -1;
        r = absolute_path(path, &s->path);
        if (r < 0)
                return errtext_set(err, r, "'%s' cannot be the path of a store", path);
        r = open_root(s, mode, err);
        if (r == 0)
                r = open_or_create(s, mode, err);
        if (r < 0)
                return r;
        *ret = steal_ptr(s);
        return 0;
}

void store_close(struct store *s)
{
        if (!s)
                return;
        cleanup_close_(&s->lock_fd);
        cleanup_close_(&s->staging_fd);
        cleanup_close_(&s->images_fd);
        cleanup_close_(&s->objects_fd);
        cleanup_close_(&s->root_fd);
        free(s->path);
        free(s);
}

static void shard_name(const char *folder, const uint8_t id[SHA256_SIZE], char ret_name[80])
{
        char hex[SHA256_HEX_SIZE];

        hex_encode(id, SHA256_SIZE, hex);
        snprintf(ret_name, 80, "%s%.2s/%.64s", folder, hex, hex);
}

void store_object_name(const uint8_t id[SHA256_SIZE], char ret_name[80])
{
        shard_name("objects/", id, ret_name);
}

void store_image_name(const uint8_t id[SHA256_SIZE], char ret_name[80])
{
        shard_name("images/", id, ret_name);
}

/* O_NONBLOCK: should a FIFO lie there, it must not hang a mount. */
static int open_named(int dirfd, const uint8_t id[SHA256_SIZE])
{
        char name[80];

        shard_name("", id, name);
        return file_open_beneath(dirfd, name, O_RDONLY | O_NONBLOCK, 0);
}

int store_open_object(const struct store *s, const uint8_t id[SHA256_SIZE])
{
        return open_named(s->objects_fd, id);
}

int store_open_image_file(const struct store *s, const uint8_t id[SHA256_SIZE])
{
        return open_named(s->images_fd, id);
}
