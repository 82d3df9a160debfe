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

/* Copies under way ----------------------------------------------------------------------------------------------- */

struct tree_copying {
        uint64_t id;
        struct tree_copying *next;
};

static struct tree_copying **find(struct tree *t, uint64_t id)
{
        struct tree_copying **at = &t->copies;

        while (*at && (*at)->id != id)
                at = &(*at)->next;
        return at;
}

static void copying_begin(struct tree *t, struct tree_copying *c)
{
        pthread_mutex_lock(&t->copy_lock);
        while (t->copies_stopped || *find(t, c->id))
                pthread_cond_wait(&t->copy_cond, &t->copy_lock);
        c->next = t->copies;
        t->copies = c;
        pthread_mutex_unlock(&t->copy_lock);
}

static void copying_end(struct tree *t, const struct tree_copying *c)
{
        pthread_mutex_lock(&t->copy_lock);
        *find(t, c->id) = c->next;
        pthread_mutex_unlock(&t->copy_lock);
        pthread_cond_broadcast(&t->copy_cond);
}

void tree_copies_stop(struct tree *t)
{
        pthread_mutex_lock(&t->copy_lock);
        while (t->copies_stopped)
                pthread_cond_wait(&t->copy_cond, &t->copy_lock);
        t->copies_stopped = true;
        while (t->copies)
                pthread_cond_wait(&t->copy_cond, &t->copy_lock);
        pthread_mutex_unlock(&t->copy_lock);
}

void tree_copies_go_on(struct tree *t)
{
        pthread_mutex_lock(&t->copy_lock);
        t->copies_stopped = false;
        pthread_mutex_unlock(&t->copy_lock);
        pthread_cond_broadcast(&t->copy_cond);
}

void tree_on_long_copy(struct tree *t, void (*fn)(bool begins, void *user), void *user)
{
        t->long_copy_user = user;
        t->long_copy = fn;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static int copy_bytes(struct tree *t, struct copy *c, const struct node *n)
{
        const struct timespec times[2] = { n->st.st_atim, n->st.st_mtim };
        bool tell = t->long_copy && c->size >= SHARE_MIN;
        int r;

        if (tell)
                t->long_copy(true, t->long_copy_user);
        r = edit_file_copy(t->data, c->id, fill, c, times, c->size > 0);
        if (tell)
                t->long_copy(false, t->long_copy_user);
        return r;
}

int tree_copy_up(struct tree *t, uint64_t id, uint64_t limit, struct edit_file **ret)
{
        struct tree_copying copying = { .id = id };
        struct view_ref *ref = NULL;
        struct copy c = { .id = id };
        struct node n;
        int r;

        copying_begin(t, &copying);
        pthread_mutex_lock(&t->lock);
        r = copy_begin(t, id, &n, &ref, ret);
        pthread_mutex_unlock(&t->lock);
        if (r == 0) {
                c.view = ref->view;
                c.size = (uint64_t)n.st.st_size < limit ? (uint64_t)n.st.st_size : limit;
                c.whole = c.size == (uint64_t)n.st.st_size;
                r = copy_bytes(t, &c, &n);
                tree_view_done(t, ref);
                if (r == 0) {
                        pthread_mutex_lock(&t->lock);
                        r = copy_commit(t, id, ret);
                        pthread_mutex_unlock(&t->lock);
                }
        }
        copying_end(t, &copying);
        return r < 0 ? r : 0;
}
