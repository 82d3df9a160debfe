/* The bytes of a tree: the view's, until they are changed. */
#include "sample_edited.h"

#include "fs/tree_copy.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define BIG_SIZE 8000

static char big[BIG_SIZE + 1];

static const char *const pkg1[] = {
        "site/pkg/a.py", "abcdefghij", "site/pkg/big.py", big, "site/pkg/empty.py", "",
        "site/pkg-1.dist-info/METADATA", "Name: pkg\n", NULL,
};

static int setup_edited(void **state)
{
        struct edited *t = calloc(1, sizeof(*t));

        for (size_t i = 0; i < BIG_SIZE; i++)
                big[i] = (char)('a' + i * i % 23);
        setup(state);
        t->p = *state;
        *state = t;
        put(t->p, "site/bare.txt", "bare");
        commit_environment(t->p, with(t->p, "pkg", "1", pkg1));
        edited_open(t);
        return 0;
}

static size_t data_files(const struct edited *t)
{
        DIR *dir = dir_stream(edit_data_fd(t->data), ".");
        size_t n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n - 2;
}

static struct stat stat_of(struct edited *t, uint64_t id)
{
        struct node n;

        assert_int_equal(tree_getattr(t->tree, id, &n), 0);
        return n.st;
}

static bool has_data(struct edited *t, uint64_t id)
{
        struct edit_node n;

        return edits_node_get(t->edits, id, &n) == 0 && n.data;
}

static void a_write_copies_the_rest(void **state)
{
        struct edited *t = *state;
        uint64_t id = tree_id(t, "pkg/a.py");
        struct stat before = stat_of(t, id), after;

        assert_false(has_data(t, id));
        assert_int_equal(tree_write(t->tree, id, "XY", 2, 3), 2);
        assert_reads(t, "pkg/a.py", "abcXYfghij");
        assert_true(has_data(t, id));
        after = stat_of(t, id);
        assert_int_equal(after.st_ino, before.st_ino);
        assert_int_equal(after.st_mode, before.st_mode);
        assert_int_equal(after.st_nlink, 1);
        assert_int_equal(after.st_size, 10);
        assert_true(after.st_mtim.tv_sec > before.st_mtim.tv_sec);
        assert_int_equal(tree_write(t->tree, id, "end", 3, 12), 3);
        assert_int_equal(stat_of(t, id).st_size, 15);
        assert_int_equal(data_files(t), 1);
        assert_sound(t);
}

static void what_was_written_is_there_in_the_next_mount(void **state)
{
        struct edited *t = *state;
        uint64_t id = tree_id(t, "pkg/a.py");

        assert_int_equal(tree_write(t->tree, id, "XY", 2, 3), 2);
        assert_int_equal(tree_fsync(t->tree, id, false), 0);
        assert_int_equal(tree_fsync(t->tree, tree_id(t, "pkg"), false), 0);
        edited_close(t);
        edited_open(t);
        assert_int_equal(tree_id(t, "pkg/a.py"), id);
        assert_reads(t, "pkg/a.py", "abcXYfghij");
}

static void a_copy_alone_changes_nothing_that_can_be_seen(void **state)
{
        struct edited *t = *state;
        uint64_t id = tree_id(t, "pkg/a.py");
        struct tree_attr attr = { .mtime = { 1234567890, 42 }, .atime = { 1000000000, 1 } };
        struct edit_file *f;
        struct stat before, after;
        struct node n;

        assert_int_equal(tree_setattr(t->tree, id, &attr, &n), 0);
        before = stat_of(t, id);
        assert_int_equal(tree_copy_up(t->tree, id, UINT64_MAX, &f), 0);
        edit_file_put(t->data, f);
        after = stat_of(t, id);
        assert_int_equal(after.st_mtim.tv_sec, 1234567890);
        assert_int_equal(after.st_mtim.tv_nsec, 42);
        assert_int_equal(after.st_atim.tv_sec, before.st_atim.tv_sec);
        assert_int_equal(after.st_size, before.st_size);
        assert_reads(t, "pkg/a.py", "abcdefghij");
        assert_int_equal(data_files(t), 1);
}

