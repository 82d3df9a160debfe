/* The merged view over small images, made here, and a bare folder. */
#include "sample_view.h"

static const char *const six[] = { "site/six.py", "print(6)\n", "site/six-1.0.dist-info/METADATA", "Name: six\n", NULL };

static void a_package_is_seen_as_its_image_has_it(void **state)
{
        struct place *p = *state;
        struct node n;
        uint64_t last = 0;

        add(p, "six", "1.0", six);
        n = find(p, "six.py");
        assert_content(p, n.id, "print(6)\n");
        assert_int_equal(n.st.st_mode, S_IFREG | 0644);
        assert_int_equal(n.st.st_nlink, 1);
        assert_int_equal(n.st.st_ino, n.id);
        assert_in_range(n.st.st_mtim.tv_sec, 315619200, 1577836800);
        assert_int_equal(n.st.st_mtim.tv_nsec, 0);
        n = find(p, "");
        assert_int_equal(n.id, NODE_ROOT);
        assert_int_equal(n.st.st_nlink, 3); /* the dist-info */
        assert_int_equal(n.st.st_mode, S_IFDIR | 0755);
        assert_int_equal(view_readdir(p->view, NODE_ROOT, 0, count_name, &last), 0);
        assert_true(is_absent(p, "seven.py"));
        assert_content(p, find(p, ".fusepkg").id, "This folder is a mount of fusepkg. `fusepkg status` tells more, `fusepkg umount` ends it.\n");
}

static void generated_files_stand_in_the_dist_info(void **state)
{
        struct place *p = *state;
        cleanup_buf struct buf want = { 0 };
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

        add(p, "six", "1.0", six);
        assert_content(p, find(p, "six-1.0.dist-info/INSTALLER").id, "fusepkg\n");
        sha256_bytes(six[1], strlen(six[1]), a);
        sha256_bytes(six[3], strlen(six[3]), b);
        record_add_row(&want, "six-1.0.dist-info/METADATA", b, strlen(six[3]));
        record_add_row(&want, "six.py", a, strlen(six[1]));
        buf_add_str(&want, "zz/INSTALLER,,\n");
        assert_content(p, find(p, "six-1.0.dist-info/RECORD").id, want.data);
        assert_int_equal(find(p, "six-1.0.dist-info/RECORD").st.st_size, want.len);
}

static const char *const cu[] = { "site/nvidia/__init__.py", "", "site/nvidia/cu/a.so", "A", NULL };
static const char *const bl[] = { "site/nvidia/__init__.py", "", "site/nvidia/bl/b.so", "B", NULL };

static void shared_folders_are_merged_and_keep_their_id(void **state)
{
        struct place *p = *state;
        struct node before, after;

        add(p, "cu", "1", cu);
        before = find(p, "nvidia");
        assert_int_equal(before.st.st_nlink, 3);
        add(p, "bl", "1", bl);
        after = find(p, "nvidia");
        assert_int_equal(after.id, before.id);
        assert_int_equal(after.st.st_nlink, 4);
        assert_true(after.st.st_mtim.tv_sec != before.st.st_mtim.tv_sec || after.st.st_mtim.tv_nsec != before.st.st_mtim.tv_nsec);
        assert_content(p, find(p, "nvidia/cu/a.so").id, "A");
        assert_content(p, find(p, "nvidia/bl/b.so").id, "B");

        uint64_t bl_time = time_of(p, "nvidia/bl"), both_time = time_of(p, "nvidia");

        drop(p, "cu"); /* the lowest provider leaves: the id is pinned */
        assert_int_equal(find(p, "nvidia").id, before.id);
        assert_int_equal(find(p, "nvidia").st.st_nlink, 3);
        assert_true(is_absent(p, "nvidia/cu"));
        assert_int_equal(time_of(p, "nvidia/bl"), bl_time);
        assert_true(time_of(p, "nvidia") > both_time);
        drop(p, "bl");
        assert_true(is_absent(p, "nvidia"));
}

