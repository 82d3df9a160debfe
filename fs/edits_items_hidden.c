/* edits_items_hidden.c: what rows hide of the environment: what was removed. */
#include "fs/edits_items_private.h"

static int add_removed(struct edit_items *items, const struct row *row, const struct node *n)
{
        struct edit_item item = { .kind = EDIT_REMOVED, .id = n->id, .mode = n->st.st_mode, .dir = row->dir };
        int r = edit_items_path_in(items, row->dir, row->name, &item.path);

        if (r == 0)
                r = edit_items_env_path(items, n->id, &item.origin);
        item.name = strdup(row->name);
        if (r == 0 && !item.name)
                r = -ENOMEM;
        if (!S_ISDIR(n->st.st_mode))
                item.size = (uint64_t)n->st.st_size;
        if (r < 0) {
                edit_item_release(&item);
                return r == -ENOENT ? 0 : r;
        }
        return edit_items_add(items, &item);
}

struct comparing {
        struct edit_items *items;
        const struct row *row;
        uint64_t now;  /* the directory that is there; 0: none */
        char *path;    /* of the name that is being compared */
        int r;
};

static int compare_dirs(struct edit_items *items, const struct row *row, uint64_t before, uint64_t now,
                        const char *path);

struct seeking {
        struct edit_items *items;
        bool found;
};

static int seek_elsewhere(const struct view_dirent *d, void *user)
{
        cleanup_buf struct buf path = { 0 };
        struct seeking *s = user;

        if (S_ISDIR(d->type))
                (void)view_readdir(s->items->plain, d->id, 0, seek_elsewhere, s);
        else
                s->found = tree_path_locked(s->items->tree, d->id, &path) == 0;
        return s->found;
}

/* Is anything of it in a directory that was moved?  Files have one number in every view, directories may not. */
static bool is_partly_elsewhere(struct edit_items *items, uint64_t dir)
{
        struct seeking s = { .items = items };

        (void)view_readdir(items->plain, dir, 0, seek_elsewhere, &s);
        return s.found;
}

static bool is_same_dir(const struct edit_items *items, uint64_t dir)
{
        return view_same_dir(items->plain, tree_current(items->tree), dir);
}

static int compare_name(const struct view_dirent *d, void *user)
{
        struct comparing *c = user;
        struct edit_item item = {
                .kind = EDIT_REMOVED, .id = d->id, .mode = d->type, .part = true, .dir = c->row->dir
        };
        cleanup_buf struct buf path = { 0 }, elsewhere = { 0 };
        struct node n;

        c->r = buf_printf(&path, "%s/%.*s", c->path, (int)d->name.len, d->name.data);
        if (c->r < 0)
                return 1;
        if (c->now && view_lookup(tree_current(c->items->tree), c->now, d->name.data, d->name.len, &n) == 0) {
                if (S_ISDIR(d->type) && !(n.id == d->id && is_same_dir(c->items, d->id)))
                        c->r = compare_dirs(c->items, c->row, d->id, n.id, path.data);
                return c->r < 0;
        }
        if (tree_path_locked(c->items->tree, d->id, &elsewhere) == 0)
                return 0; /* in a directory that was moved when it came */
        if (S_ISDIR(d->type) && is_partly_elsewhere(c->items, d->id)) {
                c->r = compare_dirs(c->items, c->row, d->id, 0, path.data);
                return c->r < 0;
        }
        if (view_getattr(c->items->plain, d->id, &n) == 0 && !S_ISDIR(d->type))
                item.size = (uint64_t)n.st.st_size;
        item.name = strdup(c->row->name);
        item.path = strdup(path.data);
        item.origin = buf_steal(&path);
        if (!item.name || !item.path || !item.origin) {
                edit_item_release(&item);
                c->r = -ENOMEM;
                return 1;
        }
        c->r = edit_items_add(c->items, &item);
        return c->r < 0;
}

/* Of a directory that was removed and came again with a later package, what came not again is still removed. */
static int compare_dirs(struct edit_items *items, const struct row *row, uint64_t before, uint64_t now,
                        const char *path)
{
        struct comparing c = { .items = items, .row = row, .now = now, .path = (char *)path };
        int r = view_readdir(items->plain, before, 0, compare_name, &c);

        return r < 0 ? r : c.r;
}

static int add_cut(struct edit_items *items, const struct row *row, const struct node *now)
{
        const struct view *v = tree_current(items->tree);
        cleanup_free char *path = NULL;
        struct node before;
        uint64_t below;
        int r = tree_below(items->tree, row->dir, &below);

        if (r < 0 || !below || !view_is_cut(v, below, row->name, strlen(row->name)))
                return r;
        if (view_lookup(items->plain, below, row->name, strlen(row->name), &before) < 0 || !S_ISDIR(before.st.st_mode))
                return 0;
        r = edit_items_path_in(items, row->dir, row->name, &path);
        if (r == 0)
                r = compare_dirs(items, row, before.id, now->id, path);
        return r == -ENOENT ? 0 : r;
}

/* Does the row leave what the view has there where it is? */
static bool is_there(struct edit_items *items, const struct row *row, uint64_t below)
{
        const struct edit_entry entry = { .dir = row->dir, .id = row->id, .type = row->type, .horizon = row->horizon };
        struct edit_node n;
        struct node now;
        bool stored;

        if (below == row->id || edit_items_shown(items, tree_above_locked(items->tree, below)))
                return true;
        if (tree_lookup_below(items->tree, row->dir, row->name, strlen(row->name), &now) == 0 &&
            !tree_row_hides(items->tree, &entry, now.id, now.st.st_mode))
                return true;
        return row->id && tree_node(items->tree, row->id, &n, &stored) == 0 && S_ISDIR(n.mode) && n.below == below;
}

int edit_items_add_hidden(struct edit_items *items, const struct row *row)
{
        struct node below;
        int r = edit_items_below(items, row->dir, row->name, &below);

        if (r == 0 && !is_there(items, row, below.id))
                r = add_removed(items, row, &below);
        /* What had been removed before that came is not there all the same. */
        if (r == 0)
                r = add_cut(items, row, &below);
        return r == -ENOENT ? 0 : r;
}

/* Once ------------------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int edit_items_drop_twice(struct edit_items *items)
{
        cleanup_free char **rows = calloc(items->count + 1, sizeof(*rows)); /* what they say was removed */
        size_t count = 0, kept = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < items->count; i++)
                if (items->list[i].kind == EDIT_REMOVED && !items->list[i].part)
                        rows[count++] = items->list[i].origin;
        if (count == 0 || count == items->count)
                return 0;
        qsort(rows, count, sizeof(*rows), by_text);
        for (size_t i = 0; i < items->count; i++) {
                struct edit_item *item = &items->list[i];

                if (item->part && bsearch(&item->origin, rows, count, sizeof(*rows), by_text))
                        edit_item_release(item);
                else
                        items->list[kept++] = *item;
        }
        items->count = kept;
        return 0;
}
