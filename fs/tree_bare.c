/* tree_bare.c: what became of the bare site-packages while nothing was mounted on it.
 *
 * Rows of the base's nodes rely on what lies there.  Of what is there no more, what the user changed or made stays
 * where it was: a file with bytes of its own (a node of the edits from now on), a folder with names of the edits in
 * it.  Everything else that rows say of it goes.  Where something else has the name now, which has the number, too,
 * the user's bytes go to kept.  Then the subfolders that rows count against the base's are counted anew. */
#include "fs/kept.h"
#include "fs/tree_private.h"
#include "fs/view_private.h"

struct list {
        uint64_t *ids;
        size_t count;
        size_t cap;
};

struct named {
        uint64_t dir;
        uint64_t id;
        mode_t type;
        char *name;
};

struct names {
        struct named *list;
        size_t count;
        size_t cap;
};

static void names_release(struct names *n)
{
        for (size_t i = 0; i < n->count; i++)
                free(n->list[i].name);
        free(n->list);
}

static int take_name(const struct edit_entry *n, void *user)
{
        struct names *names = user;

        if (names->count == names->cap) {
                size_t cap = names->cap ? 2 * names->cap : 16;
                struct named *more = reallocarray(names->list, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                names->list = more;
                names->cap = cap;
        }
        names->list[names->count] = (struct named){ n->dir, n->id, n->type, strndup(n->name.data, n->name.len) };
        return names->list[names->count].name ? (names->count++, 0) : -ENOMEM;
}

static int take_node(const struct edit_node *n, void *user)
{
        struct list *l = user;

        if (n->links == 0 || (edits_is_new(n->id) && !n->below))
                return 0;
        if (l->count == l->cap) {
                size_t cap = l->cap ? 2 * l->cap : 64;
                uint64_t *more = reallocarray(l->ids, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                l->ids = more;
                l->cap = cap;
        }
        l->ids[l->count++] = n->id;
        return 0;
}

/* Losing ------------------------------------------------------------------------------------------------------- */

static int keep_file(struct tree *t, const struct edit_node *n, const char *path, size_t *kept)
{
        const struct view *v = tree_current(t);
        struct edit_file *f;
        int r = n->data ? edit_file_get(t->data, n->id, &f) : -EIO;

        if (r < 0)
                return r == -EIO ? 0 : r;
        r = kept_put_file(view_state_fd(v), view_environment(v)->generation, path, edit_file_fd(f), n->mode | 0600,
                          NULL);
        edit_file_put(t->data, f);
        *kept += r == 0;
        return r;
}

static int drop_names_of(struct tree *t, uint64_t id)
{
        struct names names = { 0 };
        int r = edits_entries_of(t->edits, id, take_name, &names);

        for (size_t i = 0; i < names.count && r == 0; i++) {
                r = tree_free_name(t, names.list[i].dir, names.list[i].name);
                if (r == 0)
                        r = tree_touch_dir(t, names.list[i].dir, S_ISDIR(names.list[i].type) ? -1 : 0, tree_now(t));
        }
        names_release(&names);
        return r == -ENOENT ? 0 : r;
}

/* The node and, of a directory, all that rows name in it. */
static int lose(struct tree *t, uint64_t id, const char *path, unsigned depth, size_t *kept)
{
        struct names names = { 0 };
        struct edit_node n;
        int r = edits_node_get(t->edits, id, &n);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (depth == TREE_DEPTH_MAX) /* damaged rows: it is within itself */
                return -ELOOP;
        if (S_ISDIR(n.mode))
                r = edits_entries(t->edits, id, 0, 0, take_name, &names);
        else
                r = keep_file(t, &n, path, kept);
        for (size_t i = 0; i < names.count && r == 0; i++) {
                cleanup_buf struct buf sub = { 0 };

                r = buf_printf(&sub, "%s/%s", path, names.list[i].name);
                if (r == 0 && names.list[i].id)
                        r = lose(t, names.list[i].id, sub.data, depth + 1, kept);
        }
        names_release(&names);
        if (r == 0)
                r = edits_drop_dir(t->edits, id);
        if (r == 0)
                r = drop_names_of(t, id);
        return r < 0 ? r : edits_node_drop(t->edits, id);
}

/* Staying ------------------------------------------------------------------------------------------------------ */

static int stay(struct tree *t, uint64_t id, const char *path, const struct edit_node *from);

/* The directory of the base's folder PATH[0..LEN): as rows name it; made to stay if it is gone as well. */
static int folder_of(struct tree *t, const char *path, size_t len, const struct edit_node *from, uint64_t *ret)
{
        const struct view *v = tree_current(t);
        const struct merged_dir *merged = view_provided_by_base(v, path, len);
        cleanup_free char *folder = strndup(path, len);
        struct edit_node n;
        struct stat st;
        uint64_t id = NODE_ROOT;
        int r = folder ? 0 : -ENOMEM;

        if (r == 0 && len && !merged)
                r = base_number(v->base, path, len, &id);
        if (r < 0)
                return r;
        *ret = tree_above_locked(t, merged ? merged->id : id);
        if (merged || len == 0)
                return 0;
        r = base_stat(v->base, NULL, path, len, &st);
        if (r == 0)
                return S_ISDIR(st.st_mode) ? 0 : -EEXIST;
        if (r != -ENOENT && r != -ENOTDIR)
                return r;
        *ret = id;
        r = edits_node_get(t->edits, id, &n);
        if (r == 0 && !S_ISDIR(n.mode))
                return -EEXIST;
        if (r == 0)
                return n.links ? stay(t, id, folder, &n) : -EEXIST;
        if (r != -ENOENT)
                return r;
        n = (struct edit_node){
                .id = id,
                .mode = S_IFDIR | 0700 | (from->mode & 077) | ((from->mode & 044) >> 2),
                .uid = from->uid,
                .gid = from->gid,
                .links = 1,
                .atime = from->ctime,
                .mtime = from->ctime,
                .ctime = from->ctime,
        };
        return stay(t, id, folder, &n);
}

static int count_one(const struct edit_entry *n, void *user)
{
        (void)n;
        (void)user;
        return 1;
}

/* A name of the edits where the base had it; -EEXIST: it is another's. */
static int stay(struct tree *t, uint64_t id, const char *path, const struct edit_node *from)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        struct edit_node n = *from;
        struct edit_entry row;
        struct node there;
        uint64_t dir;
        int r = edits_entries_of(t->edits, id, count_one, NULL);

        n.below = 0;
        n.subdirs = 0; /* counted below */
        if (r != 0)
                return r < 0 ? r : edits_node_put(t->edits, &n);
        r = folder_of(t, path, slash ? (size_t)(slash - path) : 0, from, &dir);
        if (r < 0)
                return r;
        r = edits_entry_get(t->edits, dir, name, strlen(name), &row);
        if (r != -ENOENT)
                return r < 0 ? r : -EEXIST;
        r = tree_lookup_below(t, dir, name, strlen(name), &there);
        if (r == 0 && (!S_ISDIR(n.mode) || !S_ISDIR(there.st.st_mode)))
                return -EEXIST;
        if (r == 0)
                n.below = there.id;
        if (S_ISDIR(n.mode))
                n.parent = dir;
        const struct edit_entry new = {
                dir, 0, span_of(name), id, n.mode & S_IFMT, r == 0 ? 0 : view_horizon(tree_current(t))
        };

        if (r == 0 || r == -ENOENT || r == -ENOTDIR)
                r = edits_node_put(t->edits, &n);
        if (r == 0)
                r = edits_entry_put(t->edits, &new);
        return r < 0 ? r : tree_touch_dir(t, dir, S_ISDIR(n.mode) && !n.below, tree_now(t));
}

static int copy_bytes(int to, void *user)
{
        int from = *(int *)user;
        struct stat st;
        off_t at = 0;

        if (fstat(from, &st) < 0)
                return -errno;
        while (at < st.st_size) {
                ssize_t n = copy_file_range(from, &at, to, NULL, (size_t)(st.st_size - at), 0);

                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
        }
        return 0;
}

/* A file that is the user's alone, with all names that it was given; -EEXIST: it has none, and the one of the base is
 * another's. */
static int own_file(struct tree *t, const struct edit_node *old, const char *path)
{
        struct names names = { 0 };
        struct edit_node n = *old;
        struct edit_file *f;
        struct stat st;
        int r = edits_new_id(t->edits, &n.id), fd;

        if (r == 0)
                r = edit_file_get(t->data, old->id, &f);
        if (r < 0)
                return r;
        fd = edit_file_fd(f);
        r = fstat(fd, &st) < 0 ? -errno : 0;
        if (r == 0)
                r = edit_file_copy(t->data, n.id, copy_bytes, &fd, (const struct timespec[]){ st.st_atim, st.st_mtim },
                                   true);
        edit_file_put(t->data, f);
        if (r == 0)
                r = edits_node_put(t->edits, &n);
        if (r == 0)
                r = edits_entries_of(t->edits, old->id, take_name, &names);
        for (size_t i = 0; i < names.count && r == 0; i++) {
                const struct edit_entry row = { names.list[i].dir,
                                                0,
                                                span_of(names.list[i].name),
                                                n.id,
                                                n.mode & S_IFMT,
                                                view_horizon(tree_current(t)) };

                r = edits_entry_put(t->edits, &row);
        }
        if (r == 0 && names.count == 0)
                r = stay(t, n.id, path, &n);
        names_release(&names);
        if (r == -EEXIST)
                r = edits_node_drop(t->edits, n.id) < 0 ? -EIO : -EEXIST;
        return r < 0 ? r : edits_node_drop(t->edits, old->id);
}

static int find_one(const struct edit_entry *n, void *user)
{
        (void)user;
        return n->id != 0;
}

/* Is what the row relies on there, as the row has it?  1: something else is. */
static int look(struct tree *t, const struct edit_node *n, const char *path)
{
        const struct view *v = tree_current(t);
        struct node there;
        struct stat st;
        int r = view_merged(v, n->id) ? view_getattr(v, n->id, &there) :
                                        base_stat(v->base, NULL, path, strlen(path), &st);

        if (r == 0 && view_merged(v, n->id))
                st = there.st;
        if (r == -ENOENT || r == -ENOTDIR)
                return -ENOENT;
        return r < 0 ? r : (st.st_mode & S_IFMT) != (n->mode & S_IFMT);
}

static int settle_node(struct tree *t, uint64_t id, size_t *kept)
{
        struct edit_node n;
        const char *path = view_is_base(id) ? base_path(tree_current(t)->base, id) : NULL;
        int r = path ? edits_node_get(t->edits, id, &n) : -ENOENT;

        /* One that stays since an earlier mount relies on nothing. */
        if (r < 0 || (S_ISDIR(n.mode) && n.below != id))
                return r == -ENOENT ? 0 : r;
        r = look(t, &n, path);
        if (r == 0)
                return 0;
        if (r == -ENOENT) {
                int named = edits_entries_of(t->edits, id, count_one, NULL);
                int used = S_ISDIR(n.mode) ? edits_entries(t->edits, id, 0, 0, find_one, NULL) : n.data;

                if (named < 0 || used < 0)
                        return named < 0 ? named : used;
                if (S_ISDIR(n.mode))
                        r = named || used ? stay(t, id, path, &n) : -EEXIST;
                else
                        r = used ? own_file(t, &n, path) : -EEXIST;
        } else if (r < 0) {
                return 0; /* whatever it is, it is not gone */
        } else {
                r = -EEXIST;
        }
        return r == -EEXIST ? lose(t, id, path, 0, kept) : r;
}

/* Counting ----------------------------------------------------------------------------------------------------- */

static int count_dirs(struct tree *t, uint64_t id)
{
        struct names names = { 0 };
        const struct merged_dir *merged;
        struct edit_node n;
        int32_t subdirs = 0;
        int r = edits_node_get(t->edits, id, &n);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        merged = n.below ? view_merged(tree_current(t), n.below) : NULL;
        if (!S_ISDIR(n.mode) || (!view_is_base(id) && !view_is_base(n.below) && !(merged && merged->in_base)))
                return 0;
        r = edits_entries(t->edits, id, 0, 0, take_name, &names);
        for (size_t i = 0; i < names.count && r == 0; i++) {
                const struct named *e = &names.list[i];
                struct edit_entry row;
                struct node there;
                int b = tree_lookup_below(t, id, e->name, strlen(e->name), &there);

                r = b == 0 || b == -ENOENT || b == -ENOTDIR ?
                            edits_entry_get(t->edits, id, e->name, strlen(e->name), &row) :
                            b;
                if (r < 0 || (b == 0 && !tree_row_hides(t, &row, there.id, there.st.st_mode)))
                        continue;
                subdirs += (e->id && S_ISDIR(e->type)) - (b == 0 && S_ISDIR(there.st.st_mode));
        }
        names_release(&names);
        if (r < 0 || subdirs == n.subdirs)
                return r;
        n.subdirs = subdirs;
        return edits_node_put(t->edits, &n);
}

int tree_settle_bare(struct tree *t, size_t *ret_kept)
{
        struct list list = { 0 }, all = { 0 };
        int r;

        if (!t->edits || edits_is_empty(t->edits) || !tree_current(t)->base)
                return 0;
        r = edits_begin(t->edits);
        if (r < 0)
                return r;
        r = edits_nodes(t->edits, take_node, &list);
        for (size_t i = 0; i < list.count && r == 0; i++)
                r = settle_node(t, list.ids[i], ret_kept);
        if (r == 0)
                r = edits_nodes(t->edits, take_node, &all);
        for (size_t i = 0; i < all.count && r == 0; i++)
                r = count_dirs(t, all.ids[i]);
        free(list.ids);
        free(all.ids);
        if (r == 0)
                return edits_commit(t->edits);
        edits_rollback(t->edits);
        /* Then the mount shows what it can. */
        return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -EACCES ? 0 : r;
}
