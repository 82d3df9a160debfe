/* edits_rows.c: nodes, entries, and what else is kept in rows. */
#include "fs/edits_private.h"
#include "store/format.h"
#include "store/image.h"

static void bind(sqlite3_stmt *s, int at, int64_t value)
{
        sqlite3_bind_int64(s, at, value);
}

static uint64_t column(sqlite3_stmt *s, int at)
{
        return (uint64_t)sqlite3_column_int64(s, at);
}

/* One row with a single number in it, or none. */
static int step_done(struct edits *e, sqlite3_stmt *s, bool *ret_row)
{
        int code = sqlite3_step(s);

        *ret_row = code == SQLITE_ROW;
        if (code == SQLITE_ROW || code == SQLITE_DONE)
                return 0;
        code = edits_errno(e, code);
        sqlite3_reset(s);
        return code;
}

/* Meta --------------------------------------------------------------------------------------------------------- */

int edits_meta_get(struct edits *e, const char *key, int64_t *ret)
{
        sqlite3_stmt *s = edits_use(e, EDITS_META_GET);
        bool row;
        int r;

        if (!s)
                return e->unusable;
        sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
        r = step_done(e, s, &row);
        if (r == 0 && row)
                *ret = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
        return r < 0 ? r : row ? 0 : -ENOENT;
}

int edits_meta_put(struct edits *e, const char *key, int64_t value)
{
        sqlite3_stmt *s = edits_use(e, EDITS_META_PUT);

        if (!s)
                return e->unusable;
        sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
        bind(s, 2, value);
        return edits_run(e, s);
}

int edits_generation_get(struct edits *e, uint64_t *ret)
{
        int64_t value = 0;
        int r = edits_meta_get(e, "generation", &value);

        if (r == 0 || r == -ENOENT)
                *ret = (uint64_t)value;
        return r == -ENOENT ? 0 : r;
}

int edits_generation_set(struct edits *e, uint64_t generation)
{
        return edits_meta_put(e, "generation", (int64_t)generation);
}

/* Nodes -------------------------------------------------------------------------------------------------------- */

static void read_node(sqlite3_stmt *s, struct edit_node *n)
{
        *n = (struct edit_node){
                .id = column(s, 0),
                .mode = (mode_t)column(s, 1),
                .uid = (uid_t)column(s, 2),
                .gid = (gid_t)column(s, 3),
                .links = (uint32_t)column(s, 4),
                .subdirs = (int32_t)sqlite3_column_int64(s, 5),
                .rdev = column(s, 6),
                .atime = sqlite3_column_int64(s, 7),
                .mtime = sqlite3_column_int64(s, 8),
                .ctime = sqlite3_column_int64(s, 9),
                .data = column(s, 10) != 0,
                .below = column(s, 11),
                .parent = column(s, 12),
        };
}

static int next_node(struct edits *e, enum edits_statement which, uint64_t id, struct edit_node *ret)
{
        sqlite3_stmt *s = edits_use(e, which);
        bool row;
        int r;

        if (!s)
                return e->unusable;
        bind(s, 1, (int64_t)id);
        r = step_done(e, s, &row);
        if (r == 0 && row)
                read_node(s, ret);
        sqlite3_reset(s);
        return r < 0 ? r : row ? 0 : -ENOENT;
}

int edits_node_get(struct edits *e, uint64_t id, struct edit_node *ret)
{
        return e->empty ? -ENOENT : next_node(e, EDITS_NODE_GET, id, ret);
}

int edits_node_put(struct edits *e, const struct edit_node *n)
{
        sqlite3_stmt *s = edits_use(e, EDITS_NODE_PUT);
        const int64_t values[] = {
                (int64_t)n->id, n->mode,  n->uid,   n->gid,  n->links,          n->subdirs,         (int64_t)n->rdev,
                n->atime,       n->mtime, n->ctime, n->data, (int64_t)n->below, (int64_t)n->parent,
        };

        if (!s)
                return e->unusable;
        e->empty = false;
        for (int i = 0; i < (int)(sizeof(values) / sizeof(values[0])); i++)
                bind(s, i + 1, values[i]);
        return edits_run(e, s);
}

int edits_node_drop(struct edits *e, uint64_t id)
{
        sqlite3_stmt *s = edits_use(e, EDITS_NODE_DROP);

        if (!s)
                return e->unusable;
        bind(s, 1, (int64_t)id);
        return edits_run(e, s);
}

