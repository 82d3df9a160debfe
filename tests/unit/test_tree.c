/* The tree where things go wrong: requests that fail half-way, times that are out of range, a bare folder that changed meanwhile. */
#include "sample_edited.h"

#include "fs/edits_private.h"

static const char *const pkg1[] = {
        "site/pkg/a.py", "a = 1\n", "site/pkg/sub/b.py", "b = 1\n", "site/pkg-1.dist-info/METADATA", "Name: pkg\n", NULL,
};

static int setup_edited(void **state)
{
        struct edited *t = calloc(1, sizeof(*t));

        setup(state);
        t->p = *state;
        *state = t;
        put(t->p, "site/bare.txt", "bare");
        assert_int_equal(mkdirat(t->p->fd, "site/folder", 0755), 0);
        put(t->p, "site/folder/in.txt", "in");
        assert_int_equal(mkdirat(t->p->fd, "site/folder/deep", 0755), 0);
        assert_int_equal(mkdirat(t->p->fd, "site/pkg", 0755), 0);
        put(t->p, "site/pkg/bare.py", "bare");
        commit_environment(t->p, with(t->p, "pkg", "1", pkg1));
        edited_open(t);
        return 0;
}

static void remove_bare_folder(struct edited *t)
{
        assert_int_equal(unlinkat(t->p->fd, "site/folder/in.txt", 0), 0);
        (void)unlinkat(t->p->fd, "site/folder/deep", AT_REMOVEDIR);
        assert_int_equal(unlinkat(t->p->fd, "site/folder", AT_REMOVEDIR), 0);
}

static size_t occupied(const struct id_set *s)
{
        size_t n = 0;

        for (size_t i = 0; i < s->size; i++)
                n += s->ids[i] != 0;
        return n;
}

/* Removed nodes --------------------------------------------------------------------------------------------------- */

static void what_is_not_made_is_no_removed_node(void **state)
{
        struct edited *t = *state;
        uint64_t dir = make_at(t, "dir", S_IFDIR | 0755);
        struct node n;

        rmdir_at(t, "dir");
        assert_true(tree_is_removed(t->tree, dir));
        for (int i = 0; i < 100; i++) {
                assert_int_equal(tree_make_unnamed(t->tree, &caller, NODE_ROOT, 0600, &n), 0);
                assert_int_equal(tree_make_unnamed(t->tree, &caller, dir, 0600, &n), -ENOENT);
                assert_int_equal(tree_make(t->tree, &caller, NODE_ROOT, "pkg", &(struct tree_new_node){ .mode = S_IFREG | 0600 }, &n), -EEXIST);
                assert_int_equal(t->tree->removed.count, (size_t)i + 2);
                assert_int_equal(occupied(&t->tree->removed), (size_t)i + 2);
        }
        assert_true(tree_is_removed(t->tree, dir));
        assert_false(tree_is_removed(t->tree, 0));
}

/* Times ----------------------------------------------------------------------------------------------------------- */

static void set_times(struct edited *t, uint64_t id, time_t sec, long nsec)
{
        const struct tree_attr attr = { .mtime = { sec, nsec }, .atime = { sec, nsec } };
        struct node n;

        assert_int_equal(tree_setattr(t->tree, id, &attr, &n), 0);
}

static struct timespec mtime_of(struct edited *t, uint64_t id)
{
        struct node n;

        assert_int_equal(tree_getattr(t->tree, id, &n), 0);
        assert_int_equal(n.st.st_mtim.tv_sec, n.st.st_atim.tv_sec);
        return n.st.st_mtim;
}