static void a_folder_changes_its_time_with_its_own_entries_alone(void **state)
{
        static const char *const a[] = { "site/google/cloud/a/x.py", "a", NULL };
        static const char *const b[] = { "site/google/cloud/b/x.py", "b", NULL };
        static const char *const c[] = { "site/google/api/x.py", "c", NULL };
        struct place *p = *state;
        uint64_t google, cloud;

        add(p, "a", "1", a);
        google = time_of(p, "google");
        cloud = time_of(p, "google/cloud");
        add(p, "b", "1", b);
        assert_int_equal(time_of(p, "google"), google);
        assert_true(time_of(p, "google/cloud") > cloud);
        cloud = time_of(p, "google/cloud");
        drop(p, "a"); /* who brought google/cloud is gone, the folder is not */
        assert_int_equal(time_of(p, "google"), google);
        assert_true(time_of(p, "google/cloud") > cloud);
        cloud = time_of(p, "google/cloud");
        add(p, "c", "1", c);
        assert_true(time_of(p, "google") > google);
        assert_int_equal(time_of(p, "google/cloud"), cloud);
        google = time_of(p, "google");
        add(p, "a", "1", a);
        assert_int_equal(time_of(p, "google"), google);
        add(p, "b", "2", c); /* an upgrade that takes cloud/b and shares api/x.py */
        assert_int_equal(time_of(p, "google"), google);
        assert_true(time_of(p, "google/api") > google);
}

static void a_bare_folder_from_the_future_hides_no_change(void **state)
{
        static const char *const more[] = { "site/more.py", "", NULL };
        const struct timespec future[2] = { { 4000000000, 0 }, { 4000000000, 0 } };
        struct place *p = *state;
        uint64_t time;

        assert_int_equal(utimensat(p->fd, "site", future, 0), 0);
        add(p, "six", "1.0", six);
        time = time_of(p, "");
        add(p, "more", "1", more);
        assert_true(time_of(p, "") > time);
        time = time_of(p, "");
        drop(p, "more");
        assert_true(time_of(p, "") > time);
}

static int count_conflict(const char *path, const char *loser, const char *winner, void *user)
{
        assert_string_equal(path, "cv2/data.py");
        assert_string_equal(loser, "one");
        assert_string_equal(winner, "two");
        (*(int *)user)++;
        return 0;
}

static void the_later_package_wins_and_uncovers_the_other(void **state)
{
        static const char *const one[] = { "site/cv2/data.py", "1", "site/cv2/same.py", "s", NULL };
        static const char *const two[] = { "site/cv2/data.py", "2", "site/cv2/same.py", "s", NULL };
        struct place *p = *state;
        int conflicts = 0;

        add(p, "one", "1", one);
        add(p, "two", "1", two);
        assert_content(p, find(p, "cv2/data.py").id, "2");
        assert_int_equal(view_conflicts(p->view, 2, count_conflict, &conflicts), 0);
        assert_int_equal(conflicts, 1); /* equal bytes are none */
        drop(p, "two");
        assert_content(p, find(p, "cv2/data.py").id, "1");
}

static void an_upgrade_keeps_folders_and_changes_files(void **state)
{
        static const char *const old[] = { "site/np/core/x.py", "old", "site/np/y.py", "y", NULL };
        static const char *const new[] = { "site/np/core/x.py", "new", "site/np/y.py", "y", NULL };
        struct place *p = *state;
        struct node dir, file, other;
        uint64_t dir_time;

        add(p, "np", "1", old);
        dir = find(p, "np/core");
        dir_time = time_of(p, "np/core");
        file = find(p, "np/core/x.py");
        add(p, "np", "2", new);
        assert_int_equal(find(p, "np/core").id, dir.id);
        assert_int_not_equal(find(p, "np/core/x.py").id, file.id);
        assert_content(p, find(p, "np/core/x.py").id, "new");
        assert_content(p, file.id, "old"); /* for who still has it open */
        assert_int_equal(view_getattr(p->view, file.id, &other), 0);
        assert_true(time_of(p, "np/core") > dir_time);
        assert_int_equal(view_parent(p->view, dir.id), find(p, "np").id);
        add(p, "np", "3", old);
        assert_int_equal(find(p, "np/core").id, dir.id);
}