int edits_above(struct edits *e, uint64_t below, uint64_t *ret)
{
        sqlite3_stmt *s = e->empty ? NULL : edits_use(e, EDITS_NODE_ABOVE);
        bool row;
        int r;

        if (!s)
                return e->empty ? -ENOENT : e->unusable;
        bind(s, 1, (int64_t)below);
        r = step_done(e, s, &row);
        if (r == 0 && row)
                *ret = column(s, 0);
        sqlite3_reset(s);
        return r < 0 ? r : row ? 0 : -ENOENT;
}

int edits_nodes(struct edits *e, int (*fn)(const struct edit_node *n, void *user), void *user)
{
        struct edit_node n = { 0 };
        int r = 0;

        if (e->empty)
                return 0;
        /* A statement for each row, so that FN may change rows meanwhile. */
        while (r == 0) {
                r = next_node(e, EDITS_NODE_LIST, n.id, &n);
                if (r == -ENOENT)
                        return 0;
                if (r == 0)
                        r = fn(&n, user);
        }
        return r;
}

int edits_target_get(struct edits *e, uint64_t id, struct buf *ret)
{
        sqlite3_stmt *s = edits_use(e, EDITS_TARGET_GET);
        bool row;
        int r;

        if (!s)
                return e->unusable;
        bind(s, 1, (int64_t)id);
        r = step_done(e, s, &row);
        if (r == 0 && row && sqlite3_column_type(s, 0) != SQLITE_NULL) {
                const void *text = sqlite3_column_blob(s, 0);
                int len = sqlite3_column_bytes(s, 0);

                r = buf_add(ret, text ? text : "", (size_t)len);
        } else if (r == 0) {
                r = row ? -EINVAL : -ENOENT;
        }
        sqlite3_reset(s);
        return r;
}

int edits_target_set(struct edits *e, uint64_t id, const char *target)
{
        sqlite3_stmt *s = edits_use(e, EDITS_TARGET_SET);

        if (!s)
                return e->unusable;
        bind(s, 1, (int64_t)id);
        sqlite3_bind_blob64(s, 2, target, strlen(target), SQLITE_STATIC);
        return edits_run(e, s);
}

/* Entries ------------------------------------------------------------------------------------------------------ */

static void read_entry(sqlite3_stmt *s, struct edit_entry *n)
{
        n->dir = column(s, 0);
        n->cookie = column(s, 1);
        n->name = (struct span){ sqlite3_column_blob(s, 2), 0 };
        n->name.len = (size_t)sqlite3_column_bytes(s, 2);
        n->id = column(s, 3);
        n->type = (mode_t)column(s, 4);
        n->horizon = (uint32_t)column(s, 5);
}

/* Binds directory, cookie and name to the first three. */
static sqlite3_stmt *use_entry(struct edits *e, enum edits_statement which, uint64_t dir, const char *name, size_t len)
{
        sqlite3_stmt *s = edits_use(e, which);

        if (!s)
                return NULL;
        bind(s, 1, (int64_t)dir);
        bind(s, 2, (int64_t)image_cookie(name, len));
        sqlite3_bind_blob64(s, 3, name, len, SQLITE_STATIC);
        return s;
}

int edits_entry_get(struct edits *e, uint64_t dir, const char *name, size_t len, struct edit_entry *ret)
{
        sqlite3_stmt *s;
        bool row;
        int r;

        if (e->empty)
                return -ENOENT;
        s = use_entry(e, EDITS_ENTRY_GET, dir, name, len);
        if (!s)
                return e->unusable;
        r = step_done(e, s, &row);
        if (r == 0 && row) {
                read_entry(s, ret);
                ret->name = (struct span){ name, len };
        }
        sqlite3_reset(s);
        return r < 0 ? r : row ? 0 : -ENOENT;
}

int edits_entry_put(struct edits *e, const struct edit_entry *n)
{
        sqlite3_stmt *s = use_entry(e, EDITS_ENTRY_PUT, n->dir, n->name.data, n->name.len);

        if (!s)
                return e->unusable;
        e->empty = false;
        bind(s, 4, (int64_t)n->id);
        bind(s, 5, n->type);
        bind(s, 6, n->horizon);
        return edits_run(e, s);
}

