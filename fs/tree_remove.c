/* tree_remove.c: names that go, and nodes that nothing names any more. */
#include "fs/tree_private.h"

enum { DROP_AT_ONCE = 1024 }; /* removed nodes: others get their turn in between */

static bool is_fixed(uint64_t id)
{
        return id == NODE_MARKER || id == NODE_DATA;
}

/* A removed directory: no names, no links; its row stays until the kernel has let go of it. */
int tree_drop_dir(struct tree *t, uint64_t id, int64_t now)
{
        struct edit_node n;
        bool stored;
        int r = tree_node(t, id, &n, &stored);

        if (r == 0)
                r = edits_drop_dir(t->edits, id);
        if (r == 0)
                r = id_set_add(&t->removed, id);
        if (r < 0)
                return r;
        n.links = 0;
        n.subdirs = 0;
        n.ctime = now;
        return edits_node_put(t->edits, &n);
}

/* RET_LINK: of a directory, the link outside that goes with it. */
static int remove_name(struct tree *t, uint64_t dir, const char *name, bool directory, struct buf *ret_link)
{
        int64_t now = tree_now(t);
        bool empty = true;
        uint64_t id;
        mode_t type;
        int r = tree_resolve(t, dir, name, strlen(name), &id, &type);

        if (r < 0)
                return r;
        if (is_fixed(id))
                return -EBUSY;
        if (S_ISDIR(type) != directory)
                return directory ? -ENOTDIR : -EISDIR;
        if (directory)
                r = tree_is_empty_dir(t, id, &empty);
        if (r == 0 && !empty)
                r = -ENOTEMPTY;
        if (r == 0 && directory)
                r = tree_linked_name(t, id, ret_link);
        if (r == 0)
                r = tree_clear_name(t, dir, name);
        if (r == 0)
                r = directory ? tree_drop_dir(t, id, now) : tree_drop_link(t, id, now);
        return r < 0 ? r : tree_touch_dir(t, dir, directory ? -1 : 0, now);
}

static int remove_locked(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name, bool directory)
{
        for (unsigned tries = 0;; tries++) {
                cleanup_buf struct buf link = { 0 };
                struct edit_done done;
                int r = tree_begin(t, c, &done);

                if (r == 1)
                        return done.result;
                if (r == 0)
                        r = tree_end(t, c, remove_name(t, dir, name, directory, &link), 0);
                if (r == 0 && link.len)
                        tree_linked_gone(t, link.data);
                if ((r != -ENOSPC && r != -EDQUOT) || !edits_reserve_give(t->edits, tries))
                        return r;
        }
}

int tree_unlink(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name)
{
        int r;

        pthread_mutex_lock(&t->lock);
        r = remove_locked(t, c, dir, name, false);
        pthread_mutex_unlock(&t->lock);
        return r;
}

int tree_rmdir(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name)
{
        int r;

        pthread_mutex_lock(&t->lock);
        r = remove_locked(t, c, dir, name, true);
        pthread_mutex_unlock(&t->lock);
        return r;
}

/* Removed nodes ------------------------------------------------------------------------------------------------ */

bool tree_is_removed(struct tree *t, uint64_t id)
{
        bool removed;

        pthread_mutex_lock(&t->lock);
        removed = id_set_has(&t->removed, id);
        pthread_mutex_unlock(&t->lock);
        return removed;
}

/* Row first, then the file: one without a row is litter, a row without its file would be a loss.  *RET_FILES: whose
 * file is to go. */
static int drop_rows(struct tree *t, const uint64_t *ids, size_t n, bool *ret_files)
{
        struct edit_node node;
        int r = edits_begin(t->edits);

        for (size_t i = 0; i < n && r == 0; i++) {
                r = edits_node_get(t->edits, ids[i], &node);
                ret_files[i] = r == 0 && node.links == 0 && node.data;
                if (r == 0 && node.links == 0)
                        r = edits_node_drop(t->edits, ids[i]);
                else if (r == -ENOENT)
                        r = 0;
        }
        if (r < 0) {
                edits_rollback(t->edits);
                return r;
        }
        return edits_commit(t->edits);
}

/* Is the file of one of them to go? */
static bool has_data(struct tree *t, const uint64_t *ids, size_t n)
{
        struct edit_node node;

        for (size_t i = 0; i < n; i++)
                if (edits_node_get(t->edits, ids[i], &node) == 0 && node.links == 0 && node.data)
                        return true;
        return false;
}

static int drop_some(struct tree *t, const uint64_t *ids, size_t n)
{
        bool files[DROP_AT_ONCE];
        unsigned tries = 0;
        int r;

        pthread_mutex_lock(&t->lock);
        do
                r = drop_rows(t, ids, n, files);
        while ((r == -ENOSPC || r == -EDQUOT) && edits_reserve_give(t->edits, tries++));
        for (size_t i = 0; i < n && r == 0; i++) {
                id_set_remove(&t->removed, ids[i]);
                if (files[i])
                        edit_file_remove(t->data, ids[i]);
        }
        if (r == 0)
                edits_reserve_make(t->edits);
        pthread_mutex_unlock(&t->lock);
        return r;
}

/* That nothing names them must be on the disk before the files go: after a power cut a name would be there again, of a
 * file whose bytes are lost. Who replaces a file by a rename counts on the old one or the new one. */
int tree_drop_removed(struct tree *t, const uint64_t *ids, size_t n)
{
        int r = 0;

        if (!t->edits)
                return -EROFS;
        pthread_mutex_lock(&t->lock);
        if (has_data(t, ids, n))
                r = edits_sync(t->edits);
        pthread_mutex_unlock(&t->lock);
        for (size_t i = 0; i < n && r == 0; i += DROP_AT_ONCE)
                r = drop_some(t, ids + i, n - i < DROP_AT_ONCE ? n - i : DROP_AT_ONCE);
        return r;
}

/* At the start ------------------------------------------------------------------------------------------------- */

struct sweep {
        struct tree *tree;
        size_t lost;
};

static int sweep_node(const struct edit_node *n, void *user)
{
        struct sweep *s = user;
        struct edit_node without = *n;

        if (n->links == 0)
                return edits_node_drop(s->tree->edits, n->id);
        if (!n->data || edit_file_is_there(s->tree->data, n->id))
                return 0;
        s->lost++;
        if (edits_is_new(n->id))
                return edit_file_create(s->tree->data, n->id);
        without.data = false;
        return edits_node_put(s->tree->edits, &without);
}

/* In doubt it stays.  That there is no row was perhaps never synced by who was killed: see tree_drop_removed. */
static bool has_row(uint64_t id, void *user)
{
        struct tree *t = user;
        struct edit_node n;
        int r = edits_node_get(t->edits, id, &n);

        if (r == 0 ? n.data : r != -ENOENT)
                return true;
        return edits_sync(t->edits) < 0;
}

int tree_sweep(struct tree *t, size_t *ret_lost)
{
        struct sweep s = { t, 0 };
        int r;

        if (!t->edits)
                return 0;
        pthread_mutex_lock(&t->lock);
        r = edits_begin(t->edits);
        if (r == 0) {
                r = edits_nodes(t->edits, sweep_node, &s);
                if (r == 0)
                        r = edits_commit(t->edits);
                else
                        edits_rollback(t->edits);
        }
        if (r == 0)
                r = edit_data_sweep(t->data, has_row, t);
        pthread_mutex_unlock(&t->lock);
        if (r == 0)
                *ret_lost = s.lost;
        return r;
}
