#include "store/store.h"

#include "sample_store.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { OTHER_USER = 65534, THIRD_USER = 12345 };

static int try_open(const struct sample *t, enum store_mode mode, struct errtext *err)
{
        struct store *s = NULL;
        int r = store_open(t->store_path, mode, &s, err);

        store_close(s);
        return r;
}

/* Runs FN in a child; returns the exit status. */
static int in_child(int (*fn)(const struct sample *t), const struct sample *t)
{
        int status;
        pid_t child = fork();

        if (child == 0)
                _exit(fn(t));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void a_store_is_made_only_when_that_is_asked_for(void **state)
{
        const struct sample *t = *state;
        struct errtext err = { "" };
        struct store *s;

        assert_int_equal(try_open(t, STORE_READ, &err), -ENOENT);
        assert_non_null(strstr(err.text, t->store_path));
        assert_int_equal(try_open(t, STORE_WRITE, &err), -ENOENT);
        assert_false(sample_exists(t, "store"));
        s = sample_open(t, STORE_CREATE);
        assert_int_equal(strspn(s->id, "0123456789abcdef"), 32);
        assert_string_equal(s->path, t->store_path);
        store_close(s);
        assert_int_equal(try_open(t, STORE_READ, &err), 0);
        assert_int_equal(try_open(t, STORE_WRITE, &err), 0);
}

static void a_store_keeps_its_id(void **state)
{
        const struct sample *t = *state;
        struct store *a = sample_open(t, STORE_CREATE);
        struct store *b = sample_open(t, STORE_CREATE);
        struct store *c = sample_open(t, STORE_READ);

        assert_string_equal(a->id, b->id);
        assert_string_equal(a->id, c->id);
        store_close(a);
        store_close(b);
        store_close(c);
}

static void its_folders_are_private_and_reading_holds_nothing_to_write(void **state)
{
        static const char *const folders[] = { "store", "store/objects", "store/images", "store/staging" };
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct stat st;

        store_close(s);
        for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
                assert_int_equal(fstatat(t->folder_fd, folders[i], &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_mode & 07777, 0700);
        }
        s = sample_open(t, STORE_READ);
        assert_int_equal(s->staging_fd, -1);
        assert_int_equal(s->lock_fd, -1);
        store_close(s);
}

static void missing_parents_and_relative_paths_are_fine(void **state)
{
        const struct sample *t = *state;
        char expected[100];
        struct errtext err = { "" };
        struct store *s = NULL;
        int old = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(fchdir(t->folder_fd), 0);
        assert_int_equal(store_open(".//a/b/c//", STORE_CREATE, &s, &err), 0);
        snprintf(expected, sizeof expected, "%s/a/b/c", t->folder);
        assert_string_equal(s->path, expected);
        store_close(s);
        assert_int_equal(fchdir(old), 0);
        close(old);
        assert_true(store_open("", STORE_CREATE, &s, &err) < 0);
}

static int create_and_print(const struct sample *t)
{
        struct store *s = NULL;
        struct staging g;
        struct errtext err;
        cleanup_close int fd = openat(t->folder_fd, "ids", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

        if (store_open(t->store_path, STORE_CREATE, &s, &err) < 0 || store_staging_open(s, &g, &err) < 0)
                return 1;
        if (file_write_full(fd, s->id, 32) < 0)
                return 2;
        store_staging_close(s, &g);
        store_close(s);
        return 0;
}

static void eight_processes_make_one_store(void **state)
{
        const struct sample *t = *state;

        for (int round = 0; round < 20; round++) {
                cleanup_buf struct buf ids = { 0 };
                pid_t children[8];
                int status;

                for (size_t i = 0; i < 8; i++) {
                        children[i] = fork();
                        if (children[i] == 0)
                                _exit(create_and_print(t));
                }
                for (size_t i = 0; i < 8; i++) {
                        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                        assert_int_equal(status, 0);
                }
                assert_int_equal(file_read_at(t->folder_fd, "ids", 1000, &ids), 0);
                assert_int_equal(ids.len, 8 * 32);
                for (size_t i = 1; i < 8; i++)
                        assert_memory_equal(ids.data, ids.data + 32 * i, 32);
                assert_int_equal(dir_remove_tree(t->folder_fd, "ids"), 0);
                assert_int_equal(dir_remove_tree(t->folder_fd, "store"), 0);
        }
}

static void a_creation_that_was_killed_is_finished(void **state)
{
        const struct sample *t = *state;
        struct errtext err;

        assert_int_equal(mkdirat(t->folder_fd, "store", 0755), 0);
        assert_int_equal(mkdirat(t->folder_fd, "store/objects", 0700), 0);
        assert_int_equal(mkdirat(t->folder_fd, "store/staging", 0700), 0);
        assert_int_equal(try_open(t, STORE_READ, &err), -ENOENT);
        assert_int_equal(try_open(t, STORE_CREATE, &err), 0);
        assert_int_equal(try_open(t, STORE_READ, &err), 0);
}

static void a_folder_of_something_else_is_left_alone(void **state)
{
        const struct sample *t = *state;
        struct errtext err = { "" };

        assert_int_equal(mkdirat(t->folder_fd, "store", 0755), 0);
        assert_int_equal(file_replace(t->folder_fd, "file", "x", 1, 0644, false), 0);
        assert_int_equal(renameat(t->folder_fd, "file", t->folder_fd, "store/thesis.tex"), 0);
        for (enum store_mode mode = STORE_READ; mode <= STORE_CREATE; mode++) {
                assert_int_equal(try_open(t, mode, &err), -EINVAL);
                assert_non_null(strstr(err.text, "is no store"));
        }
        assert_false(sample_exists(t, "store/store"));
        assert_false(sample_exists(t, "store/objects"));
}

static void write_identity(const struct sample *t, const char *text)
{
        struct store *s = sample_open(t, STORE_CREATE);

        assert_int_equal(file_replace(s->root_fd, "store", text, strlen(text), 0444, false), 0);
        store_close(s);
}

static void an_identity_that_is_not_ours_is_refused(void **state)
{
        static const char *const bad[] = { "", "fusepkg store 1\nid 12\n", "x",
                                           "fusepkg store 1\nid 0123456789abcdef0123456789abcdeg\n",
                                           "fusepkg store 1\nid 0123456789abcdef0123456789abcdef\nmore\n" };
        const struct sample *t = *state;
        struct errtext err = { "" };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                write_identity(t, bad[i]);
                assert_int_equal(try_open(t, STORE_WRITE, &err), -EINVAL);
                assert_int_equal(dir_remove_tree(t->folder_fd, "store"), 0);
        }
        write_identity(t, "fusepkg store 2\nid 0123456789abcdef0123456789abcdef\n");
        assert_int_equal(try_open(t, STORE_CREATE, &err), -ENOTSUP);
        assert_non_null(strstr(err.text, "newer"));
}

static int open_as_other(const struct sample *t)
{
        struct errtext err;

        if (setresgid(OTHER_USER, OTHER_USER, OTHER_USER) < 0 || setresuid(OTHER_USER, OTHER_USER, OTHER_USER) < 0)
                return 1;
        if (try_open(t, STORE_WRITE, &err) != -EPERM || !strstr(err.text, "belongs to user 0"))
                return 2;
        if (try_open(t, STORE_CREATE, &err) != -EPERM)
                return 3;
        return try_open(t, STORE_READ, &err) == 0 ? 0 : 4;
}

static int open_as_third(const struct sample *t)
{
        struct errtext err;

        if (setresgid(THIRD_USER, THIRD_USER, THIRD_USER) < 0 || setresuid(THIRD_USER, THIRD_USER, THIRD_USER) < 0)
                return 1;
        if (try_open(t, STORE_READ, &err) != -EPERM || try_open(t, STORE_WRITE, &err) != -EPERM)
                return 2;
        return strstr(err.text, "belongs to user 65534") ? 0 : 3;
}

/* Makes the store one that others may look into, so that its owner alone can stop them. */
static void open_up(const struct sample *t)
{
        static const char *const folders[] = { "store", "store/objects", "store/images", "store/staging" };

        assert_int_equal(fchmod(t->folder_fd, 0755), 0);
        for (size_t i = 0; i < ARRAY_LEN(folders); i++)
                assert_int_equal(fchmodat(t->folder_fd, folders[i], 0755, 0), 0);
        assert_int_equal(fchmodat(t->folder_fd, "store/lock", 0666, 0), 0);
}

static void a_store_of_root_may_be_read_by_others_and_written_by_none(void **state)
{
        const struct sample *t = *state;

        if (geteuid() != 0)
                skip();
        store_close(sample_open(t, STORE_CREATE));
        open_up(t);
        assert_int_equal(in_child(open_as_other, t), 0);
}

static void a_store_of_another_user_is_refused(void **state)
{
        const struct sample *t = *state;
        struct errtext err;

        if (geteuid() != 0)
                skip();
        store_close(sample_open(t, STORE_CREATE));
        open_up(t);
        assert_int_equal(fchownat(t->folder_fd, "store", OTHER_USER, OTHER_USER, 0), 0);
        assert_int_equal(in_child(open_as_third, t), 0);
        assert_int_equal(try_open(t, STORE_WRITE, &err), 0);
}

static int open_planted(const struct sample *t)
{
        struct errtext err;

        if (setresgid(OTHER_USER, OTHER_USER, OTHER_USER) < 0 || setresuid(OTHER_USER, OTHER_USER, OTHER_USER) < 0)
                return 1;
        if (try_open(t, STORE_WRITE, &err) != -EPERM)
                return 2;
        return strstr(err.text, "objects belongs to user 12345") ? 0 : 3;
}

static void a_folder_that_somebody_else_planted_is_refused(void **state)
{
        static const char *const all[] = { "store", "store/lock", "store/images", "store/staging" };
        const struct sample *t = *state;

        if (geteuid() != 0)
                skip();
        store_close(sample_open(t, STORE_CREATE));
        open_up(t);
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
                assert_int_equal(fchownat(t->folder_fd, all[i], OTHER_USER, OTHER_USER, 0), 0);
        assert_int_equal(fchownat(t->folder_fd, "store/objects", THIRD_USER, THIRD_USER, 0), 0);
        assert_int_equal(in_child(open_planted, t), 0);
}

static void what_root_makes_in_a_users_store_is_the_users(void **state)
{
        static const char *const all[] = { "store", "store/lock", "store/store", "store/objects", "store/images",
                                           "store/staging" };
        const struct sample *t = *state;
        struct staging g;
        struct errtext err;
        struct store *s;
        uint8_t id[SHA256_SIZE];
        char name[80];
        struct stat st;

        if (geteuid() != 0)
                skip();
        store_close(sample_open(t, STORE_CREATE));
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
                assert_int_equal(fchownat(t->folder_fd, all[i], OTHER_USER, OTHER_USER, 0), 0);
        s = sample_open(t, STORE_WRITE);
        assert_int_equal(store_staging_open(s, &g, &err), 0);
        sample_object(s, &g, 'x', 10, id);
        store_object_name(id, name);
        assert_int_equal(fstatat(s->root_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_uid, OTHER_USER);
        name[strlen("objects/ab")] = '\0';
        assert_int_equal(fstatat(s->root_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_uid, OTHER_USER);
        store_staging_close(s, &g);
        store_close(s);
}

static void folders_that_are_symlinks_are_refused(void **state)
{
        static const char *const folders[] = { "store/objects", "store/images", "store/staging" };
        const struct sample *t = *state;
        struct errtext err = { "" };

        for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
                store_close(sample_open(t, STORE_CREATE));
                assert_int_equal(renameat(t->folder_fd, folders[i], t->folder_fd, "elsewhere"), 0);
                assert_int_equal(symlinkat("../elsewhere", t->folder_fd, folders[i]), 0);
                assert_int_equal(try_open(t, STORE_WRITE, &err), -EINVAL);
                assert_non_null(strstr(err.text, "symlink"));
                assert_int_equal(dir_remove_tree(t->folder_fd, "store"), 0);
                assert_int_equal(dir_remove_tree(t->folder_fd, "elsewhere"), 0);
        }
}

static void an_object_behind_a_symlink_is_not_opened(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct staging g;
        struct errtext err;
        uint8_t id[SHA256_SIZE];
        char name[80];
        int fd;

        assert_int_equal(store_staging_open(s, &g, &err), 0);
        sample_object(s, &g, 'x', 10, id);
        store_staging_close(s, &g);
        fd = store_open_object(s, id);
        assert_true(fd >= 0);
        close(fd);
        store_object_name(id, name);
        assert_int_equal(renameat(s->root_fd, name, t->folder_fd, "moved"), 0);
        assert_int_equal(symlinkat("../../../moved", s->root_fd, name), 0);
        assert_int_equal(store_open_object(s, id), -ELOOP);
        name[strlen("objects/ab")] = '\0';
        assert_int_equal(renameat(s->root_fd, name, t->folder_fd, "shard"), 0);
        assert_int_equal(symlinkat("../../shard", s->root_fd, name), 0);
        assert_int_equal(store_open_object(s, id), -ELOOP);
        store_close(s);
}

static int make_read_only(const struct sample *t)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(t->store_path, t->store_path, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, t->store_path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0)
                return -errno;
        return 0;
}

static int use_read_only(const struct sample *t)
{
        static const uint8_t key[SHA256_SIZE];
        struct errtext err;
        struct store *s = NULL;
        struct staging g;
        uint8_t id[SHA256_SIZE];
        int fd;

        if (make_read_only(t) < 0)
                return 1;
        if (try_open(t, STORE_WRITE, &err) != -EROFS || !strstr(err.text, "read-only"))
                return 2;
        if (try_open(t, STORE_CREATE, &err) != -EROFS)
                return 3;
        if (store_open(t->store_path, STORE_READ, &s, &err) < 0)
                return 4;
        sha256_bytes("xxxxxxxxxx", 10, id);
        fd = store_open_object(s, id);
        if (fd < 0)
                return 5;
        if (store_lock_key(s, key, true) != -EROFS || store_staging_open(s, &g, &err) != -EROFS)
                return 6;
        return 0;
}

static void a_store_on_a_read_only_file_system_can_be_read(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct staging g;
        struct errtext err;
        uint8_t id[SHA256_SIZE];

        if (geteuid() != 0)
                skip();
        assert_int_equal(store_staging_open(s, &g, &err), 0);
        sample_object(s, &g, 'x', 10, id);
        store_staging_close(s, &g);
        store_close(s);
        assert_int_equal(in_child(use_read_only, t), 0);
}

static void names_are_sharded_by_the_first_byte(void **state)
{
        uint8_t id[SHA256_SIZE];
        char name[80];

        (void)state;
        for (int i = 0; i < SHA256_SIZE; i++)
                id[i] = (uint8_t)(0xa0 + i);
        store_object_name(id, name);
        assert_string_equal(name, "objects/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
        store_image_name(id, name);
        assert_string_equal(name, "images/a0/a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_store_is_made_only_when_that_is_asked_for),
                TEST(a_store_keeps_its_id),
                TEST(its_folders_are_private_and_reading_holds_nothing_to_write),
                TEST(missing_parents_and_relative_paths_are_fine),
                TEST(eight_processes_make_one_store),
                TEST(a_creation_that_was_killed_is_finished),
                TEST(a_folder_of_something_else_is_left_alone),
                TEST(an_identity_that_is_not_ours_is_refused),
                TEST(a_store_of_root_may_be_read_by_others_and_written_by_none),
                TEST(a_store_of_another_user_is_refused),
                TEST(a_folder_that_somebody_else_planted_is_refused),
                TEST(what_root_makes_in_a_users_store_is_the_users),
                TEST(folders_that_are_symlinks_are_refused),
                TEST(an_object_behind_a_symlink_is_not_opened),
                TEST(a_store_on_a_read_only_file_system_can_be_read),
                TEST(names_are_sharded_by_the_first_byte),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
