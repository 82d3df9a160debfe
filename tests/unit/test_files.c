#include "store/files.h"

#include "sample_store.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void put(const struct sample *t, const char *name, const char *text)
{
        int fd = openat(t->folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(file_write_full(fd, text, strlen(text)), 0);
        close(fd);
}

static void expect_text(const struct sample *t, const char *name, const char *text)
{
        cleanup_buf struct buf b = { 0 };

        assert_int_equal(file_read_at(t->folder_fd, name, 1000, &b), 0);
        assert_string_equal(b.data, text);
}

static size_t count_entries(int dirfd)
{
        DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
        size_t n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n - 2;
}

static void a_file_written_in_place_is_nobody_elses(void **state)
{
        const struct sample *t = *state;
        int users = dir_make(t->folder_fd, "users", 0700), fd;
        struct stat st;

        assert_true(users >= 0);
        put(t, "victim", "x");
        assert_int_equal(linkat(t->folder_fd, "victim", users, "linked", 0), 0);
        assert_int_equal(file_open_own(users, "linked", O_RDWR | O_CREAT, 0644), -EPERM);
        assert_int_equal(mkfifoat(users, "fifo", 0644), 0);
        assert_int_equal(file_open_own(users, "fifo", O_RDWR | O_CREAT, 0644), -EPERM);
        assert_int_equal(symlinkat("../victim", users, "link"), 0);
        assert_int_equal(file_open_own(users, "link", O_RDWR | O_CREAT, 0644), -ELOOP);
        if (geteuid() == 0)
                assert_int_equal(fchown(users, 1234, 1235), 0);
        fd = file_open_own(users, "own", O_RDWR | O_CREAT, 0644);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        close(fd);
        if (geteuid() == 0) {
                assert_int_equal(st.st_uid, 1234);
                assert_int_equal(st.st_gid, 1235);
        }
        close(users);
}

static void nothing_outside_the_folder_can_be_opened(void **state)
{
        const struct sample *t = *state;
        int inner = dir_make(t->folder_fd, "inner", 0700);

        assert_true(inner >= 0);
        put(t, "secret", "x");
        assert_int_equal(symlinkat("../secret", inner, "link"), 0);
        assert_int_equal(symlinkat("..", inner, "up"), 0);
        assert_int_equal(symlinkat(t->folder, inner, "absolute"), 0);
        assert_int_equal(file_open_beneath(inner, "../secret", O_RDONLY, 0), -EXDEV);
        assert_int_equal(file_open_beneath(inner, "/etc/passwd", O_RDONLY, 0), -EXDEV);
        assert_int_equal(file_open_beneath(inner, "link", O_RDONLY, 0), -ELOOP);
        assert_int_equal(file_open_beneath(inner, "up/secret", O_RDONLY, 0), -ELOOP);
        assert_int_equal(file_open_beneath(inner, "absolute/secret", O_RDONLY, 0), -ELOOP);
        close(inner);
}

static void a_symlink_within_is_not_followed_either(void **state)
{
        const struct sample *t = *state;

        put(t, "file", "x");
        assert_int_equal(symlinkat("file", t->folder_fd, "link"), 0);
        assert_int_equal(file_open_beneath(t->folder_fd, "link", O_RDONLY, 0), -ELOOP);
        assert_int_equal(file_open_beneath(t->folder_fd, "link", O_WRONLY | O_CREAT, 0644), -ELOOP);
        expect_text(t, "file", "x");
}

static void descriptors_do_not_survive_an_exec(void **state)
{
        const struct sample *t = *state;
        int fd;

        put(t, "file", "x");
        fd = file_open_beneath(t->folder_fd, "file", O_RDONLY, 0);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
}

static void a_file_that_ends_too_early_is_an_error(void **state)
{
        const struct sample *t = *state;
        char data[8];
        int fd;

        put(t, "file", "12345678");
        fd = file_open_beneath(t->folder_fd, "file", O_RDONLY, 0);
        assert_int_equal(file_pread_full(fd, data, 8, 0), 0);
        assert_memory_equal(data, "12345678", 8);
        assert_int_equal(file_pread_full(fd, data, 4, 4), 0);
        assert_memory_equal(data, "5678", 4);
        assert_int_equal(file_pread_full(fd, data, 8, 1), -EIO);
        assert_int_equal(file_pread_full(fd, data, 0, 100), 0);
        close(fd);
}

static void a_whole_file_is_read_up_to_the_limit(void **state)
{
        const struct sample *t = *state;
        cleanup_buf struct buf b = { 0 };

        put(t, "file", "0123456789");
        buf_add_str(&b, "before ");
        assert_int_equal(file_read_at(t->folder_fd, "file", 10, &b), 0);
        assert_string_equal(b.data, "before 0123456789");
        assert_int_equal(file_read_at(t->folder_fd, "file", 9, &b), -EFBIG);
        assert_string_equal(b.data, "before 0123456789");
        assert_int_equal(file_read_at(t->folder_fd, "file", 0, &b), -EFBIG);
        assert_int_equal(file_read_at(t->folder_fd, "file", SIZE_MAX, &b), 0);
        assert_int_equal(file_read_at(t->folder_fd, "absent", 9, &b), -ENOENT);
        assert_int_equal(b.len, 27);
}

static void a_file_without_a_size_is_read_too(void **state)
{
        cleanup_buf struct buf b = { 0 };
        cleanup_close int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

        (void)state;
        assert_int_equal(file_read_all(fd, 100000, &b), 0);
        assert_memory_equal(b.data, "Name:", 5);
}

static void a_fifo_in_the_place_of_a_file_does_not_hang(void **state)
{
        const struct sample *t = *state;
        cleanup_buf struct buf b = { 0 };

        assert_int_equal(mkfifoat(t->folder_fd, "fifo", 0600), 0);
        assert_true(file_read_at(t->folder_fd, "fifo", 100, &b) < 0);
}

static void replacing_leaves_the_new_file_alone(void **state)
{
        const struct sample *t = *state;
        struct stat st;

        put(t, "file", "old");
        assert_int_equal(file_replace(t->folder_fd, "file", "new text", 8, 0640, true), 0);
        expect_text(t, "file", "new text");
        assert_int_equal(fstatat(t->folder_fd, "file", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(file_replace(t->folder_fd, "empty", NULL, 0, 0444, false), 0);
        assert_int_equal(count_entries(t->folder_fd), 2);
}

static void replacing_a_symlink_leaves_its_target(void **state)
{
        const struct sample *t = *state;

        put(t, "target", "precious");
        assert_int_equal(symlinkat("target", t->folder_fd, "file"), 0);
        assert_int_equal(file_replace(t->folder_fd, "file", "new", 3, 0644, false), 0);
        expect_text(t, "target", "precious");
        expect_text(t, "file", "new");
}

static void a_replacement_that_fails_leaves_the_old_file_and_no_litter(void **state)
{
        const struct sample *t = *state;

        assert_int_equal(mkdirat(t->folder_fd, "file", 0700), 0);
        assert_int_equal(mkdirat(t->folder_fd, "file/inner", 0700), 0);
        assert_true(file_replace(t->folder_fd, "file", "new", 3, 0644, false) < 0);
        assert_int_equal(count_entries(t->folder_fd), 1);
        assert_int_equal(file_replace(t->folder_fd, "file/x", "new", 3, 0644, false), -EINVAL);
        assert_int_equal(file_replace(t->folder_fd, "", "new", 3, 0644, false), -EINVAL);
}

static bool is_word(struct span name, const void *word)
{
        return span_is(name, word);
}

static void what_killed_replacements_left_goes_by_the_name_that_it_was_for(void **state)
{
        const struct sample *t = *state;

        assert_int_equal(mkdirat(t->folder_fd, "folder", 0700), 0);
        put(t, "folder/file", "whole");
        put(t, "folder/file.tmp-0123456789abcdef", "half");
        put(t, "folder/files.tmp-0123456789abcdef", "of another");
        file_replace_sweep(t->folder_fd, "folder", is_word, "file");
        file_replace_sweep(t->folder_fd, "missing", is_word, "file");
        expect_text(t, "folder/file", "whole");
        expect_text(t, "folder/files.tmp-0123456789abcdef", "of another");
        assert_int_equal(faccessat(t->folder_fd, "folder/file.tmp-0123456789abcdef", F_OK, 0), -1);
}

static void the_longest_name_can_be_replaced(void **state)
{
        const struct sample *t = *state;
        char name[256];

        memset(name, 'n', 255);
        name[255] = '\0';
        assert_int_equal(file_replace(t->folder_fd, name, "x", 1, 0644, false), 0);
        expect_text(t, name, "x");
}

static void making_a_folder_takes_one_that_is_there(void **state)
{
        const struct sample *t = *state;
        int a = dir_make(t->folder_fd, "folder", 0700), b = dir_make(t->folder_fd, "folder", 0700);

        assert_true(a >= 0);
        assert_true(b >= 0);
        close(a);
        close(b);
        put(t, "file", "x");
        assert_int_equal(dir_make(t->folder_fd, "file", 0700), -ENOTDIR);
        assert_int_equal(symlinkat("folder", t->folder_fd, "link"), 0);
        assert_int_equal(dir_make(t->folder_fd, "link", 0700), -ELOOP);
        assert_int_equal(dir_make(t->folder_fd, "absent/inner", 0700), -ENOENT);
}

static void removing_a_tree_leaves_what_symlinks_point_to(void **state)
{
        const struct sample *t = *state;

        put(t, "precious", "x");
        assert_int_equal(mkdirat(t->folder_fd, "keep", 0700), 0);
        put(t, "keep/file", "y");
        assert_int_equal(mkdirat(t->folder_fd, "tree", 0700), 0);
        assert_int_equal(mkdirat(t->folder_fd, "tree/inner", 0700), 0);
        put(t, "tree/inner/file", "z");
        assert_int_equal(symlinkat("../keep", t->folder_fd, "tree/link"), 0);
        assert_int_equal(symlinkat("../../precious", t->folder_fd, "tree/inner/link"), 0);
        assert_int_equal(dir_remove_tree(t->folder_fd, "tree"), 0);
        assert_false(sample_exists(t, "tree"));
        expect_text(t, "precious", "x");
        expect_text(t, "keep/file", "y");

        assert_int_equal(symlinkat("keep", t->folder_fd, "link"), 0);
        assert_int_equal(dir_remove_tree(t->folder_fd, "link"), 0);
        assert_false(sample_exists(t, "link"));
        expect_text(t, "keep/file", "y");
}

static void removing_what_is_absent_or_a_file_is_fine(void **state)
{
        const struct sample *t = *state;

        assert_int_equal(dir_remove_tree(t->folder_fd, "absent"), 0);
        put(t, "file", "x");
        assert_int_equal(dir_remove_tree(t->folder_fd, "file"), 0);
        assert_false(sample_exists(t, "file"));
}

static void a_tree_deeper_than_the_table_of_descriptors_is_removed(void **state)
{
        const struct sample *t = *state;
        struct rlimit old, few;
        int fd = dir_make(t->folder_fd, "deep", 0700);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        few = (struct rlimit){ 100, old.rlim_max };
        for (int i = 0; i < 3000; i++) {
                int next = dir_make(fd, "d", 0700);

                assert_true(next >= 0);
                close(fd);
                fd = next;
        }
        close(fd);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(dir_remove_tree(t->folder_fd, "deep"), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(count_entries(t->folder_fd), 0);
}

/* In a mount namespace of a child: nothing is left mounted whatever happens. */
static void remove_over_a_mount(struct sample *t)
{
        char inner[100];

        snprintf(inner, sizeof inner, "%s/tree/mounted", t->folder);
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", inner, "tmpfs", 0, NULL) < 0)
                _exit(10);
        /* The old descriptor belongs to the old namespace. */
        t->folder_fd = open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        put(t, "tree/mounted/file", "x");
        if (dir_remove_tree(t->folder_fd, "tree") != -EXDEV)
                _exit(11);
        _exit(sample_exists(t, "tree/mounted/file") ? 0 : 12);
}

static void removing_a_tree_stops_at_a_mount(void **state)
{
        struct sample *t = *state;
        int status;
        pid_t child;

        if (geteuid() != 0)
                skip();
        assert_int_equal(mkdirat(t->folder_fd, "tree", 0700), 0);
        assert_int_equal(mkdirat(t->folder_fd, "tree/mounted", 0700), 0);
        child = fork();
        if (child == 0)
                remove_over_a_mount(t);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

static void random_digits_are_that_many_and_differ(void **state)
{
        char a[33], b[33], one[1];

        (void)state;
        assert_int_equal(random_hex(a, sizeof a), 0);
        assert_int_equal(random_hex(b, sizeof b), 0);
        assert_int_equal(strspn(a, "0123456789abcdef"), 32);
        assert_int_equal(strlen(a), 32);
        assert_string_not_equal(a, b);
        assert_int_equal(random_hex(one, sizeof one), 0);
        assert_string_equal(one, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_file_written_in_place_is_nobody_elses),
                TEST(nothing_outside_the_folder_can_be_opened),
                TEST(a_symlink_within_is_not_followed_either),
                TEST(descriptors_do_not_survive_an_exec),
                TEST(a_file_that_ends_too_early_is_an_error),
                TEST(a_whole_file_is_read_up_to_the_limit),
                TEST(a_file_without_a_size_is_read_too),
                TEST(a_fifo_in_the_place_of_a_file_does_not_hang),
                TEST(replacing_leaves_the_new_file_alone),
                TEST(replacing_a_symlink_leaves_its_target),
                TEST(a_replacement_that_fails_leaves_the_old_file_and_no_litter),
                TEST(what_killed_replacements_left_goes_by_the_name_that_it_was_for),
                TEST(the_longest_name_can_be_replaced),
                TEST(making_a_folder_takes_one_that_is_there),
                TEST(removing_a_tree_leaves_what_symlinks_point_to),
                TEST(removing_what_is_absent_or_a_file_is_fine),
                TEST(a_tree_deeper_than_the_table_of_descriptors_is_removed),
                TEST(removing_a_tree_stops_at_a_mount),
                TEST(random_digits_are_that_many_and_differ),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
