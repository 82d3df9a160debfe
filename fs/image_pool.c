#include "fs/image_pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

/* An open file of the store.  `users` counts the threads that read through it now; only unused ones are closed. */
struct pool_fd {
        uint8_t id[SHA256_SIZE];
        bool is_image;
        int fd; /* -1: free */
        bool stale; /* closed as soon as nobody uses it, and given to nobody any more */
        unsigned users;
        uint64_t used;
};

/* Which file an image was loaded from: inode numbers are used again, so the time of its last write belongs to it. */
struct pool_file {
        ino_t inode;
        struct timespec written;
};

struct pool_image {
        struct image *image;
        struct pool_file file;
};

struct pool_block {
        const struct image *image; /* NULL: free */
        uint32_t number;
        unsigned users;
        uint64_t used;
        char *data;
        size_t size;
};

struct image_pool {
        const struct store *store;
        int hold_fd; /* immutable; -1 where leases tell who uses the store */
        pthread_mutex_t lock;
        struct pool_image *images; /* guarded by lock, as all below; a file that was made again has an entry of its own */
        size_t count;
        size_t cap;
        uint64_t clock;
        struct pool_fd fds[POOL_FDS];
        struct pool_block blocks[POOL_BLOCKS];
};

int image_pool_new_holding(const struct store *s, int hold_fd, struct image_pool **ret)
{
        struct image_pool *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->store = s;
        p->hold_fd = fcntl(hold_fd, F_DUPFD_CLOEXEC, 0);
        pthread_mutex_init(&p->lock, NULL);
        for (size_t i = 0; i < POOL_FDS; i++)
                p->fds[i].fd = -1;
        *ret = p;
        return 0;
}

int image_pool_new(const struct store *s, struct image_pool **ret)
{
        cleanup_close int hold = store_is_read_only(s) ? store_hold_open(s) : -1;

        return image_pool_new_holding(s, hold, ret);
}

void image_pool_free(struct image_pool *p)
{
        if (!p)
                return;
        for (size_t i = 0; i < POOL_FDS; i++)
                if (p->fds[i].fd >= 0)
                        close(p->fds[i].fd);
        image_pool_rest(p);
        for (size_t i = 0; i < p->count; i++)
                image_close(p->images[i].image);
        free(p->images);
        if (p->hold_fd >= 0)
                close(p->hold_fd);
        pthread_mutex_destroy(&p->lock);
        free(p);
}

const struct store *image_pool_store(const struct image_pool *p)
{
        return p->store;
}

static struct pool_file file_of(const struct stat *st)
{
        return (struct pool_file){ st->st_ino, st->st_mtim };
}

static bool is_same_file(const struct pool_file *a, const struct pool_file *b)
{
        return a->inode == b->inode && a->written.tv_sec == b->written.tv_sec &&
               a->written.tv_nsec == b->written.tv_nsec;
}

/* FILE: the one that it was loaded from; NULL: any. */
static const struct image *find_image(const struct image_pool *p, const uint8_t id[SHA256_SIZE],
                                      const struct pool_file *file)
{
        for (size_t i = 0; i < p->count; i++)
                if (memcmp(image_id(p->images[i].image), id, SHA256_SIZE) == 0 &&
                    (file == NULL || is_same_file(&p->images[i].file, file)))
                        return p->images[i].image;
        return NULL;
}

static int load_image(const struct store *s, const uint8_t id[SHA256_SIZE], struct pool_image *ret, struct errtext *err)
{
        char name[80], why[128];
        struct errtext detail = { "" };
        struct image *img = NULL;
        cleanup_close int fd = store_open_image_file(s, id);
        struct stat st;
        int r;

        store_image_name(id, name);
        if (fd < 0 || fstat(fd, &st) < 0) {
                r = fd < 0 ? fd : -errno;
                return errtext_set(err, r, "cannot open %s/%s: %s", s->path, name, errno_name(r, why));
        }
        r = image_open(fd, &img, &detail);
        if (r < 0)
                return errtext_set(err, r, "%s/%s: %s", s->path, name, detail.text);
        if (memcmp(image_id(img), id, SHA256_SIZE) != 0) {
                image_close(img);
                return errtext_set(err, -EBADMSG, "%s/%s is another image than its name says", s->path, name);
        }
        *ret = (struct pool_image){ img, file_of(&st) };
        return 0;
}

