#include "fs/edits_items_private.h"

#include "fs/view_private.h"

/* Collecting rows ---------------------------------------------------------------------------------------------- */

static void rows_release(struct rows *rows)
{
        for (size_t i = 0; i < rows->count; i++)
                free(rows->list[i].name);
        free(rows->list);
}

static int take_row(const struct edit_entry *n, void *user)
{
        struct rows *rows = user;

        if (rows->count == rows->cap) {
                size_t cap = rows->cap ? 2 * rows->cap : 64;
                struct row *more = reallocarray(rows->list, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                rows->list = more;
                rows->cap = cap;
        }
        rows->list[rows->count] = (struct row){ n->dir, n->id, n->horizon, n->type,
                                                strndup(n->name.data, n->name.len) };
        return rows->list[rows->count].name ? (rows->count++, 0) : -ENOMEM;
}

/* Looking ------------------------------------------------------------------------------------------------------ */

int edit_items_below(const struct edit_items *items, uint64_t dir, const char *name, struct node *ret)
{
        uint64_t below;
        int r = tree_lookup_below(items->tree, dir, name, strlen(name), ret);

        if (r != -ENOENT || items->plain == tree_current(items->tree))
                return r;
        r = tree_below(items->tree, dir, &below);
        if (r == 0)
                r = below ? view_lookup(items->plain, below, name, strlen(name), ret) : -ENOENT;
        return r;
}

/* Does the name show that node? */
static bool shows(struct tree *t, uint64_t dir, const char *name, uint64_t id)
{
        uint64_t found;
        mode_t type;

        return tree_resolve(t, dir, name, strlen(name), &found, &type) == 0 && found == id;
}

int edit_items_path_in(struct edit_items *items, uint64_t dir, const char *name, char **ret)
{
        cleanup_buf struct buf path = { 0 };
        const char *above;
        int r = tree_paths_find(&items->paths, items->tree, dir, &above);

        if (r == 0)
                r = buf_add_str(&path, above);
        if (r == 0 && path.len)
                r = buf_add_char(&path, '/');
        if (r == 0)
                r = buf_add_str(&path, name);
        if (r == 0)
                *ret = buf_steal(&path);
        return r == 0 && !*ret ? -ENOMEM : r;
}

int edit_items_env_path(const struct edit_items *items, uint64_t id, char **ret)
{
        cleanup_buf struct buf path = { 0 };
        int r = view_path(items->plain, id, &path);

        if (r == -ENOENT) {
                buf_clear(&path);
                r = view_path_before(tree_current(items->tree), id, &path);
        }
        if (r == 0)
                *ret = buf_steal(&path);
        return r == 0 && !*ret ? -ENOMEM : r;
}

/* The same of a name of the environment: of a directory that was removed nothing is seen, though the view has it. */
static bool shows_still(struct edit_items *items, uint64_t dir, const char *name, uint64_t id)
{
        const char *above;

        return shows(items->tree, dir, name, id) && tree_paths_find(&items->paths, items->tree, dir, &above) == 0;
}

/* Where the view has a node, as the rows name directories. */
static int own_place(const struct edit_items *items, uint64_t id, uint64_t *ret_dir, char **ret_name)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir;
        int r = view_place(tree_current(items->tree), id, &dir, &name);

        if (r == -ENOENT)
                r = view_place(items->plain, id, &dir, &name);
        if (r == -ENOENT)
                r = view_place_before(tree_current(items->tree), id, &dir, &name);
        if (r < 0)
                return r;
        *ret_name = buf_steal(&name);
        *ret_dir = tree_above_locked(items->tree, dir);
        return *ret_name ? 0 : -ENOMEM;
}

bool edit_is_generated(const char *path)
{
        size_t len = strlen(path);
        const char *last = strrchr(path, '/');

        last = last ? last + 1 : path;
        if (strncmp(path, "__pycache__/", 12) == 0 || strstr(path, "/__pycache__/") || strcmp(last, "__pycache__") == 0)
                return true;
        return len > 4 && (strcmp(path + len - 4, ".nbi") == 0 || strcmp(path + len - 4, ".nbc") == 0);
}

/* Adding ------------------------------------------------------------------------------------------------------- */

void edit_item_release(struct edit_item *i)
{
        free(i->name);
        free(i->path);
        free(i->origin);
        free(i->origin_name);
}

void edit_items_release(struct edit_items *items)
{
        for (size_t i = 0; i < items->count; i++)
                edit_item_release(&items->list[i]);
        free(items->list);
        view_free(items->owned);
        tree_paths_release(&items->paths);
        *items = (struct edit_items){ 0 };
}

