#include "fs/edits_wal.h"
#include "store/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRANSACTIONS = 200, ROWS = 400 };

/* What is under the VFS: the default one, watched ----------------------------------------------------------------- */

static sqlite3_vfs watching, *plain;
static sqlite3_io_methods watched;
static const sqlite3_io_methods *unwatched;
/* Of the WAL; fail_in: so many writes from now, the second one by half; room: its size on a full disk, or 0. */
static int writes, lone_headers, fail_in;
static sqlite3_int64 room;

static int watched_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 offset)
{
        writes++;
        lone_headers += len == 24;
        if ((fail_in > 0 && --fail_in == 0) || (room && offset + len > room)) {
                if (len > 100)
                        (void)unwatched->xWrite(f, data, len / 2, offset);
                return SQLITE_FULL;
        }
        return unwatched->xWrite(f, data, len, offset);
}

static int watched_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *ret_flags)
{
        int r = plain->xOpen(plain, name, f, flags, ret_flags);

        (void)v;
        if (r == SQLITE_OK && (flags & SQLITE_OPEN_WAL)) {
                unwatched = f->pMethods;
                watched = *unwatched;
                watched.iVersion = 1;
                watched.xWrite = watched_write;
                f->pMethods = &watched;
        }
        return r;
}

/* A database ------------------------------------------------------------------------------------------------------- */

struct world {
        char folder[64], copy[80];
        sqlite3 *db;
        unsigned seed;
};

static unsigned draw(struct world *w, unsigned below)
{
        w->seed = w->seed * 1664525 + 1013904223;
        return (w->seed >> 8) % below;
}

static int run(sqlite3 *db, const char *sql)
{
        return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static sqlite3 *open_in(const char *folder, const char *vfs)
{
        sqlite3 *db = NULL;
        char path[128];

        snprintf(path, sizeof(path), "%s/db", folder);
        assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
        return db;
}

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        const char *vfs;

        if (!plain) {
                plain = sqlite3_vfs_find(NULL);
                watching = *plain;
                watching.zName = "watching";
                watching.xOpen = watched_open;
                sqlite3_vfs_register(&watching, 1);
                vfs = edits_wal_vfs();
                sqlite3_vfs_register(plain, 1);
        }
        vfs = edits_wal_vfs();
        assert_non_null(vfs);
        snprintf(w->folder, sizeof(w->folder), "/tmp/edits-wal-XXXXXX");
        assert_non_null(mkdtemp(w->folder));
        snprintf(w->copy, sizeof(w->copy), "%s/copy", w->folder);
        assert_int_equal(mkdir(w->copy, 0700), 0);
        w->db = open_in(w->folder, vfs);
        /* A small cache: large transactions write to the WAL before their end, and some pages twice. */
        assert_int_equal(run(w->db, "PRAGMA page_size=1024; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                    "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=500; PRAGMA cache_size=12;"
                                    "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, data BLOB)"),
                         SQLITE_OK);
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;
        char command[256];

        fail_in = 0;
        room = 0;
        sqlite3_close(w->db);
        snprintf(command, sizeof(command), "rm -r '%s'", w->folder);
        assert_int_equal(system(command), 0);
        free(w);
        return 0;
}

/* Of all rows. */
static uint64_t digest(sqlite3 *db)
{
        uint64_t d = 14695981039346656037u;
        sqlite3_stmt *s;
        int code;

        assert_int_equal(sqlite3_prepare_v2(db, "SELECT id, n, data FROM t ORDER BY id", -1, &s, NULL), SQLITE_OK);
        while ((code = sqlite3_step(s)) == SQLITE_ROW) {
                const unsigned char *data = sqlite3_column_blob(s, 2);

                d = (d ^ (uint64_t)sqlite3_column_int64(s, 0)) * 1099511628211u;
                d = (d ^ (uint64_t)sqlite3_column_int64(s, 1)) * 1099511628211u;
                for (int i = 0; i < sqlite3_column_bytes(s, 2); i++)
                        d = (d ^ data[i]) * 1099511628211u;
        }
        assert_int_equal(code, SQLITE_DONE);
        sqlite3_finalize(s);
        return d;
}

static void copy_file(const struct world *w, const char *name)
{
        int from = open(w->folder, O_RDONLY | O_DIRECTORY), to = open(w->copy, O_RDONLY | O_DIRECTORY);
        struct buf data = { 0 };

        assert_int_equal(file_read_at(from, name, 64 << 20, &data), 0);
        assert_int_equal(file_replace(to, name, data.data, data.len, 0644, false), 0);
        buf_release(&data);
        close(from);
        close(to);
}

