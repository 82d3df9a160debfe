/* Opening the index: probing it, making it, setting a damaged one aside, rebuilding it from the images. */
#include "store/index_private.h"

#include "store/files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
        INDEX_VERSION = 2,
        BUSY_TIMEOUT_MS = 30000,
        WAL_TRIES_MAX = 3000,
        /* A wheel changes some ten pages, a few rows in each: small pages make a small WAL. */
        PAGE_SIZE_BYTES = 1024,
        CHECKPOINT_PAGES = 4000,
};

/* Several processes may find the index missing at once: one makes it.  A lock beside those of the wheels; should a
 * wheel's key begin with the same bytes, the two wait for each other once. */
static const uint8_t making_key[SHA256_SIZE] = "index.db";

static const char schema[] =
        "CREATE TABLE images(id BLOB PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, bytes INTEGER NOT NULL,"
        " content INTEGER NOT NULL, files INTEGER NOT NULL, matched INTEGER NOT NULL, added INTEGER NOT NULL,"
        " used INTEGER NOT NULL, boot TEXT, doubted INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE objects(image BLOB NOT NULL, id BLOB NOT NULL, size INTEGER NOT NULL, PRIMARY KEY(image, id))"
        " WITHOUT ROWID;"
        "CREATE TABLE archives(sha256 BLOB PRIMARY KEY, image BLOB NOT NULL, filename TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE keys(key BLOB PRIMARY KEY, image BLOB NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE leases(environment TEXT NOT NULL, venv TEXT NOT NULL, device INTEGER NOT NULL,"
        " inode INTEGER NOT NULL, place TEXT NOT NULL, seen INTEGER NOT NULL, missing INTEGER NOT NULL,"
        " PRIMARY KEY(environment, venv)) WITHOUT ROWID;"
        "CREATE TABLE uses(environment TEXT NOT NULL, venv TEXT NOT NULL, image BLOB NOT NULL, ended INTEGER NOT NULL,"
        " PRIMARY KEY(environment, venv, image)) WITHOUT ROWID;"
        "PRAGMA user_version=2;";
_Static_assert(INDEX_VERSION == 2, "the schema names its version");

static void read_boot(char ret[INDEX_BOOT_SIZE])
{
        cleanup_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        cleanup_buf struct buf b = { 0 };

        if (fd >= 0 && file_read_all(fd, 256, &b) == 0 && b.len >= 36) {
                memcpy(ret, b.data, 36);
                ret[36] = '\0';
                return;
        }
        /* No boot is like this one: what is written now will be verified once too often. */
        if (random_hex(ret, 33) < 0)
                ret[0] = '\0';
}

/* The path of the store as the kernel knows it: free of symlinks, so that SQLite can be told to refuse them all. */
static int database_path(const struct store *s, const char *name, char ret[PATH_MAX])
{
        char link[64], root[PATH_MAX];
        ssize_t n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", s->root_fd);
        n = readlink(link, root, sizeof root);
        if (n < 0)
                n = snprintf(root, sizeof root, "%s", s->path);
        if ((size_t)n + strlen(name) + 2 > PATH_MAX)
                return -ENAMETOOLONG;
        snprintf(ret, PATH_MAX, "%.*s/%s", (int)n, root, name);
        return 0;
}

static void close_database(struct index *x)
{
        for (size_t i = 0; i < ARRAY_LEN(x->statements); i++) {
                sqlite3_finalize(x->statements[i]);
                x->statements[i] = NULL;
        }
        sqlite3_close(x->db);
        x->db = NULL;
        x->damaged = false;
}

