/* tree.c: what names and nodes are: the rows above the view. */
#include "fs/tree_private.h"
#include "store/image.h"

#include <time.h>

int tree_new(struct view *v, struct edits *e, struct edit_data *d, struct tree **ret)
{
        struct tree *t = calloc(1, sizeof(*t));

        if (t)
                t->current = calloc(1, sizeof(*t->current));
        if (!t || !t->current) {
                free(t);
                return -ENOMEM;
        }
        pthread_mutex_init(&t->lock, NULL);
        pthread_mutex_init(&t->refs_lock, NULL);
        pthread_mutex_init(&t->copy_lock, NULL);
        pthread_cond_init(&t->copy_cond, NULL);
        *t->current = (struct view_ref){ v, 1 };
        t->edits = e;
        t->data = d;
        *ret = t;
        return 0;
}

int tree_lock_for_ever(struct tree *t, unsigned seconds)
{
        struct timespec limit;

        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += seconds;
        if (pthread_mutex_timedlock(&t->lock, &limit) != 0)
                return -ETIMEDOUT;
        if (t->data)
                edit_data_drop_spare(t->data);
        return 0;
}

struct view_ref *tree_view(struct tree *t)
{
        struct view_ref *ref;

        pthread_mutex_lock(&t->refs_lock);
        ref = t->current;
        ref->refs++;
        pthread_mutex_unlock(&t->refs_lock);
        return ref;
}

void tree_view_done(struct tree *t, struct view_ref *ref)
{
        unsigned left;

        pthread_mutex_lock(&t->refs_lock);
        left = --ref->refs;
        pthread_mutex_unlock(&t->refs_lock);
        if (left == 0) {
                view_free(ref->view);
                free(ref);
        }
}

/* Nodes -------------------------------------------------------------------------------------------------------- */

