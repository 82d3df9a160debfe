/* edits_open.c: opening the database of the edits, its statements, transactions and durability. */
#include "fs/edits_private.h"
#include "fs/edits_wal.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
        EDITS_FORMAT = 2,
        EDITS_ID_BLOCK = 4096,     /* ids that are reserved at once: a kill loses what is left of them */
        CHECKPOINT_BYTES = 16 << 20, /* of the WAL */
        CACHE_KIB = 1024,
        BUSY_MS = 5000,
};

static const char schema[] =
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
        "CREATE TABLE node(id INTEGER PRIMARY KEY, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
        " links INTEGER NOT NULL, subdirs INTEGER NOT NULL, rdev INTEGER NOT NULL, atime INTEGER NOT NULL,"
        " mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, data INTEGER NOT NULL, below INTEGER NOT NULL,"
        " parent INTEGER NOT NULL, target BLOB);"
        "CREATE INDEX node_above ON node(below) WHERE below <> 0 AND below <> id;"
        "CREATE TABLE entry(dir INTEGER NOT NULL, cookie INTEGER NOT NULL, name BLOB NOT NULL, id INTEGER NOT NULL,"
        " type INTEGER NOT NULL, horizon INTEGER NOT NULL, PRIMARY KEY(dir, cookie, name)) WITHOUT ROWID;"
        "CREATE INDEX entry_of ON entry(id) WHERE id <> 0;"
        "CREATE TABLE announce(dir INTEGER NOT NULL, name TEXT);"
        "CREATE TABLE done(cell INTEGER PRIMARY KEY, connection INTEGER NOT NULL, request INTEGER NOT NULL,"
        " result INTEGER NOT NULL, id INTEGER NOT NULL);";

#define NODE_COLUMNS "id, mode, uid, gid, links, subdirs, rdev, atime, mtime, ctime, data, below, parent"
#define ENTRY_COLUMNS "dir, cookie, name, id, type, horizon"

