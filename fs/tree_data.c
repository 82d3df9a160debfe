/* tree_data.c: the bytes of the tree: those of the view until they are changed, then those of a data file.
 *
 * The way past the lock: an id whose data file is open has its row, and keeps it until edit_file_remove has forgotten
 * the descriptor.  So READ and WRITE of such a file need neither rows nor lock.  All else looks into the rows first. */
#include "fs/tree_copy.h"
#include "store/files.h"
#include "store/format.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

enum { COPY_RANGE_MAX = 64 << 20 }; /* bytes for one request: a worker is not away for long; the caller asks again */

/* Where the bytes of a node are now: in a data file, or in a view that is held. */
struct bytes {
        struct edit_file *file;
        struct view_ref *ref;
};

static void bytes_close(struct tree *t, struct bytes *b)
{
        if (b->file)
                edit_file_put(t->data, b->file);
        if (b->ref)
                tree_view_done(t, b->ref);
}

static int bytes_open(struct tree *t, uint64_t id, struct bytes *ret)
{
        struct bytes b = { NULL, NULL };
        struct edit_node n;
        int r = -ENOENT;

        if (t->data)
                b.file = edit_file_cached(t->data, id);
        if (!b.file) {
                pthread_mutex_lock(&t->lock);
                if (t->edits && !edits_is_empty(t->edits))
                        r = edits_node_get(t->edits, id, &n);
                if (r == 0 && n.data)
                        r = edit_file_get(t->data, id, &b.file);
                else if ((r == 0 || r == -ENOENT) && !edits_is_new(id))
                        r = 0;
                else if (r == 0)
                        r = S_ISDIR(n.mode) ? -EISDIR : -EINVAL;
                if (r == 0 && !b.file)
                        b.ref = tree_view(t);
                pthread_mutex_unlock(&t->lock);
                if (r < 0)
                        return r;
        }
        *ret = b;
        return 0;
}

/* A data file, made now if the node has none; of a copy only the first LIMIT bytes matter. */
static int bytes_own(struct tree *t, uint64_t id, uint64_t limit, struct edit_file **ret)
{
        struct edit_file *f;
        struct edit_node n;
        int r;

        if (!t->edits || !t->data)
                return -EROFS;
        f = edit_file_cached(t->data, id);
        if (f) {
                *ret = f;
                return 0;
        }
        pthread_mutex_lock(&t->lock);
        r = edits_node_get(t->edits, id, &n);
        if (r == 0 && n.data)
                r = edit_file_get(t->data, id, ret);
        else
                r = r == 0 || r == -ENOENT ? 1 : r;
        pthread_mutex_unlock(&t->lock);
        return r == 1 ? tree_copy_up(t, id, limit, ret) : r;
}

/* An error after some bytes is the next call's: the caller hears how far it came. */
static ssize_t write_file(int fd, const void *data, size_t len, uint64_t offset)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && done == 0)
                        return -errno;
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

static ssize_t read_bytes(const struct bytes *b, uint64_t id, void *data, size_t len, uint64_t offset,
                          struct errtext *err)
{
        char why[128];
        ssize_t n;

        if (b->ref)
                return view_read(b->ref->view, id, data, len, offset, err);
        n = file_pread(edit_file_fd(b->file), data, len, (off_t)offset);
        if (n < 0)
                errtext_set(err, (int)n, "cannot read .fusepkg/" EDIT_DATA_DIR "/%016llx: %s", (unsigned long long)id,
                            errno_name((int)n, why));
        return n;
}

ssize_t tree_read(struct tree *t, uint64_t id, void *data, size_t len, uint64_t offset, struct errtext *err)
{
        struct bytes b;
        char why[128];
        ssize_t n = bytes_open(t, id, &b);

        if (n < 0)
                return errtext_set(err, (int)n, "cannot open the bytes of node %016llx: %s", (unsigned long long)id,
                                   errno_name((int)n, why));
        n = read_bytes(&b, id, data, len, offset, err);
        bytes_close(t, &b);
        return n;
}

ssize_t tree_write(struct tree *t, uint64_t id, const void *data, size_t len, uint64_t offset)
{
        struct edit_file *f;
        ssize_t n = bytes_own(t, id, UINT64_MAX, &f);

        if (n < 0)
                return n;
        n = write_file(edit_file_fd(f), data, len, offset);
        tree_bytes_changed(t, id, f);
        edit_file_put(t->data, f);
        return n;
}

/* A row takes space, and on a file system that copies on write a truncation does before it gives some back. */
static bool give_reserve(struct tree *t, unsigned tries)
{
        bool given;

        pthread_mutex_lock(&t->lock);
        given = edits_reserve_give(t->edits, tries);
        pthread_mutex_unlock(&t->lock);
        return given;
}

int tree_truncate(struct tree *t, uint64_t id, uint64_t size)
{
        struct edit_file *f;
        unsigned tries = 0;
        bool again;
        int r;

        if (size > INT64_MAX)
                return -EFBIG;
        do {
                bool mine = false;

                r = bytes_own(t, id, size, &f);
                if (r == 0) {
                        mine = true;
                        r = ftruncate(edit_file_fd(f), (off_t)size) < 0 ? -errno : 0;
                        tree_bytes_changed(t, id, f);
                        edit_file_put(t->data, f);
                }
                again = (r == -ENOSPC || r == -EDQUOT) && (mine || size == 0);
        } while (again && give_reserve(t, tries++));
        return r;
}

