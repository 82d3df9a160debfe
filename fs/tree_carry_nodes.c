/* tree_carry_nodes.c: what becomes of nodes at a switch, once all names are what they will be. */
#include "fs/tree_carry.h"
#include "store/image.h"

static int count_name(const struct edit_entry *n, void *user)
{
        (void)n;
        ++*(uint32_t *)user;
        return 0;
}

/* Is it shown where the view has it?  The row of a directory that was removed may be gone, so the whole path is
 * looked at. */
static int is_at_home(struct tree *t, uint64_t id, bool *ret)
{
        cleanup_buf struct buf name = { 0 }, path = { 0 };
        uint64_t dir, shown = 0;
        mode_t type;
        int r = edits_is_new(id) ? -ENOENT : view_place(tree_current(t), id, &dir, &name);

        if (r == 0)
                r = tree_resolve(t, tree_above_locked(t, dir), name.data, name.len, &shown, &type);
        if (r == 0 && shown == id)
                r = tree_path_locked(t, tree_above_locked(t, dir), &path);
        *ret = r == 0 && shown == id;
        return r == -ENOENT ? 0 : r;
}

static int forget(struct carry *c, uint64_t id)
{
        uint64_t *more = reallocarray(c->forgotten, c->forgotten_count + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        c->forgotten = more;
        more[c->forgotten_count++] = id;
        return edits_node_drop(c->t->edits, id);
}

/* No name any more: it stays for those who hold it. */
static int remove_node(struct carry *c, struct edit_node *n)
{
        int r = id_set_add(&c->removed, n->id);

        n->links = 0;
        n->subdirs = 0;
        n->ctime = c->now;
        if (r == 0)
                r = edits_node_put(c->t->edits, n);
        return r < 0 ? r : carry_changed(c, n->id, NULL);
}

/* What the user changed in a file of the view that is not shown any more. */
static int lose_home(struct carry *c, uint64_t id)
{
        size_t low = 0, high = c->homes.count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (c->homes.list[mid].id < id)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < c->homes.count && c->homes.list[low].id == id ? carry_lose(c, c->homes.list[low].path, id) : 0;
}

static int apply_file(struct carry *c, struct edit_node *n)
{
        uint32_t names = 0;
        bool home = false;
        int r = edits_entries_of(c->t->edits, n->id, count_name, &names);

        if (r == 0)
                r = is_at_home(&c->after, n->id, &home);
        names += home;
        if (r < 0 || names == n->links)
                return r;
        if (names == 0) {
                r = lose_home(c, n->id);
                return r < 0 ? r : remove_node(c, n);
        }
        n->links = names;
        n->ctime = c->now;
        r = edits_node_put(c->t->edits, n);
        return r < 0 ? r : carry_changed(c, n->id, NULL);
}

/* Names that were seen through a directory, and may be others now; not those that a row stands for, and not those that
 * show the same. */
struct seen_through {
        struct carry *c;
        uint64_t dir;
        const struct view *other;
        uint64_t other_below;
        uint64_t was_below;
        bool silent; /* nobody is told */
        bool any;
};

/* Did a row say what the name was?  Then whoever dropped it has told of that.  They are in the order of the rows. */
static bool was_said(const struct carry *c, uint64_t dir, const char *name, uint64_t was_below)
{
        uint64_t cookie = image_cookie(name, strlen(name));
        size_t low = 0, high = c->entry_count;
        struct node there;

        while (low < high) {
                size_t mid = low + (high - low) / 2;
                const struct carry_entry *e = &c->entries[mid];

                if (e->dir < dir || (e->dir == dir && image_cookie(e->name, strlen(e->name)) < cookie))
                        low = mid + 1;
                else
                        high = mid;
        }
        for (; low < c->entry_count && c->entries[low].dir == dir; low++) {
                const struct carry_entry *e = &c->entries[low];
                const struct edit_entry row = { e->dir, cookie, span_of(e->name), e->id, e->type, e->horizon };

                if (image_cookie(e->name, strlen(e->name)) != cookie)
                        return false;
                if (strcmp(e->name, name) == 0)
                        return !was_below || view_lookup(c->old, was_below, name, strlen(name), &there) < 0 ||
                               tree_row_hides(c->t, &row, there.id, there.st.st_mode);
        }
        return false;
}

static int add_name(const struct view_dirent *d, void *user)
{
        struct seen_through *s = user;
        cleanup_free char *name = strndup(d->name.data, d->name.len);
        struct edit_entry row;
        struct node there;
        int r = name ? edits_entry_get(s->c->t->edits, s->dir, name, d->name.len, &row) : -ENOMEM;

        if (r == 0 && (tree_lookup_below(&s->c->after, s->dir, name, d->name.len, &there) < 0 ||
                       tree_row_hides(&s->c->after, &row, there.id, there.st.st_mode)))
                return 0;
        if (r < 0 && r != -ENOENT)
                return r;
        if (was_said(s->c, s->dir, name, s->was_below))
                return 0;
        if (s->other_below && view_lookup(s->other, s->other_below, name, d->name.len, &there) == 0 &&
            there.id == d->id)
                return 0;
        s->any = true;
        return s->silent ? 1 : carry_changed(s->c, s->dir, name);
}

/* How many more directories the rows show than the view has. */
struct delta {
        struct carry *c;
        uint64_t below;
        int32_t subdirs;
};

static int add_delta(const struct edit_entry *n, void *user)
{
        struct delta *d = user;
        struct node there;
        cleanup_free char *name = strndup(n->name.data, n->name.len);
        int r = name ? carry_lookup(d->c, d->below, name, &there) : -ENOMEM;

        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0 && !tree_row_hides(&d->c->after, n, there.id, there.st.st_mode))
                return 0;
        d->subdirs += (n->id && S_ISDIR(n->type)) - (r == 0 && S_ISDIR(there.st.st_mode));
        return 0;
}

