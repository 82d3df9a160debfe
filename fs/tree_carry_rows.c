/* tree_carry_rows.c: what becomes of names at a switch. */
#include "fs/tree_carry.h"

#include <stdio.h>

static int add_entry(const struct edit_entry *n, void *user)
{
        struct carry *c = user;

        if (c->entry_count == c->entry_cap) {
                size_t cap = c->entry_cap ? 2 * c->entry_cap : 64;
                struct carry_entry *more = realloc(c->entries, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                c->entries = more;
                c->entry_cap = cap;
        }
        char *name = strndup(n->name.data, n->name.len);

        if (!name)
                return -ENOMEM;
        c->entries[c->entry_count++] = (struct carry_entry){
                .dir = n->dir, .id = n->id, .name = name, .type = n->type, .horizon = n->horizon,
        };
        return 0;
}

int carry_load(struct carry *c)
{
        int r = edits_all_entries(c->t->edits, add_entry, c);

        return r < 0 ? r : edits_cuts_each(c->t->edits, tree_cuts_add_kept, &c->cuts);
}

bool carry_is_generated_name(const char *name)
{
        size_t len = strlen(name);

        return strcmp(name, "__pycache__") == 0 ||
               (len > 4 && (strcmp(name + len - 4, ".nbi") == 0 || strcmp(name + len - 4, ".nbc") == 0));
}

static bool is_generated(const struct carry_dir *d, const struct carry_entry *e)
{
        return d->generated || carry_is_generated_name(e->name);
}

static bool is_file(const struct carry_entry *e)
{
        return e->id != 0 && !S_ISDIR(e->type);
}

/* Planning, with the old rows ---------------------------------------------------------------------------------- */

/* Is it the user's, so that the directory must stay for it? */
static int is_needed(struct carry *c, const struct carry_dir *d, const struct carry_entry *e, bool *ret)
{
        struct edit_node n;
        uint64_t left;
        int r;

        *ret = false;
        if (e->id == 0 || is_generated(d, e))
                return 0;
        if (edits_is_new(e->id)) {
                *ret = true;
                return 0;
        }
        if (!S_ISDIR(e->type)) {
                *ret = !carry_leaves(c, e->id);
                return 0;
        }
        /* One that lost its providers earlier counts by what is in it. */
        r = edits_node_get(c->t->edits, e->id, &n);
        if (r == 0)
                *ret = n.below == e->id &&
                       (!carry_leaves(c, e->id) || view_successor(c->old, e->id, c->next, &left) == 0);
        return r == -ENOENT ? 0 : r;
}

/* The source of a generated file: NAME up to a dot, with .py behind it: "a.cpython-312.pyc", "a.f-7.py312.1.nbc".
 * Names may have dots themselves, so the longest that is there counts. */
static int find_source(struct carry *c, const struct carry_dir *d, struct carry_entry *e)
{
        cleanup_buf struct buf up_name = { 0 };
        const char *slash = strrchr(d->path, '/');
        uint64_t dir = d->id;
        int r = 0;

        if (strcmp(slash ? slash + 1 : d->path, "__pycache__") == 0)
                r = tree_place(c->t, d->id, &dir, &up_name);
        for (size_t len = strlen(e->name); r == 0 && len > 0; len--) {
                cleanup_buf struct buf source = { 0 };
                uint64_t id;
                mode_t type;

                if (e->name[len] != '.')
                        continue;
                r = buf_printf(&source, "%.*s.py", (int)len, e->name);
                if (r == 0)
                        r = tree_resolve(c->t, dir, source.data, source.len, &id, &type);
                if (r == -ENOENT) {
                        r = 0;
                        continue;
                }
                if (r < 0)
                        return r;
                e->source = strdup(source.data);
                e->source_dir = dir;
                e->source_id = id;
                return e->source ? 0 : -ENOMEM;
        }
        return r == -ENOENT ? 0 : r;
}

int carry_plan(struct carry *c)
{
        int r = 0;

        for (size_t i = 0; i < c->entry_count && r == 0; i++) {
                struct carry_entry *e = &c->entries[i];
                struct carry_dir *d;
                bool needed = false;

                r = carry_dir_path(c, e->dir, &d);
                if (r == 0)
                        r = is_needed(c, d, e, &needed);
                if (r == 0 && needed)
                        r = carry_need(c, e->dir);
                if (r == 0 && is_file(e) && is_generated(d, e))
                        r = find_source(c, d, e);
        }
        if (r == 0)
                r = carry_plan_cuts(c);
        for (size_t i = 0; i < c->entry_count && r == 0; i++) {
                struct carry_entry *e = &c->entries[i];
                struct carry_dir *d;

                r = carry_dir(c, e->dir, &d);
                if (r == 0)
                        r = carry_fate(c, d);
                if (r == 0 && e->id && S_ISDIR(e->type)) {
                        r = carry_dir_path(c, e->id, &d);
                        if (r == 0)
                                r = carry_fate(c, d);
                }
        }
        return r;
}

/* Applying ----------------------------------------------------------------------------------------------------- */

static int lose_entry(struct carry *c, const struct carry_dir *d, const struct carry_entry *e)
{
        cleanup_buf struct buf path = { 0 };
        int r;

        if (!is_file(e) || is_generated(d, e))
                return 0;
        r = buf_printf(&path, "%s%s%s", d->path, *d->path ? "/" : "", e->name);
        return r < 0 ? r : carry_lose(c, path.data, e->id);
}

/* Did the view have something newer than the row at its name?  Of a cut name commits do not know: one that has a
 * directory taken away by the user and then a package's, or the other way round, is a folder to them all the time. */
static bool was_shown(const struct carry *c, const struct carry_dir *d, const struct carry_entry *e)
{
        struct node was;
        uint32_t newest;

        return d->was_below && view_lookup(c->old, d->was_below, e->name, strlen(e->name), &was) == 0 &&
               view_newest(c->old, was.id, &newest) == 0 && newest > e->horizon;
}

/* The name is the next view's; but what the row hid, or keeps apart, stays so. */
static int drop_row(struct carry *c, struct carry_dir *d, struct carry_entry *e)
{
        size_t len = strlen(e->name);
        struct edit_entry row = { d->id, 0, { e->name, len }, 0, 0, e->horizon };
        struct node there;
        uint32_t cut = 0;
        bool hides = d->below && view_cut_horizon(c->next, d->below, e->name, len, &cut) == 0, shown;
        int r = carry_lookup(c, d->below, e->name, &there);

        if (r < 0 && r != -ENOENT)
                return r;
        shown = r == 0 && carry_is_newer(c, there.id, e->horizon);
        if (r == 0 && !shown)
                hides = true;
        if (row.horizon < cut)
                row.horizon = cut;
        e->dropped = true;
        if (e->id || (r == 0 && !hides) || shown != was_shown(c, d, e)) {
                d->touched = true;
                r = carry_changed(c, d->id, e->name);
                if (r < 0)
                        return r;
        }
        return hides ? edits_entry_put(c->t->edits, &row) : edits_entry_drop(c->t->edits, d->id, e->name, len);
}

/* The name shows the same node without the row: nobody is told, and only what the row keeps apart is left of
 * it. */
static int come_home(struct carry *c, const struct carry_dir *d, const struct carry_entry *e)
{
        size_t len = strlen(e->name);
        struct edit_entry row = { d->id, 0, { e->name, len }, 0, 0, 0 };

        if (view_cut_horizon(c->next, d->below, e->name, len, &row.horizon) == 0)
                return edits_entry_put(c->t->edits, &row);
        return edits_entry_drop(c->t->edits, d->id, e->name, len);
}

static int apply_file(struct carry *c, struct carry_dir *d, struct carry_entry *e)
{
        struct node there;
        int r = carry_lookup(c, d->below, e->name, &there);

        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && there.id == e->id)
                return come_home(c, d, e);
        if (!(r == 0 && carry_is_newer(c, there.id, e->horizon)) && (edits_is_new(e->id) || !carry_leaves(c, e->id)))
                return 0;
        r = lose_entry(c, d, e);
        return r < 0 ? r : drop_row(c, d, e);
}