static void times_are_kept_as_far_as_they_can_be(void **state)
{
        struct edited *t = *state;
        uint64_t ids[] = { tree_id(t, "pkg"), tree_id(t, "pkg/a.py"), tree_id(t, "bare.txt"), make_at(t, "link", S_IFIFO | 0644) };

        for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
                set_times(t, ids[i], -5, 250000000);
                assert_int_equal(mtime_of(t, ids[i]).tv_sec, -5);
                assert_int_equal(mtime_of(t, ids[i]).tv_nsec, 250000000);
                /* 2262 is the end: later is the latest, not before 1970. */
                set_times(t, ids[i], INT64_C(1) << 40, 999999999);
                assert_int_equal(mtime_of(t, ids[i]).tv_sec, INT64_MAX / 1000000000);
                set_times(t, ids[i], -(INT64_C(1) << 40), 0);
                assert_true(mtime_of(t, ids[i]).tv_sec < -9000000000);
        }
}

/* Unmounted, and mounted again: the bare folder is read anew. */
static void base_reopen(struct edited *t)
{
        base_free(t->p->base);
        t->p->base = NULL;
        int site = openat(t->p->fd, "site", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int numbers = openat(t->p->state_fd, BASE_NODES_FILE, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        assert_int_equal(base_new(site, numbers, &t->p->base, NULL), 0);
}

/* Names ----------------------------------------------------------------------------------------------------------- */

static int count_one(const struct edit_entry *n, void *user)
{
        (void)n;
        ++*(size_t *)user;
        return 0;
}

static void names_that_are_none_are_refused(void **state)
{
        static const char *const names[] = { "'..'", "'.'", "''", "'a/b'", "'../../etc/passwd'", "x'6100'" };
        struct edited *t = *state;
        char text[256];
        size_t n = 0;

        make_at(t, "..a", S_IFREG | 0644);
        assert_int_equal(edits_all_entries(t->edits, count_one, &n), 0);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                snprintf(text, sizeof(text), "DELETE FROM entry WHERE cookie = 5; INSERT INTO entry VALUES(1, 5, CAST(%s AS BLOB), 1 << 62, 32768, 9)",
                         names[i]);
                assert_int_equal(sqlite3_exec(t->edits->db, text, NULL, NULL, NULL), SQLITE_OK);
                assert_int_equal(edits_all_entries(t->edits, count_one, &n), -EUCLEAN);
                assert_int_equal(edits_entries(t->edits, NODE_ROOT, 0, 0, count_one, &n), -EUCLEAN);
        }
        assert_int_equal(sqlite3_exec(t->edits->db, "DELETE FROM entry WHERE cookie = 5", NULL, NULL, NULL), SQLITE_OK);
}

/* The bare folder changes while nothing is mounted ------------------------------------------------------------------ */

static void names_of_bare_files_that_are_gone_go(void **state)
{
        struct edited *t = *state;

        rename_to(t, "bare.txt", "moved.txt");
        edited_close(t);
        assert_int_equal(unlinkat(t->p->fd, "site/bare.txt", 0), 0);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_false(tree_has(t, "moved.txt"));
        assert_false(tree_has(t, "bare.txt"));
}

static void bare_files_with_a_row_show_when_they_were_written(void **state)
{
        struct edited *t = *state;
        const struct timespec pause = { 0, 20000000 };

        set_times(t, tree_id(t, "bare.txt"), 1000000000, 0);
        assert_int_equal(mtime_of(t, tree_id(t, "bare.txt")).tv_sec, 1000000000);
        edited_close(t);
        nanosleep(&pause, NULL); /* the file system's clock ticks */
        put(t->p, "site/bare.txt", "else");
        base_reopen(t);
        edited_open(t);

        struct node n;

        assert_int_equal(tree_getattr(t->tree, tree_id(t, "bare.txt"), &n), 0);
        assert_true(n.st.st_mtim.tv_sec > 1500000000);
        assert_sound(t);
}

static void changed_bare_files_that_are_gone_stay(void **state)
{
        struct edited *t = *state;

        write_at(t, "bare.txt", "mine");
        edited_close(t);
        assert_int_equal(unlinkat(t->p->fd, "site/bare.txt", 0), 0);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "bare.txt", "mine");
        switch_to(t, without(t->p, "pkg"));
        unlink_at(t, "bare.txt");
}