/* *RET_ANY: there is one. */
static int see_names(struct carry *c, const struct carry_dir *d, bool silent, bool *ret_any)
{
        struct seen_through before = { c, d->id, c->next, d->below, d->was_below, silent, false };
        struct seen_through now = { c, d->id, c->old, d->was_below, d->was_below, silent, false };
        int r = 0;

        if (d->was_below)
                r = view_readdir(c->old, d->was_below, 0, add_name, &before);
        if ((r == 0 || r == -ENOENT) && d->below)
                r = view_readdir(c->next, d->below, 0, add_name, &now);
        *ret_any = before.any || now.any;
        return r == -ENOENT ? 0 : r;
}

/* The view's time is one of the path, or of the directory that its own is now: it moves with names alone. */
static int keep_time(struct carry *c, const struct carry_dir *d, struct edit_node *n, bool *ret_kept)
{
        struct edit_node shown;
        bool stored, other;
        int r = tree_node(&c->after, n->id, &shown, &stored);

        if (r < 0 || shown.mtime == d->time)
                return r;
        r = see_names(c, d, true, &other);
        if (r < 0 || other)
                return r;
        n->mtime = d->time;
        n->ctime = c->now; /* later than the view's, or that would be shown */
        *ret_kept = true;
        return 0;
}

/* Its time changes with what it shows, not with where that comes from. */
static int apply_dir(const struct edit_node *from, void *user)
{
        struct carry *c = user;
        struct delta delta = { .c = c };
        struct edit_node n = *from;
        struct carry_dir *d;
        bool other = false, kept = false;
        int r;

        if (!n.links || !S_ISDIR(n.mode))
                return 0;
        r = carry_dir(c, n.id, &d);
        if (r == 0 && d->gone) {
                r = edits_drop_dir(c->t->edits, n.id);
                return r < 0 ? r : remove_node(c, &n);
        }
        delta.below = n.below;
        if (r == 0)
                r = edits_entries(c->t->edits, n.id, 0, 0, add_delta, &delta);
        if (r == 0 && d->was_below != d->below)
                r = see_names(c, d, false, &other);
        if (r == 0 && !other && !d->touched)
                r = keep_time(c, d, &n, &kept);
        if (r < 0 || (d->was_below == d->below && n.subdirs == delta.subdirs && !d->touched && !kept))
                return r;
        n.subdirs = delta.subdirs;
        if (other || d->touched)
                n.mtime = n.ctime = c->now;
        r = edits_node_put(c->t->edits, &n);
        return r < 0 ? r : carry_changed(c, d->id, NULL);
}

static int apply_other(const struct edit_node *n, void *user)
{
        struct edit_node copy = *n;

        return n->links && !S_ISDIR(n->mode) ? apply_file(user, &copy) : 0;
}

/* A node that was hidden or removed, and what hid it is gone: the view's again, as it was. */
static int return_home(const struct edit_node *n, void *user)
{
        struct carry *c = user;
        bool home;
        int r;

        if (n->links || edits_is_new(n->id))
                return 0;
        r = is_at_home(&c->after, n->id, &home);
        if (r < 0 || !home)
                return r;
        r = carry_changed(c, n->id, NULL);
        return r < 0 ? r : forget(c, n->id);
}

