#include "fs/base_layer.h"
#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <xxhash.h>

struct base {
        int site_fd;
        int numbers_fd;
        pthread_mutex_t lock;
        char **paths; /* guarded by lock, as all below; number - BASE_FIRST is the index; the strings never move */
        size_t count;
        size_t cap;
        uint32_t *table; /* open addressing, by XXH3 of the path; index + 1, 0: free */
        size_t table_size;
};

/* Numbers ------------------------------------------------------------------------------------------------------ */

static uint32_t *table_find(const struct base *b, const char *path, size_t len)
{
        size_t at = (size_t)XXH3_64bits(path, len) & (b->table_size - 1);

        for (;; at = (at + 1) & (b->table_size - 1)) {
                uint32_t *t = &b->table[at];

                if (*t == 0)
                        return t;
                const char *known = b->paths[*t - 1];

                if (strlen(known) == len && memcmp(known, path, len) == 0)
                        return t;
        }
}

static int table_grow(struct base *b)
{
        size_t size = b->table_size ? 2 * b->table_size : 256;
        uint32_t *old = b->table, *table = calloc(size, sizeof(*table));

        if (!table)
                return -ENOMEM;
        b->table = table;
        b->table_size = size;
        for (size_t i = 0; i < b->count; i++)
                *table_find(b, b->paths[i], strlen(b->paths[i])) = (uint32_t)i + 1;
        free(old);
        return 0;
}

