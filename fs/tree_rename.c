/* tree_rename.c: a node moves: two entry rows, and, for a directory, where it is now. */
#include "fs/tree_private.h"
#include "store/image.h"

#include <fcntl.h>
#include <stdio.h>

struct end {
        uint64_t dir;
        const char *name;
        uint64_t id;   /* 0: nothing is there */
        mode_t type;
};

static int look(struct tree *t, struct end *e, bool must)
{
        int r = tree_resolve(t, e->dir, e->name, strlen(e->name), &e->id, &e->type);

        if (r == -ENOENT && !must) {
                e->id = 0;
                e->type = 0;
                return 0;
        }
        if (r == 0 && (e->id == NODE_MARKER || e->id == NODE_DATA))
                return -EBUSY;
        return r;
}

/* May TO be replaced by FROM? */
static int check_replaced(struct tree *t, const struct end *from, const struct end *to)
{
        bool empty = true;
        int r;

        if (S_ISDIR(from->type) && !S_ISDIR(to->type))
                return -ENOTDIR;
        if (!S_ISDIR(from->type) && S_ISDIR(to->type))
                return -EISDIR;
        r = S_ISDIR(to->type) ? tree_is_empty_dir(t, to->id, &empty) : 0;
        return r < 0 ? r : empty ? 0 : -ENOTEMPTY;
}

/* The node that came to DIR: its time, and its parent. */
static int arrive(struct tree *t, const struct end *e, uint64_t dir, int64_t now)
{
        struct edit_node n;
        bool stored;
        int r = tree_node(t, e->id, &n, &stored);

        if (r < 0)
                return r;
        tree_date(t, &n, now);
        if (S_ISDIR(n.mode))
                n.parent = dir;
        return edits_node_put(t->edits, &n);
}

/* Is the directory DIR within what moves there?  The kernel has looked, but it goes by what it knows: who stands in a
 * directory that a revert or a switch has put elsewhere stands, for it, where that was before. */
static int check_not_within(struct tree *t, uint64_t dir, const struct end *moved)
{
        int r = 0;

        for (unsigned depth = 0; r == 0 && S_ISDIR(moved->type) && dir != NODE_ROOT; depth++) {
                cleanup_buf struct buf name = { 0 };

                if (dir == moved->id)
                        return -EINVAL;
                r = depth == TREE_DEPTH_MAX ? -ELOOP : tree_place(t, dir, &dir, &name);
        }
        return r;
}

static int move(struct tree *t, const struct end *from, const struct end *to)
{
        bool directory = S_ISDIR(from->type);
        int64_t now = tree_now(t);
        int lost = to->id && S_ISDIR(to->type), r = 0;

        if (to->id)
                r = check_replaced(t, from, to);
        /* First, while the node has the name that the view may have for it. */
        if (r == 0)
                r = arrive(t, from, to->dir, now);
        if (r == 0 && to->id)
                r = lost ? tree_drop_dir(t, to->id, now) : tree_drop_link(t, to->id, now);
        if (r == 0)
                r = tree_clear_name(t, from->dir, from->name);
        if (r == 0)
                r = tree_set_name(t, to->dir, to->name, from->id, from->type);
        if (r < 0)
                return r;
        if (from->dir == to->dir)
                return tree_touch_dir(t, to->dir, -lost, now);
        r = tree_touch_dir(t, from->dir, directory ? -1 : 0, now);
        return r < 0 ? r : tree_touch_dir(t, to->dir, (directory ? 1 : 0) - lost, now);
}

static int exchange(struct tree *t, const struct end *a, const struct end *b)
{
        int delta = (S_ISDIR(b->type) ? 1 : 0) - (S_ISDIR(a->type) ? 1 : 0), r;
        int64_t now = tree_now(t);

        r = arrive(t, a, b->dir, now);
        if (r == 0)
                r = arrive(t, b, a->dir, now);
        if (r == 0)
                r = tree_set_name(t, a->dir, a->name, b->id, b->type);
        if (r == 0)
                r = tree_set_name(t, b->dir, b->name, a->id, a->type);
        if (r < 0)
                return r;
        if (a->dir == b->dir)
                return tree_touch_dir(t, a->dir, 0, now);
        r = tree_touch_dir(t, a->dir, delta, now);
        return r < 0 ? r : tree_touch_dir(t, b->dir, -delta, now);
}

/* RET_LINK: of a directory that moves, the link outside that goes with its old name. */
static int rename_ends(struct tree *t, struct end *from, struct end *to, unsigned flags, struct buf *ret_link)
{
        struct edit_node dir;
        bool stored;
        int r = look(t, from, true);

        if (r == 0)
                r = look(t, to, flags & RENAME_EXCHANGE);
        if (r == 0 && to->id && (flags & RENAME_NOREPLACE))
                r = -EEXIST;
        if (r == 0)
                r = tree_node(t, to->dir, &dir, &stored);
        if (r < 0)
                return r;
        if (dir.links == 0)
                return -ENOENT;
        /* Two names of one file: nothing to do, says POSIX. */
        if (from->id == to->id)
                return 0;
        if (from->dir != to->dir)
                r = check_not_within(t, to->dir, from);
        if (r == 0 && (flags & RENAME_EXCHANGE))
                r = check_not_within(t, from->dir, to);
        if (r < 0)
                return r;
        if (flags & RENAME_EXCHANGE)
                return exchange(t, from, to);
        r = S_ISDIR(from->type) ? tree_linked_name(t, from->id, ret_link) : 0;
        return r < 0 ? r : move(t, from, to);
}

int tree_rename(struct tree *t, const struct tree_call *c, uint64_t dir, const char *name, uint64_t to_dir,
                const char *to_name, unsigned flags)
{
        struct end from = { dir, name, 0, 0 }, to = { to_dir, to_name, 0, 0 };
        cleanup_buf struct buf link = { 0 };
        struct edit_done done;
        unsigned tries = 0;
        int r;

        if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
                return -EINVAL;
        if (strlen(to_name) > IMAGE_NAME_MAX)
                return -ENAMETOOLONG;
        pthread_mutex_lock(&t->lock);
        do {
                buf_clear(&link);
                r = tree_begin(t, c, &done);
                if (r == 0)
                        r = tree_end(t, c, rename_ends(t, &from, &to, flags, &link), 0);
                else if (r == 1)
                        r = done.result;
                /* pip moves aside what it is about to remove. */
        } while ((r == -ENOSPC || r == -EDQUOT) && tries++ == 0 && edits_make_room(t->edits));
        if (r == 0 && link.len)
                tree_linked_gone(t, link.data);
        if (r == 0 && S_ISDIR(from.type))
                tree_linked_back(t, from.id);
        pthread_mutex_unlock(&t->lock);
        return r;
}
