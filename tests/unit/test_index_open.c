#include "store/index.h"

#include "sample_index.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Two images, a lease, and a damage that DAMAGE does while nobody has the index open. */
static void expect_recovery(const struct sample *t, void (*damage)(const struct store *s), bool leases_survive)
{
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE], c[SHA256_SIZE];

        add(s, x, "demo", "1.0", a);
        add(s, x, "demo", "2.0", b);
        assert_int_equal(put_lease(x, "/venv", 1, 2, "e"), 0);
        index_close(x);
        run_sql(s, "PRAGMA wal_checkpoint(TRUNCATE)");
        damage(s);
        x = open_index(s);
        expect_list(x, "demo==1.0 demo==2.0 ");
        assert_int_equal(expect_key(x, "key demo 1.0", a), 0);
        assert_int_equal(expect_archive(x, "archive demo 2.0", b), 0);
        expect_leases(x, leases_survive ? "/venv 1 2 e\n" : "");
        add(s, x, "demo", "3.0", c);
        index_close(x);
        x = open_index(s);
        expect_list(x, "demo==1.0 demo==2.0 demo==3.0 ");
        index_close(x);
        store_close(s);
        assert_int_equal(dir_remove_tree(t->folder_fd, "store"), 0);
}

static void overwrite(const struct store *s, off_t offset, size_t len)
{
        int fd = openat(s->root_fd, "index.db", O_RDWR | O_CLOEXEC);
        char junk[4096];

        memset(junk, 0x5a, sizeof junk);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, junk, len, offset), len);
        close(fd);
}

static void remove_it(const struct store *s)
{
        assert_int_equal(unlinkat(s->root_fd, "index.db", 0), 0);
}

static void remove_all(const struct store *s)
{
        remove_it(s);
        unlinkat(s->root_fd, "index.db-wal", 0);
        unlinkat(s->root_fd, "index.db-shm", 0);
}

static void wreck_header(const struct store *s)
{
        overwrite(s, 0, 100);
}

static void wreck_schema(const struct store *s)
{
        overwrite(s, 100, 924);
}

static void wreck_images(const struct store *s)
{
        overwrite(s, 1024, 1024);
}

static void cut(const struct store *s)
{
        assert_int_equal(sample_truncate(s, "index.db", 1500), 0);
}

static void empty(const struct store *s)
{
        assert_int_equal(sample_truncate(s, "index.db", 0), 0);
}

static void drop_table(const struct store *s)
{
        run_sql(s, "DROP TABLE keys");
}

static void replace_by_folder(const struct store *s)
{
        remove_all(s);
        assert_int_equal(mkdirat(s->root_fd, "index.db", 0700), 0);
}

static void replace_by_symlink(const struct store *s)
{
        remove_all(s);
        assert_int_equal(symlinkat("/etc/passwd", s->root_fd, "index.db"), 0);
}

static void a_missing_or_damaged_index_is_rebuilt_from_the_images(void **state)
{
        const struct sample *t = *state;

        expect_recovery(t, remove_it, false);
        expect_recovery(t, remove_all, false);
        expect_recovery(t, wreck_header, false);
        expect_recovery(t, wreck_schema, false);
        expect_recovery(t, wreck_images, true);
        expect_recovery(t, cut, false);
        expect_recovery(t, empty, false);
        expect_recovery(t, drop_table, true);
        expect_recovery(t, replace_by_folder, false);
        expect_recovery(t, replace_by_symlink, false);
}

static void a_damaged_image_does_not_stop_the_rebuilding(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE];
        char name[80];

        add(s, x, "demo", "1.0", a);
        add(s, x, "demo", "2.0", b);
        index_close(x);
        store_image_name(a, name);
        assert_int_equal(sample_truncate(s, name, 100), 0);
        assert_int_equal(file_replace(s->images_fd, "foreign", "x", 1, 0444, false), 0);
        remove_all(s);
        x = open_index(s);
        expect_list(x, "demo==2.0 ");
        index_close(x);
        store_close(s);
}

static void an_index_of_a_newer_fusepkg_is_refused_and_kept(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        struct errtext err = { "" };
        uint8_t a[SHA256_SIZE];

        add(s, x, "demo", "1.0", a);
        index_close(x);
        run_sql(s, "PRAGMA user_version=3");
        assert_int_equal(index_open(s, &x, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "newer"));
        run_sql(s, "PRAGMA user_version=2");
        x = open_index(s);
        expect_list(x, "demo==1.0 ");
        index_close(x);
        store_close(s);
}

