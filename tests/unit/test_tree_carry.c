/* Switches of an edited tree: files. */
#include "sample_edited.h"

static const char *const pkg1[] = {
        "site/pkg/a.py", "a1", "site/pkg/b.py", "b1", "site/pkg/sub/c.py", "c1", "site/pkg-1.dist-info/METADATA", "Name: pkg\n", NULL,
};
static const char *const pkg2[] = {
        "site/pkg/a.py", "a2", "site/pkg/b.py", "b2", "site/pkg/sub/c.py", "c2", "site/pkg-2.dist-info/METADATA", "Name: pkg\n", NULL,
};
static const char *const other[] = { "site/other/o.py", "o", NULL };

static void edits_of_others_stay_through_a_switch(void **state)
{
        struct edited *t = *state;
        uint64_t a;

        start(t, with(t->p, "pkg", "1", pkg1));
        a = tree_id(t, "pkg/a.py");
        write_at(t, "pkg/a.py", "mine");
        write_at(t, "pkg/new.py", "new");
        rename_to(t, "pkg/b.py", "pkg/moved.py");
        switch_to(t, with(t->p, "other", "1", other));
        assert_reads(t, "pkg/a.py", "mine");
        assert_int_equal(tree_id(t, "pkg/a.py"), a);
        assert_reads(t, "pkg/new.py", "new");
        assert_reads(t, "pkg/moved.py", "b1");
        assert_false(tree_has(t, "pkg/b.py"));
        assert_int_equal(t->changes.count, 0);
        assert_int_equal(t->changes.kept, 0);
}

static void an_upgrade_puts_changed_files_to_kept(void **state)
{
        struct edited *t = *state;
        uint64_t pkg, a;

        start(t, with(t->p, "pkg", "1", pkg1));
        pkg = tree_id(t, "pkg");
        a = tree_id(t, "pkg/a.py");
        write_at(t, "pkg/a.py", "mine");
        write_at(t, "pkg/new.py", "new");
        rename_to(t, "pkg/b.py", "pkg/moved.py");
        unlink_at(t, "pkg/sub/c.py");
        switch_to(t, with(t->p, "pkg", "2", pkg2));
        assert_int_equal(tree_id(t, "pkg"), pkg);
        assert_reads(t, "pkg/a.py", "a2");
        assert_kept(t, "pkg/a.py", "mine");
        assert_reads(t, "pkg/new.py", "new");
        assert_false(tree_has(t, "pkg/moved.py"));
        assert_kept(t, "pkg/moved.py", "b1");
        assert_reads(t, "pkg/b.py", "b2");
        assert_reads(t, "pkg/sub/c.py", "c2");
        assert_int_equal(t->changes.kept, 2);
        assert_true(is_changed(t, pkg, "moved.py") && is_changed(t, pkg, NULL) && is_changed(t, a, NULL));
        assert_true(tree_is_removed(t->tree, a));

        char data[8];
        struct errtext err;

        assert_int_equal(tree_read(t->tree, a, data, sizeof(data), 0, &err), 4); /* for who has it open */
        assert_int_equal(tree_drop_removed(t->tree, &a, 1), 0);
}

static void a_removed_package_leaves_what_the_user_made(void **state)
{
        struct edited *t = *state;
        uint64_t pkg, sub;

        start(t, with(t->p, "pkg", "1", pkg1));
        pkg = tree_id(t, "pkg");
        sub = tree_id(t, "pkg/sub");
        write_at(t, "pkg/sub/mine.txt", "mine");
        write_at(t, "pkg/a.py", "changed");
        switch_to(t, without(t->p, "pkg"));
        assert_int_equal(tree_id(t, "pkg"), pkg);
        assert_int_equal(tree_id(t, "pkg/sub"), sub);
        assert_reads(t, "pkg/sub/mine.txt", "mine");
        assert_false(tree_has(t, "pkg/a.py"));
        assert_false(tree_has(t, "pkg/sub/c.py"));
        assert_kept(t, "pkg/a.py", "changed");

        switch_to(t, with(t->p, "pkg", "2", pkg2)); /* it comes back below them */
        assert_int_equal(tree_id(t, "pkg"), pkg);
        assert_int_equal(tree_id(t, "pkg/sub"), sub);
        assert_reads(t, "pkg/sub/mine.txt", "mine");
        assert_reads(t, "pkg/sub/c.py", "c2");
        assert_reads(t, "pkg/a.py", "a2");
        switch_to(t, with(t->p, "pkg", "3", pkg1));
        assert_int_equal(tree_id(t, "pkg/sub"), sub);
        assert_reads(t, "pkg/sub/c.py", "c1");
        switch_to(t, without(t->p, "pkg"));
        assert_reads(t, "pkg/sub/mine.txt", "mine");
        assert_false(tree_has(t, "pkg/a.py"));
        unlink_at(t, "pkg/sub/mine.txt");
        switch_to(t, with(t->p, "other", "1", other));
        assert_true(tree_has(t, "other"));
}