static const char *const texts[EDITS_STATEMENTS] = {
        [EDITS_BEGIN] = "BEGIN IMMEDIATE",
        [EDITS_READ_BEGIN] = "BEGIN",
        [EDITS_COMMIT] = "COMMIT",
        [EDITS_ROLLBACK] = "ROLLBACK",
        [EDITS_NODE_GET] = "SELECT " NODE_COLUMNS " FROM node WHERE id = ?1",
        [EDITS_NODE_PUT] =
                "INSERT INTO node(" NODE_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"
                " ON CONFLICT(id) DO UPDATE SET mode=?2, uid=?3, gid=?4, links=?5, subdirs=?6, rdev=?7, atime=?8,"
                " mtime=?9, ctime=?10, data=?11, below=?12, parent=?13",
        [EDITS_NODE_DROP] = "DELETE FROM node WHERE id = ?1",
        [EDITS_NODE_LIST] = "SELECT " NODE_COLUMNS " FROM node WHERE id > ?1 ORDER BY id LIMIT 1",
        [EDITS_NODE_ANY] = "SELECT 1 FROM node LIMIT 1",
        [EDITS_NODE_ABOVE] = "SELECT id FROM node WHERE below = ?1 AND below <> 0 AND below <> id AND links <> 0",
        [EDITS_TARGET_GET] = "SELECT target FROM node WHERE id = ?1",
        [EDITS_TARGET_SET] = "UPDATE node SET target = ?2 WHERE id = ?1",
        [EDITS_ENTRY_GET] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE dir = ?1 AND cookie = ?2 AND name = ?3",
        [EDITS_ENTRY_PUT] = "REPLACE INTO entry(" ENTRY_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6)",
        [EDITS_ENTRY_DROP] = "DELETE FROM entry WHERE dir = ?1 AND cookie = ?2 AND name = ?3",
        [EDITS_ENTRY_LIST] = "SELECT " ENTRY_COLUMNS
                             " FROM entry WHERE dir = ?1 AND cookie > ?2 ORDER BY cookie, name LIMIT ?3",
        [EDITS_ENTRY_ALL] = "SELECT " ENTRY_COLUMNS " FROM entry ORDER BY dir, cookie, name",
        [EDITS_ENTRY_OF] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE id = ?1 AND id <> 0",
        [EDITS_ENTRY_DROP_DIR] = "DELETE FROM entry WHERE dir = ?1",
        [EDITS_ENTRY_ANY] = "SELECT 1 FROM entry LIMIT 1",
        [EDITS_ENTRY_ANY_DIR] = "SELECT 1 FROM entry WHERE dir = ?1 LIMIT 1",
        [EDITS_META_GET] = "SELECT value FROM meta WHERE key = ?1",
        [EDITS_META_PUT] = "REPLACE INTO meta(key, value) VALUES(?1, ?2)",
        [EDITS_DONE_GET] = "SELECT connection, request, result, id FROM done WHERE cell = ?1",
        [EDITS_DONE_PUT] = "REPLACE INTO done(cell, connection, request, result, id) VALUES(?1,?2,?3,?4,?5)",
        [EDITS_DONE_OF] = "SELECT 1 FROM done WHERE id = ?1",
        [EDITS_ANNOUNCE_PUT] = "INSERT INTO announce(dir, name) VALUES(?1, ?2)",
        [EDITS_ANNOUNCE_LIST] = "SELECT dir, name FROM announce ORDER BY rowid",
        [EDITS_CUT_ANY] = "SELECT 1 FROM sqlite_master WHERE name = 'cut'",
        [EDITS_CUT_TABLE] = "CREATE TABLE IF NOT EXISTS cut(dir INTEGER NOT NULL, name BLOB NOT NULL,"
                            " horizon INTEGER NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY(dir, name, horizon))"
                            " WITHOUT ROWID",
        [EDITS_CUT_PUT] = "INSERT INTO cut(dir, name, horizon, generation) VALUES(?1, ?2, ?3, ?4)"
                          " ON CONFLICT(dir, name, horizon) DO UPDATE SET generation = ?4 WHERE generation <> ?4",
        [EDITS_CUT_LIST] = "SELECT dir, name, horizon FROM cut"
                           " WHERE generation = (SELECT value FROM meta WHERE key = 'generation')",
        [EDITS_CUT_CLEAR] = "DELETE FROM cut WHERE true",
        [EDITS_SIZE] = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        /* Row by row: where there is none nothing is written, and the start of a mount need not wait for the disk. */
        [EDITS_ANNOUNCE_CLEAR] = "DELETE FROM announce WHERE true",
};

/* SQLite says "disk I/O error" for a quota, and the errno that it keeps may be of a later call: what does writing say?
 * */
static int probe(struct edits *e)
{
        static const char zeros[64 << 10];
        cleanup_close int fd = openat(e->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0 && write(fd, zeros, sizeof(zeros)) >= 0 && fsync(fd) == 0)
                return -EIO;
        return errno == ENOSPC || errno == EDQUOT || errno == EROFS ? -errno : -EIO;
}

int edits_errno(struct edits *e, int code)
{
        int saved = sqlite3_system_errno(e->db);

        switch (code & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_FULL:
                return saved == EDQUOT ? -EDQUOT : -ENOSPC;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
                return saved == ENOSPC || saved == EDQUOT || saved == EROFS || saved == EACCES ? -saved : probe(e);
        default:
                return -EIO;
        }
}

sqlite3_stmt *edits_use(struct edits *e, enum edits_statement which)
{
        sqlite3_stmt **s = &e->statements[which];

        /* After an error of some kinds, in reading as well, SQLite has rolled back by itself: what followed would be
         * committed statement by statement. */
        if (e->in_transaction && which != EDITS_ROLLBACK && sqlite3_get_autocommit(e->db)) {
                e->unusable = -EIO;
                return NULL;
        }
        if (!*s) {
                int code = sqlite3_prepare_v3(e->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);

                /* What is wrong with a text that is always the same is what it is of: a table that is not there. */
                e->unusable = code == SQLITE_ERROR ? -EUCLEAN : edits_errno(e, code);
        }
        return *s;
}

