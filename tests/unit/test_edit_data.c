#include "fs/edit_data.h"

#include "sample_store.h"

#include <pthread.h>
#include <sys/resource.h>

enum { SOME_ID = 0x100000002 };

struct place {
        struct sample *sample;
        struct edit_data *data;
};

static int setup(void **state)
{
        struct place *p = calloc(1, sizeof(*p));

        if (!p || sample_setup((void **)&p->sample) < 0)
                return -1;
        *state = p;
        return edit_data_open(p->sample->folder_fd, &p->data, NULL);
}

static int teardown(void **state)
{
        struct place *p = *state;
        struct sample *s = p->sample;

        edit_data_close(p->data);
        free(p);
        return sample_teardown((void **)&s);
}

static bool is_there(const struct place *p, const char *name)
{
        return faccessat(edit_data_fd(p->data), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void litter(const struct place *p, const char *name)
{
        int fd = openat(edit_data_fd(p->data), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(file_write_full(fd, "litter", 6), 0);
        close(fd);
}

static void write_text(struct edit_data *d, uint64_t id, const char *text)
{
        struct edit_file *f;

        assert_int_equal(edit_file_get(d, id, &f), 0);
        assert_int_equal(pwrite(edit_file_fd(f), text, strlen(text), 0), strlen(text));
        edit_file_put(d, f);
}

static void expect_text(struct edit_data *d, uint64_t id, const char *text)
{
        struct edit_file *f;
        char got[64] = "";

        assert_int_equal(edit_file_get(d, id, &f), 0);
        assert_int_equal(pread(edit_file_fd(f), got, sizeof(got) - 1, 0), strlen(text));
        assert_string_equal(got, text);
        edit_file_put(d, f);
}

static void a_new_file_is_empty_and_open(void **state)
{
        const struct place *p = *state;
        struct edit_file *f;
        struct stat st;

        litter(p, "0000000100000002");
        assert_null(edit_file_cached(p->data, SOME_ID));
        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        assert_int_equal(edit_file_stat(p->data, SOME_ID, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        f = edit_file_cached(p->data, SOME_ID);
        assert_non_null(f);
        edit_file_put(p->data, f);
        write_text(p->data, SOME_ID, "hello");
        expect_text(p->data, SOME_ID, "hello");
        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        expect_text(p->data, SOME_ID, "");
}

static ino_t inode_of(const struct place *p, uint64_t id)
{
        struct stat st;

        assert_int_equal(edit_file_stat(p->data, id, &st), 0);
        return st.st_ino;
}

static void a_file_that_lies_ready_is_the_next_one(void **state)
{
        const struct place *p = *state;
        const struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
        struct stat st;
        ino_t inode;

        assert_false(edit_data_wants_spare(p->data)); /* nobody makes files */
        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        assert_true(edit_data_wants_spare(p->data));
        edit_data_prepare(p->data, SOME_ID + 1);
        assert_false(edit_data_wants_spare(p->data));
        assert_int_equal(edit_data_spare(p->data), SOME_ID + 1);
        inode = inode_of(p, SOME_ID + 1);
        assert_int_equal(utimensat(edit_data_fd(p->data), "0000000100000003", old, 0), 0);
        assert_int_equal(edit_file_create(p->data, SOME_ID + 2), 0); /* of another node */
        assert_int_equal(edit_data_spare(p->data), SOME_ID + 1);
        assert_int_equal(edit_file_create(p->data, SOME_ID + 1), 0);
        assert_int_equal(edit_data_spare(p->data), 0);
        assert_int_equal(inode_of(p, SOME_ID + 1), inode);
        assert_int_equal(edit_file_stat(p->data, SOME_ID + 1, &st), 0);
        assert_true(st.st_mtime > 1000 && st.st_atime > 1000);
        write_text(p->data, SOME_ID + 1, "hello");
        expect_text(p->data, SOME_ID + 1, "hello");
        assert_true(edit_data_wants_spare(p->data));
}

static void what_lay_ready_and_is_gone_is_made_anew(void **state)
{
        const struct place *p = *state;

        edit_data_prepare(p->data, SOME_ID);
        assert_int_equal(unlinkat(edit_data_fd(p->data), "0000000100000002", 0), 0);
        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        assert_true(is_there(p, "0000000100000002"));
        edit_data_prepare(p->data, SOME_ID + 1);
        litter(p, "0000000100000003"); /* somebody writes to it */
        assert_int_equal(edit_file_create(p->data, SOME_ID + 1), 0);
        expect_text(p->data, SOME_ID + 1, "");
}

static void what_nobody_needed_goes_at_the_end(void **state)
{
        const struct place *p = *state;

        edit_data_drop_spare(p->data);
        edit_data_prepare(p->data, SOME_ID);
        assert_true(is_there(p, "0000000100000002"));
        edit_data_drop_spare(p->data);
        assert_false(is_there(p, "0000000100000002"));
        assert_int_equal(edit_data_spare(p->data), 0);
}

static void a_file_that_is_not_there_is_an_error_of_the_disk(void **state)
{
        const struct place *p = *state;
        struct edit_file *f;
        struct stat st;

        assert_int_equal(edit_file_get(p->data, SOME_ID, &f), -EIO);
        assert_int_equal(edit_file_stat(p->data, SOME_ID, &st), -EIO);
        assert_int_equal(symlinkat("/etc/passwd", edit_data_fd(p->data), "0000000100000002"), 0);
        assert_int_equal(edit_file_get(p->data, SOME_ID, &f), -EIO);
        assert_int_equal(edit_file_stat(p->data, SOME_ID, &st), -EIO);
}

static void a_removed_file_stays_with_its_holder_alone(void **state)
{
        const struct place *p = *state;
        struct edit_file *held;

        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        write_text(p->data, SOME_ID, "old");
        held = edit_file_cached(p->data, SOME_ID);
        assert_int_equal(edit_file_remove(p->data, SOME_ID), 0);
        assert_null(edit_file_cached(p->data, SOME_ID));
        assert_false(is_there(p, "0000000100000002"));
        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        write_text(p->data, SOME_ID, "new");
        expect_text(p->data, SOME_ID, "new");
        char old[4] = "";

        assert_int_equal(pread(edit_file_fd(held), old, 3, 0), 3);
        assert_string_equal(old, "old");
        edit_file_put(p->data, held);
        assert_int_equal(edit_file_remove(p->data, SOME_ID), 0);
        assert_int_equal(edit_file_remove(p->data, SOME_ID), 0); /* it may never have been made */
}

static void few_descriptors_serve_many_files(void **state)
{
        const struct place *p = *state;
        struct rlimit old, low;
        char text[16];

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        low = old;
        low.rlim_cur = EDIT_DATA_OPEN + 32;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (uint64_t i = 0; i < 4 * EDIT_DATA_OPEN; i++) {
                snprintf(text, sizeof(text), "%u", (unsigned)i);
                assert_int_equal(edit_file_create(p->data, SOME_ID + i), 0);
                write_text(p->data, SOME_ID + i, text);
        }
        for (uint64_t i = 0; i < 4 * EDIT_DATA_OPEN; i++) {
                snprintf(text, sizeof(text), "%u", (unsigned)i);
                expect_text(p->data, SOME_ID + i, text);
        }
        setrlimit(RLIMIT_NOFILE, &old);
}

static void a_held_file_outlives_its_place_in_the_cache(void **state)
{
        const struct place *p = *state;
        struct edit_file *held[EDIT_DATA_OPEN + 8];

        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
                char c = (char)i;

                assert_int_equal(edit_file_create(p->data, SOME_ID + i), 0);
                assert_int_equal(edit_file_get(p->data, SOME_ID + i, &held[i]), 0);
                assert_int_equal(pwrite(edit_file_fd(held[i]), &c, 1, 0), 1);
        }
        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
                char c = 'x';

                assert_int_equal(pread(edit_file_fd(held[i]), &c, 1, 0), 1);
                assert_int_equal(c, (char)i);
                edit_file_put(p->data, held[i]);
        }
}

static int fill(int fd, void *user)
{
        return file_write_full(fd, user, strlen(user));
}

static int fill_and_fail(int fd, void *user)
{
        assert_int_equal(fill(fd, user), 0);
        return -ENOSPC;
}

static const struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };

static void a_copy_has_the_times_that_it_is_given(void **state)
{
        const struct place *p = *state;
        struct stat st;
        char text[] = "copied";

        litter(p, "0000000100000002.new");
        assert_int_equal(edit_file_copy(p->data, SOME_ID, fill, text, times, true), 0);
        assert_int_equal(edit_file_stat(p->data, SOME_ID, &st), 0);
        assert_int_equal(st.st_size, 6);
        assert_int_equal(st.st_atim.tv_sec, 1000);
        assert_int_equal(st.st_mtim.tv_sec, 2000);
        assert_int_equal(st.st_mtim.tv_nsec, 7);
        /* Until its row is there nobody may find it open. */
        assert_null(edit_file_cached(p->data, SOME_ID));
        expect_text(p->data, SOME_ID, "copied");
        assert_false(is_there(p, "0000000100000002.new"));
}

static void a_copy_that_fails_leaves_nothing(void **state)
{
        const struct place *p = *state;
        char text[] = "half";

        assert_int_equal(edit_file_copy(p->data, SOME_ID, fill_and_fail, text, times, true), -ENOSPC);
        assert_false(is_there(p, "0000000100000002"));
        assert_false(is_there(p, "0000000100000002.new"));
}

static bool is_wanted(uint64_t id, void *user)
{
        return id == *(const uint64_t *)user;
}

static void a_sweep_removes_what_has_no_row(void **state)
{
        const struct place *p = *state;
        uint64_t wanted = SOME_ID;

        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        assert_int_equal(edit_file_create(p->data, SOME_ID + 1), 0);
        litter(p, "0000000100000002.new");
        litter(p, "0000000100000009.new");
        litter(p, "notes");
        litter(p, "000000010000000A");
        assert_int_equal(edit_data_sweep(p->data, is_wanted, &wanted), 0);
        assert_true(is_there(p, "0000000100000002"));
        assert_false(is_there(p, "0000000100000003"));
        assert_false(is_there(p, "0000000100000002.new"));
        assert_false(is_there(p, "0000000100000009.new"));
        /* Not ours. */
        assert_true(is_there(p, "notes"));
        assert_true(is_there(p, "000000010000000A"));
        assert_null(edit_file_cached(p->data, SOME_ID + 1));
        assert_int_equal(edit_data_sync(p->data), 0);
}

static void what_root_makes_is_the_owners(void **state)
{
        const struct place *p = *state;
        struct edit_data *d;
        struct stat st;
        int users;

        if (geteuid() != 0)
                skip();
        users = dir_make(p->sample->folder_fd, "users", 0700);
        assert_true(users >= 0);
        assert_int_equal(fchown(users, 1234, 1235), 0);
        assert_int_equal(edit_data_open(users, &d, NULL), 0);
        assert_int_equal(fstat(edit_data_fd(d), &st), 0);
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(edit_file_create(d, SOME_ID), 0);
        assert_int_equal(edit_file_stat(d, SOME_ID, &st), 0);
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 1235);
        edit_data_close(d);
        close(users);
}

struct race {
        struct edit_data *data;
        _Atomic bool stop;
};

static void *open_again_and_again(void *arg)
{
        struct race *r = arg;

        while (!r->stop) {
                struct edit_file *f;

                if (edit_file_get(r->data, SOME_ID, &f) == 0)
                        edit_file_put(r->data, f);
        }
        return NULL;
}

static void nobody_keeps_the_descriptor_of_a_file_that_was_replaced(void **state)
{
        const struct place *p = *state;
        struct race r = { p->data, false };
        pthread_t thread;
        char text[] = "copied";

        assert_int_equal(edit_file_create(p->data, SOME_ID), 0);
        assert_int_equal(pthread_create(&thread, NULL, open_again_and_again, &r), 0);
        for (int i = 0; i < 500; i++) {
                struct edit_file *f;
                struct stat a, b;

                assert_int_equal(edit_file_copy(p->data, SOME_ID, fill, text, times, false), 0);
                /* Time for the other one to put there what it opened before. */
                usleep(300);
                f = edit_file_cached(p->data, SOME_ID);
                if (!f)
                        continue;
                assert_int_equal(fstat(edit_file_fd(f), &a), 0);
                assert_int_equal(fstatat(edit_data_fd(p->data), "0000000100000002", &b, 0), 0);
                edit_file_put(p->data, f);
                assert_int_equal(a.st_ino, b.st_ino);
        }
        r.stop = true;
        pthread_join(thread, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_new_file_is_empty_and_open, setup, teardown),
                cmocka_unit_test_setup_teardown(a_file_that_lies_ready_is_the_next_one, setup, teardown),
                cmocka_unit_test_setup_teardown(what_lay_ready_and_is_gone_is_made_anew, setup, teardown),
                cmocka_unit_test_setup_teardown(what_nobody_needed_goes_at_the_end, setup, teardown),
                cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_an_error_of_the_disk, setup, teardown),
                cmocka_unit_test_setup_teardown(a_removed_file_stays_with_its_holder_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(few_descriptors_serve_many_files, setup, teardown),
                cmocka_unit_test_setup_teardown(a_held_file_outlives_its_place_in_the_cache, setup, teardown),
                cmocka_unit_test_setup_teardown(a_copy_has_the_times_that_it_is_given, setup, teardown),
                cmocka_unit_test_setup_teardown(a_copy_that_fails_leaves_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(a_sweep_removes_what_has_no_row, setup, teardown),
                cmocka_unit_test_setup_teardown(what_root_makes_is_the_owners, setup, teardown),
                cmocka_unit_test_setup_teardown(nobody_keeps_the_descriptor_of_a_file_that_was_replaced, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