static void without_files_of_the_user_nothing_is_left(void **state)
{
        struct edited *t = *state;

        start(t, with(t->p, "pkg", "1", pkg1));
        unlink_at(t, "pkg/a.py");
        make_at(t, "pkg/__pycache__", S_IFDIR | 0755);
        write_at(t, "pkg/__pycache__/b.cpython-312.pyc", "code");
        switch_to(t, without(t->p, "pkg"));
        assert_false(tree_has(t, "pkg"));
        assert_int_equal(t->changes.kept, 0);
}

static void bytecode_goes_with_its_source(void **state)
{
        struct edited *t = *state;

        start(t, with(t->p, "pkg", "1", pkg1));
        switch_to(t, with(t->p, "other", "1", other));
        make_at(t, "pkg/__pycache__", S_IFDIR | 0755);
        make_at(t, "other/__pycache__", S_IFDIR | 0755);
        write_at(t, "pkg/mine.py", "mine");
        write_at(t, "pkg/__pycache__/a.cpython-312.pyc", "a1");
        write_at(t, "pkg/__pycache__/b.cpython-312.opt-1.pyc", "b1");
        write_at(t, "pkg/__pycache__/b.f-12.py312.nbi", "b1");
        write_at(t, "pkg/__pycache__/b.f-12.py312.1.nbc", "b1");
        write_at(t, "pkg/__pycache__/mine.cpython-312.pyc", "mine");
        write_at(t, "other/__pycache__/o.cpython-312.pyc", "o");
        switch_to(t, with(t->p, "pkg", "2", pkg2));
        assert_false(tree_has(t, "pkg/__pycache__/a.cpython-312.pyc"));
        assert_false(tree_has(t, "pkg/__pycache__/b.cpython-312.opt-1.pyc"));
        assert_false(tree_has(t, "pkg/__pycache__/b.f-12.py312.nbi"));
        assert_false(tree_has(t, "pkg/__pycache__/b.f-12.py312.1.nbc"));
        assert_reads(t, "pkg/__pycache__/mine.cpython-312.pyc", "mine");
        assert_reads(t, "other/__pycache__/o.cpython-312.pyc", "o");
        assert_int_equal(t->changes.kept, 0);
        unlink_at(t, "pkg/mine.py");
        unlink_at(t, "pkg/__pycache__/mine.cpython-312.pyc");
        write_at(t, "pkg/__pycache__/a.cpython-312.pyc", "a2");
        switch_to(t, with(t->p, "pkg", "3", pkg1));
        assert_false(tree_has(t, "pkg/__pycache__"));
}

static void a_later_package_takes_names_from_the_user(void **state)
{
        static const char *const late[] = {
                "site/mine.py", "theirs", "site/folder", "a file", "site/both/theirs.py", "theirs", "site/both/sub/x.py", "x",
                "site/pkg/a.py", "late", NULL,
        };
        struct edited *t = *state;
        uint64_t both, sub;

        start(t, with(t->p, "pkg", "1", pkg1));
        write_at(t, "mine.py", "mine");
        write_at(t, "pkg/a.py", "changed");
        make_at(t, "folder", S_IFDIR | 0755);
        write_at(t, "folder/deep.txt", "deep");
        both = make_at(t, "both", S_IFDIR | 0755);
        sub = make_at(t, "both/sub", S_IFDIR | 0755);
        write_at(t, "both/mine.py", "mine");
        write_at(t, "both/sub/x.py", "my x");
        switch_to(t, with(t->p, "late", "1", late));
        assert_reads(t, "mine.py", "theirs");
        assert_kept(t, "mine.py", "mine");
        assert_reads(t, "pkg/a.py", "late");
        assert_kept(t, "pkg/a.py", "changed");
        assert_reads(t, "folder", "a file");
        assert_kept(t, "folder/deep.txt", "deep");
        assert_int_equal(tree_id(t, "both"), both);
        assert_int_equal(tree_id(t, "both/sub"), sub);
        assert_reads(t, "both/mine.py", "mine");
        assert_reads(t, "both/theirs.py", "theirs");
        assert_reads(t, "both/sub/x.py", "x");
        assert_kept(t, "both/sub/x.py", "my x");
        switch_to(t, without(t->p, "late"));
        assert_reads(t, "both/mine.py", "mine");
        assert_false(tree_has(t, "both/theirs.py"));
        assert_int_equal(tree_id(t, "both/sub"), sub);
        assert_reads(t, "pkg/a.py", "a1"); /* as its package has it: the change is in kept */
}

static const char *const ns1[] = { "site/ns/one/x.py", "1", "site/ns/shared.py", "1", NULL };
static const char *const ns3[] = { "site/ns/three/x.py", "3", "site/ns/shared.py", "3", NULL };

static void a_mount_carries_what_an_earlier_one_left(void **state)
{
        struct edited *t = *state;

        start(t, with(t->p, "pkg", "1", pkg1));
        write_at(t, "pkg/a.py", "mine");
        write_at(t, "pkg/sub/mine.txt", "mine");
        edited_close(t);
        commit_environment(t->p, with(t->p, "pkg", "2", pkg2));
        commit_environment(t->p, without(t->p, "pkg"));
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "pkg/sub/mine.txt", "mine");
        assert_kept(t, "pkg/a.py", "mine");
        assert_false(tree_has(t, "pkg/a.py"));
}