static int open_database(struct index *x, const char *path, int flags)
{
        int rc = sqlite3_open_v2(path, &x->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL), r;

        if (rc != SQLITE_OK)
                return index_failed(x, rc);
        sqlite3_busy_timeout(x->db, BUSY_TIMEOUT_MS);
        /* The checkpoint of the last one to close would cost every command two fsyncs. */
        sqlite3_db_config(x->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_db_config(x->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_wal_autocheckpoint(x->db, CHECKPOINT_PAGES);
        r = index_execute(x, "PRAGMA trusted_schema=OFF");
        return r < 0 ? r : index_execute(x, "PRAGMA synchronous=NORMAL");
}

/* The one number that SQL gives. */
static int query_number(struct index *x, const char *sql, int *ret)
{
        sqlite3_stmt *st = NULL;
        int rc = sqlite3_prepare_v2(x->db, sql, -1, &st, NULL);

        if (rc == SQLITE_OK)
                rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
                *ret = sqlite3_column_int(st, 0);
        sqlite3_finalize(st);
        if (rc == SQLITE_ROW)
                return 0;
        /* SQLITE_ERROR: a table or column is missing. */
        return rc == SQLITE_ERROR || rc == SQLITE_DONE ? -EBADMSG : index_failed(x, rc);
}

/* 0: ours, and its tables can be read.  -ENOENT: empty.  -EBADMSG: damaged.  -ENOTSUP: newer. */
static int probe(struct index *x)
{
        int version = 0, tables = 0, ignored, r;

        r = query_number(x, "PRAGMA user_version", &version);
        if (r < 0)
                return r;
        if (version > INDEX_VERSION)
                return -ENOTSUP;
        if (version == INDEX_VERSION)
                return query_number(x,
                                    "SELECT (SELECT min(bytes) + min(doubted) FROM images) + "
                                    "(SELECT size FROM objects LIMIT 1) + "
                                    "(SELECT 1 FROM archives LIMIT 1) + (SELECT 1 FROM keys LIMIT 1) + "
                                    "(SELECT missing FROM leases LIMIT 1) + (SELECT ended FROM uses LIMIT 1)",
                                    &ignored);
        r = query_number(x, "SELECT count(*) FROM sqlite_schema", &tables);
        if (r < 0)
                return r;
        return version == 0 && tables == 0 ? -ENOENT : -EBADMSG;
}

/* The path of the database that is there; anything but a regular file in its place is none. */
static int find_database(const struct index *x, char ret_path[PATH_MAX])
{
        struct stat st;

        if (fstatat(x->store->root_fd, "index.db", &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        return database_path(x->store, "index.db", ret_path);
}

static int open_existing(struct index *x)
{
        char path[PATH_MAX];
        int r = find_database(x, path);

        if (r < 0)
                return r;
        r = open_database(x, path, SQLITE_OPEN_READWRITE);
        return r < 0 ? r : probe(x);
}

struct rebuild {
        struct index *x;
        int64_t booted; /* seconds since the epoch */
};

/* An image that cannot be read is no reason to lose the others: `store verify` names it. */
static int rebuild_one(const char *name, const uint8_t *id, void *user)
{
        struct rebuild *rb = user;
        struct image *img = NULL;
        struct stat st;
        cleanup_close int fd = -1;
        int r;

        (void)name;
        if (!id)
                return 0;
        fd = store_open_image_file(rb->x->store, id);
        if (fd < 0 || fstat(fd, &st) < 0 || image_open(fd, &img, NULL) < 0)
                return 0;
        if (memcmp(image_id(img), id, SHA256_SIZE) != 0) {
                image_close(img);
                return 0;
        }
        /* What an earlier boot wrote may not have reached the disk. */
        r = index_put_image(rb->x, img, "", st.st_ctime > rb->booted ? rb->x->boot : "unknown");
        image_close(img);
        return r;
}

static int rebuild(struct index *x)
{
        struct timespec now, up;
        struct rebuild rb = { .x = x, .booted = INT64_MAX };
        int r = index_execute(x, "BEGIN IMMEDIATE");

        if (r < 0)
                return r;
        if (clock_gettime(CLOCK_REALTIME, &now) == 0 && clock_gettime(CLOCK_BOOTTIME, &up) == 0)
                rb.booted = now.tv_sec - up.tv_sec;
        r = index_execute(x, schema);
        if (r == 0)
                r = store_each_image(x->store, rebuild_one, &rb);
        /* Who uses them is not known any more: see index_trust(). */
        if (r == 0)
                r = index_execute(x, "UPDATE images SET doubted = 1");
        if (r == 0)
                return index_execute(x, "COMMIT");
        index_execute(x, "ROLLBACK");
        return r;
}

/* Switching needs a moment alone, and SQLite does not wait for it. */
static int switch_to_wal(struct index *x)
{
        char sql[64];
        int rc = SQLITE_BUSY, r;

        snprintf(sql, sizeof sql, "PRAGMA page_size=%d", PAGE_SIZE_BYTES);
        r = index_execute(x, sql);
        if (r < 0)
                return r;
        for (int i = 0; rc == SQLITE_BUSY && i < WAL_TRIES_MAX; i++) {
                rc = sqlite3_exec(x->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
                if (rc == SQLITE_BUSY)
                        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        }
        return rc == SQLITE_OK ? 0 : index_failed(x, rc);
}

static void set_aside(const struct store *s)
{
        unlinkat(s->root_fd, "index.db-wal", 0);
        unlinkat(s->root_fd, "index.db-shm", 0);
        if (renameat(s->root_fd, "index.db", s->root_fd, "index.db.damaged") < 0 && errno != ENOENT)
                dir_remove_tree(s->root_fd, "index.db");
}

/* The images do not know of leases: what a damaged index still has of them is kept. */
static void salvage_leases(struct index *x)
{
        char path[PATH_MAX];
        sqlite3_stmt *st = NULL;

        if (database_path(x->store, "index.db.damaged", path) < 0 ||
            sqlite3_prepare_v2(x->db, "ATTACH ?1 AS old", -1, &st, NULL) != SQLITE_OK)
                return;
        sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
        if (sqlite3_step(st) == SQLITE_DONE) {
                sqlite3_exec(x->db, "INSERT OR IGNORE INTO leases SELECT environment, venv, device, inode, '', seen, 0"
                                    " FROM old.leases WHERE typeof(venv) = 'text' AND typeof(device) = 'integer'"
                                    " AND typeof(inode) = 'integer' AND typeof(environment) = 'text'"
                                    " AND typeof(seen) = 'integer'",
                             NULL, NULL, NULL);
                sqlite3_exec(x->db, "DETACH old", NULL, NULL, NULL);
        }
        sqlite3_finalize(st);
}

static int make(struct index *x)
{
        char path[PATH_MAX];
        cleanup_close int lock = store_lock_key(x->store, making_key, true);
        bool damaged;
        int r;

        if (lock < 0)
                return lock;
        r = open_existing(x);
        if (r != -ENOENT && r != -EBADMSG)
                return r;
        close_database(x);
        damaged = r == -EBADMSG;
        if (damaged)
                set_aside(x->store);

        cleanup_close int fd = file_open_beneath(x->store->root_fd, "index.db", O_RDWR | O_CREAT | O_NONBLOCK, 0600);

        if (fd < 0)
                return fd;
        store_give_to_owner(x->store, fd);
        r = database_path(x->store, "index.db", path);
        if (r == 0)
                r = open_database(x, path, SQLITE_OPEN_READWRITE);
        if (r == 0)
                r = switch_to_wal(x);
        if (r == 0)
                r = rebuild(x);
        if (r == 0 && damaged)
                salvage_leases(x);
        return r;
}

/* A store on a read-only file system: SQLite can read the database with its WAL only where the WAL's own index is there
 * or can be made; else without. */
static int open_read_only(struct index *x)
{
        char path[PATH_MAX];
        cleanup_buf struct buf uri = { 0 };
        int r = find_database(x, path);

        if (r < 0)
                return r;
        r = open_database(x, path, SQLITE_OPEN_READONLY);
        if (r == 0)
                r = probe(x);
        if (r == 0 || r == -EBADMSG || r == -ENOTSUP || r == -ENOENT)
                return r;
        close_database(x);
        r = buf_add_str(&uri, "file:");
        for (const char *p = path; r == 0 && *p; p++)
                r = strchr("%?# ", *p) ? buf_printf(&uri, "%%%02X", (unsigned char)*p) : buf_add_char(&uri, *p);
        if (r == 0)
                r = buf_add_str(&uri, "?immutable=1");
        if (r == 0)
                r = open_database(x, uri.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
        return r < 0 ? r : probe(x);
}

static int open_in_memory(struct index *x)
{
        int r = open_database(x, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

        return r < 0 ? r : rebuild(x);
}

static int open_used(struct index *x)
{
        int r = x->read_only ? open_read_only(x) : open_existing(x);

        if (r == -ENOENT || r == -EBADMSG) {
                close_database(x);
                r = x->read_only ? open_in_memory(x) : make(x);
        }
        if (r < 0)
                close_database(x);
        return r;
}

/* USE_FD, of store_use() or store_use_alone(), is taken over. */
static int open_index(const struct store *s, int use_fd, struct index **ret, struct errtext *err)
{
        cleanup_close int use = use_fd;
        struct index *x = calloc(1, sizeof *x);
        char text[128];
        int r;

        if (!x)
                return errtext_set(err, -ENOMEM, "out of memory");
        x->store = s;
        x->read_only = s->lock_fd < 0;
        read_boot(x->boot);
        r = open_used(x);
        if (r == 0) {
                x->use_fd = steal_fd(&use);
                *ret = x;
                return 0;
        }
        free(x);
        if (r == -ENOTSUP)
                return errtext_set(err, r, "the index of the store '%s' was made by a newer fusepkg", s->path);
        return errtext_set(err, r, "cannot open the index of the store '%s': %s", s->path, errno_name(r, text));
}

int index_open(const struct store *s, struct index **ret, struct errtext *err)
{
        int use = s->lock_fd < 0 ? -1 : store_use(s);
        char text[128];

        if (use < 0 && s->lock_fd >= 0)
                return errtext_set(err, use, "cannot lock the store '%s': %s", s->path, errno_name(use, text));
        return open_index(s, use, ret, err);
}

int index_open_alone(const struct store *s, void (*waiting)(void *user), void *user, struct index **ret,
                     struct errtext *err)
{
        int use = store_use_alone(s, waiting, user, err);

        return use < 0 ? use : open_index(s, use, ret, err);
}

void index_close(struct index *x)
{
        bool damaged;

        if (!x)
                return;
        damaged = x->damaged && !x->read_only;
        close_database(x);
        if (damaged) {
                cleanup_close int lock = store_lock_key(x->store, making_key, false);

                /* Unless somebody is at it: then they deal with it. */
                if (lock >= 0)
                        set_aside(x->store);
        }
        cleanup_close_(&x->use_fd);
        free(x);
}