static void a_truncated_file_is_copied_as_far_as_it_goes(void **state)
{
        struct edited *t = *state;
        char longer[BIG_SIZE + 100] = "";
        ssize_t n;

        assert_int_equal(tree_truncate(t->tree, tree_id(t, "pkg/a.py"), 4), 0);
        assert_reads(t, "pkg/a.py", "abcd");
        assert_int_equal(tree_truncate(t->tree, tree_id(t, "pkg/big.py"), BIG_SIZE + 50), 0);
        n = tree_read(t->tree, tree_id(t, "pkg/big.py"), longer, sizeof(longer), 0, NULL);
        assert_int_equal(n, BIG_SIZE + 50);
        assert_memory_equal(longer, big, BIG_SIZE);
        for (size_t i = BIG_SIZE; i < BIG_SIZE + 50; i++)
                assert_int_equal(longer[i], 0);
        assert_int_equal(tree_truncate(t->tree, tree_id(t, "pkg/big.py"), 0), 0);
        assert_reads(t, "pkg/big.py", "");
        assert_int_equal(tree_write(t->tree, tree_id(t, "pkg/empty.py"), "x", 1, 0), 1);
        assert_reads(t, "pkg/empty.py", "x");
        assert_int_equal(tree_truncate(t->tree, tree_id(t, "pkg/a.py"), UINT64_MAX), -EFBIG);
}

static void the_bare_folder_is_never_written(void **state)
{
        struct edited *t = *state;
        cleanup_buf struct buf text = { 0 };

        assert_int_equal(tree_write(t->tree, tree_id(t, "bare.txt"), "B", 1, 0), 1);
        assert_reads(t, "bare.txt", "Bare");
        assert_int_equal(file_read_at(t->p->fd, "site/bare.txt", 100, &text), 0);
        assert_string_equal(text.data, "bare");
}

static void a_copy_that_fails_changes_nothing(void **state)
{
        struct edited *t = *state;
        const struct rlimit low = { 4096, RLIM_INFINITY };
        uint64_t id = tree_id(t, "pkg/big.py");
        struct stat before = stat_of(t, id), after;
        char data[BIG_SIZE];

        /* As on a full disk: a part can be written. */
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
        assert_int_equal(tree_write(t->tree, id, "x", 1, 0), -EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }), 0);
        assert_int_equal(data_files(t), 0);
        assert_false(has_data(t, id));
        after = stat_of(t, id);
        assert_int_equal(after.st_size, before.st_size);
        assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
        assert_int_equal(tree_read(t->tree, id, data, sizeof(data), 0, NULL), BIG_SIZE);
        assert_memory_equal(data, big, BIG_SIZE);
        assert_int_equal(tree_write(t->tree, id, "x", 1, 0), 1);
}