static int apply_entry(struct carry *c, struct carry_entry *e)
{
        struct carry_dir *d, *sub;
        int r = carry_dir(c, e->dir, &d);

        if (r == 0 && d->gone) {
                e->dropped = true;
                r = lose_entry(c, d, e);
                return r < 0 ? r : edits_entry_drop(c->t->edits, e->dir, e->name, strlen(e->name));
        }
        if (r < 0)
                return r;
        if (e->id == 0)
                return drop_row(c, d, e);
        if (!S_ISDIR(e->type))
                return apply_file(c, d, e);
        r = carry_dir(c, e->id, &sub);
        if (r == 0 && sub->home)
                return come_home(c, d, e);
        return r < 0 || !sub->gone ? r : drop_row(c, d, e);
}

/* A directory with rows of names has one itself; its time stays, as the name shows what it showed. */
static int make_row(struct carry *c, uint64_t dir)
{
        struct carry_dir *d;
        struct edit_node n;
        bool stored;
        int r = carry_dir(c, dir, &d);

        if (r == 0)
                r = tree_node(c->t, dir, &n, &stored);
        if (r < 0)
                return r;
        n.links = 1;
        if (!stored) {
                d->was_below = n.below;
                d->time = n.mtime;
        }
        return stored ? 0 : edits_node_put(c->t->edits, &n);
}

