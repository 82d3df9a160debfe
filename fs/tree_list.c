/* tree_list.c: the names in a directory: those of its rows and of the view below it, by cookie. */
#include "fs/tree_private.h"

enum { ROWS_AT_ONCE = 256 };

struct row {
        struct edit_entry entry; /* its name is a copy, in NAMES of the listing */
        size_t name_at;
};

struct listing {
        struct tree *tree;
        bool plus;
        int (*fn)(const struct tree_dirent *d, void *user);
        void *user;

        struct row *rows;
        size_t count;
        size_t at;       /* the next one */
        struct buf names;
        uint64_t bound;  /* no cookie above it now */
        int stopped;     /* what FN said, or -errno */
};

static int take_row(const struct edit_entry *n, void *user)
{
        struct listing *l = user;

        l->rows[l->count].entry = *n;
        l->rows[l->count++].name_at = l->names.len;
        return buf_add(&l->names, n->name.data, n->name.len);
}

static int emit(struct listing *l, struct span name, uint64_t cookie, uint64_t id, mode_t type)
{
        struct tree_dirent d = { .name = name, .cookie = cookie };

        /* A node that cannot be looked at is listed all the same, without attributes: no links. */
        if (!l->plus || tree_stat_named(l->tree, id, &d.node) < 0) {
                d.node = (struct node){ .id = id };
                d.node.st.st_ino = id;
                d.node.st.st_mode = type;
        }
        l->stopped = l->fn(&d, l->user);
        return l->stopped;
}

/* The rows before COOKIE. */
static int emit_rows(struct listing *l, uint64_t cookie)
{
        while (!l->stopped && l->at < l->count && l->rows[l->at].entry.cookie < cookie) {
                const struct edit_entry *n = &l->rows[l->at++].entry;

                if (n->id)
                        emit(l, n->name, n->cookie, n->id, n->type);
        }
        return l->stopped;
}

static int list_below(const struct view_dirent *d, void *user)
{
        struct listing *l = user;

        if (d->cookie > l->bound)
                return 1;
        if (emit_rows(l, d->cookie))
                return 1;
        for (size_t i = l->at; i < l->count && l->rows[i].entry.cookie == d->cookie; i++) {
                const struct edit_entry *n = &l->rows[i].entry;

                if (n->name.len != d->name.len || memcmp(n->name.data, d->name.data, d->name.len) != 0)
                        continue;
                if (tree_row_hides(l->tree, n, d->id, d->type))
                        return 0; /* the row is emitted by its turn, or hides it */
                /* What the view has is newer: the row is not to be seen. */
                l->rows[i].entry.id = 0;
        }
        return emit(l, d->name, d->cookie, d->id, d->type);
}

/* One batch of rows, and what the view has up to the last of them. */
static int list_batch(struct listing *l, uint64_t dir, uint64_t below, uint64_t after)
{
        int r = 0;

        l->count = l->at = 0;
        buf_clear(&l->names);
        if (l->tree->edits)
                r = edits_entries(l->tree->edits, dir, after, ROWS_AT_ONCE, take_row, l);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l->count; i++)
                l->rows[i].entry.name.data = l->names.data + l->rows[i].name_at;
        l->bound = l->count == ROWS_AT_ONCE ? l->rows[l->count - 1].entry.cookie : UINT64_MAX;
        if (below)
                r = view_readdir(tree_current(l->tree), below, after, list_below, l);
        if (r == 0)
                emit_rows(l, UINT64_MAX);
        return r;
}

int tree_list(struct tree *t, uint64_t dir, uint64_t after, bool plus,
              int (*fn)(const struct tree_dirent *d, void *user), void *user)
{
        struct listing l = { .tree = t, .plus = plus, .fn = fn, .user = user };
        uint64_t below;
        int r = tree_below(t, dir, &below);

        l.rows = calloc(ROWS_AT_ONCE, sizeof(*l.rows));
        if (!l.rows)
                r = -ENOMEM;
        do {
                if (r == 0)
                        r = list_batch(&l, dir, below, after);
                after = l.bound;
        } while (r == 0 && !l.stopped && l.bound != UINT64_MAX);
        free(l.rows);
        buf_release(&l.names);
        return r < 0 ? r : l.stopped < 0 ? l.stopped : 0;
}

int tree_readdir(struct tree *t, uint64_t dir, uint64_t after, bool plus,
                 int (*fn)(const struct tree_dirent *d, void *user), void *user)
{
        int r;

        pthread_mutex_lock(&t->lock);
        r = tree_list(t, dir, after, plus, fn, user);
        pthread_mutex_unlock(&t->lock);
        return r;
}

static int find_one(const struct tree_dirent *d, void *user)
{
        (void)d;
        *(bool *)user = true;
        return 1;
}

int tree_is_empty_dir(struct tree *t, uint64_t dir, bool *ret)
{
        bool found = false;
        int r = tree_list(t, dir, 0, false, find_one, &found);

        *ret = !found;
        return r;
}