static void damaged_bytes_are_not_copied(void **state)
{
        struct edited *t = *state;
        uint64_t id = tree_id(t, "pkg/big.py");
        char name[80], noise[16];
        cleanup_close int fd = -1;
        struct stat st;

        store_image_name(t->p->environment->slots[0].image, name);
        assert_int_equal(fchmodat(t->p->store->root_fd, name, 0644, 0), 0);
        fd = openat(t->p->store->root_fd, name, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        /* The blocks come first; the index, at the end, is in memory. */
        memset(noise, 0x55, sizeof(noise));
        for (off_t at = 0; at < st.st_size; at += 64)
                assert_true(pwrite(fd, noise, sizeof(noise), at) > 0);
        assert_int_equal(tree_write(t->tree, id, "x", 1, 0), -EIO);
        assert_int_equal(data_files(t), 0);
        assert_false(has_data(t, id));
        /* Nothing of them is needed. */
        assert_int_equal(tree_truncate(t->tree, id, 0), 0);
        assert_reads(t, "pkg/big.py", "");
}

struct writer {
        struct edited *t;
        uint64_t id;
        uint64_t offset;
        pthread_t thread;
};

static void *write_one(void *arg)
{
        struct writer *w = arg;

        assert_int_equal(tree_write(w->t->tree, w->id, "!", 1, w->offset), 1);
        return NULL;
}

static void two_first_writes_are_one_copy(void **state)
{
        struct edited *t = *state;
        struct writer w[8];
        uint64_t id = tree_id(t, "pkg/big.py");
        char data[BIG_SIZE];

        for (size_t i = 0; i < ARRAY_LEN(w); i++) {
                w[i] = (struct writer){ t, id, i * 1000, 0 };
                assert_int_equal(pthread_create(&w[i].thread, NULL, write_one, &w[i]), 0);
        }
        for (size_t i = 0; i < ARRAY_LEN(w); i++)
                pthread_join(w[i].thread, NULL);
        assert_int_equal(data_files(t), 1);
        assert_int_equal(tree_read(t->tree, id, data, sizeof(data), 0, NULL), BIG_SIZE);
        for (size_t i = 0; i < BIG_SIZE; i++)
                assert_int_equal(data[i], i % 1000 == 0 ? '!' : big[i]);
}

struct gate {
        pthread_mutex_t lock;
        pthread_cond_t cond;
        int state; /* 0: nobody came; 1: one waits in it; 2: it is open */
};

static void wait_in_gate(bool begins, void *user)
{
        struct gate *g = user;

        if (!begins)
                return;
        pthread_mutex_lock(&g->lock);
        g->state = 1;
        pthread_cond_broadcast(&g->cond);
        while (g->state != 2)
                pthread_cond_wait(&g->cond, &g->lock);
        pthread_mutex_unlock(&g->lock);
}

static void *write_large(void *user)
{
        struct edited *t = user;

        assert_int_equal(tree_write(t->tree, tree_id(t, "large.bin"), "x", 1, 0), 1);
        return NULL;
}

/* And whoever wants no copy under way waits for both. */
static void a_large_copy_holds_up_no_other(void **state)
{
        struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
        struct edited *t = *state;
        pthread_t thread;
        int fd = openat(t->p->fd, "site/large.bin", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_int_equal(ftruncate(fd, 5 << 20), 0);
        close(fd);
        edited_close(t);
        edited_open(t);
        tree_on_long_copy(t->tree, wait_in_gate, &gate);
        assert_int_equal(pthread_create(&thread, NULL, write_large, t), 0);
        pthread_mutex_lock(&gate.lock);
        while (gate.state != 1)
                pthread_cond_wait(&gate.cond, &gate.lock);
        pthread_mutex_unlock(&gate.lock);
        assert_int_equal(tree_write(t->tree, tree_id(t, "pkg/a.py"), "x", 1, 0), 1);
        assert_reads(t, "pkg/a.py", "xbcdefghij");
        pthread_mutex_lock(&gate.lock);
        gate.state = 2;
        pthread_cond_broadcast(&gate.cond);
        pthread_mutex_unlock(&gate.lock);
        tree_copies_stop(t->tree);
        assert_true(has_data(t, tree_id(t, "large.bin")));
        tree_copies_go_on(t->tree);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_file_whose_package_left_can_be_written_by_who_holds_it(void **state)
{
        struct edited *t = *state;
        uint64_t id = tree_id(t, "pkg/a.py");
        char data[16] = "";

        switch_to(t, without(t->p, "pkg"));
        assert_false(tree_has(t, "pkg/a.py"));
        assert_int_equal(tree_write(t->tree, id, "XY", 2, 0), 2);
        assert_int_equal(tree_read(t->tree, id, data, sizeof(data), 0, NULL), 10);
        assert_string_equal(data, "XYcdefghij");
        assert_int_equal(stat_of(t, id).st_nlink, 0);
        assert_true(tree_is_removed(t->tree, id));
        assert_sound(t);
        assert_int_equal(tree_drop_removed(t->tree, &id, 1), 0);
        assert_int_equal(data_files(t), 0);
}

static void holes_of_a_view_are_none(void **state)
{
        struct edited *t = *state;
        uint64_t a = tree_id(t, "pkg/a.py"), made = make_at(t, "holes", S_IFREG | 0644);

        assert_int_equal(tree_lseek(t->tree, a, 3, SEEK_DATA), 3);
        assert_int_equal(tree_lseek(t->tree, a, 3, SEEK_HOLE), 10);
        assert_int_equal(tree_lseek(t->tree, a, 10, SEEK_HOLE), -ENXIO);
        assert_int_equal(tree_lseek(t->tree, a, 0, SEEK_SET), -EINVAL);
        assert_int_equal(tree_write(t->tree, made, "x", 1, 4 << 20), 1);
        assert_true(tree_lseek(t->tree, made, 0, SEEK_DATA) > 0);
        assert_int_equal(tree_lseek(t->tree, made, 0, SEEK_HOLE), 0);
        assert_int_equal(tree_fallocate(t->tree, a, 0, 0, 5000), 0);
        assert_int_equal(stat_of(t, a).st_size, 5000);
}

/* By the clock of the file system below: a file that is written then is not older. */
static void a_changed_file_has_no_time_that_is_yet_to_come(void **state)
{
        const struct tree_attr touch = { .atime = { .tv_nsec = UTIME_OMIT }, .mtime = { .tv_nsec = UTIME_NOW } };
        const struct tree_attr mode = {
                .set_mode = true, .mode = 0600, .atime = { .tv_nsec = UTIME_OMIT }, .mtime = { .tv_nsec = UTIME_OMIT },
        };
        struct edited *t = *state;
        uint64_t one = make_at(t, "one", S_IFREG | 0644), two = make_at(t, "two", S_IFREG | 0644);
        struct node touched;
        struct stat written;

        assert_int_equal(tree_write(t->tree, two, "x", 1, 0), 1); /* what nobody has seen since gets no precise time */
        assert_int_equal(tree_setattr(t->tree, one, &touch, &touched), 0);
        assert_int_equal(tree_write(t->tree, two, "y", 1, 0), 1);
        written = stat_of(t, two);
        assert_true(tree_ns(written.st_mtim) >= tree_ns(touched.st.st_mtim));
        assert_int_equal(tree_write(t->tree, two, "z", 1, 0), 1);
        assert_int_equal(tree_setattr(t->tree, one, &mode, &touched), 0);
        assert_int_equal(tree_write(t->tree, two, "z", 1, 0), 1);
        written = stat_of(t, two);
        assert_true(tree_ns(written.st_ctim) >= tree_ns(touched.st.st_ctim));
}

static void ranges_are_copied_between_all_kinds_of_files(void **state)
{
        struct edited *t = *state;
        uint64_t a = tree_id(t, "pkg/a.py"), to = make_at(t, "to", S_IFREG | 0644);

        assert_int_equal(tree_copy_range(t->tree, a, 2, to, 0, 5), 5);
        assert_reads(t, "to", "cdefg");
        assert_false(has_data(t, a));
        assert_int_equal(tree_copy_range(t->tree, to, 0, a, 0, 100), 5);
        assert_reads(t, "pkg/a.py", "cdefgfghij");
        assert_int_equal(tree_copy_range(t->tree, a, 5, to, 5, 3), 3);
        assert_reads(t, "to", "cdefgfgh");
        assert_int_equal(tree_copy_range(t->tree, to, 0, to, 8, 2), 2);
        assert_reads(t, "to", "cdefgfghcd");
        assert_int_equal(tree_copy_range(t->tree, to, 50, a, 0, 2), 0);
        /* Within one file of the view: it is copied up first. */
        assert_int_equal(tree_copy_range(t->tree, tree_id(t, "bare.txt"), 0, tree_id(t, "bare.txt"), 4, 4), 4);
        assert_reads(t, "bare.txt", "barebare");
}

static void only_files_have_bytes(void **state)
{
        struct edited *t = *state;
        uint64_t dir = tree_id(t, "pkg"), fifo = make_at(t, "fifo", S_IFIFO | 0644);

        assert_int_equal(tree_write(t->tree, dir, "x", 1, 0), -EISDIR);
        assert_int_equal(tree_truncate(t->tree, dir, 0), -EISDIR);
        assert_int_equal(tree_write(t->tree, NODE_MARKER, "x", 1, 0), -EPERM);
        assert_int_equal(tree_write(t->tree, fifo, "x", 1, 0), -EINVAL);
        assert_int_equal(tree_write(t->tree, EDIT_ID_FIRST + 12345, "x", 1, 0), -ENOENT);
        assert_int_equal(data_files(t), 0);
}

static void without_edits_nothing_is_written(void **state)
{
        struct edited *t = *state;
        uint64_t id = tree_id(t, "pkg/a.py");
        struct tree *t2 = NULL;
        struct statvfs st;
        char data[16] = "";

        assert_int_equal(tree_new(view_of(t, NULL), NULL, NULL, &t2), 0);
        assert_int_equal(tree_read(t2, id, data, sizeof(data), 0, NULL), 10);
        assert_int_equal(tree_write(t2, id, "x", 1, 0), -EROFS);
        assert_int_equal(tree_truncate(t2, id, 0), -EROFS);
        assert_int_equal(tree_fsync(t2, id, false), 0);
        assert_int_equal(tree_statfs(t2, &st), -EROFS);
        assert_int_equal(tree_statfs(t->tree, &st), 0);
        tree_view_done(t2, t2->current);
        free(t2->removed.ids);
        free(t2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_write_copies_the_rest, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(what_was_written_is_there_in_the_next_mount, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(a_copy_alone_changes_nothing_that_can_be_seen, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(a_truncated_file_is_copied_as_far_as_it_goes, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(the_bare_folder_is_never_written, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(a_copy_that_fails_changes_nothing, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(damaged_bytes_are_not_copied, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(two_first_writes_are_one_copy, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(a_large_copy_holds_up_no_other, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(a_file_whose_package_left_can_be_written_by_who_holds_it, setup_edited,
                                                teardown_edited),
                cmocka_unit_test_setup_teardown(holes_of_a_view_are_none, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(a_changed_file_has_no_time_that_is_yet_to_come, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(ranges_are_copied_between_all_kinds_of_files, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(only_files_have_bytes, setup_edited, teardown_edited),
                cmocka_unit_test_setup_teardown(without_edits_nothing_is_written, setup_edited, teardown_edited),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
