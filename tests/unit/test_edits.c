/* The database of the edits: which ones are taken, and what is said of the others. */
#include "sample_view.h"

#include "fs/edits_private.h"

static const char environment[] = "an-environment";

static int folder = -1;

static int setup_folder(void **state)
{
        char path[] = "/tmp/fusepkg-edits-XXXXXX";

        assert_non_null(mkdtemp(path));
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(folder >= 0);
        *state = strdup(path);
        return 0;
}

static int teardown_folder(void **state)
{
        int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        close(folder);
        assert_int_equal(dir_remove_tree(tmp, strrchr(*state, '/') + 1), 0);
        close(tmp);
        free(*state);
        return 0;
}

/* As another program would. */
static void execute(const char *path, const char *sql)
{
        sqlite3 *db = NULL;
        char file[128];

        snprintf(file, sizeof(file), "%s/" EDITS_FILE, path);
        assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
}

static int put_node(struct edits *e, uint64_t id)
{
        const struct edit_node n = { .id = id, .mode = S_IFDIR | 0755, .links = 1 };
        int r = edits_begin(e);

        if (r == 0)
                r = edits_node_put(e, &n);
        return r == 0 ? edits_commit(e) : r;
}

static void make(void)
{
        struct edits *e = NULL;

        assert_int_equal(edits_open(folder, environment, &e, NULL), 0);
        edits_close(e);
}

static void one_of_an_older_format_is_refused(void **state)
{
        struct errtext err = { "" };
        struct edits *e = NULL;

        make();
        execute(*state, "UPDATE meta SET value = 1 WHERE key = 'format'");
        assert_int_equal(edits_open(folder, environment, &e, &err), -EPROTO);
        assert_non_null(strstr(err.text, "before the first release"));
}

static void one_of_a_newer_format_is_refused(void **state)
{
        struct errtext err = { "" };
        struct edits *e = NULL;

        make();
        execute(*state, "UPDATE meta SET value = 99 WHERE key = 'format'");
        assert_int_equal(edits_open(folder, environment, &e, &err), -EPROTO);
        assert_non_null(strstr(err.text, "use a newer fusepkg"));
}

/* It is not taken for a lack of memory. */
static void a_table_that_is_missing_is_damage(void **state)
{
        struct edits *e = NULL;

        make();
        execute(*state, "DROP TABLE announce");
        assert_int_equal(edits_open(folder, environment, &e, NULL), 0);
        assert_int_equal(edits_begin(e), 0);
        assert_int_equal(edits_announce_put(e, 1, "name"), -EUCLEAN);
        edits_rollback(e);
        edits_close(e);
}

static void a_further_file_that_is_somebody_elses_is_not_written_to(void **state)
{
        struct errtext err = { "" };
        struct edits *e = NULL;
        struct stat st;

        (void)state;
        make();
        assert_int_equal(file_replace(folder, "victim", "bytes", 5, 0644, false), 0);
        (void)unlinkat(folder, EDITS_FILE "-wal", 0);
        assert_int_equal(linkat(folder, "victim", folder, EDITS_FILE "-wal", 0), 0);
        assert_int_equal(edits_open(folder, environment, &e, &err), -EPERM);
        assert_int_equal(fstatat(folder, "victim", &st, 0), 0);
        assert_int_equal(st.st_size, 5);
        assert_int_equal(unlinkat(folder, EDITS_FILE "-wal", 0), 0);
        assert_int_equal(edits_open(folder, environment, &e, &err), 0);
        edits_close(e);
}

/* What would keep SQLite busy for ever is not even begun. */
static void one_with_views_or_triggers_is_damage(void **state)
{
        static const char *const texts[] = {
                "ALTER TABLE entry RENAME TO e; CREATE VIEW entry AS WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL"
                " SELECT x+1 FROM c) SELECT 1 dir, x cookie, 'n'||x name, 0 id, 0 type, 0 horizon FROM c",
                "CREATE TRIGGER t AFTER INSERT ON node BEGIN DELETE FROM node; END",
        };

        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                struct errtext err = { "" };
                struct edits *e = NULL;

                make();
                execute(*state, texts[i]);
                assert_int_equal(edits_open(folder, environment, &e, &err), -EUCLEAN);
                assert_non_null(strstr(err.text, "is damaged"));
                assert_int_equal(unlinkat(folder, EDITS_FILE, 0), 0);
        }
}