static void changed_and_moved_bare_files_stay(void **state)
{
        struct edited *t = *state;

        write_at(t, "bare.txt", "mine");
        rename_to(t, "bare.txt", "moved.txt");
        edited_close(t);
        assert_int_equal(unlinkat(t->p->fd, "site/bare.txt", 0), 0);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "moved.txt", "mine");
}

static void moved_bare_folders_that_are_gone_are_empty(void **state)
{
        struct edited *t = *state;

        rename_to(t, "folder", "other");
        write_at(t, "other/new.txt", "new");
        edited_close(t);
        remove_bare_folder(t);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "other/new.txt", "new");
        unlink_at(t, "other/new.txt");
        rmdir_at(t, "other");
}

static void bare_folders_that_became_files_show_these(void **state)
{
        struct edited *t = *state;

        write_at(t, "folder/new.txt", "new");
        edited_close(t);
        remove_bare_folder(t);
        put(t->p, "site/folder", "a file");
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "folder", "a file");
        assert_kept(t, "folder/new.txt", "new");
}

static void bare_folders_that_are_gone_with_files_of_the_user(void **state)
{
        struct edited *t = *state;

        write_at(t, "folder/new.txt", "new");
        write_at(t, "folder/deep/new.txt", "deep");
        edited_close(t);
        remove_bare_folder(t);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "folder/new.txt", "new");
        assert_reads(t, "folder/deep/new.txt", "deep");
        switch_to(t, without(t->p, "pkg"));
        assert_reads(t, "folder/new.txt", "new");
        unlink_at(t, "folder/new.txt");
        unlink_at(t, "folder/deep/new.txt");
        rmdir_at(t, "folder/deep");
        rmdir_at(t, "folder");
        assert_sound(t);
}

static void a_time_before_1970_is_kept(void **state)
{
        struct edited *t = *state;

        set_times(t, tree_id(t, "pkg/a.py"), -5, 250000000);
        rename_to(t, "pkg/a.py", "mine.py");
        switch_to(t, without(t->p, "pkg"));
        assert_kept(t, "mine.py", "a = 1\n");
}

static void bare_folders_that_packages_share_are_the_packages(void **state)
{
        struct edited *t = *state;

        write_at(t, "pkg/mine.py", "mine");
        make_at(t, "pkg/dir", S_IFDIR | 0755);
        unlink_at(t, "pkg/a.py");
        edited_close(t);
        assert_int_equal(unlinkat(t->p->fd, "site/pkg/bare.py", 0), 0);
        assert_int_equal(unlinkat(t->p->fd, "site/pkg", AT_REMOVEDIR), 0);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "pkg/mine.py", "mine");
        assert_reads(t, "pkg/sub/b.py", "b = 1\n");
        assert_false(tree_has(t, "pkg/a.py"));
        switch_to(t, without(t->p, "pkg"));
        assert_reads(t, "pkg/mine.py", "mine");
        assert_false(tree_has(t, "pkg/sub"));
}

static void removed_bare_folders_that_are_gone_are_not_counted(void **state)
{
        struct edited *t = *state;

        rmdir_at(t, "folder/deep");
        edited_close(t);
        assert_int_equal(unlinkat(t->p->fd, "site/folder/deep", AT_REMOVEDIR), 0);
        base_reopen(t);
        edited_open(t);
        assert_sound(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_edited, teardown_edited)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(what_is_not_made_is_no_removed_node),
                TEST(times_are_kept_as_far_as_they_can_be),
                TEST(names_that_are_none_are_refused),
                TEST(names_of_bare_files_that_are_gone_go),
                TEST(bare_files_with_a_row_show_when_they_were_written),
                TEST(changed_bare_files_that_are_gone_stay),
                TEST(changed_and_moved_bare_files_stay),
                TEST(moved_bare_folders_that_are_gone_are_empty),
                TEST(bare_folders_that_became_files_show_these),
                TEST(bare_folders_that_are_gone_with_files_of_the_user),
                TEST(a_time_before_1970_is_kept),
                TEST(bare_folders_that_packages_share_are_the_packages),
                TEST(removed_bare_folders_that_are_gone_are_not_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