static void without_the_old_generation_the_bytes_are_kept_all_the_same(void **state)
{
        struct edited *t = *state;
        int history;

        start(t, with(t->p, "pkg", "1", pkg1));
        write_at(t, "top.txt", "top");
        write_at(t, "pkg/sub/mine.txt", "mine");
        edited_close(t);
        history = openat(t->p->state_fd, "history", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        commit_environment(t->p, without(t->p, "pkg"));
        assert_int_equal(unlinkat(history, "1", 0), 0);
        close(history);
        edited_open(t);
        assert_sound(t);
        assert_reads(t, "top.txt", "top");
        assert_false(tree_has(t, "pkg"));
        assert_true(is_kept(t, "unknown"));
}

static void a_failed_switch_changes_nothing(void **state)
{
        struct edited *t = *state;
        cleanup_buf struct buf before = { 0 }, after = { 0 };
        struct view_ref *old = NULL;
        struct errtext err = { "" };
        struct view *next;

        start(t, with(t->p, "pkg", "1", pkg1));
        write_at(t, "pkg/a.py", "mine");
        list_all(t->tree, &before);
        commit_environment(t->p, with(t->p, "pkg", "2", pkg2));
        next = view_of(t, tree_current(t->tree));
        assert_int_equal(file_replace(t->p->state_fd, "kept", "in the way", 10, 0600, false), 0);
        assert_true(tree_switch(t->tree, next, &t->changes, &old, &err) < 0);
        assert_true(*err.text);
        list_all(t->tree, &after);
        assert_string_equal(before.data, after.data);
        assert_reads(t, "pkg/a.py", "mine");
        assert_int_equal(tree_check(t->tree, say_bad, NULL), 0);
        assert_int_equal(unlinkat(t->p->state_fd, "kept", 0), 0);
        assert_int_equal(tree_switch(t->tree, next, &t->changes, &old, &err), 0);
        tree_view_done(t->tree, old);
        assert_sound(t);
        assert_kept(t, "pkg/a.py", "mine");
}

static void a_cut_made_while_the_next_view_was_made_is_noticed(void **state)
{
        struct edited *t = *state;
        struct view_ref *old = NULL;
        struct errtext err = { "" };
        struct view *next;

        start(t, with(t->p, "one", "1", ns1));
        commit_environment(t->p, with(t->p, "three", "1", ns3));
        next = view_of(t, tree_current(t->tree));
        write_at(t, "unrelated", "");
        rename_to(t, "ns", "old");
        assert_int_equal(tree_switch(t->tree, next, &t->changes, &old, &err), -EAGAIN);
        view_free(next);
        next = view_of(t, tree_current(t->tree));
        write_at(t, "unrelated too", "");
        assert_int_equal(tree_switch(t->tree, next, &t->changes, &old, &err), 0);
        tree_view_done(t->tree, old);
        assert_sound(t);
        assert_false(tree_has(t, "old/three"));
}

/* Its package is still there: what the store has is not copied. */
static void a_file_of_the_bare_folder_that_went_under_the_mount_stops_no_switch(void **state)
{
        struct edited *t = *state;

        put(t->p, "site/bare.py", "bare");
        start(t, with(t->p, "other", "1", other));
        rename_to(t, "bare.py", "mine.py");
        assert_int_equal(unlinkat(t->p->fd, "site/bare.py", 0), 0);
        switch_to(t, with(t->p, "third", "1", (const char *const[]){ "site/mine.py", "theirs", NULL }));
        assert_reads(t, "mine.py", "theirs");
        assert_int_equal(t->changes.kept, 0);
}

static void without_edits_a_file_whose_package_left_has_no_links(void **state)
{
        struct edited *t = *state;
        struct node n;
        uint64_t c;

        start(t, with(t->p, "pkg", "1", pkg1));
        c = tree_id(t, "pkg/sub/c.py");
        assert_int_equal(tree_getattr(t->tree, c, &n), 0);
        assert_int_equal(n.st.st_nlink, 1);
        switch_to(t, without(t->p, "pkg"));
        assert_int_equal(tree_getattr(t->tree, c, &n), 0);
        assert_int_equal(n.st.st_nlink, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_unopened, teardown_edited)
                TEST(edits_of_others_stay_through_a_switch),
                TEST(an_upgrade_puts_changed_files_to_kept),
                TEST(a_removed_package_leaves_what_the_user_made),
                TEST(without_files_of_the_user_nothing_is_left),
                TEST(bytecode_goes_with_its_source),
                TEST(a_later_package_takes_names_from_the_user),
                TEST(a_mount_carries_what_an_earlier_one_left),
                TEST(without_the_old_generation_the_bytes_are_kept_all_the_same),
                TEST(a_failed_switch_changes_nothing),
                TEST(a_cut_made_while_the_next_view_was_made_is_noticed),
                TEST(a_file_of_the_bare_folder_that_went_under_the_mount_stops_no_switch),
                TEST(without_edits_a_file_whose_package_left_has_no_links),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