static void reading_changes_nothing(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE), *reader = sample_open(t, STORE_READ);
        struct index *x = open_index(reader);
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE];
        char name[80];

        expect_list(x, "");
        index_close(x);
        assert_false(sample_exists(t, "store/index.db"));
        x = open_index(s);
        add(s, x, "demo", "1.0", a);
        add(s, x, "demo", "2.0", b);
        index_close(x);
        store_image_name(a, name);
        assert_int_equal(unlinkat(s->root_fd, name, 0), 0);
        x = open_index(reader);
        assert_int_equal(expect_key(x, "key demo 2.0", b), 0);
        assert_int_equal(expect_key(x, "key demo 1.0", NULL), -ENOENT);
        expect_list(x, "demo==1.0 demo==2.0 ");
        assert_int_equal(index_touch(x, &b, 1), 0);
        assert_int_equal(index_forget_image(x, b), -EROFS);
        assert_int_equal(put_lease(x, "/venv", 1, 2, "e"), -EROFS);
        index_close(x);
        remove_all(s);
        x = open_index(reader);
        expect_list(x, "demo==2.0 ");
        index_close(x);
        assert_false(sample_exists(t, "store/index.db"));
        store_close(reader);
        store_close(s);
}

static int count_lease(const struct index_lease *lease, void *user)
{
        (void)lease;
        ++*(int *)user;
        return 0;
}

