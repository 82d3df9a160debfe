/* tree_change.c: what every change of the tree consists of: a transaction, names, links, times. */
#include "fs/tree_private.h"

#include <time.h>

int64_t tree_now(struct tree *t)
{
        int64_t generation = (int64_t)view_environment(tree_current(t))->time, now;
        struct timespec clock;

        clock_gettime(CLOCK_REALTIME, &clock);
        now = (int64_t)clock.tv_sec * 1000000000 + clock.tv_nsec;
        if (now <= generation)
                now = generation + 1;
        if (now <= t->last_time)
                now = t->last_time + 1;
        t->last_time = now;
        return now;
}

/* Transactions ------------------------------------------------------------------------------------------------- */

int tree_begin(struct tree *t, const struct tree_call *c, struct edit_done *ret_done)
{
        if (!t->edits)
                return -EROFS;
        if (c && c->replayed && c->cell != NO_CELL && edits_done_get(t->edits, c->cell, ret_done) == 0 &&
            ret_done->connection == c->connection && ret_done->request == c->request)
                return 1;
        return edits_begin(t->edits);
}

int tree_end(struct tree *t, const struct tree_call *c, int r, uint64_t id)
{
        if (r == 0 && c && c->cell != NO_CELL) {
                const struct edit_done done = { c->connection, c->request, 0, id };

                r = edits_done_put(t->edits, c->cell, &done);
        }
        if (r < 0) {
                edits_rollback(t->edits);
                return r;
        }
        return edits_commit(t->edits);
}

/* Parts of changes --------------------------------------------------------------------------------------------- */

void tree_date(struct tree *t, struct edit_node *n, int64_t now)
{
        /* Where that has no room for it the row says it. */
        if (!n->data || edit_file_date(t->data, n->id) < 0)
                n->ctime = now;
}

int tree_touch_dir(struct tree *t, uint64_t dir, int subdirs, int64_t now)
{
        struct edit_node n;
        bool stored;
        int r = tree_node(t, dir, &n, &stored);

        if (r < 0)
                return r;
        n.mtime = n.ctime = now;
        n.subdirs += subdirs;
        return edits_node_put(t->edits, &n);
}

int tree_set_name(struct tree *t, uint64_t dir, const char *name, uint64_t id, mode_t type)
{
        size_t len = strlen(name);
        struct node below;
        int r = tree_lookup_below(t, dir, name, len, &below);

        if (r < 0 && r != -ENOENT)
                return r;
        /* Back where the view has it: no row is needed to say so. */
        if (r == 0 && below.id == id)
                return tree_free_name(t, dir, name);
        const struct edit_entry row = { dir, 0, { name, len }, id, type & S_IFMT, view_horizon(tree_current(t)) };

        return edits_entry_put(t->edits, &row);
}

int tree_clear_name(struct tree *t, uint64_t dir, const char *name)
{
        size_t len = strlen(name);
        struct node below;
        int r = tree_lookup_below(t, dir, name, len, &below);

        if (r == -ENOENT)
                return edits_entry_drop(t->edits, dir, name, len);
        if (r < 0)
                return r;
        const struct edit_entry row = { dir, 0, { name, len }, 0, 0, view_horizon(tree_current(t)) };

        return edits_entry_put(t->edits, &row);
}

int tree_drop_link(struct tree *t, uint64_t id, int64_t now)
{
        struct edit_node n;
        int r = edits_node_get(t->edits, id, &n);

        /* Without a row it is the view's, with one name: that it has none now is seen from the row of that name. */
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        n.links -= n.links > 0;
        tree_date(t, &n, now);
        if (n.links == 0) {
                r = id_set_add(&t->removed, id);
                if (r < 0)
                        return r;
        }
        return edits_node_put(t->edits, &n);
}

/* Sets of ids -------------------------------------------------------------------------------------------------- */

static size_t home(const struct id_set *s, uint64_t id)
{
        return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->size - 1);
}

static size_t find_id(const struct id_set *s, uint64_t id)
{
        size_t at = home(s, id);

        while (s->ids[at] && s->ids[at] != id)
                at = (at + 1) & (s->size - 1);
        return at;
}

/* 0 is no id, and what is empty is marked by it. */
bool id_set_has(const struct id_set *s, uint64_t id)
{
        return id && s->count && s->ids[find_id(s, id)] == id;
}

int id_set_add(struct id_set *s, uint64_t id)
{
        if (2 * (s->count + 1) > s->size) {
                struct id_set more = { .size = s->size ? 2 * s->size : 64 };

                more.ids = calloc(more.size, sizeof(*more.ids));
                if (!more.ids)
                        return -ENOMEM;
                for (size_t i = 0; i < s->size; i++)
                        if (s->ids[i])
                                more.ids[find_id(&more, s->ids[i])] = s->ids[i];
                more.count = s->count;
                free(s->ids);
                *s = more;
        }
        size_t at = find_id(s, id);

        s->count += s->ids[at] == 0;
        s->ids[at] = id;
        return 0;
}

void id_set_remove(struct id_set *s, uint64_t id)
{
        size_t hole;

        if (!id_set_has(s, id))
                return;
        hole = find_id(s, id);
        s->ids[hole] = 0;
        s->count--;
        /* Those behind it that would not be found any more move up. */
        for (size_t at = (hole + 1) & (s->size - 1); s->ids[at]; at = (at + 1) & (s->size - 1)) {
                size_t wanted = home(s, s->ids[at]);

                if (((at - wanted) & (s->size - 1)) >= ((at - hole) & (s->size - 1))) {
                        s->ids[hole] = s->ids[at];
                        s->ids[at] = 0;
                        hole = at;
                }
        }
}