/* Adds a path to the tables alone. */
static int add_path(struct base *b, const char *path, size_t len, uint64_t *ret)
{
        char *copy;

        if (b->count + BASE_FIRST >= UINT32_MAX)
                return -EOVERFLOW;
        if (2 * (b->count + 1) > b->table_size && table_grow(b) < 0)
                return -ENOMEM;
        if (b->count == b->cap) {
                size_t cap = b->cap ? 2 * b->cap : 64;
                char **more = realloc(b->paths, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                b->paths = more;
                b->cap = cap;
        }
        copy = strndup(path, len);
        if (!copy)
                return -ENOMEM;
        uint32_t *t = table_find(b, path, len);

        b->paths[b->count++] = copy;
        if (*t == 0)
                *t = (uint32_t)b->count;
        *ret = b->count - 1 + BASE_FIRST;
        return 0;
}

/* Cuts an unfinished last line off, so that the next append starts a line of its own. */
static int load_numbers(struct base *b, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        cleanup_buf struct buf path = { 0 };
        size_t at = 0;
        int r = file_read_all(b->numbers_fd, BASE_NODES_MAX, &text);

        if (r < 0)
                return errtext_set(err, r, "cannot read .fusepkg/" BASE_NODES_FILE);
        while (at < text.len) {
                const char *end = memchr(text.data + at, '\n', text.len - at);
                uint64_t number;

                if (!end)
                        break;
                buf_clear(&path);
                r = buf_add_unescaped(&path, text.data + at, (size_t)(end - text.data) - at);
                if (r == 0)
                        r = add_path(b, path.data ? path.data : "", path.len, &number);
                if (r < 0)
                        return errtext_set(err, r, ".fusepkg/" BASE_NODES_FILE " is damaged");
                at = (size_t)(end - text.data) + 1;
        }
        if (at < text.len && ftruncate(b->numbers_fd, (off_t)at) < 0)
                return errtext_set(err, -errno, "cannot mend .fusepkg/" BASE_NODES_FILE);
        return 0;
}

int base_new(int site_fd, int numbers_fd, struct base **ret, struct errtext *err)
{
        struct base *b = calloc(1, sizeof(*b));
        int r;

        if (!b) {
                close(site_fd);
                if (numbers_fd >= 0)
                        close(numbers_fd);
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        b->site_fd = site_fd;
        b->numbers_fd = numbers_fd;
        pthread_mutex_init(&b->lock, NULL);
        r = table_grow(b);
        if (r == 0 && numbers_fd >= 0)
                r = load_numbers(b, err);
        if (r < 0) {
                base_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

void base_free(struct base *b)
{
        if (!b)
                return;
        close(b->site_fd);
        if (b->numbers_fd >= 0)
                close(b->numbers_fd);
        for (size_t i = 0; i < b->count; i++)
                free(b->paths[i]);
        free(b->paths);
        free(b->table);
        pthread_mutex_destroy(&b->lock);
        free(b);
}

int base_fd(const struct base *b)
{
        return b->site_fd;
}

/* On a disk that is full or read-only the number is kept in memory alone: the mount goes on, and only a process that
 * takes it over would have to give up. */
static void write_number(struct base *b, const char *path, size_t len)
{
        cleanup_buf struct buf line = { 0 };

        if (b->numbers_fd < 0)
                return;
        if (buf_add_escaped(&line, path, len) < 0 || buf_add_char(&line, '\n') < 0)
                return;
        off_t end = lseek(b->numbers_fd, 0, SEEK_END);

        if (file_write_full(b->numbers_fd, line.data, line.len) < 0) {
                if (end >= 0 && ftruncate(b->numbers_fd, end) < 0)
                        end = -1;
                close(b->numbers_fd);
                b->numbers_fd = -1;
        }
}

int base_number(struct base *b, const char *path, size_t len, uint64_t *ret)
{
        uint32_t known;
        int r = 0;

        pthread_mutex_lock(&b->lock);
        known = *table_find(b, path, len);
        if (known) {
                *ret = known - 1 + BASE_FIRST;
        } else {
                r = add_path(b, path, len, ret);
                if (r == 0)
                        write_number(b, path, len);
        }
        pthread_mutex_unlock(&b->lock);
        return r;
}

const char *base_path(struct base *b, uint64_t number)
{
        const char *path = NULL;

        pthread_mutex_lock(&b->lock);
        if (number >= BASE_FIRST && number - BASE_FIRST < b->count)
                path = b->paths[number - BASE_FIRST];
        pthread_mutex_unlock(&b->lock);
        return path;
}

/* Looking ------------------------------------------------------------------------------------------------------ */

static int open_path(struct base *b, const char *path, int flags)
{
        return file_open_beneath(b->site_fd, *path ? path : ".", flags, 0);
}

struct count_state {
        uint32_t subdirs;
};

static int count_subdir(const char *name, mode_t type, void *user)
{
        struct count_state *c = user;

        (void)name;
        if (S_ISDIR(type))
                c->subdirs++;
        return 0;
}

int base_stat(struct base *b, const struct hidden *h, const char *path, size_t len, struct stat *ret)
{
        cleanup_close int fd = -1;
        struct count_state c = { 0 };
        struct stat st;
        int r;

        if (hidden_has(h, path, len))
                return -ENOENT;
        fd = open_path(b, path, O_PATH | O_NOFOLLOW);
        if (fd < 0)
                return fd == -ELOOP || fd == -EXDEV ? -ENOENT : fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode)) {
                /* btrfs says 1, and hidden folders do not count. */
                r = base_list(b, h, path, count_subdir, &c);
                if (r < 0)
                        return r;
                st.st_nlink = 2 + c.subdirs;
        } else {
                st.st_nlink = 1;
        }
        *ret = st;
        return 0;
}

static mode_t type_of(int dirfd, const struct dirent *d)
{
        struct stat st;

        if (d->d_type != DT_UNKNOWN)
                return (mode_t)DTTOIF(d->d_type);
        if (fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return S_IFREG;
        return st.st_mode & S_IFMT;
}

int base_list(struct base *b, const struct hidden *h, const char *path,
              int (*fn)(const char *name, mode_t type, void *user), void *user)
{
        int fd = open_path(b, path, O_RDONLY | O_DIRECTORY), r = 0;
        cleanup_buf struct buf full = { 0 };
        struct dirent *d;
        DIR *dir;

        if (fd < 0)
                return fd == -ELOOP || fd == -EXDEV ? -ENOENT : fd;
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                close(fd);
                return r;
        }
        while (r == 0 && (d = readdir(dir)) != NULL) {
                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                buf_clear(&full);
                r = *path ? buf_printf(&full, "%s/%s", path, d->d_name) : buf_add_str(&full, d->d_name);
                if (r == 0 && !hidden_has(h, full.data, full.len))
                        r = fn(d->d_name, type_of(fd, d), user);
        }
        closedir(dir);
        return r;
}

ssize_t base_read(struct base *b, const char *path, void *data, size_t len, uint64_t offset)
{
        cleanup_close int fd = open_path(b, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

        return fd < 0 ? fd : file_pread(fd, data, len, (off_t)offset);
}

int base_readlink(struct base *b, const char *path, struct buf *ret)
{
        cleanup_close int fd = open_path(b, path, O_PATH | O_NOFOLLOW);
        char target[4096];
        ssize_t n;

        if (fd < 0)
                return fd;
        n = readlinkat(fd, "", target, sizeof(target));
        if (n < 0)
                return -errno;
        if ((size_t)n == sizeof(target))
                return -ENAMETOOLONG;
        return buf_add(ret, target, (size_t)n);
}