static void numbers_that_are_no_nodes_are_damage(void **state)
{
        static const char *const texts[] = {
                "REPLACE INTO meta VALUES('next', 9223372036854775807)",
                "REPLACE INTO meta VALUES('next', 4294967297)",
        };

        make();
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                struct edits *e = NULL;
                uint64_t id;

                execute(*state, texts[i]);
                assert_int_equal(edits_open(folder, environment, &e, NULL), 0);
                assert_int_equal(edits_begin(e), 0);
                assert_int_equal(edits_new_id(e, &id), -EUCLEAN);
                edits_rollback(e);
                edits_close(e);
        }
}

static int read_nothing(sqlite3_file *file, void *data, int n, sqlite3_int64 at)
{
        (void)file;
        (void)data;
        (void)n;
        (void)at;
        return SQLITE_IOERR_READ;
}

/* SQLite rolls back by itself: what comes then must not be on its own. */
static void nothing_follows_in_a_transaction_that_has_ended(void **state)
{
        const struct edit_node last = { .id = EDIT_ID_FIRST + 9001, .mode = S_IFDIR | 0755, .links = 1 };
        const struct sqlite3_io_methods *sound;
        struct sqlite3_io_methods broken;
        struct edit_node n;
        struct edits *e = NULL;
        sqlite3_file *file = NULL;

        (void)state;
        assert_int_equal(edits_open(folder, environment, &e, NULL), 0);
        for (uint64_t id = EDIT_ID_FIRST + 1; id < EDIT_ID_FIRST + 2000; id++)
                assert_int_equal(put_node(e, id), 0);
        edits_close(e); /* all of it is in the database, nothing in the WAL */
        assert_int_equal(edits_open(folder, environment, &e, NULL), 0);
        assert_int_equal(sqlite3_file_control(e->db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
        assert_int_equal(edits_begin(e), 0);
        assert_int_equal(edits_node_put(e, &(struct edit_node){ .id = EDIT_ID_FIRST + 9000, .links = 1 }), 0);
        sound = file->pMethods;
        broken = *sound;
        broken.xRead = read_nothing;
        file->pMethods = &broken;
        assert_true(edits_node_get(e, EDIT_ID_FIRST + 1000, &n) < 0);
        file->pMethods = sound;
        assert_int_equal(edits_node_put(e, &last), -EIO);
        assert_int_equal(edits_commit(e), -EIO);
        assert_int_equal(edits_node_get(e, last.id, &n), -ENOENT);
        assert_int_equal(edits_node_get(e, EDIT_ID_FIRST + 9000, &n), -ENOENT);
        assert_int_equal(put_node(e, last.id), 0);
        edits_close(e);
}

/* Blocks that are there before they are needed: of the WAL, and of the database for what is in the WAL alone. */
static void what_removals_need_is_there(void **state)
{
        struct edits *e = NULL;
        char file[128];
        struct stat db, wal;

        assert_int_equal(edits_open(folder, environment, &e, NULL), 0);
        for (uint64_t id = EDIT_ID_FIRST + 1; id < EDIT_ID_FIRST + 8000; id++)
                assert_int_equal(put_node(e, id), 0);
        snprintf(file, sizeof(file), "%s/" EDITS_FILE, (char *)*state);
        assert_int_equal(stat(file, &db), 0);
        snprintf(file, sizeof(file), "%s/" EDITS_FILE "-wal", (char *)*state);
        assert_int_equal(stat(file, &wal), 0);
        assert_true((off_t)db.st_blocks * 512 >= 8000 * 40);
        assert_true((off_t)wal.st_blocks * 512 >= 1 << 20);
        /* The WAL begins anew in the blocks that it has. */
        assert_true(edits_reserve_give(e, 0));
        assert_int_equal(put_node(e, EDIT_ID_FIRST + 9000), 0);

        struct stat after;

        assert_int_equal(stat(file, &after), 0);
        assert_int_equal(after.st_size, wal.st_size);
        edits_close(e);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_folder, teardown_folder)
        const struct CMUnitTest tests[] = {
                CASE(one_of_an_older_format_is_refused),
                CASE(one_of_a_newer_format_is_refused),
                CASE(a_table_that_is_missing_is_damage),
                CASE(a_further_file_that_is_somebody_elses_is_not_written_to),
                CASE(one_with_views_or_triggers_is_damage),
                CASE(numbers_that_are_no_nodes_are_damage),
                CASE(nothing_follows_in_a_transaction_that_has_ended),
                CASE(what_removals_need_is_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
