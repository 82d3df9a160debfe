/* tree_make.c: new nodes, and further names for old ones. */
#include "fs/tree_private.h"
#include "store/image.h"

/* The directory in which something is to be made; -ENOENT when it was removed. */
static int open_dir(struct tree *t, uint64_t dir, struct edit_node *ret)
{
        bool stored;
        int r = tree_node(t, dir, ret, &stored);

        if (r < 0)
                return r;
        if (!S_ISDIR(ret->mode))
                return -ENOTDIR;
        return ret->links ? 0 : -ENOENT;
}

static int absent(struct tree *t, uint64_t dir, const char *name)
{
        uint64_t id;
        mode_t type;
        int r = tree_resolve(t, dir, name, strlen(name), &id, &type);

        return r == -ENOENT ? 0 : r == 0 ? -EEXIST : r;
}

static void fill_node(const struct tree_call *c, const struct edit_node *dir, const struct tree_new_node *from,
                      int64_t now, struct edit_node *n)
{
        /* A file's times are its data file's (tree_date). */
        *n = (struct edit_node){
                .id = n->id, .mode = from->mode, .uid = c->uid, .gid = c->gid, .links = 1, .rdev = from->rdev,
                .atime = now, .mtime = now, .ctime = S_ISREG(from->mode) ? 0 : now, .data = S_ISREG(from->mode),
        };
        if (dir->mode & S_ISGID) {
                n->gid = dir->gid;
                if (S_ISDIR(n->mode))
                        n->mode |= S_ISGID;
        }
        if (S_ISDIR(n->mode))
                n->parent = dir->id;
}

/* The row of a new node, and its file. */
static int add_node(struct tree *t, const struct tree_new_node *from, struct edit_node *n)
{
        int r = n->data ? edit_file_create(t->data, n->id) : 0;

        if (r == 0)
                r = edits_node_put(t->edits, n);
        if (r == 0 && S_ISLNK(n->mode))
                r = edits_target_set(t->edits, n->id, from->target);
        return r;
}

/* A file's may lie ready. */
static int new_id(struct tree *t, mode_t mode, uint64_t *ret)
{
        *ret = S_ISREG(mode) ? edit_data_spare(t->data) : 0;
        return *ret ? 0 : edits_new_id(t->edits, ret);
}

void tree_prepare(struct tree *t)
{
        uint64_t id;

        if (!t->data || !edit_data_wants_spare(t->data) || pthread_mutex_trylock(&t->lock) != 0)
                return;
        id = t->edits && edit_data_spare(t->data) == 0 ? edits_spare_id(t->edits) : 0;
        if (id)
                edit_data_prepare(t->data, id);
        pthread_mutex_unlock(&t->lock);
}

static int make(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name,
                const struct tree_new_node *from, struct edit_node *n)
{
        struct edit_node parent;
        int64_t now = tree_now(t);
        int r = open_dir(t, dir, &parent);

        if (r == 0 && name)
                r = absent(t, dir, name);
        if (r == 0)
                r = new_id(t, from->mode, &n->id);
        if (r < 0)
                return r;
        fill_node(c, &parent, from, now, n);
        if (!name) {
                n->links = 0;
                r = id_set_add(&t->removed, n->id);
        }
        if (r == 0)
                r = add_node(t, from, n);
        if (r == 0 && name)
                r = tree_set_name(t, dir, name, n->id, n->mode);
        if (r == 0 && name)
                r = tree_touch_dir(t, dir, S_ISDIR(n->mode), now);
        return r;
}

static int make_locked(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name,
                       const struct tree_new_node *from, struct node *ret)
{
        struct edit_node n = { 0 };
        struct edit_done done;
        int r = tree_begin(t, c, &done);

        if (r < 0)
                return r;
        if (r == 1)
                return done.result < 0 ? done.result : tree_stat_named(t, done.id, ret);
        r = make(t, c, dir, name, from, &n);
        r = tree_end(t, c, r, n.id);
        if (r < 0) {
                id_set_remove(&t->removed, n.id);
                if (n.data)
                        edit_file_remove(t->data, n.id);
                return r;
        }
        return tree_stat(t, &n, true, ret);
}

int tree_make(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name, const struct tree_new_node *n,
              struct node *ret)
{
        int r;

        if (strlen(name) > IMAGE_NAME_MAX)
                return -ENAMETOOLONG;
        pthread_mutex_lock(&t->lock);
        r = make_locked(t, c, dir, name, n, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

int tree_make_unnamed(struct tree *t, const struct tree_call *c, uint64_t dir, mode_t mode, struct node *ret)
{
        const struct tree_new_node n = { .mode = S_IFREG | (mode & 07777) };
        int r;

        pthread_mutex_lock(&t->lock);
        r = make_locked(t, c, dir, NULL, &n, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

static int add_link(struct tree *t, uint64_t id, uint64_t dir, const char *name)
{
        struct edit_node parent, n;
        int64_t now = tree_now(t);
        bool stored;
        int r = open_dir(t, dir, &parent);

        if (r == 0)
                r = absent(t, dir, name);
        if (r == 0)
                r = tree_node(t, id, &n, &stored);
        if (r == 0 && (S_ISDIR(n.mode) || id == NODE_MARKER))
                r = -EPERM;
        if (r < 0)
                return r;
        n.links++;
        tree_date(t, &n, now);
        r = edits_node_put(t->edits, &n);
        if (r == 0)
                r = tree_set_name(t, dir, name, id, n.mode);
        return r < 0 ? r : tree_touch_dir(t, dir, 0, now);
}

int tree_link(struct tree *t, const struct tree_call *c, uint64_t id, uint64_t dir, const char *name, struct node *ret)
{
        struct edit_done done;
        int r;

        if (strlen(name) > IMAGE_NAME_MAX)
                return -ENAMETOOLONG;
        pthread_mutex_lock(&t->lock);
        r = tree_begin(t, c, &done);
        if (r == 0) {
                r = tree_end(t, c, add_link(t, id, dir, name), id);
                if (r == 0)
                        id_set_remove(&t->removed, id);
        } else if (r == 1) {
                r = done.result;
        }
        if (r == 0)
                r = tree_stat_named(t, id, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}
