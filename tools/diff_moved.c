/* The files of a folder that was moved: the edits have one row for all of them, and git wants each by its name. */
#include "tools/diff_files.h"

struct walk {
        const struct diff *d;
        uint64_t newest;   /* slot of what is in it */
        struct buf from;
        struct buf to;
        int (*fn)(const struct diff_moved *m, void *user);
        void *user;
        int r;
};

static int by_number(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

int diff_own_add(struct diff *d, uint64_t id)
{
        uint64_t *more = d->own;

        if ((d->own_count & (d->own_count - 1)) == 0) {
                more = reallocarray(more, d->own_count ? 2 * d->own_count : 1, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                d->own = more;
        }
        more[d->own_count++] = id;
        return 0;
}

void diff_own_sort(struct diff *d)
{
        if (d->own_count)
                qsort(d->own, d->own_count, sizeof(*d->own), by_number);
}

int diff_own_load(struct diff *d)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->report.change_count; i++)
                if (d->report.changes[i].kind <= CHANGE_MOVED)
                        r = diff_own_add(d, d->report.changes[i].id);
        diff_own_sort(d);
        return r;
}

bool diff_own_has(const struct diff *d, uint64_t id)
{
        return d->own_count && bsearch(&id, d->own, d->own_count, sizeof(id), by_number);
}

static int each(const struct view_dirent *e, void *user)
{
        struct walk *w = user;
        size_t from = w->from.len, to = w->to.len;

        if (!S_ISDIR(e->type) && e->id >> 32 > w->newest)
                return 0;
        if (diff_own_has(w->d, e->id))
                return 0;
        w->r = buf_printf(&w->from, "/%.*s", (int)e->name.len, e->name.data);
        if (w->r == 0)
                w->r = buf_printf(&w->to, "/%.*s", (int)e->name.len, e->name.data);
        if (w->r == 0 && S_ISDIR(e->type)) {
                int r = view_readdir(w->d->view, e->id, 0, each, w);

                /* A folder of the bare site-packages cannot be listed under a mount. */
                if (w->r == 0 && r < 0 && r != -ENOENT)
                        w->r = r;
        } else if (w->r == 0 && (w->d->generated || !edit_path_is_generated(w->to.data))) {
                w->r = w->fn(&(struct diff_moved){ e->id, w->from.data, w->to.data }, w->user);
        }
        w->from.len = from;
        w->to.len = to;
        return w->r < 0;
}

int diff_moved_files(const struct diff *d, const struct diff_file *f,
                     int (*fn)(const struct diff_moved *m, void *user), void *user)
{
        struct walk w = { .d = d, .newest = UINT64_MAX, .fn = fn, .user = user };
        int r = buf_add_str(&w.from, f->from);

        for (size_t i = 0; i < d->report.change_count; i++)
                if (d->report.changes[i].kind == CHANGE_MOVED && d->report.changes[i].id == f->new.id)
                        w.newest = d->report.changes[i].newest;
        if (r == 0)
                r = buf_add_str(&w.to, f->path);
        if (r == 0)
                r = view_readdir(d->view, f->new.id, 0, each, &w);
        buf_release(&w.from);
        buf_release(&w.to);
        return r < 0 && r != -ENOENT ? r : w.r;
}
