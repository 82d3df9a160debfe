/* tree_paths.c: from nodes to paths, and back. */
#include "fs/tree_paths.h"

/* Ways --------------------------------------------------------------------------------------------------------- */

struct tree_step {
        uint64_t dir;
        size_t end; /* of its path */
};

static int add_step(struct tree_paths *p, uint64_t dir, size_t end)
{
        if (p->count == p->cap) {
                size_t cap = p->cap ? 2 * p->cap : 16;
                struct tree_step *more = reallocarray(p->steps, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                p->steps = more;
                p->cap = cap;
        }
        p->steps[p->count++] = (struct tree_step){ dir, end };
        return 0;
}

/* How many steps lead to it: 0 to the root; -1: none do. */
static long steps_to(const struct tree_paths *p, uint64_t dir)
{
        long n = (long)p->count;

        while (n > 0 && p->steps[n - 1].dir != dir)
                n--;
        return n > 0 || dir == NODE_ROOT ? n : -1;
}

/* Up to the first directory that is known, *RET_KNOWN steps from the root.  UP gets those before it, the lowest first,
 * with the ends of their names in NAMES. */
static int climb(const struct tree_paths *p, struct tree *t, uint64_t dir, struct tree_paths *up, struct buf *names,
                 size_t *ret_known)
{
        long known;

        while ((known = steps_to(p, dir)) < 0) {
                uint64_t at = dir;
                int r;

                if (up->count == TREE_DEPTH_MAX)
                        return -ELOOP;
                dir = NODE_ROOT;
                r = at == NODE_DATA ? buf_add_str(names, DATA_DIR) : tree_place(t, at, &dir, names);
                if (r == 0)
                        r = add_step(up, at, names->len);
                if (r < 0)
                        return r;
        }
        *ret_known = (size_t)known;
        return 0;
}

int tree_paths_find(struct tree_paths *p, struct tree *t, uint64_t dir, const char **ret)
{
        struct tree_paths up = { 0 };
        cleanup_buf struct buf names = { 0 };
        size_t known = 0;
        int r = climb(p, t, dir, &up, &names, &known);

        if (r == 0) {
                p->count = known;
                p->path.len = known ? p->steps[known - 1].end : 0;
        }
        for (size_t i = up.count; r == 0 && i-- > 0;) {
                size_t start = i ? up.steps[i - 1].end : 0;

                r = p->count ? buf_add_char(&p->path, '/') : 0;
                if (r == 0)
                        r = buf_add(&p->path, names.data + start, up.steps[i].end - start);
                if (r == 0)
                        r = add_step(p, up.steps[i].dir, p->path.len);
        }
        if (r == 0)
                r = buf_add(&p->path, "", 0);
        tree_paths_release(&up);
        if (r == 0)
                *ret = p->path.data;
        return r;
}

void tree_paths_release(struct tree_paths *p)
{
        free(p->steps);
        buf_release(&p->path);
        *p = (struct tree_paths){ 0 };
}

/* Paths -------------------------------------------------------------------------------------------------------- */

int tree_path_locked(struct tree *t, uint64_t id, struct buf *ret)
{
        struct tree_paths p = { 0 };
        const char *path;
        int r = tree_paths_find(&p, t, id, &path);

        if (r == 0)
                r = buf_add_str(ret, path);
        tree_paths_release(&p);
        return r;
}

int tree_path(struct tree *t, uint64_t id, struct buf *ret)
{
        int r;

        pthread_mutex_lock(&t->lock);
        r = tree_path_locked(t, id, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}

int tree_find_locked(struct tree *t, const char *path, uint64_t *ret_id, mode_t *ret_type)
{
        uint64_t id = NODE_ROOT;
        mode_t type = S_IFDIR;
        int r = 0;

        while (r == 0 && *path) {
                size_t len = strcspn(path, "/");

                if (len && !S_ISDIR(type))
                        return -ENOTDIR;
                if (len)
                        r = tree_resolve(t, id, path, len, &id, &type);
                path += len;
                path += *path == '/';
        }
        if (r == 0) {
                *ret_id = id;
                *ret_type = type;
        }
        return r;
}

int tree_find(struct tree *t, const char *path, struct node *ret)
{
        uint64_t id;
        mode_t type;
        int r;

        pthread_mutex_lock(&t->lock);
        r = tree_find_locked(t, path, &id, &type);
        if (r == 0)
                r = tree_stat_named(t, id, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}