/* Whoever allocates or punches writes, whether that finds anything to change or not: btrfs leaves the times as they are
 * when there is a hole already.  An error is none of the caller's, whose range is done. */
static void date_file(int fd)
{
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };

        (void)futimens(fd, times);
}

int tree_fallocate(struct tree *t, uint64_t id, int mode, uint64_t offset, uint64_t len)
{
        struct edit_file *f;
        int r;

        if (offset > INT64_MAX || len > INT64_MAX)
                return -EFBIG;
        r = bytes_own(t, id, UINT64_MAX, &f);
        if (r < 0)
                return r;
        do
                r = fallocate(edit_file_fd(f), mode, (off_t)offset, (off_t)len) < 0 ? -errno : 0;
        while (r == -EINTR);
        if (r == 0)
                date_file(edit_file_fd(f));
        tree_bytes_changed(t, id, f);
        edit_file_put(t->data, f);
        /* To the kernel ENOSYS says that nothing here can do it, ever. */
        return r == -ENOSYS ? -EOPNOTSUPP : r;
}

int64_t tree_lseek(struct tree *t, uint64_t id, uint64_t offset, int whence)
{
        struct bytes b;
        struct node n;
        int64_t r;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return -EINVAL;
        if (offset > INT64_MAX)
                return -ENXIO;
        r = bytes_open(t, id, &b);
        if (r < 0)
                return r;
        if (b.file) {
                /* Whoever shares the descriptor says where it reads and writes. */
                r = lseek(edit_file_fd(b.file), (off_t)offset, whence);
                if (r < 0)
                        r = -errno;
        } else {
                r = view_getattr(b.ref->view, id, &n);
                if (r == 0 && offset >= (uint64_t)n.st.st_size)
                        r = -ENXIO;
                else if (r == 0)
                        r = whence == SEEK_DATA ? (int64_t)offset : n.st.st_size;
        }
        bytes_close(t, &b);
        return r;
}

/* copy_file_range(2) goes no further than this. */
static bool is_unable(int r)
{
        return r == -EXDEV || r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL;
}

static ssize_t copy_by_hand(const struct bytes *from, uint64_t id, uint64_t from_offset, int to, uint64_t to_offset,
                            size_t len)
{
        cleanup_free char *data = malloc(COPY_PIECE);
        size_t done = 0;
        ssize_t n = data ? 0 : -ENOMEM;

        while (n >= 0 && done < len) {
                size_t want = len - done < COPY_PIECE ? len - done : COPY_PIECE;

                n = read_bytes(from, id, data, want, from_offset + done, NULL);
                if (n > 0)
                        n = write_file(to, data, (size_t)n, to_offset + done);
                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        return done > 0 ? (ssize_t)done : n;
}

static ssize_t copy_bytes(const struct bytes *from, uint64_t id, uint64_t from_offset, struct edit_file *to,
                          uint64_t to_offset, size_t len)
{
        off_t in = (off_t)from_offset, out = (off_t)to_offset;

        if (from->file) {
                ssize_t n = copy_file_range(edit_file_fd(from->file), &in, edit_file_fd(to), &out, len, 0);

                if (n >= 0 || !is_unable(-errno))
                        return n < 0 ? -errno : n;
        }
        return copy_by_hand(from, id, from_offset, edit_file_fd(to), to_offset, len);
}

ssize_t tree_copy_range(struct tree *t, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                        size_t len)
{
        struct edit_file *f;
        struct bytes b;
        ssize_t n;

        if (from_offset > INT64_MAX || to_offset > INT64_MAX)
                return -EFBIG;
        if (len > COPY_RANGE_MAX)
                len = COPY_RANGE_MAX;
        /* First, since the source may be the same file. */
        n = bytes_own(t, to, UINT64_MAX, &f);
        if (n < 0)
                return n;
        n = bytes_open(t, from, &b);
        if (n == 0) {
                n = copy_bytes(&b, from, from_offset, f, to_offset, len);
                bytes_close(t, &b);
        }
        tree_bytes_changed(t, to, f);
        edit_file_put(t->data, f);
        return n;
}

/* The bytes, then the name of the data file, then the rows: a row that is on the disk never refers to what is not. */
int tree_fsync(struct tree *t, uint64_t id, bool data_only)
{
        struct edit_file *f;
        struct edit_node n;
        int r = 0;

        if (!t->edits || !t->data)
                return 0;
        f = edit_file_cached(t->data, id);
        if (!f) {
                pthread_mutex_lock(&t->lock);
                r = edits_node_get(t->edits, id, &n);
                if (r == 0 && n.data)
                        r = edit_file_get(t->data, id, &f);
                pthread_mutex_unlock(&t->lock);
        }
        if (r < 0 && r != -ENOENT)
                return r;
        r = 0;
        if (f) {
                r = (data_only ? fdatasync(edit_file_fd(f)) : fsync(edit_file_fd(f))) < 0 ? -errno : 0;
                edit_file_put(t->data, f);
        }
        if (r == 0)
                r = edit_data_sync(t->data);
        if (r == 0) {
                pthread_mutex_lock(&t->lock);
                r = edits_sync(t->edits);
                pthread_mutex_unlock(&t->lock);
        }
        return r;
}

int tree_statfs(struct tree *t, struct statvfs *ret)
{
        struct statvfs st;

        if (!t->data)
                return -EROFS;
        if (fstatvfs(edit_data_fd(t->data), &st) < 0)
                return -errno;
        st.f_namemax = IMAGE_NAME_MAX;
        *ret = st;
        return 0;
}