/* A moved directory whose old place is seen again, since what hid that place for a while took the whiteout with it:
 * it has one name, or, when something newer took that, none. */
static int hide_home(struct carry *c, const struct carry_entry *e)
{
        cleanup_buf struct buf name = { 0 };
        struct carry_dir *d;
        uint32_t newest;
        uint64_t dir, shown;
        bool home;
        int r = carry_dir(c, e->id, &d);

        if (r < 0 || d->home || (!d->gone && !d->elsewhere && d->below != e->id))
                return r;
        shown = d->gone ? e->id : d->below;
        if (d->gone && d->was_elsewhere && view_successor(c->old, d->was_below, c->next, &shown) < 0)
                return 0;
        r = is_at_home(&c->after, shown, &home);
        if (r < 0 || !home)
                return r;
        r = view_place(c->next, shown, &dir, &name);
        if (r == 0)
                r = view_newest(c->next, shown, &newest);
        if (r < 0)
                return r;
        dir = tree_above_locked(c->t, dir);

        const struct edit_entry row = { dir, 0, { name.data, name.len }, 0, 0, newest };
        struct edit_node n;
        bool stored;

        r = tree_node(&c->after, dir, &n, &stored);
        if (r == 0 && !stored)
                r = edits_node_put(c->t->edits, &n);
        if (r == 0)
                r = edits_entry_put(c->t->edits, &row);
        if (r == 0)
                r = carry_dir(c, dir, &d);
        if (r < 0)
                return r;
        if (!stored)
                d->below = d->was_below = n.below;
        d->touched = true;
        return carry_changed(c, dir, name.data);
}

int carry_apply_nodes(struct carry *c)
{
        size_t before;
        int r = 0;

        /* What is in a directory is at home only once that is; ids are in no order of that kind. */
        do {
                before = c->forgotten_count;
                if (r == 0)
                        r = edits_nodes(c->t->edits, return_home, c);
        } while (r == 0 && c->forgotten_count > before);
        for (size_t i = 0; i < c->entry_count && r == 0; i++)
                if (S_ISDIR(c->entries[i].type))
                        r = hide_home(c, &c->entries[i]);
        if (r == 0)
                r = edits_nodes(c->t->edits, apply_dir, c);
        return r < 0 ? r : edits_nodes(c->t->edits, apply_other, c);
}

/* Before any row changes ----------------------------------------------------------------------------------------- */

/* Where a file with bytes of its own is in the view: they are lost when it is no longer there. */
static int plan_file(struct carry *c, const struct edit_node *n)
{
        cleanup_buf struct buf name = { 0 }, path = { 0 };
        struct carry_dir *d;
        uint64_t dir;
        bool home;
        int r = is_at_home(c->t, n->id, &home);

        if (r < 0 || !home)
                return r;
        r = view_place(c->old, n->id, &dir, &name);
        if (r == 0)
                r = carry_dir_path(c, tree_above_locked(c->t, dir), &d);
        if (r < 0 || d->generated || carry_is_generated_name(name.data))
                return r;
        r = buf_printf(&path, "%s%s%s", d->path, *d->path ? "/" : "", name.data);
        return r < 0 ? r : carry_add_loss(&c->homes, path.data, n->id);
}

static int plan_node(const struct edit_node *n, void *user)
{
        struct carry *c = user;
        struct edit_node shown;
        struct carry_dir *d;
        bool stored;
        int r;

        if (n->links == 0)
                return 0;
        if (!S_ISDIR(n->mode))
                return n->data && !edits_is_new(n->id) ? plan_file(c, n) : 0;
        r = carry_dir_path(c, n->id, &d);
        if (r == 0)
                r = carry_fate(c, d);
        if (r == 0)
                r = tree_node(c->t, n->id, &shown, &stored);
        if (r < 0)
                return r;
        d->was_below = n->below;
        d->time = shown.mtime;
        return 0;
}

int carry_plan_nodes(struct carry *c)
{
        return edits_nodes(c->t->edits, plan_node, c);
}

int carry_apply_below(struct carry *c)
{
        int r = 0;

        for (size_t i = 0; i < c->dir_size && r == 0; i++) {
                const struct carry_dir *d = c->dirs[i];
                struct edit_node n;

                if (!d || !d->known || d->gone)
                        continue;
                r = edits_node_get(c->t->edits, d->id, &n);
                if (r == 0 && n.below != d->below) {
                        n.below = d->below;
                        r = edits_node_put(c->t->edits, &n);
                }
                if (r == -ENOENT)
                        r = 0;
        }
        return r;
}
