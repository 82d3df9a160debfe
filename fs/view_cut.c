/* view_cut.c: names from which the edits took a directory away (view.h).
 *
 * A cut has an effect only once a slot above its horizon brings something to the name: until then a row of the edits
 * hides what is there, and the view of one generation is the same with and without the cuts that were made in it.
 * Where the slots up to the horizon have files alone at the name, no directory was taken away, and nothing is cut. */
#include "fs/view_private.h"

static int compare_cuts(const void *x, const void *y)
{
        const struct view_cut *a = x, *b = y;
        int r;

        if (a->dir != b->dir)
                return a->dir < b->dir ? -1 : 1;
        r = strcmp(a->name, b->name);
        return r ? r : (a->horizon > b->horizon) - (a->horizon < b->horizon);
}

int view_cut_copy(struct view *v, const struct view_cut *cuts, size_t n)
{
        v->cuts = calloc(n ? n : 1, sizeof(*v->cuts));
        if (!v->cuts)
                return -ENOMEM;
        for (; v->cut_count < n; v->cut_count++) {
                v->cuts[v->cut_count] = cuts[v->cut_count];
                v->cuts[v->cut_count].acts = false;
                v->cuts[v->cut_count].name = strdup(cuts[v->cut_count].name);
                if (!v->cuts[v->cut_count].name)
                        return -ENOMEM;
        }
        qsort(v->cuts, n, sizeof(*v->cuts), compare_cuts);
        return 0;
}

void view_cut_release(struct view *v)
{
        for (size_t i = 0; i < v->cut_count; i++)
                free(v->cuts[i].name);
        free(v->cuts);
}

/* Finding -------------------------------------------------------------------------------------------------------- */

static int compare_to(const struct view_cut *c, uint64_t dir, struct span name)
{
        int r;

        if (c->dir != dir)
                return c->dir < dir ? -1 : 1;
        r = strncmp(c->name, name.data, name.len);
        return r ? r : c->name[name.len] != 0;
}

/* The first of a name, and how many there are. */
static struct view_cut *find_cuts(const struct view *v, uint64_t dir, struct span name, size_t *ret_n)
{
        size_t low = 0, high = v->cut_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (compare_to(&v->cuts[mid], dir, name) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        while (high < v->cut_count && compare_to(&v->cuts[high], dir, name) == 0)
                high++;
        *ret_n = high - low;
        return &v->cuts[low];
}

bool view_has_cut(const struct view *v, const struct view_cut *cut)
{
        size_t n;
        const struct view_cut *list = find_cuts(v, cut->dir, span_of(cut->name), &n);

        for (size_t i = 0; i < n; i++)
                if (list[i].horizon == cut->horizon)
                        return true;
        return false;
}

int view_cut_horizon(const struct view *v, uint64_t dir, const char *name, size_t len, uint32_t *ret)
{
        size_t n;
        const struct view_cut *list = find_cuts(v, dir, (struct span){ name, len }, &n);

        while (n > 0 && !list[n - 1].acts)
                n--;
        if (n == 0)
                return -ENOENT;
        *ret = list[n - 1].horizon;
        return 0;
}

bool view_is_cut(const struct view *v, uint64_t dir, const char *name, size_t len)
{
        uint32_t horizon;

        return view_cut_horizon(v, dir, name, len, &horizon) == 0;
}

const struct view_cut *view_cuts(const struct view *v, size_t *ret_n)
{
        *ret_n = v->cut_count;
        return v->cuts;
}

/* Cutting -------------------------------------------------------------------------------------------------------- */

void view_cut_begin(const struct view *v, const struct merged_dir *d, struct span name, const char *path,
                    struct cut_walk *ret)
{
        const struct environment *e = v->environment;
        size_t i;

        *ret = (struct cut_walk){ .first = d->first, .last = d->last, .path_len = strlen(path) };
        ret->cuts = find_cuts(v, d->id, name, &ret->count);
        if (ret->count == 0)
                return;
        i = environment_dirs_before(e, path);
        ret->rows = &e->dirs[i];
        while (i < e->dir_count && strncmp(e->dirs[i].path, path, ret->path_len) == 0)
                i++;
        ret->row_count = (size_t)(&e->dirs[i] - ret->rows);
}

/* Is an id of those slots pinned for the path, or for one below it? */
static bool has_pin(const struct cut_walk *w, uint32_t first, uint32_t last)
{
        for (size_t i = 0; i < w->row_count; i++) {
                char end = w->rows[i].path[w->path_len];

                if ((end == 0 || end == '/') && view_is_pinned(&w->rows[i], first, last))
                        return true;
        }
        return false;
}

static uint32_t claim_slot(const struct view *v, const struct claim *c)
{
        return c->order ? v->slots[c->order - 1].number : 0;
}

/* Has the name nothing between this cut and the next one? Then that one does for both. */
static bool is_idle(const struct view *v, const struct cut_walk *w, const struct claim *c, size_t n)
{
        uint32_t after = w->cuts[0].horizon, until;

        if (w->count < 2)
                return false;
        until = w->cuts[1].horizon;
        for (size_t i = 0; i < n; i++)
                if (claim_slot(v, &c[i]) > after && claim_slot(v, &c[i]) <= until)
                        return false;
        return until == after || !has_pin(w, after + 1, until);
}

size_t view_cut_next(const struct view *v, struct cut_walk *w, const struct claim *c, size_t n, struct cut_side *ret)
{
        for (; w->count > 0; w->cuts++, w->count--) {
                uint32_t horizon = w->cuts->horizon;
                bool folder = false;
                size_t below = 0;

                if (is_idle(v, w, c, n))
                        continue;
                for (; below < n && claim_slot(v, &c[below]) <= horizon; below++)
                        folder = folder || S_ISDIR(c[below].type);
                if (below == n)
                        break;
                *ret = (struct cut_side){ folder, w->first, horizon };
                w->cuts->acts = folder || has_pin(w, w->first, horizon);
                if (horizon >= w->first)
                        w->first = horizon + 1;
                if (below == 0)
                        continue;
                w->cuts++;
                w->count--;
                return below;
        }
        *ret = (struct cut_side){ false, w->first, w->last };
        return n;
}
