/* view_cut.c: names from which the edits took a directory away (view.h).
 *
 * A cut has an effect only once a slot above its horizon brings something to the name: until then a row of the edits
 * hides what is there, and the view of one generation is the same with and without the cuts that were made in it.
 * Where the slots up to the horizon have files alone at the name, no directory was taken away, and nothing is cut. */
#include "fs/view_private.h"

static int compare_cuts(const void *x, const void *y)
{
        const struct view_cut *a = x, *b = y;

        if (a->dir != b->dir)
                return a->dir < b->dir ? -1 : 1;
        return strcmp(a->name, b->name);
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

static int compare_to(const struct view_cut *c, uint64_t dir, struct span name)
{
        int r;

        if (c->dir != dir)
                return c->dir < dir ? -1 : 1;
        r = strncmp(c->name, name.data, name.len);
        return r ? r : c->name[name.len] != 0;
}

static struct view_cut *find_cut(const struct view *v, uint64_t dir, struct span name)
{
        size_t low = 0, high = v->cut_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;
                int r = compare_to(&v->cuts[mid], dir, name);

                if (r == 0)
                        return &v->cuts[mid];
                if (r < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

static uint32_t claim_slot(const struct view *v, const struct claim *c)
{
        return c->order ? v->slots[c->order - 1].number : 0;
}

size_t view_cut_claims(struct view *v, const struct merged_dir *d, const struct claim *c, size_t n,
                       struct cut_side *ret_lower, struct cut_side *ret_upper)
{
        struct view_cut *cut = find_cut(v, d->id, c[0].name);
        bool folder = false;
        size_t below = 0;

        *ret_upper = (struct cut_side){ false, d->first, d->last };
        for (; cut && below < n && claim_slot(v, &c[below]) <= cut->horizon; below++)
                folder = folder || S_ISDIR(c[below].type);
        if (!cut || below == n)
                return 0;
        *ret_lower = (struct cut_side){ folder, d->first, cut->horizon };
        *ret_upper = (struct cut_side){ false, cut->horizon < d->first ? d->first : cut->horizon + 1, d->last };
        cut->acts = folder;
        return below;
}

void view_cut_pinned(struct view *v, const struct merged_dir *d, struct span name)
{
        struct view_cut *cut = find_cut(v, d->id, name);

        if (cut)
                cut->acts = true;
}

bool view_is_cut(const struct view *v, uint64_t dir, const char *name, size_t len)
{
        const struct view_cut *cut = find_cut(v, dir, (struct span){ name, len });

        return cut && cut->acts;
}

int view_cut_horizon(const struct view *v, uint64_t dir, const char *name, size_t len, uint32_t *ret)
{
        const struct view_cut *cut = find_cut(v, dir, (struct span){ name, len });

        if (!cut)
                return -ENOENT;
        *ret = cut->horizon;
        return 0;
}