int64_t tree_ns(struct timespec t)
{
        enum { SECOND = 1000000000 };

        if (t.tv_sec >= INT64_MAX / SECOND)
                return INT64_MAX / SECOND * SECOND;
        if (t.tv_sec <= INT64_MIN / SECOND)
                return INT64_MIN / SECOND * SECOND;
        return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

struct timespec tree_time(int64_t ns)
{
        struct timespec t = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

        if (t.tv_nsec < 0) {
                t.tv_nsec += 1000000000;
                t.tv_sec--;
        }
        return t;
}

/* What the view has may have changed since the row was written: a directory by a commit, a file or folder of the base
 * while nothing was mounted (or old bytecode would be taken for its own).  Then the view's times are shown, and who
 * changes the row begins with them. */
static void take_later_time(struct tree *t, struct edit_node *n)
{
        uint64_t below = S_ISDIR(n->mode) ? n->below : edits_is_new(n->id) || n->data ? 0 : n->id;
        struct node v;

        if (below == 0 || view_getattr(tree_current(t), below, &v) < 0 || S_ISDIR(v.st.st_mode) != S_ISDIR(n->mode))
                return;
        if (tree_ns(v.st.st_ctim) > n->ctime) {
                n->mtime = tree_ns(v.st.st_mtim);
                n->ctime = tree_ns(v.st.st_ctim);
        }
}

/* A node that some name shows: its row, or the view's. */
static int named_node(struct tree *t, uint64_t id, struct edit_node *ret, bool *ret_stored)
{
        struct node n;
        int r = t->edits ? edits_node_get(t->edits, id, ret) : -ENOENT;

        *ret_stored = r == 0;
        if (r == 0)
                take_later_time(t, ret);
        if (r != -ENOENT)
                return r;
        r = edits_is_new(id) ? -ENOENT : view_getattr(tree_current(t), id, &n);
        if (r < 0)
                return r;
        *ret = (struct edit_node){
                .id = id, .mode = n.st.st_mode, .uid = n.st.st_uid, .gid = n.st.st_gid, .links = 1,
                .rdev = n.st.st_rdev, .atime = tree_ns(n.st.st_atim), .mtime = tree_ns(n.st.st_mtim),
                .ctime = tree_ns(n.st.st_ctim),
                .below = S_ISDIR(n.st.st_mode) ? id : 0,
        };
        return 0;
}

/* Has the name that the view has for a node gone? */
static bool is_hidden(struct tree *t, uint64_t id)
{
        cleanup_buf struct buf name = { 0 };
        struct edit_entry row;
        struct edit_node parent;
        uint64_t dir;
        int r;

        if (!t->edits || edits_is_empty(t->edits) || id == NODE_ROOT || id == NODE_MARKER || id == NODE_DATA)
                return false;
        r = view_place(tree_current(t), id, &dir, &name);
        if (r < 0)
                return r == -ENOENT;
        dir = tree_above_locked(t, dir);
        if (edits_node_get(t->edits, dir, &parent) == 0 && parent.links == 0)
                return true;
        return edits_entry_get(t->edits, dir, name.data, name.len, &row) == 0 && row.id != id &&
               !tree_is_newer(t, id, row.horizon);
}

/* A file has no name any more when a directory above it has none: what was removed has no rows once the kernel has let
 * go of it. */
static bool has_no_path(struct tree *t, uint64_t id)
{
        int r = 0;

        if (!t->edits || edits_is_empty(t->edits))
                return view_is_retired(tree_current(t), id);
        for (unsigned depth = 0; r == 0 && depth < TREE_DEPTH_MAX; depth++) {
                cleanup_buf struct buf name = { 0 };

                if (id == NODE_ROOT || id == NODE_MARKER || id == NODE_DATA)
                        break;
                r = tree_place(t, id, &id, &name);
        }
        return r == -ENOENT;
}

int tree_node(struct tree *t, uint64_t id, struct edit_node *ret, bool *ret_stored)
{
        int r = named_node(t, id, ret, ret_stored);

        if (r == 0 && !*ret_stored && has_no_path(t, id))
                ret->links = 0;
        return r;
}

static void stat_dir(struct tree *t, const struct edit_node *n, struct stat *st)
{
        struct node below;

        st->st_size = 4096;
        st->st_nlink = n->links ? 2 + (nlink_t)n->subdirs : 0;
        if (n->below == 0 || view_getattr(tree_current(t), n->below, &below) < 0 || !S_ISDIR(below.st.st_mode))
                return;
        if (n->links)
                st->st_nlink += below.st.st_nlink - 2;
}

static int stat_data(struct tree *t, const struct edit_node *n, struct stat *st)
{
        struct stat data;
        int r = edit_file_stat(t->data, n->id, &data);

        if (r < 0)
                return r;
        st->st_size = data.st_size;
        st->st_blocks = data.st_blocks;
        st->st_mtim = data.st_mtim;
        st->st_atim = data.st_atim;
        if (tree_ns(data.st_ctim) > n->ctime)
                st->st_ctim = data.st_ctim;
        return 0;
}

static int stat_size(struct tree *t, const struct edit_node *n, struct stat *st)
{
        cleanup_buf struct buf target = { 0 };
        struct node below;
        int r;

        if (edits_is_new(n->id)) {
                r = S_ISLNK(n->mode) ? edits_target_get(t->edits, n->id, &target) : 0;
                st->st_size = (off_t)target.len;
                return r;
        }
        r = view_getattr(tree_current(t), n->id, &below);
        if (r == 0) {
                st->st_size = below.st.st_size;
                st->st_blocks = below.st.st_blocks;
        }
        return r;
}

int tree_stat(struct tree *t, const struct edit_node *n, bool stored, struct node *ret)
{
        int r = 0;

        if (!stored) {
                r = view_getattr(tree_current(t), n->id, ret);
                if (r == 0 && (n->links == 0 || !S_ISDIR(n->mode)))
                        ret->st.st_nlink = n->links;
                return r;
        }
        *ret = (struct node){ .id = n->id };
        ret->st.st_ino = n->id;
        ret->st.st_mode = n->mode;
        ret->st.st_uid = n->uid;
        ret->st.st_gid = n->gid;
        ret->st.st_nlink = n->links;
        ret->st.st_rdev = n->rdev;
        ret->st.st_blksize = 4096;
        ret->st.st_atim = tree_time(n->atime);
        ret->st.st_mtim = tree_time(n->mtime);
        ret->st.st_ctim = tree_time(n->ctime);
        if (S_ISDIR(n->mode))
                stat_dir(t, n, &ret->st);
        else if (n->data)
                r = stat_data(t, n, &ret->st);
        else
                r = stat_size(t, n, &ret->st);
        return r;
}

/* Names -------------------------------------------------------------------------------------------------------- */

int tree_below(struct tree *t, uint64_t dir, uint64_t *ret)
{
        struct edit_node n;
        int r = t->edits ? edits_node_get(t->edits, dir, &n) : -ENOENT;

        if (r == -ENOENT) {
                *ret = edits_is_new(dir) ? 0 : dir;
                return 0;
        }
        if (r == 0)
                *ret = n.links ? n.below : 0;
        return r;
}

uint64_t tree_above_locked(struct tree *t, uint64_t dir)
{
        uint64_t above;

        return t->edits && edits_above(t->edits, dir, &above) == 0 ? above : dir;
}

uint64_t tree_above(struct tree *t, uint64_t dir)
{
        uint64_t above;

        pthread_mutex_lock(&t->lock);
        above = tree_above_locked(t, dir);
        pthread_mutex_unlock(&t->lock);
        return above;
}

int tree_lookup_below(struct tree *t, uint64_t dir, const char *name, size_t len, struct node *ret)
{
        uint64_t below = 0;
        int r = tree_below(t, dir, &below);

        if (r < 0)
                return r;
        if (below == 0)
                return len > IMAGE_NAME_MAX ? -ENAMETOOLONG : -ENOENT;
        return view_lookup(tree_current(t), below, name, len, ret);
}

bool tree_is_newer(const struct tree *t, uint64_t id, uint32_t horizon)
{
        uint32_t newest;

        return view_newest(tree_current(t), id, &newest) == 0 && newest > horizon;
}

bool tree_row_hides(const struct tree *t, const struct edit_entry *row, uint64_t below, mode_t below_type)
{
        if (!tree_is_newer(t, below, row->horizon))
                return true;
        return row->id != 0 && S_ISDIR(row->type) && S_ISDIR(below_type);
}

int tree_resolve(struct tree *t, uint64_t dir, const char *name, size_t len, uint64_t *ret_id, mode_t *ret_type)
{
        struct edit_entry row;
        struct node below;
        int r = t->edits ? edits_entry_get(t->edits, dir, name, len, &row) : -ENOENT, b;

        if (r < 0 && r != -ENOENT)
                return r;
        b = tree_lookup_below(t, dir, name, len, &below);
        if (b < 0 && b != -ENOENT)
                return b;
        if (r == 0 && (b < 0 || tree_row_hides(t, &row, below.id, below.st.st_mode))) {
                *ret_id = row.id;
                *ret_type = row.type;
                return row.id ? 0 : -ENOENT;
        }
        if (b == 0) {
                *ret_id = below.id;
                *ret_type = below.st.st_mode & S_IFMT;
        }
        return b;
}

int tree_stat_named(struct tree *t, uint64_t id, struct node *ret)
{
        struct edit_node n;
        bool stored;
        int r = named_node(t, id, &n, &stored);

        return r < 0 ? r : tree_stat(t, &n, stored, ret);
}

int tree_lookup(struct tree *t, uint64_t dir, const char *name, size_t len, struct node *ret)
{
        uint64_t id;
        mode_t type;
        int r;

        pthread_mutex_lock(&t->lock);
        r = tree_resolve(t, dir, name, len, &id, &type);
        if (r == 0)
                r = tree_stat_named(t, id, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

int tree_getattr(struct tree *t, uint64_t id, struct node *ret)
{
        struct edit_node n;
        bool stored;
        int r;

        pthread_mutex_lock(&t->lock);
        r = tree_node(t, id, &n, &stored);
        if (r == 0)
                r = tree_stat(t, &n, stored, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

int tree_readlink(struct tree *t, uint64_t id, struct buf *ret)
{
        int r;

        pthread_mutex_lock(&t->lock);
        r = edits_is_new(id) ? edits_target_get(t->edits, id, ret) : view_readlink(tree_current(t), id, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

/* Paths -------------------------------------------------------------------------------------------------------- */

struct place {
        uint64_t dir;
        struct buf *name;
};

static int take_place(const struct edit_entry *n, void *user)
{
        struct place *p = user;
        int r = buf_add(p->name, n->name.data, n->name.len);

        p->dir = n->dir;
        return r < 0 ? r : 1;
}

int tree_place(struct tree *t, uint64_t id, uint64_t *ret_dir, struct buf *ret_name)
{
        struct place p = { 0, ret_name };
        int r = t->edits ? edits_entries_of(t->edits, id, take_place, &p) : 0;

        if (r < 0)
                return r;
        if (r == 0) {
                if (edits_is_new(id) || is_hidden(t, id))
                        return -ENOENT;
                r = view_place(tree_current(t), id, &p.dir, ret_name);
                if (r < 0)
                        return r;
                p.dir = tree_above_locked(t, p.dir);
        }
        *ret_dir = p.dir;
        return 0;
}

uint64_t tree_parent(struct tree *t, uint64_t dir)
{
        struct edit_node n;
        uint64_t parent;

        pthread_mutex_lock(&t->lock);
        if (t->edits && edits_node_get(t->edits, dir, &n) == 0 && n.parent)
                parent = n.parent;
        else
                parent = edits_is_new(dir) ? NODE_ROOT : tree_above_locked(t, view_parent(tree_current(t), dir));
        pthread_mutex_unlock(&t->lock);
        return parent;
}