int edit_items_add(struct edit_items *items, struct edit_item *item)
{
        if (items->count == items->cap) {
                size_t cap = items->cap ? 2 * items->cap : 64;
                struct edit_item *more = reallocarray(items->list, cap, sizeof(*more));

                if (!more) {
                        edit_item_release(item);
                        return -ENOMEM;
                }
                items->list = more;
                items->cap = cap;
        }
        items->list[items->count++] = *item;
        return 0;
}

/* Attributes of what is there, from its row or the view. */
static void look(struct tree *t, struct edit_item *item)
{
        struct edit_node n;
        struct node seen;
        bool stored;

        if (tree_node(t, item->id, &n, &stored) < 0)
                return;
        item->mode = n.mode;
        item->data = stored && n.data;
        if (!S_ISDIR(n.mode) && tree_stat_named(t, item->id, &seen) == 0)
                item->size = (uint64_t)seen.st.st_size;
}

static int add_named(struct edit_items *items, enum edit_kind kind, const struct row *row, struct edit_item item)
{
        int r = edit_items_path_in(items, row->dir, row->name, &item.path);

        item.kind = kind;
        item.id = row->id;
        item.dir = row->dir;
        item.name = strdup(row->name);
        if (r == 0 && !item.name)
                r = -ENOMEM;
        if (r < 0) {
                edit_item_release(&item);
                return r == -ENOENT ? 0 : r;
        }
        look(items->tree, &item);
        return edit_items_add(items, &item);
}

/* Names -------------------------------------------------------------------------------------------------------- */

/* The rows that show ID now, the first one first. */
static int names_of(struct tree *t, uint64_t id, struct rows *ret)
{
        size_t kept = 0;
        int r = edits_entries_of(t->edits, id, take_row, ret);

        for (size_t i = 0; i < ret->count; i++) {
                if (shows(t, ret->list[i].dir, ret->list[i].name, id))
                        ret->list[kept++] = ret->list[i];
                else
                        free(ret->list[i].name);
        }
        ret->count = kept;
        return r < 0 ? r : 0;
}

static bool is_first(const struct rows *names, const struct row *row)
{
        return names->count && names->list[0].dir == row->dir && strcmp(names->list[0].name, row->name) == 0;
}

/* A name of something that was made here. */
static int add_made(struct edit_items *items, const struct row *row, const struct rows *names)
{
        struct edit_item item = { 0 };
        int r;

        if (is_first(names, row))
                return add_named(items, EDIT_ADDED, row, item);
        r = edit_items_path_in(items, names->list[0].dir, names->list[0].name, &item.origin);
        return r < 0 ? r : add_named(items, EDIT_LINKED, row, item);
}

/* Has every package left that had something in a directory?  Its number may be pinned all the same. */
static bool is_left(const struct tree *t, uint64_t id)
{
        const struct merged_dir *d = view_merged(tree_current(t), id);

        return d ? d->provider_count == 0 && !d->in_base : view_is_retired(tree_current(t), id);
}

/* Without the cuts a directory may have another number, but not another path. */
static bool is_same_place(struct edit_items *items, const struct row *row, const struct edit_item *item)
{
        cleanup_free char *path = NULL;

        if (strcmp(item->origin_name, row->name) != 0)
                return false;
        return item->origin_dir == row->dir || (edit_items_path_in(items, row->dir, row->name, &path) == 0 &&
                                                strcmp(path, item->origin) == 0);
}

/* A name that was given to something of the environment, SHOWN: the node, or what a directory shows below itself. */
static int add_given(struct edit_items *items, const struct row *row, uint64_t shown, const struct rows *names)
{
        struct edit_item item = { .shows = shown };
        bool own;
        int r = is_left(items->tree, shown) ? -ENOENT :
                                              own_place(items, shown, &item.origin_dir, &item.origin_name);

        if (r == 0)
                r = edit_items_env_path(items, shown, &item.origin);
        if (r == -ENOENT) { /* its package has left, or its place was taken away */
                edit_item_release(&item);
                return add_named(items, EDIT_ADDED, row, (struct edit_item){ 0 });
        }
        if (r < 0) {
                edit_item_release(&item);
                return r;
        }
        if (is_same_place(items, row, &item)) {
                edit_item_release(&item);
                return 0;
        }
        own = shows_still(items, item.origin_dir, item.origin_name, row->id);
        return add_named(items, !own && is_first(names, row) ? EDIT_MOVED : EDIT_LINKED, row, item);
}

