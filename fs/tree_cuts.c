/* tree_cuts.c: the names that a view must keep apart, since directories were taken from them.
 *
 * A row's name is a cut at its horizon.  What a cut keeps apart in the current view must stay so when the row says
 * something else, or goes with its directory: so each cut that acts is put down beside the rows when the view is made
 * (`cut` in edits.h), and whoever makes a view of these rows gets the same one. */
#include "fs/tree_private.h"

int tree_cuts_add(struct tree_cuts *c, uint64_t dir, struct span name, uint32_t horizon)
{
        if (c->count == c->cap) {
                size_t cap = c->cap ? 2 * c->cap : 32;
                struct view_cut *more = realloc(c->list, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                c->list = more;
                c->cap = cap;
        }
        c->list[c->count] = (struct view_cut){ .dir = dir, .name = strndup(name.data, name.len), .horizon = horizon };
        return c->list[c->count].name ? (c->count++, 0) : -ENOMEM;
}

static int add_row(const struct edit_entry *n, void *user)
{
        return tree_cuts_add(user, n->dir, n->name, n->horizon);
}

int tree_cuts_add_kept(uint64_t dir, struct span name, uint32_t horizon, void *user)
{
        return tree_cuts_add(user, dir, name, horizon);
}

/* Cuts are of the view's directories. */
static int map_cuts(struct edits *e, struct view_cut *list, size_t *n)
{
        size_t kept = 0;
        int r = 0;

        for (size_t i = 0; i < *n; i++) {
                uint64_t below = edits_is_new(list[i].dir) ? 0 : list[i].dir;
                struct edit_node node;

                r = r < 0 ? r : edits_node_get(e, list[i].dir, &node);
                if (r == 0)
                        below = node.below;
                if (r == -ENOENT)
                        r = 0;
                if (below == 0) {
                        free(list[i].name);
                        continue;
                }
                list[kept] = list[i];
                list[kept++].dir = below;
        }
        *n = kept;
        return r;
}

void tree_cuts_free(struct view_cut *cuts, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(cuts[i].name);
        free(cuts);
}

int tree_cuts(struct edits *e, struct view_cut **ret, size_t *ret_n)
{
        bool any = e && !edits_is_empty(e);
        struct tree_cuts c = { 0 };
        int r = any ? edits_all_entries(e, add_row, &c) : 0;

        if (r == 0)
                r = map_cuts(e, c.list, &c.count);
        if (r == 0 && any)
                r = edits_cuts_each(e, tree_cuts_add_kept, &c);
        if (r < 0) {
                tree_cuts_free(c.list, c.count);
                return r;
        }
        *ret = c.list;
        *ret_n = c.count;
        return 0;
}

int tree_free_name(struct tree *t, uint64_t dir, const char *name)
{
        struct edit_entry row = { .dir = dir, .name = span_of(name) };
        uint64_t below;
        int r = tree_below(t, dir, &below);

        if (r < 0)
                return r;
        if (below && view_cut_horizon(tree_current(t), below, name, row.name.len, &row.horizon) == 0)
                return edits_entry_put(t->edits, &row);
        return edits_entry_drop(t->edits, dir, name, row.name.len);
}

/* A directory that was removed with its rows may be there again: what had been taken from it before comes not. */
static int hide_lower(struct tree *t, const struct view_cut *cut)
{
        uint64_t dir = tree_above_locked(t, cut->dir);
        cleanup_buf struct buf path = { 0 };
        struct edit_entry row;
        struct edit_node n;
        bool stored;
        int r = edits_entry_get(t->edits, dir, cut->name, strlen(cut->name), &row);

        if (r != -ENOENT)
                return r;
        r = tree_path_locked(t, dir, &path);
        if (r == 0)
                r = tree_node(t, dir, &n, &stored);
        if (r < 0 || n.links == 0)
                return r == -ENOENT ? 0 : r;
        if (!stored)
                r = edits_node_put(t->edits, &n);
        return r < 0 ? r : tree_free_name(t, dir, cut->name);
}

int tree_cuts_keep(struct tree *t)
{
        uint64_t generation = view_environment(tree_current(t))->generation;
        const struct view_cut *cuts;
        size_t n;
        int r = 0;

        cuts = view_cuts(tree_current(t), &n);
        for (size_t i = 0; i < n && r == 0; i++) {
                if (!cuts[i].acts)
                        continue;
                r = edits_cut_put(t->edits, cuts[i].dir, cuts[i].name, cuts[i].horizon, generation);
                if (r == 0)
                        r = hide_lower(t, &cuts[i]);
        }
        return r;
}

int tree_cuts_settle(struct tree *t)
{
        const struct view_cut *cuts;
        bool any = false;
        size_t n;
        int r;

        cuts = view_cuts(tree_current(t), &n);
        for (size_t i = 0; i < n; i++)
                any = any || cuts[i].acts;
        if (!any)
                return 0;
        r = edits_begin(t->edits);
        if (r < 0)
                return r;
        r = tree_cuts_keep(t);
        if (r == 0)
                return edits_commit(t->edits);
        edits_rollback(t->edits);
        /* The next switch does it; until then only a name that is taken once more lacks it. */
        return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -EACCES ? 0 : r;
}