static int read_only_child(const struct sample *t, const char *expected, bool leases)
{
        int n = 0;
        cleanup_buf struct buf b = { 0 };
        struct store *s = NULL;
        struct index *x = NULL;
        struct errtext err;

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(t->store_path, t->store_path, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, t->store_path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
                return 1;
        if (store_open(t->store_path, STORE_READ, &s, &err) < 0 || index_open(s, &x, &err) < 0)
                return 2;
        if (index_each_image(x, list, &b) != 0)
                return 3;
        if (index_each_lease(x, count_lease, &n) != 0 || n != leases)
                return 4;
        return b.len == strlen(expected) && memcmp(b.data, expected, b.len) == 0 ? 0 : 5;
}

static void expect_on_read_only(const struct sample *t, const char *expected, bool leases)
{
        int status;
        pid_t child = fork();

        if (child == 0)
                _exit(read_only_child(t, expected, leases));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

static void a_store_on_a_read_only_file_system_has_its_index(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t a[SHA256_SIZE];

        if (geteuid() != 0)
                skip();
        add(s, x, "demo", "1.0", a);
        assert_int_equal(put_lease(x, "/venv", 1, 2, "e"), 0);
        index_close(x);
        expect_on_read_only(t, "demo==1.0 ", true);
        run_sql(s, "PRAGMA wal_checkpoint(TRUNCATE)");
        unlinkat(s->root_fd, "index.db-shm", 0);
        unlinkat(s->root_fd, "index.db-wal", 0);
        expect_on_read_only(t, "demo==1.0 ", true);
        remove_all(s);
        expect_on_read_only(t, "demo==1.0 ", false);
        store_close(s);
}

static int add_many(const struct sample *t, int who)
{
        struct store *s = NULL;
        struct index *x = NULL;
        struct errtext err;
        char word[32];

        if (store_open(t->store_path, STORE_CREATE, &s, &err) < 0)
                return 1;
        if (index_open(s, &x, &err) < 0)
                return 2;
        for (int i = 0; i < 20; i++) {
                snprintf(word, sizeof word, "/venv/%d/%d", who, i);
                if (put_lease(x, word, 1, 2, "e") < 0)
                        return 3;
        }
        index_close(x);
        store_close(s);
        return 0;
}

static void eight_processes_share_one_index(void **state)
{
        const struct sample *t = *state;

        for (int round = 0; round < 5; round++) {
                pid_t children[8];
                struct store *s;
                struct index *x;
                int status, n = 0;

                for (int i = 0; i < 8; i++) {
                        children[i] = fork();
                        if (children[i] == 0)
                                _exit(add_many(t, i));
                }
                for (int i = 0; i < 8; i++) {
                        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                        assert_int_equal(status, 0);
                }
                s = sample_open(t, STORE_READ);
                x = open_index(s);
                assert_int_equal(index_each_lease(x, count_lease, &n), 0);
                assert_int_equal(n, 160);
                index_close(x);
                store_close(s);
                assert_int_equal(dir_remove_tree(t->folder_fd, "store"), 0);
        }
}

static void what_was_committed_outlives_a_kill(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        int committed[2], status, n = 0, last = 0;
        struct index *x;
        pid_t child;

        index_close(open_index(s));
        assert_int_equal(pipe(committed), 0);
        child = fork();
        if (child == 0) {
                struct errtext err;
                char word[32];

                if (index_open(s, &x, &err) < 0)
                        _exit(1);
                for (int i = 1;; i++) {
                        snprintf(word, sizeof word, "/venv/%d", i);
                        if (put_lease(x, word, 1, 2, "e") < 0 ||
                            write(committed[1], &i, sizeof i) != sizeof i)
                                _exit(1);
                }
        }
        while (last < 100)
                assert_int_equal(read(committed[0], &last, sizeof last), sizeof last);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(committed[1]);
        while (read(committed[0], &last, sizeof last) == sizeof last)
                ;
        close(committed[0]);
        x = open_index(s);
        assert_int_equal(index_each_lease(x, count_lease, &n), 0);
        assert_true(n == last || n == last + 1);
        index_close(x);
        store_close(s);
}

static int count_unsettled(const uint8_t image[SHA256_SIZE], void *user)
{
        (void)image;
        ++*(int *)user;
        return 0;
}

static int unsettled(struct index *x)
{
        int n = 0;

        assert_int_equal(index_each_unsettled(x, count_unsettled, &n), 0);
        return n;
}

static int mark(const uint8_t image[SHA256_SIZE], void *user)
{
        return index_mark_settled(user, image);
}

static void images_of_an_earlier_boot_are_unsettled_until_marked(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

        add(s, x, "demo", "1.0", a);
        add(s, x, "demo", "2.0", b);
        assert_int_equal(unsettled(x), 0);
        assert_int_equal(index_is_settled(x, a), 1);
        run_sql(s, "UPDATE images SET boot = 'an earlier one'");
        assert_int_equal(unsettled(x), 2);
        assert_int_equal(index_settle(x, 0), 0);
        assert_int_equal(unsettled(x), 2);
        assert_int_equal(index_is_settled(x, a), 0);
        assert_int_equal(index_mark_settled(x, a), 0);
        assert_int_equal(index_is_settled(x, a), 1);
        assert_int_equal(index_is_settled(x, b), 0);
        assert_int_equal(unsettled(x), 1);
        assert_int_equal(index_each_unsettled(x, mark, x), 0);
        assert_int_equal(unsettled(x), 0);
        index_close(x);
        store_close(s);
}

static void settling_concerns_images_of_this_boot_that_are_old_enough(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

        add(s, x, "demo", "1.0", a);
        add(s, x, "demo", "2.0", b);
        run_sql(s, "UPDATE images SET added = added - 1000 WHERE version = '1.0'");
        assert_int_equal(index_settle(x, 500), 0);
        /* What was settled has no boot: as if in the next one, only the other is unsettled. */
        run_sql(s, "UPDATE images SET boot = 'an earlier one' WHERE boot IS NOT NULL");
        assert_int_equal(unsettled(x), 1);
        index_close(x);
        store_close(s);
}

static void images_found_when_rebuilding_are_believed_only_when_of_this_boot(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t a[SHA256_SIZE];

        add(s, x, "demo", "1.0", a);
        index_close(x);
        remove_all(s);
        x = open_index(s);
        assert_int_equal(unsettled(x), 0);
        index_close(x);
        run_sql(s, "CREATE TEMP TABLE check_(n CHECK(n = 1)); INSERT INTO check_ SELECT count(*) FROM images"
                   " WHERE boot IS NOT NULL");
        store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_missing_or_damaged_index_is_rebuilt_from_the_images),
                TEST(a_damaged_image_does_not_stop_the_rebuilding),
                TEST(an_index_of_a_newer_fusepkg_is_refused_and_kept),
                TEST(reading_changes_nothing),
                TEST(a_store_on_a_read_only_file_system_has_its_index),
                TEST(eight_processes_share_one_index),
                TEST(what_was_committed_outlives_a_kill),
                TEST(images_of_an_earlier_boot_are_unsettled_until_marked),
                TEST(settling_concerns_images_of_this_boot_that_are_old_enough),
                TEST(images_found_when_rebuilding_are_believed_only_when_of_this_boot),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
