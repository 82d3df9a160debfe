#include "store/store.h"

#include "sample_store.h"

#include <sched.h>
#include <signal.h>
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
        struct store *a = sample_open(t, STORE_CREATE), *b = sample_open(t, STORE_CREATE), *c = sample_open(t, STORE_READ);

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
