/* tree_carry_keep.c: what a switch takes away from the user goes to kept before the rows change. */
#include "fs/kept.h"
#include "fs/tree_carry.h"

#include "store/files.h"

enum { PIECE = 128 << 10 };

int carry_add_loss(struct carry_losses *l, const char *path, uint64_t id)
{
        if (l->count == l->cap) {
                size_t cap = l->cap ? 2 * l->cap : 16;
                struct carry_loss *more = realloc(l->list, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                l->list = more;
                l->cap = cap;
        }
        l->list[l->count] = (struct carry_loss){ strdup(path), id };
        return l->list[l->count].path ? (l->count++, 0) : -ENOMEM;
}

void carry_losses_release(struct carry_losses *l)
{
        for (size_t i = 0; i < l->count; i++)
                free(l->list[i].path);
        free(l->list);
}

int carry_lose(struct carry *c, const char *path, uint64_t id)
{
        return carry_add_loss(&c->losses, path, id);
}

struct walk {
        struct carry *c;
        struct buf path;
        enum carry_lost which;
        unsigned depth;
};

static int lose_dir(struct walk *w, uint64_t dir);

static int lose_file(struct walk *w, uint64_t id)
{
        struct edit_node n;
        int r = edits_node_get(w->c->t->edits, id, &n);

        if (r < 0 && r != -ENOENT)
                return r;
        if (w->which == LOST_LEAVING && (edits_is_new(id) || !carry_leaves(w->c, id)))
                return 0;
        if (w->which == LOST_USERS && !edits_is_new(id) && !(r == 0 && n.data) && !carry_leaves(w->c, id))
                return 0;
        return carry_lose(w->c, w->path.data, id);
}

static int lose_name(const struct tree_dirent *d, void *user)
{
        struct walk *w = user;
        size_t len = w->path.len;
        int r = buf_printf(&w->path, "%s%.*s", len ? "/" : "", (int)d->name.len, d->name.data);

        if (r == 0 && !carry_is_generated_name(w->path.data + len + (len > 0)))
                r = S_ISDIR(d->node.st.st_mode) ? lose_dir(w, d->node.id) : lose_file(w, d->node.id);
        w->path.len = len;
        w->path.data[len] = 0;
        return r;
}

/* The rows may be damaged: a directory that is within itself would have no end. */
static int lose_dir(struct walk *w, uint64_t dir)
{
        int r;

        if (w->depth == TREE_DEPTH_MAX)
                return -ELOOP;
        w->depth++;
        r = tree_list(w->c->t, dir, 0, false, lose_name, w);
        w->depth--;
        return r;
}

int carry_lose_tree(struct carry *c, const char *path, uint64_t dir, enum carry_lost which)
{
        struct walk w = { .c = c, .which = which };
        int r = buf_add_str(&w.path, path);

        if (r == 0)
                r = lose_dir(&w, dir);
        buf_release(&w.path);
        return r;
}

/* Doing it ------------------------------------------------------------------------------------------------------- */

struct source {
        const struct view *view;
        uint64_t id;
};

static int fill_from_view(int fd, void *user)
{
        const struct source *s = user;
        cleanup_free char *data = malloc(PIECE);
        struct errtext ignored = { "" };
        uint64_t at = 0;

        while (data) {
                ssize_t n = view_read(s->view, s->id, data, PIECE, at, &ignored);
                int r = n > 0 ? file_write_full(fd, data, (size_t)n) : (int)n;

                if (n <= 0 || r < 0)
                        return r;
                at += (uint64_t)n;
        }
        return -ENOMEM;
}

static bool is_gone(const struct carry *c, uint64_t id)
{
        struct node n;

        return !edits_is_new(id) && id >> 32 == 0 && view_getattr(c->old, id, &n) < 0;
}

static int keep_bytes(struct carry *c, const char *path, uint64_t id, mode_t mode, struct timespec times[2])
{
        uint64_t generation = view_environment(c->next)->generation;
        struct source s = { c->old, id };
        int state_fd = view_state_fd(c->next);
        struct edit_file *f;
        struct edit_node n;
        int r = edits_node_get(c->t->edits, id, &n);

        if (r < 0 || !n.data) {
                r = kept_put(state_fd, generation, path, fill_from_view, &s, mode, times, NULL);
                /* Of the bare folder, from which it went under the mount. */
                return (r == -ENOENT || r == -ENOTDIR) && is_gone(c, id) ? 1 : r;
        }
        r = edit_file_get(c->t->data, id, &f);
        if (r < 0)
                return r == -EIO ? 1 : r; /* a power cut took it: there is nothing to keep */
        r = kept_put_file(state_fd, generation, path, edit_file_fd(f), mode, NULL);
        edit_file_put(c->t->data, f);
        return r;
}

static int keep_link(struct carry *c, const char *path, uint64_t id)
{
        cleanup_buf struct buf target = { 0 };
        int r = edits_is_new(id) ? edits_target_get(c->t->edits, id, &target) : view_readlink(c->old, id, &target);

        if (r < 0)
                return r;
        return kept_put_link(view_state_fd(c->next), view_environment(c->next)->generation, path,
                             target.data ? target.data : "", NULL);
}

/* 1: there was nothing to keep. */
static int keep_one(struct carry *c, const char *path, uint64_t id)
{
        struct edit_node n;
        struct node node = { 0 };
        int r = edits_node_get(c->t->edits, id, &n);

        if (r == 0)
                node.st.st_mode = n.mode;
        else if (r == -ENOENT)
                r = view_getattr(c->old, id, &node);
        if (r == 0 && edits_node_get(c->t->edits, id, &n) == 0) {
                node.st.st_mtim = tree_time(n.mtime);
                node.st.st_atim = tree_time(n.atime);
        }
        if (r < 0)
                return r == -ENOENT ? 1 : r;
        if (S_ISLNK(node.st.st_mode))
                return keep_link(c, path, id);
        if (!S_ISREG(node.st.st_mode))
                return 1;
        struct timespec times[2] = { node.st.st_atim, node.st.st_mtim };

        return keep_bytes(c, path, id, node.st.st_mode | 0600, times);
}

static int compare_losses(const void *x, const void *y)
{
        const struct carry_loss *a = x, *b = y;
        int r = strcmp(a->path, b->path);

        return r ? r : (a->id > b->id) - (a->id < b->id);
}

int carry_keep(struct carry *c)
{
        struct carry_losses *l = &c->losses;
        int r = 0;

        if (l->count)
                qsort(l->list, l->count, sizeof(*l->list), compare_losses);
        for (size_t i = 0; i < l->count && r >= 0; i++) {
                if (i && compare_losses(&l->list[i], &l->list[i - 1]) == 0)
                        continue;
                r = keep_one(c, l->list[i].path, l->list[i].id);
                c->changes->kept += r == 0;
        }
        return r < 0 ? r : 0;
}