static void the_base_is_visible_until_it_is_hidden(void **state)
{
        struct place *p = *state;
        struct environment *next;
        struct node n;
        uint64_t number;

        mkdirat(p->fd, "site/pkg", 0755);
        mkdirat(p->fd, "site/pkg/__pycache__", 0755);
        mkdirat(p->fd, "site/both", 0755);
        mkdirat(p->fd, "site/pkg-1.dist-info", 0755);
        put(p, "site/pkg/a.py", "a");
        put(p, "site/pkg/__pycache__/a.cpython-312.pyc", "c");
        put(p, "site/both/mine.txt", "user");
        put(p, "site/both/b.py", "b");
        put(p, "site/pkg-1.dist-info/RECORD", "pkg/a.py,,\nboth/b.py,,\npkg-1.dist-info/RECORD,,\n../../../bin/x,,\n");
        assert_int_equal(symlinkat("a.py", p->fd, "site/pkg/link.py"), 0);
        add(p, "six", "1.0", six);
        assert_content(p, find(p, "pkg/a.py").id, "a");
        n = find(p, "pkg/link.py");
        assert_true(S_ISLNK(n.st.st_mode));
        number = find(p, "both/mine.txt").id;
        assert_true(number >= BASE_FIRST && number < UINT32_MAX);

        assert_int_equal(unlinkat(p->fd, "site/pkg/link.py", 0), 0);
        next = next_of(p);
        assert_int_equal(environment_hide(next, "pkg-1.dist-info"), 0);
        commit(p, next);
        assert_true(is_absent(p, "pkg/a.py"));
        assert_true(is_absent(p, "pkg")); /* nothing but its bytecode was left */
        assert_true(is_absent(p, "pkg-1.dist-info"));
        assert_true(is_absent(p, "both/b.py"));
        assert_int_equal(find(p, "both/mine.txt").id, number);

        view_free(p->view);
        p->view = NULL;
        base_free(p->base);
        p->base = NULL;
        commit(p, next_of(p)); /* as the next mount would */
        assert_int_equal(find(p, "both/mine.txt").id, number);
}

static int refuse_data(const struct view_dirent *d, void *user)
{
        (void)user;
        assert_false(d->name.len == strlen(DATA_DIR) && memcmp(d->name.data, DATA_DIR, d->name.len) == 0);
        return 0;
}

static void data_files_have_a_folder_that_is_not_listed(void **state)
{
        static const char *const files[] = { "site/j.py", "", "data/share/jupyter/x.json", "{}", "headers/j/j.h", "h", NULL };
        struct place *p = *state;

        add(p, "six", "1.0", six);
        assert_true(is_absent(p, DATA_DIR "/data"));
        add(p, "j", "1", files);
        assert_content(p, find(p, DATA_DIR "/data/share/jupyter/x.json").id, "{}");
        assert_content(p, find(p, DATA_DIR "/headers/j/j.h").id, "h");
        assert_int_equal(view_readdir(p->view, NODE_ROOT, 0, refuse_data, NULL), 0);
        assert_true(is_absent(p, "share"));
}

static void a_damaged_image_gives_an_error_and_not_other_bytes(void **state)
{
        struct place *p = *state;
        struct errtext err = { "" };
        char data[64], path[160], name[80];
        struct node n;
        int fd;

        add(p, "six", "1.0", six);
        n = find(p, "six.py");
        store_image_name(p->environment->slots[0].image, name);
        snprintf(path, sizeof(path), "%s/store/%s", p->path, name);
        assert_int_equal(chmod(path, 0600), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
        for (off_t at = 256; at < 300; at++) /* the blocks follow the header */
                assert_int_equal(pwrite(fd, "\xff", 1, at), 1);
        close(fd);
        assert_int_equal(view_read(p->view, n.id, data, sizeof(data), 0, &err), -EIO);
        assert_non_null(strstr(err.text, name));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_package_is_seen_as_its_image_has_it, setup, teardown),
                cmocka_unit_test_setup_teardown(generated_files_stand_in_the_dist_info, setup, teardown),
                cmocka_unit_test_setup_teardown(shared_folders_are_merged_and_keep_their_id, setup, teardown),
                cmocka_unit_test_setup_teardown(a_folder_changes_its_time_with_its_own_entries_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(a_bare_folder_from_the_future_hides_no_change, setup, teardown),
                cmocka_unit_test_setup_teardown(the_later_package_wins_and_uncovers_the_other, setup, teardown),
                cmocka_unit_test_setup_teardown(an_upgrade_keeps_folders_and_changes_files, setup, teardown),
                cmocka_unit_test_setup_teardown(the_base_is_visible_until_it_is_hidden, setup, teardown),
                cmocka_unit_test_setup_teardown(data_files_have_a_folder_that_is_not_listed, setup, teardown),
                cmocka_unit_test_setup_teardown(a_damaged_image_gives_an_error_and_not_other_bytes, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