/* A directory that the view no longer has. */
static int own_dir(struct carry *c, struct carry_dir *d)
{
        struct edit_node n;
        bool stored;
        int r = tree_node(c->t, d->id, &n, &stored);

        if (r == 0)
                r = make_row(c, d->parent);
        if (r < 0)
                return r;
        const struct edit_entry row = { d->parent, 0, span_of(d->name), d->id, S_IFDIR, d->horizon };

        n.parent = d->parent;
        n.links = 1;
        if (!stored) {
                d->was_below = d->id;
                d->time = n.mtime;
        }
        r = edits_node_put(c->t->edits, &n);
        /* Nobody needs to be told: the name shows what it showed. */
        return r < 0 ? r : edits_entry_put(c->t->edits, &row);
}

int carry_apply_entries(struct carry *c)
{
        int r = 0;

        for (size_t i = 0; i < c->entry_count && r == 0; i++)
                r = apply_entry(c, &c->entries[i]);
        /* After the names, so that a row which was there for one of them is replaced. */
        for (size_t i = 0; i < c->dir_size && r == 0; i++)
                if (c->dirs[i] && c->dirs[i]->own && !c->dirs[i]->gone)
                        r = own_dir(c, c->dirs[i]);
        for (size_t i = 0; i < c->dir_size && r == 0; i++)
                if (c->dirs[i] && c->dirs[i]->dated && !c->dirs[i]->gone)
                        r = make_row(c, c->dirs[i]->id);
        return r;
}

/* Generated files, when all other names are what they will be ---------------------------------------------------- */

static int is_stale(struct carry *c, const struct carry_entry *e, bool *ret)
{
        uint64_t id;
        mode_t type;
        int r = e->source ? tree_resolve(&c->after, e->source_dir, e->source, strlen(e->source), &id, &type) : -ENOENT;

        *ret = e->source && (r == -ENOENT || (r == 0 && id != e->source_id));
        return r == -ENOENT ? 0 : r;
}

/* A __pycache__ of the edits with nothing in it. */
static int drop_empty(struct carry *c, struct carry_entry *e)
{
        struct carry_dir *d, *sub;
        bool empty;
        int r = carry_dir(c, e->id, &sub);

        if (r < 0 || sub->gone || !sub->touched || sub->below)
                return r;
        r = tree_is_empty_dir(&c->after, e->id, &empty);
        if (r < 0 || !empty)
                return r;
        sub->gone = true;
        r = carry_dir(c, e->dir, &d);
        return r < 0 ? r : drop_row(c, d, e);
}

int carry_apply_generated(struct carry *c)
{
        int r = 0;

        for (size_t i = 0; i < c->entry_count && r == 0; i++) {
                struct carry_entry *e = &c->entries[i];
                struct carry_dir *d;
                bool stale = false;

                if (e->dropped || !e->source)
                        continue;
                r = is_stale(c, e, &stale);
                if (r == 0 && stale)
                        r = carry_dir(c, e->dir, &d);
                if (r == 0 && stale)
                        r = drop_row(c, d, e);
        }
        for (size_t i = 0; i < c->entry_count && r == 0; i++) {
                struct carry_entry *e = &c->entries[i];

                if (!e->dropped && S_ISDIR(e->type) && strcmp(e->name, "__pycache__") == 0)
                        r = drop_empty(c, e);
        }
        return r;
}
