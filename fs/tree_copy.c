#include "fs/tree_copy.h"
#include "store/files.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

/* A smaller file is read and checked in the time that its rows take. */
enum { SHARE_MIN = 4 << 20 };

struct copy {
        const struct view *view;
        uint64_t id;
        uint64_t size;
        bool whole;
};

/* Where the file system below can share blocks, a byte written into a large library costs no copy of it.  What is
 * shared was not read, so nothing checked it: that is left to `store verify`. */
static bool share(int fd, const struct copy *c)
{
        cleanup_close int from = -1;
        struct stat st;

        if (!c->whole || c->size < SHARE_MIN)
                return false;
        from = view_open(c->view, c->id);
        return from >= 0 && fstat(from, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == c->size &&
               ioctl(fd, FICLONE, from) == 0;
}

/* Reading checks what it reads: damaged bytes end the copy with EIO. */
static int read_and_write(int fd, const struct copy *c)
{
        size_t piece = c->size < COPY_PIECE ? (size_t)c->size : COPY_PIECE;
        cleanup_free char *data = piece ? malloc(piece) : NULL;

        if (piece && !data)
                return -ENOMEM;
        for (uint64_t at = 0; at < c->size;) {
                size_t want = c->size - at < piece ? (size_t)(c->size - at) : piece;
                ssize_t n = view_read(c->view, c->id, data, want, at, NULL);
                int r = n < 0 ? (int)n : file_write_full(fd, data, (size_t)n);

                if (r < 0)
                        return r;
                /* A file of the base that became shorter meanwhile. */
                if (n == 0)
                        break;
                at += (uint64_t)n;
        }
        return 0;
}

static int fill(int fd, void *user)
{
        const struct copy *c = user;

        return share(fd, c) ? 0 : read_and_write(fd, c);
}

/* Under the tree's lock: what is to be copied; 1: another thread has done so. */
static int copy_begin(struct tree *t, uint64_t id, struct node *ret, struct view_ref **ret_ref,
                      struct edit_file **ret_file)
{
        struct edit_node n;
        bool stored;
        int r = id == NODE_MARKER ? -EPERM : tree_node(t, id, &n, &stored);

        if (r == 0 && n.data) {
                r = edit_file_get(t->data, id, ret_file);
                return r < 0 ? r : 1;
        }
        if (r == 0 && !S_ISREG(n.mode))
                r = S_ISDIR(n.mode) ? -EISDIR : -EINVAL;
        if (r == 0)
                r = tree_stat(t, &n, stored, ret);
        if (r == 0)
                *ret_ref = tree_view(t);
        return r;
}

/* Its slot has left, whoever still holds it. */
static bool is_nowhere(const struct tree *t, uint64_t id)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir;

        return view_place(tree_current(t), id, &dir, &name) == -ENOENT;
}

/* Under the tree's lock: the copy becomes the file's bytes.  The row may have changed while it was made, or the file's
 * slot have left. */
static int copy_commit(struct tree *t, uint64_t id, struct edit_file **ret)
{
        struct edit_node n;
        bool stored, added = false;
        int r = edits_begin(t->edits);

        if (r < 0)
                goto failed;
        r = tree_node(t, id, &n, &stored);
        n.data = true;
        if (r == 0 && !stored && is_nowhere(t, id))
                n.links = 0;
        if (r == 0)
                r = edits_node_put(t->edits, &n);
        if (r == 0 && n.links == 0 && !id_set_has(&t->removed, id)) {
                r = id_set_add(&t->removed, id);
                added = r == 0;
        }
        if (r < 0)
                edits_rollback(t->edits);
        else
                r = edits_commit(t->edits);
        if (r < 0) {
                if (added)
                        id_set_remove(&t->removed, id);
                goto failed;
        }
        return edit_file_get(t->data, id, ret);
failed:
        edit_file_remove(t->data, id);
        return r;
}

int tree_copy_up(struct tree *t, uint64_t id, uint64_t limit, struct edit_file **ret)
{
        struct view_ref *ref = NULL;
        struct copy c = { .id = id };
        struct timespec times[2];
        struct node n;
        int r;

        pthread_mutex_lock(&t->copy_lock);
        pthread_mutex_lock(&t->lock);
        r = copy_begin(t, id, &n, &ref, ret);
        pthread_mutex_unlock(&t->lock);
        if (r != 0) {
                pthread_mutex_unlock(&t->copy_lock);
                return r < 0 ? r : 0;
        }
        c.view = ref->view;
        c.size = (uint64_t)n.st.st_size < limit ? (uint64_t)n.st.st_size : limit;
        c.whole = c.size == (uint64_t)n.st.st_size;
        times[0] = n.st.st_atim;
        times[1] = n.st.st_mtim;
        r = edit_file_copy(t->data, id, fill, &c, times, c.size > 0);
        tree_view_done(t, ref);
        if (r == 0) {
                pthread_mutex_lock(&t->lock);
                r = copy_commit(t, id, ret);
                pthread_mutex_unlock(&t->lock);
        }
        pthread_mutex_unlock(&t->copy_lock);
        return r;
}