/* What another process would find, were this one killed now. */
static uint64_t digest_after_kill(struct world *w)
{
        sqlite3 *db;
        uint64_t d;

        copy_file(w, "db");
        copy_file(w, "db-wal");
        db = open_in(w->copy, plain->zName);
        d = digest(db);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        return d;
}

static int change_row(struct world *w)
{
        char sql[200];

        snprintf(sql, sizeof(sql), "REPLACE INTO t VALUES(%u, %u, randomblob(%u))", draw(w, ROWS), draw(w, 1u << 20),
                 draw(w, 300));
        return run(w->db, sql);
}

/* Many rows, some of them over and over, now and then with a part taken back. */
static int change_rows(struct world *w, unsigned count)
{
        int r = SQLITE_OK;

        for (unsigned i = 0; i < count && r == SQLITE_OK; i++) {
                bool back = draw(w, 40) == 0;

                if (back)
                        r = run(w->db, "SAVEPOINT s");
                for (unsigned k = 0; k < 5 && r == SQLITE_OK; k++)
                        r = change_row(w);
                if (back && r == SQLITE_OK)
                        r = run(w->db, "ROLLBACK TO s; RELEASE s");
        }
        return r;
}

static unsigned size_of(struct world *w)
{
        return draw(w, 8) ? 1 + draw(w, 2) : 100 + draw(w, 200);
}

/* Tests ------------------------------------------------------------------------------------------------------------ */

static void one_write_for_a_transaction(void **state)
{
        struct world *w = *state;

        for (int i = 0; i < 20; i++)
                assert_int_equal(change_row(w), SQLITE_OK);
        writes = 0;
        assert_int_equal(run(w->db, "BEGIN; UPDATE t SET n = n + 1; COMMIT"), SQLITE_OK);
        assert_int_equal(writes, 1);
}

