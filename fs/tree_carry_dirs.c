/* tree_carry_dirs.c: what becomes of directories at a switch.
 *
 * A directory's fate depends on that of the one above it, so they are asked for from above to below, each once. */
#include "fs/tree_carry.h"

static size_t home(const struct carry *c, uint64_t id)
{
        return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (c->dir_size - 1);
}

static size_t find(const struct carry *c, uint64_t id)
{
        size_t at = home(c, id);

        while (c->dirs[at] && c->dirs[at]->id != id)
                at = (at + 1) & (c->dir_size - 1);
        return at;
}

static int grow(struct carry *c)
{
        struct carry_dir **old = c->dirs;
        size_t size = c->dir_size;

        c->dirs = calloc(size ? 2 * size : 64, sizeof(struct carry_dir *));
        if (!c->dirs) {
                c->dirs = old;
                return -ENOMEM;
        }
        c->dir_size = size ? 2 * size : 64;
        for (size_t i = 0; i < size; i++)
                if (old[i])
                        c->dirs[find(c, old[i]->id)] = old[i];
        free(old);
        return 0;
}

int carry_dir(struct carry *c, uint64_t id, struct carry_dir **ret)
{
        struct carry_dir *d;
        size_t at;

        if (2 * (c->dir_count + 1) > c->dir_size && grow(c) < 0)
                return -ENOMEM;
        at = find(c, id);
        if (!c->dirs[at]) {
                d = calloc(1, sizeof(*d));
                if (!d)
                        return -ENOMEM;
                d->id = id;
                c->dirs[at] = d;
                c->dir_count++;
        }
        *ret = c->dirs[at];
        return 0;
}

void carry_dirs_release(struct carry *c)
{
        for (size_t i = 0; i < c->dir_size; i++) {
                if (!c->dirs[i])
                        continue;
                free(c->dirs[i]->path);
                free(c->dirs[i]->name);
                free(c->dirs[i]);
        }
        free(c->dirs);
}

static bool is_in_pycache(const char *path)
{
        static const char cache[] = "__pycache__";
        const size_t len = sizeof(cache) - 1;

        for (const char *at = path; (at = strstr(at, cache)); at += len)
                if ((at == path || at[-1] == '/') && (at[len] == '/' || at[len] == 0))
                        return true;
        return false;
}

int carry_dir_path(struct carry *c, uint64_t id, struct carry_dir **ret)
{
        cleanup_buf struct buf path = { 0 };
        struct carry_dir *d;
        int r = carry_dir(c, id, &d);

        if (r < 0)
                return r;
        if (!d->path) {
                r = tree_path_locked(c->t, id, &path);
                /* Without the old view, or with rows that should not be there: it must have some path in kept. */
                if (r < 0) {
                        buf_clear(&path);
                        r = buf_printf(&path, "unknown/%llx", (unsigned long long)id);
                }
                if (r < 0)
                        return r;
                d->path = strdup(path.data ? path.data : "");
                if (!d->path)
                        return -ENOMEM;
                d->generated = is_in_pycache(d->path);
        }
        *ret = d;
        return 0;
}

int carry_need(struct carry *c, uint64_t dir)
{
        int r = 0;

        while (r == 0) {
                cleanup_buf struct buf name = { 0 };
                struct carry_dir *d;

                r = carry_dir(c, dir, &d);
                if (r < 0 || d->needed)
                        return r;
                d->needed = true;
                if (dir == NODE_ROOT || dir == NODE_DATA)
                        return 0;
                r = tree_place(c->t, dir, &dir, &name);
        }
        return r == -ENOENT ? 0 : r;
}

/* Fates -------------------------------------------------------------------------------------------------------- */

struct row {
        uint64_t dir;
        uint32_t horizon;
        struct buf name;
        bool found;
};

static int take_row(const struct edit_entry *n, void *user)
{
        struct row *row = user;

        row->found = true;
        row->dir = n->dir;
        row->horizon = n->horizon;
        return buf_add(&row->name, n->name.data, n->name.len) < 0 ? -ENOMEM : 1;
}

static int above(struct carry *c, uint64_t dir, struct carry_dir **ret)
{
        int r = carry_dir(c, dir, ret);

        return r < 0 ? r : carry_fate(c, *ret);
}

/* What could be seen in it.  Of files that go with their package, which the user gave these names, all; else the store
 * has them still. */
static int lose_moved(struct carry *c, struct carry_dir *d, enum carry_lost which)
{
        struct carry_dir *with_path;
        int r = carry_dir_path(c, d->id, &with_path);

        return r < 0 ? r : carry_lose_tree(c, d->path, d->id, which);
}

/* Does a directory show one of the view that is not the one at its own name, since it was moved?  Then it takes that
 * along. */
static int is_elsewhere(struct carry *c, const struct edit_node *n, const struct row *row, bool *ret)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir;
        int r;

        *ret = false;
        if (n->below == 0 || n->below == n->id)
                return 0;
        r = view_place(c->old, n->below, &dir, &name);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = r < 0 || tree_above_locked(c->t, dir) != row->dir || strcmp(name.data, row->name.data) != 0;
        return 0;
}

/* Nothing newer has the name of a directory that a row names. */
static void stay(struct carry *c, struct carry_dir *d, const struct edit_node *n)
{
        uint64_t shown = n->below;

        if (shown && carry_leaves(c, shown) && view_successor(c->old, shown, c->next, &shown) < 0)
                shown = 0;
        /* Its lowest provider left: it goes on with the others, by the number that it had. */
        d->elsewhere = shown && (d->was_elsewhere || (n->below == d->id && shown != d->id));
        d->below = n->below == d->id || d->elsewhere ? shown : 0;
        /* It was kept for a directory of the view that had another id.  What had been kept for the user's files is the
         * user's, whether there are any left or not. */
        d->gone = d->below == 0 && n->below != 0 && !edits_is_new(d->id) && !d->needed;
}

