/* The files of a folder that was moved: the edits have one row for all of them, and git wants each by its name. */
#include "tools/diff_files.h"

struct walk {
        const struct diff *d;
        uint64_t id;       /* of the folder */
        uint64_t newest;   /* slot of what is in it */
        uint64_t *own;     /* ids of what has changes of its own, sorted */
        size_t own_count;
        struct buf from;
        struct buf to;
        int (*fn)(const char *from, const char *to, void *user);
        void *user;
        int r;
};

static int by_number(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static int load_own(struct walk *w)
{
        const struct edit_report *report = &w->d->report;

        w->own = malloc(sizeof(*w->own) * (report->change_count + 1));
        if (!w->own)
                return -ENOMEM;
        for (size_t i = 0; i < report->change_count; i++) {
                const struct edit_change *c = &report->changes[i];

                if (c->kind <= CHANGE_MOVED)
                        w->own[w->own_count++] = c->id;
                if (c->kind == CHANGE_MOVED && c->id == w->id)
                        w->newest = c->newest;
        }
        qsort(w->own, w->own_count, sizeof(*w->own), by_number);
        return 0;
}

static int each(const struct view_dirent *e, void *user)
{
        struct walk *w = user;
        size_t from = w->from.len, to = w->to.len;

        if (!S_ISDIR(e->type) && e->id >> 32 > w->newest)
                return 0;
        if (bsearch(&e->id, w->own, w->own_count, sizeof(e->id), by_number))
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
                w->r = w->fn(w->from.data, w->to.data, w->user);
        }
        w->from.len = from;
        w->to.len = to;
        return w->r < 0;
}

int diff_moved_files(const struct diff *d, const struct diff_file *f,
                     int (*fn)(const char *from, const char *to, void *user), void *user)
{
        struct walk w = { .d = d, .id = f->new.id, .newest = UINT64_MAX, .fn = fn, .user = user };
        int r = load_own(&w);

        if (r == 0)
                r = buf_add_str(&w.from, f->from);
        if (r == 0)
                r = buf_add_str(&w.to, f->path);
        if (r == 0)
                r = view_readdir(d->view, f->new.id, 0, each, &w);
        buf_release(&w.from);
        buf_release(&w.to);
        free(w.own);
        return r < 0 && r != -ENOENT ? r : w.r;
}