/* Has the environment got a directory at a name meanwhile, so that it is both? */
static bool is_both(struct tree *t, const struct row *row, uint64_t below)
{
        struct node n;

        return tree_lookup_below(t, row->dir, row->name, strlen(row->name), &n) == 0 && n.id == below;
}

static int add_name(struct edit_items *items, const struct row *row)
{
        struct rows names = { 0 };
        struct edit_node n;
        bool stored, adds = false;
        int r = names_of(items->tree, row->id, &names);

        if (r == 0 && names.count && S_ISDIR(row->type)) {
                r = tree_node(items->tree, row->id, &n, &stored);
                adds = r == 0 && n.below && n.below != row->id;
        }
        if (r == 0 && names.count && !(adds && is_both(items->tree, row, n.below)))
                r = edits_is_new(row->id) && !adds ? add_made(items, row, &names) :
                                                     add_given(items, row, adds ? n.below : row->id, &names);
        rows_release(&names);
        return r == -ENOENT ? 0 : r;
}

bool edit_items_shown(struct edit_items *items, uint64_t id)
{
        struct rows names = { 0 };
        bool found = names_of(items->tree, id, &names) == 0 && names.count;

        rows_release(&names);
        return found;
}

/* Nodes -------------------------------------------------------------------------------------------------------- */

/* Where the environment has it, if it is there; else by a name that it was given. */
static int node_path(struct edit_items *items, uint64_t id, char **ret)
{
        cleanup_free char *name = NULL;
        cleanup_buf struct buf path = { 0 };
        uint64_t dir;
        int r;

        if (own_place(items, id, &dir, &name) == 0 && shows_still(items, dir, name, id))
                return edit_items_path_in(items, dir, name, ret);
        r = tree_path_locked(items->tree, id, &path);
        if (r < 0)
                return r;
        *ret = path.len ? buf_steal(&path) : strdup("");
        return *ret ? 0 : -ENOMEM;
}

static int add_modified(const struct edit_node *n, void *user)
{
        struct edit_items *items = user;
        struct edit_item item = { .kind = EDIT_MODIFIED, .id = n->id, .mode = n->mode, .data = n->data };
        struct node was, is;
        int r;

        if (edits_is_new(n->id) || n->links == 0 || view_getattr(items->plain, n->id, &was) < 0)
                return 0;
        if (!n->data && n->mode == was.st.st_mode && n->uid == was.st.st_uid && n->gid == was.st.st_gid)
                return 0;
        r = node_path(items, n->id, &item.path);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (!S_ISDIR(n->mode) && tree_stat_named(items->tree, n->id, &is) == 0)
                item.size = (uint64_t)is.st.st_size;
        return edit_items_add(items, &item);
}

static int by_path(const void *a, const void *b)
{
        const struct edit_item *x = a, *y = b;
        int order = strcmp(x->path, y->path);

        return order ? order : (int)x->kind - (int)y->kind;
}

static int make_plain(struct edit_items *items, struct errtext *err)
{
        const struct view *v = tree_current(items->tree);

        items->plain = v;
        /* Most have no effect, but which is not told of directories that one provider owns alone. */
        if (v->cut_count == 0)
                return 0;
        int r = view_new(v->environment, v->pool, v->base, v->state_fd, NULL, &items->owned, err);

        if (r == 0)
                items->plain = items->owned;
        return r;
}

int edit_items_load(struct tree *t, struct edit_items *ret, struct errtext *err)
{
        struct edit_items items = { .tree = t };
        struct rows rows = { 0 };
        int r = make_plain(&items, err);

        if (r == 0 && t->edits) {
                r = edits_all_entries(t->edits, take_row, &rows);
                for (size_t i = 0; r == 0 && i < rows.count; i++) {
                        r = edit_items_add_hidden(&items, &rows.list[i]);
                        if (r == 0 && rows.list[i].id)
                                r = add_name(&items, &rows.list[i]);
                }
                if (r == 0)
                        r = edits_nodes(t->edits, add_modified, &items);
                if (r == 0)
                        r = edit_items_drop_twice(&items);
                if (r < 0)
                        errtext_set(err, r, "cannot read the edits: %s", errno_name(r, (char[128]){ 0 }));
        }
        rows_release(&rows);
        if (r < 0) {
                edit_items_release(&items);
                return r;
        }
        if (items.count)
                qsort(items.list, items.count, sizeof(*items.list), by_path);
        *ret = items;
        return 0;
}