/* One that stayed for the user's files, where he had moved it, and that the view has again where it was: a `dir` row
 * had its id, since something hid it there for a while. */
static bool is_back(const struct carry *c, uint64_t id)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir;

        return !edits_is_new(id) && view_place(c->next, id, &dir, &name) == 0;
}

/* A directory that a row names. */
static int named_fate(struct carry *c, struct carry_dir *d, const struct row *row)
{
        struct edit_node n = { 0 };
        struct carry_dir *up;
        struct node there;
        uint64_t left;
        bool moved, leaves;
        int r = above(c, row->dir, &up);

        if (r == 0)
                r = edits_node_get(c->t->edits, d->id, &n);
        moved = n.below == d->id;
        if (r == -ENOENT || (r == 0 && n.links == 0)) {
                d->gone = true;
                return 0;
        }
        if (r == 0)
                r = is_elsewhere(c, &n, row, &d->was_elsewhere);
        if (r < 0)
                return r;
        leaves = moved && carry_leaves(c, d->id) && view_successor(c->old, d->id, c->next, &left) < 0;
        d->gone = up->gone || (leaves && !d->needed);
        if (d->gone)
                return moved ? lose_moved(c, d, leaves ? LOST_ALL : LOST_USERS) : 0;
        if (leaves) { /* from now on it has what the user has put there */
                r = lose_moved(c, d, LOST_LEAVING);
                if (r < 0)
                        return r;
                n.below = 0;
                moved = false;
        }
        r = carry_lookup(c, up->below, row->name.data, &there);
        if (r < 0 && r != -ENOENT)
                return r;
        /* Whatever the horizon: what hid it there may be gone, and a directory has one name. */
        d->home = r == 0 && there.id == d->id;
        if (!d->home && n.below != d->id && is_back(c, d->id)) {
                d->gone = true;
                return lose_moved(c, d, LOST_USERS);
        }
        if (!d->home && (r == -ENOENT || !carry_is_newer(c, there.id, row->horizon))) {
                stay(c, d, &n);
                return 0;
        }
        if (S_ISDIR(there.st.st_mode) && (!moved || d->home)) {
                d->below = there.id;
                return 0;
        }
        /* Something newer has the name. */
        d->gone = true;
        return moved ? lose_moved(c, d, LOST_USERS) : 0;
}

/* The horizon of a row that names a directory from now on which the view no longer has.  A whiteout may be there,
 * from before the directory came: what that hid stays hidden.  Else what the view has there is to be seen through
 * it. */
static int own_horizon(struct carry *c, const struct carry_dir *up, const char *name, struct node *there,
                       bool *is_there, uint32_t *ret)
{
        struct edit_entry row;
        int r = edits_entry_get(c->t->edits, up->id, name, strlen(name), &row);

        if (r == 0) {
                *ret = row.horizon;
                *is_there = *is_there && carry_is_newer(c, there->id, row.horizon);
                return 0;
        }
        if (r != -ENOENT)
                return r;
        *ret = view_horizon(c->old);
        /* Below all of it, and all that is pinned in it: a row that keeps some of it apart would take that away. */
        if (*is_there && view_cut_horizon(c->next, up->below, name, strlen(name), ret) < 0)
                *ret = 0;
        return 0;
}

/* A directory where the view has it. */
static int home_fate(struct carry *c, struct carry_dir *d)
{
        cleanup_buf struct buf name = { 0 };
        struct carry_dir *up;
        struct node there;
        uint64_t dir, shown;
        bool is_there;
        mode_t type;
        int r = tree_place(c->t, d->id, &dir, &name);

        d->gone = true;
        if (r == 0)
                r = tree_resolve(c->t, dir, name.data, name.len, &shown, &type);
        if (r == -ENOENT || (r == 0 && shown != d->id))
                return 0;
        if (r == 0)
                r = above(c, dir, &up);
        if (r < 0 || up->gone)
                return r;
        r = carry_lookup(c, up->below, name.data, &there);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && there.id == d->id) {
                d->gone = false;
                d->below = d->id;
                return 0;
        }
        is_there = r == 0;
        r = own_horizon(c, up, name.data, &there, &is_there, &d->horizon);
        if (r < 0 || (is_there && !S_ISDIR(there.st.st_mode)) || (!d->needed && !(d->split && is_there)))
                return r;
        d->name = strdup(name.data);
        if (!d->name)
                return -ENOMEM;
        d->gone = false;
        d->own = true;
        d->parent = dir;
        d->below = is_there ? there.id : 0;
        return 0;
}

int carry_fate(struct carry *c, struct carry_dir *d)
{
        struct row row = { 0 };
        int r;

        if (d->known)
                return 0;
        if (d->busy) { /* above itself: no rows of ours */
                d->gone = true;
                return 0;
        }
        if (d->id == NODE_ROOT || d->id == NODE_DATA) {
                d->known = true;
                d->below = d->id;
                return 0;
        }
        d->busy = true;
        r = edits_entries_of(c->t->edits, d->id, take_row, &row);
        if (r >= 0)
                r = row.found ? named_fate(c, d, &row) : home_fate(c, d);
        buf_release(&row.name);
        d->busy = false;
        d->known = r == 0;
        return r;
}