static void what_is_committed_survives_a_kill(void **state)
{
        struct world *w = *state;

        w->seed = 1;
        lone_headers = 0;
        for (int i = 0; i < TRANSACTIONS; i++) {
                bool back = draw(w, 10) == 0;

                assert_int_equal(run(w->db, "BEGIN"), SQLITE_OK);
                assert_int_equal(change_rows(w, size_of(w)), SQLITE_OK);
                assert_int_equal(run(w->db, back ? "ROLLBACK" : "COMMIT"), SQLITE_OK);
                if (draw(w, 30) == 0)
                        assert_int_equal(run(w->db, "PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
                uint64_t found = digest_after_kill(w);

                assert_int_equal(found, digest(w->db));
        }
        assert_true(lone_headers > 20); /* transactions that wrote a page twice were among them */
}

static void a_full_disk_leaves_the_transaction_before(void **state)
{
        struct world *w = *state;
        uint64_t last = digest(w->db);
        int failed = 0;

        w->seed = 2;
        for (int i = 0; i < TRANSACTIONS; i++) {
                int r = run(w->db, "BEGIN");

                fail_in = draw(w, 3) ? 0 : 1 + (int)draw(w, 3);
                r = r == SQLITE_OK ? change_rows(w, size_of(w)) : r;
                r = r == SQLITE_OK ? run(w->db, "COMMIT") : r;
                fail_in = 0;
                if (r != SQLITE_OK) {
                        assert_int_equal(r & 0xff, SQLITE_FULL);
                        (void)run(w->db, "ROLLBACK"); /* SQLite may have done it */
                        failed++;
                }
                uint64_t found = digest_after_kill(w);

                if (r != SQLITE_OK)
                        assert_int_equal(found, last);
                last = digest(w->db);
                assert_int_equal(found, last);
        }
        assert_true(failed > 20);
}

static void a_commit_after_a_statement_that_failed_keeps_its_word(void **state)
{
        static const char first[] = "BEGIN; UPDATE t SET n = 1";
        struct world *w = *state;
        uint64_t last, kept;

        assert_int_equal(run(w->db, "CREATE TABLE u(id INTEGER PRIMARY KEY, v UNIQUE NOT NULL);"
                                    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<400)"
                                    "INSERT INTO t SELECT x, 0, hex(zeroblob(100)) FROM c"),
                         SQLITE_OK);
        last = digest(w->db);
        assert_int_equal(run(w->db, first), SQLITE_OK);
        kept = digest(w->db);
        assert_int_equal(run(w->db, "ROLLBACK"), SQLITE_OK);
        for (int at = 1; at <= 6; at++) {
                int r;

                assert_int_equal(run(w->db, "PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
                assert_int_equal(run(w->db, first), SQLITE_OK);
                fail_in = at; /* the first one writes frames of the first statement */
                r = run(w->db, "INSERT INTO u SELECT id, id || hex(zeroblob(100)) FROM t ORDER BY id DESC");
                fail_in = 0;
                if (at == 1)
                        assert_int_equal(r, SQLITE_FULL);
                if (r == SQLITE_OK)
                        assert_int_equal(run(w->db, "DELETE FROM u"), SQLITE_OK);
                r = run(w->db, "COMMIT"); /* an error: SQLite has rolled back */
                assert_int_equal(digest_after_kill(w), r == SQLITE_OK ? kept : last);
                assert_int_equal(digest(w->db), r == SQLITE_OK ? kept : last);
                assert_int_equal(run(w->db, "PRAGMA wal_checkpoint(TRUNCATE); UPDATE t SET n = 0"), SQLITE_OK);
                assert_int_equal(digest_after_kill(w), last);
        }
}

static void what_was_undone_needs_no_room(void **state)
{
        struct world *w = *state;
        uint64_t last;

        w->seed = 4;
        for (int i = 0; i < 10; i++) { /* what is collected ends elsewhere each time */
                assert_int_equal(run(w->db, "BEGIN"), SQLITE_OK);
                assert_int_equal(change_rows(w, 100), SQLITE_OK);
                assert_int_equal(run(w->db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
                assert_int_equal(change_row(w), SQLITE_OK);
                last = digest(w->db);
                assert_int_equal(run(w->db, "BEGIN"), SQLITE_OK);
                for (unsigned k = draw(w, 60); k > 0; k--)
                        assert_int_equal(change_row(w), SQLITE_OK);
                room = 1;
                assert_int_equal(run(w->db, "ROLLBACK"), SQLITE_OK);
                assert_int_equal(digest(w->db), last);
                assert_int_equal(run(w->db, "PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
                assert_int_equal(digest_after_kill(w), last);
                room = 0;
        }
}

static sqlite3_int64 wal_size_of(const struct world *w)
{
        char path[128];
        struct stat st;

        snprintf(path, sizeof(path), "%s/db-wal", w->folder);
        assert_int_equal(stat(path, &st), 0);
        return st.st_size;
}

static void a_transaction_that_has_room_is_not_kept_from_it_by_one_that_was_undone(void **state)
{
        struct world *w = *state;

        w->seed = 5;
        for (int i = 0; i < 10; i++) {
                /* A log that is long already, and begins anew. */
                assert_int_equal(run(w->db, "BEGIN"), SQLITE_OK);
                assert_int_equal(change_rows(w, 100), SQLITE_OK);
                assert_int_equal(run(w->db, "COMMIT; PRAGMA wal_checkpoint(PASSIVE)"), SQLITE_OK);
                assert_int_equal(change_row(w), SQLITE_OK);
                uint64_t last = digest(w->db);

                room = wal_size_of(w);
                assert_int_equal(run(w->db, "BEGIN"), SQLITE_OK);
                for (unsigned k = draw(w, 60); k > 0; k--)
                        assert_int_equal(change_row(w), SQLITE_OK);
                assert_int_equal(run(w->db, "INSERT INTO t SELECT id + 1000, n, zeroblob(900) FROM t"), SQLITE_FULL);
                (void)run(w->db, "ROLLBACK"); /* SQLite may have done it */
                assert_int_equal(digest(w->db), last);
                assert_int_equal(change_row(w), SQLITE_OK);
                assert_int_equal(digest_after_kill(w), digest(w->db));
                assert_int_not_equal(digest(w->db), last);
                room = 0;
        }
}

/* The file alone, as SQLite might use it: frames are appended, undone, written again in place, in part without their
 * page, and read, while writes fail. */
enum { PAGE = 512, FRAME = 24 + PAGE, FRAMES = 400, STEPS = 6000 };

struct log {
        struct world *w;
        sqlite3_file *file;
        char bytes[FRAMES * FRAME];
        unsigned count, committed; /* frames */
};

static void fill(struct log *l, char *bytes, size_t n, bool commits)
{
        for (size_t i = 0; i < n; i++)
                bytes[i] = (char)draw(l->w, 256);
        if (n == 24)
                memcpy(bytes + 4, commits ? "\0\0\0\1" : "\0\0\0", 4);
}

static int write_piece(struct log *l, const char *bytes, int n, sqlite3_int64 at)
{
        int r = l->file->pMethods->xWrite(l->file, bytes, n, 32 + at);

        if (r == SQLITE_OK)
                memcpy(l->bytes + at, bytes, (size_t)n);
        return r;
}

static void append(struct log *l)
{
        bool commits = draw(l->w, 100) == 0;
        char frame[FRAME];

        fill(l, frame, 24, commits);
        fill(l, frame + 24, PAGE, false);
        fail_in = draw(l->w, 30) == 0;
        if (write_piece(l, frame, 24, l->count * FRAME) == SQLITE_OK &&
            write_piece(l, frame + 24, PAGE, l->count * FRAME + 24) == SQLITE_OK) {
                l->count++;
                l->committed = commits ? l->count : l->committed;
        } else {
                assert_int_equal(fail_in, 0);
        }
        fail_in = 0;
}

static void write_again(struct log *l)
{
        unsigned frame = l->committed + draw(l->w, l->count - l->committed);
        bool page = draw(l->w, 2);
        char bytes[FRAME];

        if (!page) /* as SQLite does; so a page that comes next is not taken for that of a new frame */
                assert_int_equal(l->file->pMethods->xRead(l->file, bytes, FRAME, 32 + frame * FRAME), SQLITE_OK);
        fill(l, bytes, page ? PAGE : 24, false);
        assert_int_equal(write_piece(l, bytes, page ? PAGE : 24, frame * FRAME + (page ? 24 : 0)), SQLITE_OK);
        if (!page)
                assert_int_equal(l->file->pMethods->xRead(l->file, bytes, 8, 32), SQLITE_OK);
}

static void check_log(struct log *l, const struct world *w)
{
        static char found[sizeof(l->bytes)];
        unsigned n = l->count * FRAME, from = n ? draw(l->w, n) : 0;
        struct buf data = { 0 };
        int dirfd = open(w->folder, O_RDONLY | O_DIRECTORY);

        assert_int_equal(l->file->pMethods->xRead(l->file, found, (int)(n - from), 32 + from), SQLITE_OK);
        assert_memory_equal(found, l->bytes + from, n - from);
        assert_int_equal(file_read_at(dirfd, "db-log", 64 << 20, &data), 0);
        assert_true(data.len >= 32 + l->committed * FRAME);
        assert_memory_equal(data.data + 32, l->bytes, l->committed * FRAME);
        buf_release(&data);
        close(dirfd);
}

static void what_was_written_is_read(void **state)
{
        sqlite3_vfs *vfs = sqlite3_vfs_find(edits_wal_vfs());
        static char path[128], name[136];
        static struct log l;
        struct world *w = *state;

        l = (struct log){ .w = w, .file = calloc(1, (size_t)vfs->szOsFile) };
        w->seed = 6;
        snprintf(path, sizeof(path), "%s/db-log", w->folder);
        memcpy(name + 4, path, sizeof(path)); /* a VFS wants zeros around a name */
        assert_int_equal(vfs->xOpen(vfs, name + 4, l.file,
                                    SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL),
                         SQLITE_OK);
        for (int i = 0; i < STEPS; i++) {
                unsigned what = draw(w, 100);

                if (l.count == FRAMES || i == 0) {
                        assert_int_equal(l.file->pMethods->xWrite(l.file, path, 32, 0), SQLITE_OK);
                        l.count = l.committed = 0;
                }
                if (what < 85)
                        append(&l);
                else if (what < 87)
                        l.count = l.committed + draw(w, l.count - l.committed + 1);
                else if (what < 95 && l.count > l.committed)
                        write_again(&l);
                else
                        check_log(&l, w);
        }
        assert_int_equal(l.file->pMethods->xClose(l.file), SQLITE_OK);
        free(l.file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_write_for_a_transaction, setup, teardown),
                cmocka_unit_test_setup_teardown(what_is_committed_survives_a_kill, setup, teardown),
                cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_transaction_before, setup, teardown),
                cmocka_unit_test_setup_teardown(a_commit_after_a_statement_that_failed_keeps_its_word, setup, teardown),
                cmocka_unit_test_setup_teardown(what_was_undone_needs_no_room, setup, teardown),
                cmocka_unit_test_setup_teardown(a_transaction_that_has_room_is_not_kept_from_it_by_one_that_was_undone,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(what_was_written_is_read, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