int edits_run(struct edits *e, sqlite3_stmt *s)
{
        int code, r;

        if (!s)
                return e->unusable;
        code = sqlite3_step(s);
        r = code == SQLITE_DONE ? 0 : edits_errno(e, code);
        sqlite3_reset(s);
        sqlite3_clear_bindings(s);
        return r;
}

int edits_find_any(struct edits *e, enum edits_statement which)
{
        sqlite3_stmt *s = edits_use(e, which);
        int code;

        if (!s)
                return e->unusable;
        code = sqlite3_step(s);
        sqlite3_reset(s);
        return code == SQLITE_ROW ? 1 : edits_errno(e, code);
}

/* Transactions ------------------------------------------------------------------------------------------------- */

int edits_begin(struct edits *e)
{
        int r = edits_run(e, edits_use(e, EDITS_BEGIN));

        e->in_transaction = r == 0;
        return r;
}

void edits_rollback(struct edits *e)
{
        /* SQLite may have rolled back by itself after a full disk: then this says so, and that is all. */
        edits_run(e, edits_use(e, EDITS_ROLLBACK));
        e->in_transaction = false;
        /* Ids that were reserved within it are not. */
        e->next_id = e->reserved_id = 0;
}

int edits_commit(struct edits *e)
{
        int r = edits_run(e, edits_use(e, EDITS_COMMIT));

        if (r < 0)
                edits_rollback(e);
        e->in_transaction = false;
        e->changed = true;
        if (r == 0 && !e->empty && !e->reserve_tried)
                edits_reserve_make(e);
        if (r == 0)
                edits_reserve_grow(e);
        return r;
}

void edits_read_begin(struct edits *e)
{
        (void)edits_run(e, edits_use(e, EDITS_READ_BEGIN));
}

void edits_read_end(struct edits *e)
{
        (void)edits_run(e, edits_use(e, EDITS_COMMIT));
}