/* Takes LOADED over, which another thread may have loaded meanwhile. */
static int keep_image(struct image_pool *p, struct pool_image loaded, const struct image **ret)
{
        const struct image *img;
        int r = 0;

        pthread_mutex_lock(&p->lock);
        img = find_image(p, image_id(loaded.image), &loaded.file);
        if (!img && p->count == p->cap) {
                size_t cap = p->cap ? 2 * p->cap : 64;
                struct pool_image *more = reallocarray(p->images, cap, sizeof(*more));

                if (more) {
                        p->images = more;
                        p->cap = cap;
                } else {
                        r = -ENOMEM;
                }
        }
        if (!img && r == 0) {
                p->images[p->count++] = loaded;
                img = steal_ptr(loaded.image);
        }
        pthread_mutex_unlock(&p->lock);
        image_close(loaded.image);
        if (r == 0)
                *ret = img;
        return r;
}

int image_pool_get(struct image_pool *p, const uint8_t id[SHA256_SIZE], const struct image **ret, struct errtext *err)
{
        struct pool_image loaded;
        const struct image *img;
        int r;

        pthread_mutex_lock(&p->lock);
        img = find_image(p, id, NULL);
        pthread_mutex_unlock(&p->lock);
        if (img) {
                *ret = img;
                return 0;
        }
        /* A file system that has no locks is no reason not to read it. */
        if (p->hold_fd >= 0)
                (void)store_hold_image(p->hold_fd, id);
        r = load_image(p->store, id, &loaded, err);
        if (r < 0)
                return r;
        r = keep_image(p, loaded, ret);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

/* A damaged image may have been made again since it was loaded: with the same tree, but other places of its blocks. */
static const struct image *made_again(struct image_pool *p, const struct image *img)
{
        cleanup_close int fd = store_open_image_file(p->store, image_id(img));
        const struct image *current;
        struct pool_image loaded;
        struct pool_file file;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        file = file_of(&st);
        pthread_mutex_lock(&p->lock);
        current = find_image(p, image_id(img), &file);
        pthread_mutex_unlock(&p->lock);
        if (!current && (load_image(p->store, image_id(img), &loaded, NULL) < 0 || keep_image(p, loaded, &current) < 0))
                return NULL;
        return current == img ? NULL : current;
}

int image_pool_source(const uint8_t id[SHA256_SIZE], const struct image **ret, void *user)
{
        return image_pool_get(user, id, ret, NULL);
}

/* Descriptors -------------------------------------------------------------------------------------------------- */

/* The slot of the table that the next file goes to: a free one, else the one unused for longest; NULL when all are in
 * use. */
static struct pool_fd *victim_fd(struct image_pool *p)
{
        struct pool_fd *oldest = NULL;

        for (size_t i = 0; i < POOL_FDS; i++) {
                struct pool_fd *f = &p->fds[i];

                if (f->fd < 0)
                        return f;
                if (f->users == 0 && (!oldest || f->used < oldest->used))
                        oldest = f;
        }
        return oldest;
}

static struct pool_fd *find_fd(struct image_pool *p, const uint8_t id[SHA256_SIZE], bool is_image)
{
        for (size_t i = 0; i < POOL_FDS; i++) {
                struct pool_fd *f = &p->fds[i];

                if (f->fd >= 0 && !f->stale && f->is_image == is_image && memcmp(f->id, id, SHA256_SIZE) == 0)
                        return f;
        }
        return NULL;
}

/* Borrows a descriptor.  *RET_HOLD is what release_fd needs: NULL when the table was full and the caller owns the
 * descriptor. */
static int borrow_fd(struct image_pool *p, const uint8_t id[SHA256_SIZE], bool is_image, struct pool_fd **ret_hold)
{
        struct pool_fd *f;
        int fd, close_fd = -1;

        pthread_mutex_lock(&p->lock);
        f = find_fd(p, id, is_image);
        if (f) {
                f->users++;
                f->used = ++p->clock;
                fd = f->fd;
        }
        pthread_mutex_unlock(&p->lock);
        *ret_hold = f;
        if (f)
                return fd;

        fd = is_image ? store_open_image_file(p->store, id) : store_open_object(p->store, id);
        if (fd < 0)
                return fd;
        pthread_mutex_lock(&p->lock);
        f = victim_fd(p);
        if (f) {
                close_fd = f->fd;
                memcpy(f->id, id, SHA256_SIZE);
                f->is_image = is_image;
                f->fd = fd;
                f->stale = false;
                f->users = 1;
                f->used = ++p->clock;
        }
        pthread_mutex_unlock(&p->lock);
        if (close_fd >= 0)
                close(close_fd);
        *ret_hold = f;
        return fd;
}

/* STALE: a damaged or replaced file must not stay in the table: the next reader opens what is there then. */
static void give_back(struct image_pool *p, int fd, struct pool_fd *hold, bool stale)
{
        int close_fd = -1;

        if (!hold) {
                close(fd);
                return;
        }
        pthread_mutex_lock(&p->lock);
        hold->stale = hold->stale || stale;
        if (--hold->users == 0 && hold->stale) {
                close_fd = hold->fd;
                hold->fd = -1;
        }
        pthread_mutex_unlock(&p->lock);
        if (close_fd >= 0)
                close(close_fd);
}

/* Blocks ------------------------------------------------------------------------------------------------------- */

static struct pool_block *find_block(struct image_pool *p, const struct image *img, uint32_t number)
{
        for (size_t i = 0; i < POOL_BLOCKS; i++)
                if (p->blocks[i].image == img && p->blocks[i].number == number)
                        return &p->blocks[i];
        return NULL;
}

static struct pool_block *victim_block(struct image_pool *p)
{
        struct pool_block *oldest = NULL;

        for (size_t i = 0; i < POOL_BLOCKS; i++) {
                struct pool_block *b = &p->blocks[i];

                if (b->users == 0 && (!oldest || b->used < oldest->used))
                        oldest = b;
        }
        return oldest;
}

void image_pool_rest(struct image_pool *p)
{
        pthread_mutex_lock(&p->lock);
        for (struct pool_block *b = p->blocks; b < p->blocks + POOL_BLOCKS; b++) {
                if (b->users == 0) {
                        free(b->data);
                        *b = (struct pool_block){ 0 };
                }
        }
        pthread_mutex_unlock(&p->lock);
}

static int load_block(struct image_pool *p, const struct image *img, uint32_t number, void *data, struct errtext *err)
{
        struct pool_fd *hold = NULL;
        int fd = borrow_fd(p, image_id(img), true, &hold), r;
        char name[80], why[128];

        store_image_name(image_id(img), name);
        if (fd < 0)
                return errtext_set(err, -EIO, "cannot open %s/%s: %s", p->store->path, name, errno_name(fd, why));
        r = image_read_block(img, fd, number, data);
        if (r < 0) {
                give_back(p, fd, hold, true);
                return errtext_set(err, -EIO, "%s/%s: block %u is damaged: %s", p->store->path, name, number,
                                   errno_name(r, why));
        }
        give_back(p, fd, hold, false);
        return r;
}

/* Puts an unpacked block into the table; DATA is taken over (and freed when all places are in use). */
static void keep_block(struct image_pool *p, const struct image *img, uint32_t number, char *data, size_t size)
{
        char *old = data;

        pthread_mutex_lock(&p->lock);
        if (!find_block(p, img, number)) {
                struct pool_block *b = victim_block(p);

                if (b) {
                        old = b->data;
                        *b = (struct pool_block){ img, number, 0, ++p->clock, data, size };
                }
        }
        pthread_mutex_unlock(&p->lock);
        free(old);
}

static ssize_t read_small(struct image_pool *p, const struct image *img, const struct image_entry *e, void *data,
                          size_t len, uint64_t offset, struct errtext *err)
{
        struct pool_block *b;
        cleanup_free char *fresh = NULL;
        int size;

        pthread_mutex_lock(&p->lock);
        b = find_block(p, img, e->block);
        if (b) {
                b->users++;
                b->used = ++p->clock;
        }
        pthread_mutex_unlock(&p->lock);
        if (b) {
                memcpy(data, b->data + e->block_offset + offset, len);
                pthread_mutex_lock(&p->lock);
                b->users--;
                pthread_mutex_unlock(&p->lock);
                return (ssize_t)len;
        }

        fresh = malloc(BLOCK_MAX_SIZE);
        if (!fresh)
                return errtext_set(err, -ENOMEM, "out of memory");
        size = load_block(p, img, e->block, fresh, err);
        if (size < 0)
                return size;
        if ((uint64_t)e->block_offset + e->size > (uint64_t)size)
                return errtext_set(err, -EIO, "an image's block %u is shorter than its files", e->block);
        memcpy(data, fresh + e->block_offset + offset, len);
        char *fit = realloc(fresh, (size_t)size ? (size_t)size : 1);

        if (fit) {
                fresh = NULL;
                keep_block(p, img, e->block, fit, (size_t)size);
        }
        return (ssize_t)len;
}

static ssize_t read_object(struct image_pool *p, const struct image *img, const struct image_entry *e, void *data,
                           size_t len, uint64_t offset, struct errtext *err)
{
        struct image_object o = image_object(img, e->object);
        struct pool_fd *hold = NULL;
        int fd = borrow_fd(p, o.id, false, &hold);
        char name[80], why[128];
        ssize_t n;

        store_object_name(o.id, name);
        if (fd < 0)
                return errtext_set(err, -EIO, "cannot open %s/%s: %s", p->store->path, name, errno_name(fd, why));
        n = image_read_object(img, fd, e->object, data, len, offset);
        if (n < 0) {
                give_back(p, fd, hold, true);
                return errtext_set(err, -EIO, "%s/%s is damaged near byte %llu: %s", p->store->path, name,
                                   (unsigned long long)offset, errno_name((int)n, why));
        }
        give_back(p, fd, hold, false);
        return n;
}

static ssize_t read_entry(struct image_pool *p, const struct image *img, uint32_t entry, void *data, size_t len,
                          uint64_t offset, struct errtext *err)
{
        struct image_entry e = image_entry(img, entry);

        if (e.type == IMAGE_DIR)
                return errtext_set(err, -EISDIR, "is a directory");
        if (offset >= e.size)
                return 0;
        if (len > e.size - offset)
                len = (size_t)(e.size - offset);
        if (e.type == IMAGE_FILE)
                return read_small(p, img, &e, data, len, offset, err);
        return read_object(p, img, &e, data, len, offset, err);
}

ssize_t image_pool_read(struct image_pool *p, const struct image *img, uint32_t entry, void *data, size_t len,
                        uint64_t offset, struct errtext *err)
{
        ssize_t n = read_entry(p, img, entry, data, len, offset, err);

        if (n == -EIO) {
                const struct image *again = made_again(p, img);

                /* The descriptor of a damaged object has been forgotten: what is there now is tried as well. */
                n = read_entry(p, again ? again : img, entry, data, len, offset, err);
        }
        return n;
}

static int read_record(struct image_pool *p, const struct image *img, struct buf *ret, struct errtext *err)
{
        struct pool_fd *hold = NULL;
        int fd = borrow_fd(p, image_id(img), true, &hold), r;
        char name[80], why[128];

        store_image_name(image_id(img), name);
        if (fd < 0)
                return errtext_set(err, -EIO, "cannot open %s/%s: %s", p->store->path, name, errno_name(fd, why));
        r = image_read_record(img, fd, ret);
        if (r < 0) {
                give_back(p, fd, hold, true);
                return errtext_set(err, r == -ENOMEM ? r : -EIO, "%s/%s: its RECORD is damaged: %s", p->store->path,
                                   name, errno_name(r, why));
        }
        give_back(p, fd, hold, false);
        return 0;
}

int image_pool_record(struct image_pool *p, const struct image *img, struct buf *ret, struct errtext *err)
{
        int r = read_record(p, img, ret, err);
        const struct image *again = r == -EIO ? made_again(p, img) : NULL;

        return again ? read_record(p, again, ret, err) : r;
}
