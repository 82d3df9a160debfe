/* tree_announce.c: what a process leaves to the one that takes its mount over: changes of which the kernel has not
 * been told, and removed nodes that it may hold. */
#include "fs/tree_private.h"

int tree_announce(struct tree *t, const struct tree_changes *c)
{
        int r = 0;

        for (size_t i = 0; i < c->count && r == 0; i++)
                r = edits_announce_put(t->edits, c->list[i].dir, c->list[i].name);
        return r;
}

/* What stays for once is told twice. */
void tree_told(struct tree *t)
{
        if (!t->edits)
                return;
        pthread_mutex_lock(&t->lock);
        if (edits_begin(t->edits) == 0) {
                if (edits_announce_clear(t->edits) == 0)
                        (void)edits_commit(t->edits);
                else
                        edits_rollback(t->edits);
        }
        pthread_mutex_unlock(&t->lock);
}

static int add_change(uint64_t dir, const char *name, void *user)
{
        return tree_changes_add(user, dir, name);
}

struct ids {
        uint64_t *list;
        size_t count;
        size_t cap;
        struct tree *tree;
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

static int add_moved(const struct edit_entry *n, void *user)
{
        return S_ISDIR(n->type) && !edits_is_new(n->id) ? add_id(user, n->id) : 0;
}

int tree_untold(struct tree *t, struct tree_changes *ret)
{
        struct ids moved = { 0 };
        int r;

        if (!t->edits)
                return 0;
        pthread_mutex_lock(&t->lock);
        r = edits_announce_each(t->edits, add_change, ret);
        if (r == 0)
                r = edits_all_entries(t->edits, add_moved, &moved);
        pthread_mutex_unlock(&t->lock);
        ret->moved = moved.list;
        ret->moved_count = moved.count;
        return r;
}

/* Of a file without a name that was just made the kernel may not have heard yet: it would say that it has none. */
static int add_removed(const struct edit_node *n, void *user)
{
        struct ids *ids = user;
        int r = n->links == 0 ? id_set_add(&ids->tree->removed, n->id) : 0;

        return r == 0 && n->links == 0 && !edits_done_made(ids->tree->edits, n->id) ? add_id(ids, n->id) : r;
}

int tree_take_over(struct tree *t, uint64_t **ret, size_t *ret_n)
{
        struct ids ids = { .tree = t };
        int r = 0;

        pthread_mutex_lock(&t->lock);
        if (t->edits)
                r = edits_nodes(t->edits, add_removed, &ids);
        if (r == 0 && t->edits)
                r = tree_cuts_settle(t);
        pthread_mutex_unlock(&t->lock);
        if (r < 0) {
                free(ids.list);
                return r;
        }
        *ret = ids.list;
        *ret_n = ids.count;
        return 0;
}