int edits_sync(struct edits *e)
{
        sqlite3_file *wal = NULL;
        int code;

        if (!e->changed)
                return 0;

        /* In WAL mode the journal is the WAL. Opening and closing the file ourselves would drop SQLite's locks. */
        if (sqlite3_file_control(e->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK || !wal ||
            !wal->pMethods)
                return -EIO;
        code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
        e->changed = code != SQLITE_OK;
        return code == SQLITE_OK ? 0 : edits_errno(e, code);
}

/* Opening ------------------------------------------------------------------------------------------------------ */

static int execute(struct edits *e, const char *sql)
{
        int code = sqlite3_exec(e->db, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? 0 : edits_errno(e, code);
}

static int make_schema(struct edits *e, const char *environment)
{
        sqlite3_stmt *s;
        int r = edits_begin(e);

        if (r < 0)
                return r;
        r = execute(e, schema);
        s = r == 0 ? edits_use(e, EDITS_META_PUT) : NULL;
        if (s) {
                sqlite3_bind_text(s, 1, "environment", -1, SQLITE_STATIC);
                sqlite3_bind_text(s, 2, environment, -1, SQLITE_STATIC);
                r = edits_run(e, s);
        }
        if (r == 0)
                r = edits_meta_put(e, "format", EDITS_FORMAT);
        if (r < 0) {
                edits_rollback(e);
                return r;
        }
        return edits_commit(e);
}

/* Tables and indices are all that was ever made; what else SQLite knows could keep it busy for ever. */
static int check_schema(struct edits *e, struct errtext *err)
{
        sqlite3_stmt *s = NULL;
        int code = sqlite3_prepare_v2(e->db,
                                      "SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index')"
                                      " OR sql LIKE 'CREATE VIRTUAL %'",
                                      -1, &s, NULL);

        if (code == SQLITE_OK)
                code = sqlite3_step(s);
        sqlite3_finalize(s);
        if (code == SQLITE_DONE)
                return 0;
        return errtext_set(err, code == SQLITE_ROW ? -EUCLEAN : edits_errno(e, code),
                           "'.fusepkg/" EDITS_FILE "' is damaged: it is no database of edits");
}

static int check_meta(struct edits *e, const char *environment, struct errtext *err)
{
        sqlite3_stmt *s;
        int64_t format;
        int r = edits_meta_get(e, "format", &format);

        if (r < 0)
                return errtext_set(err, r == -ENOENT ? -EUCLEAN : r,
                                   "'.fusepkg/" EDITS_FILE "' is damaged: it says no format");
        if (format > EDITS_FORMAT)
                return errtext_set(err, -EPROTO,
                                   "'.fusepkg/" EDITS_FILE
                                   "' has format %lld, this program knows %d: use a newer fusepkg",
                                   (long long)format, EDITS_FORMAT);
        if (format < EDITS_FORMAT)
                return errtext_set(err, -EPROTO,
                                   "'.fusepkg/" EDITS_FILE "' has format %lld, which only versions before the first "
                                   "release had: make the venv anew",
                                   (long long)format);
        s = edits_use(e, EDITS_META_GET);
        if (!s)
                return e->unusable;
        sqlite3_bind_text(s, 1, "environment", -1, SQLITE_STATIC);
        r = sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0) &&
                            strcmp((const char *)sqlite3_column_text(s, 0), environment) == 0 ? 0 : -ESTALE;
        sqlite3_reset(s);
        if (r < 0)
                errtext_set(err, r, "'.fusepkg/" EDITS_FILE "' belongs to another environment");
        return r;
}

/* How large it may grow does not depend on the pages: those of older databases are larger. */
static int limit_wal(struct edits *e)
{
        sqlite3_stmt *s = NULL;
        int size = 0;

        if (sqlite3_prepare_v2(e->db, "PRAGMA page_size", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
                size = sqlite3_column_int(s, 0);
        sqlite3_finalize(s);
        if (size <= 0)
                return edits_errno(e, sqlite3_errcode(e->db));
        return edits_errno(e, sqlite3_wal_autocheckpoint(e->db, CHECKPOINT_BYTES / size));
}

static int set_up(struct edits *e, const char *environment, bool *ret_made)
{
        sqlite3_stmt *s = NULL;
        bool made;
        int r;

        /* Exclusive before WAL: then SQLite needs no shared memory, and works on NFS.  Small pages: each change writes
         * four or five of them to the WAL whole. */
        r = execute(e, "PRAGMA page_size=1024; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; "
                       "PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY");
        if (r == 0) {
                char text[64];

                snprintf(text, sizeof(text), "PRAGMA cache_size=-%d", CACHE_KIB);
                r = execute(e, text);
        }
        if (r == 0)
                r = limit_wal(e);
        if (r < 0)
                return r;
        if (sqlite3_prepare_v2(e->db, "SELECT 1 FROM sqlite_master WHERE name = 'meta'", -1, &s, NULL) != SQLITE_OK)
                return edits_errno(e, sqlite3_errcode(e->db));
        made = sqlite3_step(s) != SQLITE_ROW;
        sqlite3_finalize(s);
        if (made)
                r = make_schema(e, environment);
        if (r == 0)
                r = edits_reserve_open(e, made);
        *ret_made = made;
        return r;
}

int edits_open(int dirfd, const char *environment, struct edits **ret, struct errtext *err)
{
        struct edits *e = calloc(1, sizeof(*e));
        char path[64], why[128];
        bool made = false;
        int code, r;

        if (!e)
                return errtext_set(err, -ENOMEM, "out of memory");
        e->dirfd = dirfd;
        e->empty = true;
        /* By the folder's descriptor: SQLite makes a real path of it, so it would not notice a link in the place of
         * the file. */
        r = edits_touch(dirfd);
        if (r < 0) {
                free(e);
                return r == -ELOOP ?
                               errtext_set(err, r, "'.fusepkg/" EDITS_FILE "' is a symbolic link") :
                               errtext_set(err, r, "cannot write '.fusepkg/" EDITS_FILE "': %s", errno_name(r, why));
        }
        snprintf(path, sizeof(path), "/proc/self/fd/%d/" EDITS_FILE, dirfd);
        code = sqlite3_open_v2(path, &e->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                               edits_wal_vfs());
        r = e->db ? edits_errno(e, code) : -ENOMEM;
        /* A mount that just ended may not have let go of it. */
        if (r == 0)
                sqlite3_busy_timeout(e->db, BUSY_MS);
        if (r == 0)
                r = set_up(e, environment, &made);
        if (r < 0) {
                errtext_set(err, r, "cannot open '.fusepkg/" EDITS_FILE "': %s", errno_name(r, why));
                edits_close(e);
                return r;
        }
        r = check_schema(e, err);
        if (r == 0)
                r = check_meta(e, environment, err);
        if (r == 0 && made && fsync(dirfd) < 0)
                r = errtext_set(err, -errno, "cannot sync '.fusepkg': %s", errno_name(-errno, why));
        if (r < 0) {
                edits_close(e);
                return r;
        }
        e->changed = true; /* by who had it before, and did not sync it */
        e->empty = edits_find_any(e, EDITS_NODE_ANY) == 0 && edits_find_any(e, EDITS_ENTRY_ANY) == 0;
        if (!e->empty)
                edits_reserve_make(e);
        *ret = e;
        return 0;
}

void edits_close(struct edits *e)
{
        if (!e)
                return;
        for (size_t i = 0; i < EDITS_STATEMENTS; i++)
                sqlite3_finalize(e->statements[i]);
        sqlite3_close(e->db);
        free(e);
}

bool edits_is_empty(const struct edits *e)
{
        return e->empty;
}

int edits_integrity(struct edits *e, struct errtext *err)
{
        sqlite3_stmt *s = NULL;
        int r = 0, code;

        code = sqlite3_prepare_v2(e->db, "PRAGMA integrity_check(1)", -1, &s, NULL);
        if (code != SQLITE_OK)
                return errtext_set(err, edits_errno(e, code), "cannot check '" EDITS_FILE "': %s",
                                   sqlite3_errmsg(e->db));
        if (sqlite3_step(s) != SQLITE_ROW || strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
                r = errtext_set(err, -EUCLEAN, "'" EDITS_FILE "' is damaged: %s",
                                (const char *)sqlite3_column_text(s, 0));
        sqlite3_finalize(s);
        return r;
}

/* Ids ---------------------------------------------------------------------------------------------------------- */

uint64_t edits_spare_id(struct edits *e)
{
        return e->next_id == e->reserved_id ? 0 : e->next_id++;
}

int edits_new_id(struct edits *e, uint64_t *ret)
{
        int64_t next;
        int r;

        if (e->next_id == e->reserved_id) {
                r = edits_meta_get(e, "next", &next);
                if (r == -ENOENT)
                        next = (int64_t)EDIT_ID_FIRST + 1;
                else if (r < 0)
                        return r;
                if (next <= (int64_t)EDIT_ID_FIRST || next > INT64_MAX - EDITS_ID_BLOCK)
                        return -EUCLEAN;
                r = edits_meta_put(e, "next", next + EDITS_ID_BLOCK);
                if (r < 0)
                        return r;
                e->next_id = (uint64_t)next;
                e->reserved_id = e->next_id + EDITS_ID_BLOCK;
        }
        *ret = e->next_id++;
        return 0;
}
