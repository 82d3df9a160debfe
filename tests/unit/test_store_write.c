#include "store/store.h"

#include "sample_store.h"

#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void a_key_is_locked_by_one_at_a_time(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE], high[SHA256_SIZE];
        int first, other, again;

        sample_hash("a", a);
        sample_hash("b", b);
        memset(high, 0xff, sizeof high);
        first = store_lock_key(s, a, true);
        assert_true(first >= 0);
        assert_int_equal(store_lock_key(s, a, false), -EAGAIN);
        other = store_lock_key(s, b, false);
        assert_true(other >= 0);
        again = store_lock_key(s, high, false);
        assert_true(again >= 0);
        close(again);
        close(first);
        again = store_lock_key(s, a, false);
        assert_true(again >= 0);
        close(again);
        close(other);
        store_close(s);
}

static void a_lock_goes_with_its_process(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        uint8_t key[SHA256_SIZE];
        int ready[2], fd, status;
        pid_t child;
        char c;

        sample_hash("key", key);
        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0) {
                if (store_lock_key(s, key, true) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        assert_int_equal(store_lock_key(s, key, false), -EAGAIN);
        assert_int_equal(kill(child, SIGKILL), 0);
        fd = store_lock_key(s, key, true);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(ready[0]);
        close(ready[1]);
        store_close(s);
}

/* A child that holds a staging folder with a file in it, until it is killed. */
static pid_t start_staging(const struct store *s, char ret_name[33])
{
        struct staging g;
        struct errtext err;
        int ready[2];
        pid_t child;

        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0) {
                if (store_staging_open(s, &g, &err) < 0 || file_replace(g.fd, "half", "abc", 3, 0600, false) < 0 ||
                    mkdirat(g.fd, "folder", 0700) < 0 || write(ready[1], g.name, 33) != 33)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_int_equal(read(ready[0], ret_name, 33), 33);
        close(ready[0]);
        close(ready[1]);
        return child;
}

static void what_a_killed_ingest_left_is_cleared_by_the_next(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct staging g;
        struct errtext err;
        char dead[33], living[33];
        pid_t killed, other;
        int status;

        killed = start_staging(s, dead);
        other = start_staging(s, living);
        assert_int_equal(faccessat(s->staging_fd, dead, F_OK, 0), 0);
        assert_int_equal(kill(killed, SIGKILL), 0);
        assert_int_equal(waitpid(killed, &status, 0), killed);
        assert_int_equal(faccessat(s->staging_fd, dead, F_OK, 0), 0);
        assert_int_equal(symlinkat("/etc", s->staging_fd, "link"), 0);
        assert_int_equal(file_replace(s->staging_fd, "file", "x", 1, 0600, false), 0);
        assert_int_equal(store_staging_open(s, &g, &err), 0);
        assert_int_equal(faccessat(s->staging_fd, dead, F_OK, 0), -1);
        assert_int_equal(faccessat(s->staging_fd, "link", F_OK, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(faccessat(s->staging_fd, "file", F_OK, 0), -1);
        assert_int_equal(faccessat(s->staging_fd, living, F_OK, 0), 0);
        assert_int_equal(faccessat(s->staging_fd, g.name, F_OK, 0), 0);
        store_staging_close(s, &g);
        assert_int_equal(faccessat(s->staging_fd, g.name, F_OK, 0), -1);
        kill(other, SIGKILL);
        waitpid(other, &status, 0);
        store_close(s);
}

static int churn_staging(const struct sample *t)
{
        struct store *s = NULL;
        struct errtext err;

        if (store_open(t->store_path, STORE_WRITE, &s, &err) < 0)
                return 1;
        for (int i = 0; i < 300; i++) {
                struct staging g;

                if (store_staging_open(s, &g, &err) < 0)
                        return 2;
                /* Whoever takes this folder for dead removes the file. */
                if (file_replace(g.fd, "file", "x", 1, 0600, false) < 0 || sched_yield() < 0 ||
                    faccessat(g.fd, "file", F_OK, 0) < 0)
                        return 3;
                store_staging_close(s, &g);
        }
        store_close(s);
        return 0;
}

static void nobody_clears_the_folder_of_the_living(void **state)
{
        const struct sample *t = *state;
        pid_t children[4];
        int status;

        store_close(sample_open(t, STORE_CREATE));
        for (size_t i = 0; i < ARRAY_LEN(children); i++) {
                children[i] = fork();
                if (children[i] == 0)
                        _exit(churn_staging(t));
        }
        for (size_t i = 0; i < ARRAY_LEN(children); i++) {
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
}

static ino_t object_inode(const struct store *s, const uint8_t id[SHA256_SIZE], off_t *ret_size)
{
        char name[80];
        struct stat st;

        store_object_name(id, name);
        assert_int_equal(fstatat(s->root_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode & 07777, 0444);
        *ret_size = st.st_size;
        return st.st_ino;
}

static void publishing_again_keeps_the_first_and_replaces_a_truncated_one(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct staging g;
        struct errtext err;
        uint8_t id[SHA256_SIZE];
        char name[80];
        ino_t first;
        off_t size;

        assert_int_equal(store_staging_open(s, &g, &err), 0);
        sample_object(s, &g, 'x', 1000, id);
        first = object_inode(s, id, &size);
        assert_int_equal(size, 1000);
        sample_object(s, &g, 'x', 1000, id);
        assert_true(object_inode(s, id, &size) == first);
        assert_int_equal(faccessat(g.fd, "object", F_OK, 0), -1);
        store_object_name(id, name);
        assert_int_equal(fchmodat(s->root_fd, name, 0644, 0), 0);
        assert_int_equal(sample_truncate(s, name, 10), 0);
        sample_object(s, &g, 'x', 1000, id);
        object_inode(s, id, &size);
        assert_int_equal(size, 1000);
        store_staging_close(s, &g);
        store_close(s);
}

static void only_complete_read_only_files_are_published(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct staging g;
        struct errtext err;
        uint8_t id[SHA256_SIZE];

        sample_hash("x", id);
        assert_int_equal(store_staging_open(s, &g, &err), 0);
        assert_int_equal(file_replace(g.fd, "writable", "x", 1, 0644, false), 0);
        assert_int_equal(store_publish_object(s, &g, "writable", id), -EINVAL);
        assert_int_equal(store_publish_object(s, &g, "absent", id), -ENOENT);
        assert_int_equal(store_open_object(s, id), -ENOENT);
        store_staging_close(s, &g);
        store_close(s);
}

struct seen {
        size_t ours, foreign;
        char last_foreign[300];
};

static int note(const char *name, const uint8_t *id, void *user)
{
        struct seen *seen = user;

        if (id) {
                seen->ours++;
        } else {
                seen->foreign++;
                snprintf(seen->last_foreign, sizeof seen->last_foreign, "%s", name);
        }
        return 0;
}

static int stop(const char *name, const uint8_t *id, void *user)
{
        (void)name;
        (void)id;
        ++*(int *)user;
        return 7;
}

static void walking_tells_ours_from_foreign_files(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct staging g;
        struct errtext err;
        struct seen seen = { 0 };
        uint8_t id[SHA256_SIZE];
        int calls = 0;

        assert_int_equal(store_staging_open(s, &g, &err), 0);
        for (char c = 'a'; c < 'k'; c++)
                sample_object(s, &g, c, 5, id);
        store_staging_close(s, &g);
        assert_int_equal(store_each_object(s, note, &seen), 0);
        assert_int_equal(seen.ours, 10);
        assert_int_equal(seen.foreign, 0);
        assert_int_equal(mkdirat(s->objects_fd, "zz", 0700), 0);
        assert_int_equal(store_each_object(s, note, &seen), 0);
        assert_int_equal(seen.foreign, 1);
        assert_string_equal(seen.last_foreign, "objects/zz");
        assert_int_equal(store_each_object(s, stop, &calls), 7);
        assert_int_equal(calls, 1);
        assert_int_equal(store_each_image(s, stop, &calls), 0);
        store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_key_is_locked_by_one_at_a_time),
                TEST(a_lock_goes_with_its_process),
                TEST(what_a_killed_ingest_left_is_cleared_by_the_next),
                TEST(nobody_clears_the_folder_of_the_living),
                TEST(publishing_again_keeps_the_first_and_replaces_a_truncated_one),
                TEST(only_complete_read_only_files_are_published),
                TEST(walking_tells_ours_from_foreign_files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