int edits_entry_drop(struct edits *e, uint64_t dir, const char *name, size_t len)
{
        return edits_run(e, use_entry(e, EDITS_ENTRY_DROP, dir, name, len));
}

/* Whoever can write the database can write anything into it; names become paths of files, in kept for one. */
static bool is_name(struct span name)
{
        return name.len > 0 && name.len <= IMAGE_NAME_MAX && !memchr(name.data, '/', name.len) &&
               !memchr(name.data, 0, name.len) &&
               !(name.data[0] == '.' && (name.len == 1 || (name.len == 2 && name.data[1] == '.')));
}

/* Steps through a bound statement. */
static int each_entry(struct edits *e, sqlite3_stmt *s, int (*fn)(const struct edit_entry *n, void *user), void *user)
{
        bool row = true;
        int r = s ? 0 : e->unusable;

        while (r == 0) {
                struct edit_entry n;

                r = step_done(e, s, &row);
                if (r < 0)
                        return r;
                if (!row)
                        break;
                read_entry(s, &n);
                r = is_name(n.name) ? fn(&n, user) : -EUCLEAN;
        }
        if (s)
                sqlite3_reset(s);
        return r;
}

int edits_entries(struct edits *e, uint64_t dir, uint64_t after, size_t limit,
                  int (*fn)(const struct edit_entry *n, void *user), void *user)
{
        sqlite3_stmt *s;

        if (e->empty)
                return 0;
        s = edits_use(e, EDITS_ENTRY_LIST);
        if (s) {
                bind(s, 1, (int64_t)dir);
                bind(s, 2, (int64_t)after);
                bind(s, 3, limit ? (int64_t)limit : -1);
        }
        return each_entry(e, s, fn, user);
}

int edits_all_entries(struct edits *e, int (*fn)(const struct edit_entry *n, void *user), void *user)
{
        return each_entry(e, edits_use(e, EDITS_ENTRY_ALL), fn, user);
}

int edits_entries_of(struct edits *e, uint64_t id, int (*fn)(const struct edit_entry *n, void *user), void *user)
{
        sqlite3_stmt *s;

        if (e->empty)
                return 0;
        s = edits_use(e, EDITS_ENTRY_OF);
        if (s)
                bind(s, 1, (int64_t)id);
        return each_entry(e, s, fn, user);
}

int edits_drop_dir(struct edits *e, uint64_t dir)
{
        sqlite3_stmt *s = edits_use(e, EDITS_ENTRY_DROP_DIR);

        if (s)
                bind(s, 1, (int64_t)dir);
        return edits_run(e, s);
}

bool edits_has_entries(struct edits *e, uint64_t dir)
{
        sqlite3_stmt *s = e->empty ? NULL : edits_use(e, EDITS_ENTRY_ANY_DIR);
        bool row = false;

        if (!s)
                return false;
        bind(s, 1, (int64_t)dir);
        if (step_done(e, s, &row) < 0)
                return true;
        sqlite3_reset(s);
        return row;
}

/* What was done ------------------------------------------------------------------------------------------------ */

int edits_done_get(struct edits *e, uint32_t cell, struct edit_done *ret)
{
        sqlite3_stmt *s = edits_use(e, EDITS_DONE_GET);
        bool row;
        int r;

        if (!s)
                return e->unusable;
        bind(s, 1, cell);
        r = step_done(e, s, &row);
        if (r == 0 && row)
                *ret = (struct edit_done){ column(s, 0), column(s, 1), (int)sqlite3_column_int64(s, 2), column(s, 3) };
        sqlite3_reset(s);
        return r < 0 ? r : row ? 0 : -ENOENT;
}

bool edits_done_made(struct edits *e, uint64_t id)
{
        sqlite3_stmt *s = edits_use(e, EDITS_DONE_OF);
        bool row = false;

        if (!s)
                return true;
        bind(s, 1, (int64_t)id);
        if (step_done(e, s, &row) < 0)
                return true;
        sqlite3_reset(s);
        return row;
}

int edits_done_put(struct edits *e, uint32_t cell, const struct edit_done *d)
{
        sqlite3_stmt *s = edits_use(e, EDITS_DONE_PUT);

        if (!s)
                return e->unusable;
        bind(s, 1, cell);
        bind(s, 2, (int64_t)d->connection);
        bind(s, 3, (int64_t)d->request);
        bind(s, 4, d->result);
        bind(s, 5, (int64_t)d->id);
        return edits_run(e, s);
}
