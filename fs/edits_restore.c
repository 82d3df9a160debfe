/* edits_restore.c: the rows of what is made the environment's again.
 *
 * All names go first, in any order; then each node that was touched is looked at as it then is: one that the view
 * shows as it is needs no row. */
#include "fs/edits_revert.h"

#include "fs/view_private.h"

struct ids {
        uint64_t *list;
        size_t count;
        size_t cap;
};

struct restoring {
        struct edit_items *items;
        struct tree *tree;
        const bool *chosen;
        struct tree_changes *changes;
        struct ids files;  /* nodes to be looked at, directories apart */
        struct ids dirs;
        struct ids made;   /* of those that were made here: those that lose a name */
        struct ids reset;  /* whose bytes and owner are to be the view's */
        struct ids freed;  /* data files that nobody needs any more */
        struct ids gone;   /* without links from now on */
        struct ids back;   /* had none, and are seen again */
        int64_t now;
};

static int add_id(struct ids *ids, uint64_t id)
{
        if (ids->count == ids->cap) {
                size_t cap = ids->cap ? 2 * ids->cap : 64;
                uint64_t *more = reallocarray(ids->list, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                ids->list = more;
                ids->cap = cap;
        }
        ids->list[ids->count++] = id;
        return 0;
}

static int by_id(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static void settle(struct ids *ids)
{
        size_t n = 0;

        if (ids->count)
                qsort(ids->list, ids->count, sizeof(*ids->list), by_id);
        for (size_t i = 0; i < ids->count; i++)
                if (i == 0 || ids->list[i] != ids->list[i - 1])
                        ids->list[n++] = ids->list[i];
        ids->count = n;
}

static int tell(struct restoring *r, uint64_t dir, const char *name)
{
        return tree_changes_add(r->changes, dir, name);
}

/* Names -------------------------------------------------------------------------------------------------------- */

static int drop_name(struct restoring *r, uint64_t dir, const char *name)
{
        int e = tree_free_name(r->tree, dir, name);

        if (e == 0 || e == -ENOENT)
                e = add_id(&r->dirs, dir);
        return e < 0 ? e : tell(r, dir, name);
}

static int drop_names(struct restoring *r, const struct edit_item *item)
{
        /* Of a package that has left it is made here, too; and what shows another has that go back without it. */
        bool made = edits_is_new(item->id) || item->kind == EDIT_ADDED ||
                    (item->kind == EDIT_MOVED && item->shows != item->id);
        struct ids *ids = made ? &r->made : S_ISDIR(item->mode) ? &r->dirs : &r->files;
        int e = add_id(ids, item->id);

        if (e == 0 && item->kind == EDIT_MODIFIED)
                e = add_id(&r->reset, item->id);
        if (e == 0 && item->name)
                e = drop_name(r, item->dir, item->name);
        if (e == 0 && item->kind == EDIT_MOVED)
                e = drop_name(r, item->origin_dir, item->origin_name);
        return e;
}

/* Nodes -------------------------------------------------------------------------------------------------------- */

static int count_one(const struct edit_entry *n, void *user)
{
        (void)n;
        ++*(uint32_t *)user;
        return 0;
}

static int lose_names(struct restoring *r, uint64_t id);

struct losing {
        struct restoring *restoring;
        struct ids made;
};

static int take_child(const struct edit_entry *n, void *user)
{
        struct losing *l = user;
        struct restoring *r = l->restoring;

        if (n->id == 0)
                return 0;
        if (edits_is_new(n->id) || view_is_retired(tree_current(r->tree), n->id))
                return add_id(&l->made, n->id);
        return add_id(S_ISDIR(n->type) ? &r->dirs : &r->files, n->id);
}

/* What is no change of its own, as it was where the environment has it, loses its name with the directory. */
static int lose_rows(struct restoring *r, uint64_t dir)
{
        struct losing l = { .restoring = r };
        int e = edits_entries(r->tree->edits, dir, 0, 0, take_child, &l);

        if (e == 0)
                e = edits_drop_dir(r->tree->edits, dir);
        for (size_t i = 0; e == 0 && i < l.made.count; i++)
                e = lose_names(r, l.made.list[i]);
        free(l.made.list);
        return e;
}

static int lose_names(struct restoring *r, uint64_t id)
{
        struct edit_node n;
        uint32_t names = 0;
        int e = edits_node_get(r->tree->edits, id, &n);

        if (e == 0)
                e = edits_entries_of(r->tree->edits, id, count_one, &names);
        if (e == 0 && S_ISDIR(n.mode))
                e = lose_rows(r, id);
        if (e < 0)
                return e == -ENOENT ? tell(r, id, NULL) : e;
        n.links = names;
        n.ctime = r->now;
        e = edits_node_put(r->tree->edits, &n);
        if (e == 0 && names == 0)
                e = add_id(&r->gone, id);
        return e < 0 ? e : tell(r, id, NULL);
}

static bool is_reset(const struct restoring *r, uint64_t id)
{
        return r->reset.count && bsearch(&id, r->reset.list, r->reset.count, sizeof(id), by_id);
}

/* Is a node shown where the view has it? */
static bool is_at_home(struct tree *t, uint64_t id)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir, found;
        mode_t type;

        if (view_place(tree_current(t), id, &dir, &name) < 0)
                return false;
        return tree_resolve(t, tree_above_locked(t, dir), name.data, name.len, &found, &type) == 0 && found == id;
}

static int drop_node(struct restoring *r, const struct edit_node *n)
{
        int e = edits_node_drop(r->tree->edits, n->id);

        if (e == 0 && n->data)
                e = add_id(&r->freed, n->id);
        if (e == 0)
                e = add_id(&r->back, n->id);
        return e < 0 ? e : tell(r, n->id, NULL);
}

static bool has_same_owner(const struct edit_node *n, const struct node *v)
{
        return n->mode == v->st.st_mode && n->uid == v->st.st_uid && n->gid == v->st.st_gid;
}

static int look_at_file(struct restoring *r, uint64_t id)
{
        struct edit_node n;
        struct node v;
        uint32_t names = 0;
        bool home = is_at_home(r->tree, id), plain;
        int e = edits_node_get(r->tree->edits, id, &n);

        if (e == 0)
                e = view_getattr(tree_current(r->tree), id, &v);
        if (e == 0)
                e = edits_entries_of(r->tree->edits, id, count_one, &names);
        if (e < 0)
                return e == -ENOENT ? tell(r, id, NULL) : e;
        plain = is_reset(r, id) || n.links == 0;
        if (home && names == 0 && (plain || (!n.data && has_same_owner(&n, &v))))
                return drop_node(r, &n);
        if (plain && n.data)
                e = add_id(&r->freed, id);
        if (plain) {
                n.data = false;
                n.mode = v.st.st_mode;
                n.uid = v.st.st_uid;
                n.gid = v.st.st_gid;
                n.mtime = tree_ns(v.st.st_mtim);
        }
        n.links = names + home;
        n.ctime = r->now;
        if (e == 0)
                e = edits_node_put(r->tree->edits, &n);
        if (e == 0 && n.links == 0)
                e = add_id(&r->gone, id);
        return e < 0 ? e : tell(r, id, NULL);
}

struct counting {
        struct tree *tree;
        uint64_t below;
        int32_t subdirs;
        size_t rows;
};

/* How many directories more than the view's its rows show. */
static int count_subdirs(const struct edit_entry *n, void *user)
{
        struct counting *c = user;
        struct node v;
        bool there = c->below && view_lookup(tree_current(c->tree), c->below, n->name.data, n->name.len, &v) == 0;

        c->rows++;
        if (there && !tree_row_hides(c->tree, n, v.id, v.st.st_mode))
                return 0;
        c->subdirs += (n->id && S_ISDIR(n->type) ? 1 : 0) - (there && S_ISDIR(v.st.st_mode) ? 1 : 0);
        return 0;
}

static int look_at_dir(struct restoring *r, uint64_t id)
{
        struct counting c = { .tree = r->tree };
        struct edit_node n;
        struct node v;
        bool stored, home = id == NODE_ROOT || (!edits_is_new(id) && is_at_home(r->tree, id));
        int e = tree_node(r->tree, id, &n, &stored);

        if (e < 0 || (n.links == 0 && !home))
                return e == -ENOENT ? 0 : e;
        c.below = n.below;
        e = edits_entries(r->tree->edits, id, 0, 0, count_subdirs, &c);
        if (e < 0)
                return e;
        /* One whose number is of a slot that left shows what it shows. */
        if (!edits_is_new(id) && view_getattr(tree_current(r->tree), id, &v) == 0) {
                if (is_reset(r, id) || n.links == 0) {
                        n.mode = v.st.st_mode;
                        n.uid = v.st.st_uid;
                        n.gid = v.st.st_gid;
                }
                if (home && c.rows == 0 && n.below == id && has_same_owner(&n, &v))
                        return stored ? drop_node(r, &n) : tell(r, id, NULL);
                if (home)
                        n.parent = 0;
        }
        n.links = 1;
        n.subdirs = c.subdirs;
        n.mtime = n.ctime = r->now;
        e = edits_node_put(r->tree->edits, &n);
        return e < 0 ? e : tell(r, id, NULL);
}

/* What was removed with a directory, and is held open or was not yet forgotten, is the view's again with it. */
static int note_removed(const struct edit_node *n, void *user)
{
        struct restoring *r = user;

        return n->links || edits_is_new(n->id) ? 0 : add_id(&r->made, n->id);
}

static int bring_back(struct restoring *r)
{
        bool more = true;
        int e;

        r->made.count = 0;
        e = edits_nodes(r->tree->edits, note_removed, r);
        while (e == 0 && more) {
                more = false;
                for (size_t i = 0; e == 0 && i < r->made.count; i++) {
                        cleanup_buf struct buf path = { 0 };
                        struct edit_node n;

                        if (edits_node_get(r->tree->edits, r->made.list[i], &n) < 0 || n.links)
                                continue;
                        if (tree_path_locked(r->tree, n.id, &path) < 0)
                                continue;
                        e = drop_node(r, &n);
                        more = true;
                }
        }
        return e;
}

/* All of it ---------------------------------------------------------------------------------------------------- */

static int change_rows(struct restoring *r)
{
        int e = 0;

        for (size_t i = 0; e == 0 && i < r->items->count; i++)
                if (r->chosen[i])
                        e = drop_names(r, &r->items->list[i]);
        settle(&r->made);
        settle(&r->files);
        settle(&r->reset);
        settle(&r->dirs);
        for (size_t i = 0; e == 0 && i < r->made.count; i++)
                e = lose_names(r, r->made.list[i]);
        /* Directories first: what is in one that was removed is at home when it is. */
        for (size_t i = 0; e == 0 && i < r->dirs.count; i++)
                e = look_at_dir(r, r->dirs.list[i]);
        for (size_t i = 0; e == 0 && i < r->files.count; i++)
                e = look_at_file(r, r->files.list[i]);
        if (e == 0)
                e = bring_back(r);
        return e < 0 ? e : tree_cuts_keep(r->tree);
}

static void finish(struct restoring *r)
{
        struct tree *t = r->tree;

        for (size_t i = 0; i < r->back.count; i++)
                id_set_remove(&t->removed, r->back.list[i]);
        /* Without memory for its id the row stays until the next mount. */
        for (size_t i = 0; i < r->gone.count; i++)
                (void)id_set_add(&t->removed, r->gone.list[i]);
        /* As long as the old rows may come back after a power cut, so may their files. */
        bool synced = r->freed.count == 0 || edits_sync(t->edits) == 0;

        for (size_t i = 0; synced && i < r->freed.count; i++)
                (void)edit_file_remove(t->data, r->freed.list[i]);
}

int edits_restore(struct edit_items *items, const bool *chosen, struct tree_changes *changes)
{
        struct restoring r = { .items = items, .tree = items->tree, .chosen = chosen, .changes = changes };
        int e = edits_begin(r.tree->edits);

        if (e == 0) {
                r.now = tree_now(r.tree);
                e = change_rows(&r);
                if (e == 0)
                        e = tree_announce(r.tree, changes);
                if (e == 0)
                        e = edits_commit(r.tree->edits);
                else
                        edits_rollback(r.tree->edits);
        }
        if (e == 0)
                finish(&r);
        free(r.files.list);
        free(r.dirs.list);
        free(r.made.list);
        free(r.reset.list);
        free(r.freed.list);
        free(r.gone.list);
        free(r.back.list);
        return e;
}
