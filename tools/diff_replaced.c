/* What was removed, and what has its path now though it was moved or linked there: git takes back a patch, and a script a
 * list, only when each path has one entry.  So the file at the path was changed, and the place that the other came from
 * has lost it; there something else may have come, and so on. */
#include "tools/diff_files.h"

struct replacing {
        struct diff *d;
        size_t count;            /* of the files that are sorted */
        bool any;                /* something was replaced: what was left for it may be, too */
};

/* Only what git knows; a distribution that was taken as a whole is a line of its own. */
static bool is_replaceable(const struct diff_file *f)
{
        return f->kind == CHANGE_REMOVED && !f->owned && (S_ISREG(f->old.mode) || S_ISLNK(f->old.mode));
}

/* The first file at PATH or behind it. */
static size_t seek(const struct replacing *p, const char *path)
{
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (diff_path_order(p->d->files[mid].path, path) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static bool is_at(const struct replacing *p, size_t i, const char *path)
{
        return i < p->count && p->d->files[i].path && strcmp(p->d->files[i].path, path) == 0;
}

static int add_removed(struct diff *d, struct diff_side old, const char *path)
{
        return diff_add(d, (struct diff_file){ .kind = CHANGE_REMOVED, .old = old }, path, NULL);
}

/* --- by a row of its own --- */

/* What has the path that was removed: of two rows about one node the first says more. */
static size_t find_new(const struct replacing *p, size_t removed)
{
        const struct diff_file *f = &p->d->files[removed];

        for (size_t i = removed + 1; is_at(p, i, f->path); i++) {
                const struct diff_file *n = &p->d->files[i];

                if (n->from && n->kind != CHANGE_REMOVED && n->owned == f->owned && n->new.where != DIFF_UNKNOWN &&
                    (n->new.mode & S_IFMT) == (f->old.mode & S_IFMT))
                        return i;
        }
        return 0;
}

static void drop(struct diff_file *f)
{
        free(f->path);
        free(f->from);
        *f = (struct diff_file){ 0 };
}

/* Whatever rows are about the node at this path go. */
static int replace_by_row(struct replacing *p, size_t removed, size_t first)
{
        cleanup_free char *from = strdup(p->d->files[first].from);
        struct diff_side old = p->d->files[first].old, new = p->d->files[first].new;
        const char *path = p->d->files[removed].path;
        bool linked = p->d->files[first].kind == CHANGE_LINKED;
        size_t end = first;

        if (!from)
                return -ENOMEM;
        while (is_at(p, end, path) && p->d->files[end].new.id == new.id)
                drop(&p->d->files[end++]);
        p->d->files[removed].kind = CHANGE_MODIFIED;
        p->d->files[removed].new = new;
        p->any = true;
        return linked ? 0 : add_removed(p->d, old, from);
}

static int replace_by_rows(struct replacing *p)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < p->count; i++) {
                size_t first = p->d->files[i].path && is_replaceable(&p->d->files[i]) ? find_new(p, i) : 0;

                if (first)
                        r = replace_by_row(p, i, first);
        }
        return r;
}

/* Without those that were dropped. */
static void settle(struct diff *d)
{
        size_t n = 0;

        for (size_t i = 0; i < d->count; i++)
                if (d->files[i].path)
                        d->files[n++] = d->files[i];
        d->count = n;
        diff_sort(d);
}

/* --- by a folder that was moved --- */

/* A symlink that took the place of a file, or a file that of a symlink, is two files at one path, as git has it. */
static int replace_moved(const struct diff_moved *m, void *user)
{
        struct replacing *p = user;
        struct diff *d = p->d;
        size_t i = seek(p, m->to);
        struct diff_side side;
        int r;

        if (!is_at(p, i, m->to) || !is_replaceable(&d->files[i]) || is_at(p, i + 1, m->to))
                return 0;
        side = diff_old_side(d, m->id);
        if (side.where == DIFF_UNKNOWN || (!S_ISREG(side.mode) && !S_ISLNK(side.mode)))
                return 0;
        r = diff_own_add(d, m->id);
        if (r == 0 && (side.mode & S_IFMT) == (d->files[i].old.mode & S_IFMT)) {
                d->files[i].kind = CHANGE_MODIFIED;
                d->files[i].new = side;
        } else if (r == 0) {
                r = diff_add(d, (struct diff_file){ .kind = CHANGE_ADDED, .new = side }, m->to, NULL);
        }
        p->any = true;
        return r < 0 ? r : add_removed(d, side, m->from);
}

static bool has_removed(const struct replacing *p, const char *folder)
{
        for (size_t i = seek(p, folder); i < p->count && edit_path_is_within(p->d->files[i].path, folder); i++)
                if (is_replaceable(&p->d->files[i]))
                        return true;
        return false;
}

/* The files are those of before: what is added meanwhile stands behind them. */
static int replace_by_folders(struct replacing *p)
{
        struct diff *d = p->d;
        int r = 0;

        for (size_t i = 0; r == 0 && i < p->count; i++) {
                const struct diff_file f = d->files[i];

                if (f.kind == CHANGE_MOVED && S_ISDIR(f.new.mode) && has_removed(p, f.path))
                        r = diff_moved_files(d, &f, replace_moved, p);
        }
        diff_own_sort(d);
        return r;
}

int diff_replaced(struct diff *d)
{
        struct replacing p = { .d = d, .any = true };
        int r = 0;

        while (r == 0 && p.any) {
                p.any = false;
                p.count = d->count;
                r = replace_by_rows(&p);
                settle(d);
                p.count = d->count;
                if (r == 0)
                        r = replace_by_folders(&p);
                settle(d);
        }
        return r;
}
