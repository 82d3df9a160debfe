/* Switches of an edited tree: directories that programs moved, removed or made. */
#include "sample_edited.h"

static const char *const ns1[] = { "site/ns/one/x.py", "1", "site/ns/shared.py", "1", NULL };
static const char *const ns2[] = { "site/ns/two/x.py", "2", "site/ns/extra.py", "2", NULL };
static const char *const ns3[] = { "site/ns/three/x.py", "3", "site/ns/shared.py", "3", NULL };
static const char *const pkg1[] = {
        "site/pkg/a.py", "a1", "site/pkg/b.py", "b1", "site/pkg/sub/c.py", "c1", "site/pkg-1.dist-info/METADATA", "Name: pkg\n", NULL,
};
static const char *const other[] = { "site/other/o.py", "o", NULL };

static void a_moved_directory_has_only_what_it_had(void **state)
{
        struct edited *t = *state;
        uint64_t ns, new;

        start(t, with(t->p, "one", "1", ns1));
        switch_to(t, with(t->p, "two", "1", ns2));
        ns = tree_id(t, "ns");
        rename_to(t, "ns", "old");
        write_at(t, "old/mine.txt", "mine");
        switch_to(t, with(t->p, "three", "1", ns3));
        assert_int_equal(tree_id(t, "old"), ns);
        new = tree_id(t, "ns");
        assert_reads(t, "old/one/x.py", "1");
        assert_reads(t, "old/two/x.py", "2");
        assert_reads(t, "old/mine.txt", "mine");
        assert_reads(t, "old/shared.py", "1");
        assert_false(tree_has(t, "old/three"));
        assert_reads(t, "ns/shared.py", "3");
        assert_reads(t, "ns/three/x.py", "3");
        assert_false(tree_has(t, "ns/one"));
        write_at(t, "ns/also.txt", "also");

        switch_to(t, without(t->p, "one"));
        assert_int_equal(tree_id(t, "old"), ns);
        assert_int_equal(tree_id(t, "ns"), new);
        assert_false(tree_has(t, "old/one"));
        assert_reads(t, "old/two/x.py", "2");
        switch_to(t, without(t->p, "two")); /* its last package: what else could be seen in it is kept */
        assert_int_equal(tree_id(t, "old"), ns);
        assert_false(tree_has(t, "old/two"));
        assert_kept(t, "old/two/x.py", "2");
        assert_reads(t, "old/mine.txt", "mine");
        assert_int_equal(tree_id(t, "ns"), new);
        switch_to(t, with(t->p, "three", "2", ns3)); /* the pinned id was the other's; who stands here stays all the same */
        assert_int_equal(tree_id(t, "ns"), new);
        assert_reads(t, "ns/also.txt", "also");
        assert_reads(t, "ns/three/x.py", "3");
}

static void a_removed_directory_comes_back_with_a_later_package(void **state)
{
        struct edited *t = *state;

        start(t, with(t->p, "one", "1", ns1));
        unlink_at(t, "ns/one/x.py");
        rmdir_at(t, "ns/one");
        unlink_at(t, "ns/shared.py");
        rmdir_at(t, "ns");
        switch_to(t, with(t->p, "three", "1", ns3));
        assert_reads(t, "ns/shared.py", "3");
        assert_false(tree_has(t, "ns/one"));
        switch_to(t, without(t->p, "three"));
        assert_false(tree_has(t, "ns"));
        switch_to(t, without(t->p, "one"));
        assert_false(tree_has(t, "ns"));
        assert_false(edits_has_entries(t->edits, NODE_ROOT));
        switch_to(t, with(t->p, "one", "2", ns1));
        assert_true(tree_has(t, "ns/one/x.py"));
}

static void of_a_moved_directory_that_is_hidden_only_the_users_bytes_are_kept(void **state)
{
        static const char *const newer[] = { "site/mine/new.py", "n", NULL };
        struct edited *t = *state;

        start(t, with(t->p, "pkg", "1", pkg1));
        rename_to(t, "pkg", "mine");
        write_at(t, "mine/a.py", "changed");
        write_at(t, "mine/sub/made", "made");
        switch_to(t, with(t->p, "newer", "1", newer));
        assert_kept(t, "mine/a.py", "changed");
        assert_kept(t, "mine/sub/made", "made");
        assert_false(is_kept(t, "mine/b.py"));
        assert_int_equal(t->changes.kept, 2);
        assert_false(tree_has(t, "pkg"));
        assert_false(tree_has(t, "mine/b.py"));
        assert_reads(t, "mine/new.py", "n");
}

/* It was made by the user, a package came to its name, and it was moved with what that had brought. */
static void a_moved_directory_takes_along_what_packages_put_into_it(void **state)
{
        struct edited *t = *state;
        uint64_t dir;

        start(t, with(t->p, "other", "1", other));
        dir = make_at(t, "pkg", S_IFDIR | 0755);
        write_at(t, "pkg/mine", "mine");
        switch_to(t, with(t->p, "pkg", "1", pkg1));
        assert_int_equal(tree_id(t, "pkg"), dir);
        assert_reads(t, "pkg/sub/c.py", "c1");
        rename_to(t, "pkg", "moved");
        switch_to(t, with(t->p, "other", "2", other));
        assert_int_equal(tree_id(t, "moved"), dir);
        assert_reads(t, "moved/mine", "mine");
        assert_reads(t, "moved/sub/c.py", "c1");
        assert_false(tree_has(t, "pkg"));
        switch_to(t, without(t->p, "pkg"));
        assert_reads(t, "moved/mine", "mine");
        assert_false(tree_has(t, "moved/sub"));
}

static void rows_with_a_directory_within_itself_have_an_end(void **state)
{
        struct edited *t = *state;
        struct errtext err = { "" };
        struct view_ref *old = NULL;
        struct edit_entry row;
        uint64_t in;

        start(t, with(t->p, "pkg", "1", pkg1));
        rename_to(t, "pkg", "moved");
        in = make_at(t, "moved/in", S_IFDIR | 0755);
        row = (struct edit_entry){ in, 0, { "again", 5 }, tree_id(t, "moved"), S_IFDIR, 100 };
        assert_int_equal(edits_entry_put(t->edits, &row), 0);
        commit_environment(t->p, without(t->p, "pkg"));
        assert_int_equal(tree_advance(t->tree, t->p->environment, t->p->pool, t->p->base, tree_current(t->tree),
                                      &t->changes, &old, &err),
                         -ELOOP);
        assert_true(tree_has(t, "moved/in/again/in"));
}

/* Somebody may stand in it. */
static void the_directory_beside_a_moved_one_keeps_its_id(void **state)
{
        struct edited *t = *state;
        uint64_t ns;

        start(t, with(t->p, "one", "1", ns1));
        rename_to(t, "ns", "old");
        switch_to(t, with(t->p, "two", "1", ns2));
        switch_to(t, with(t->p, "three", "1", ns3));
        ns = tree_id(t, "ns");
        switch_to(t, without(t->p, "two"));
        assert_int_equal(tree_id(t, "ns"), ns);
        assert_reads(t, "ns/shared.py", "3");
        assert_false(tree_has(t, "ns/two"));
        switch_to(t, with(t->p, "three", "2", ns3));
        assert_int_equal(tree_id(t, "ns"), ns);
        assert_reads(t, "old/one/x.py", "1");
        switch_to(t, without(t->p, "three"));
        assert_false(tree_has(t, "ns"));
        assert_reads(t, "old/one/x.py", "1");
}

static const char *const deep1[] = { "site/ns/sub/deep/one.py", "1", "site/ns/one.py", "1", NULL };
static const char *const deep2[] = { "site/ns/sub/deep/two.py", "2", "site/ns/two.py", "2", NULL };
static const char *const deep3[] = { "site/ns/sub/deep/three.py", "3", "site/ns/sub/new/x.py", "3", "site/ns/three.py", "3", NULL };

static void remove_ns(struct edited *t)
{
        unlink_at(t, "ns/sub/deep/one.py");
        rmdir_at(t, "ns/sub/deep");
        rmdir_at(t, "ns/sub");
        unlink_at(t, "ns/one.py");
        rmdir_at(t, "ns");
}

/* Removed, and brought again by a package that is upgraded: the commit takes those of the package before for the lowest
 * providers still. */
static void directories_below_one_that_came_back_keep_their_ids(void **state)
{
        struct edited *t = *state;
        uint64_t ns, sub, deep, new;

        start(t, with(t->p, "one", "1", deep1));
        remove_ns(t);
        switch_to(t, with(t->p, "two", "1", deep2));
        ns = tree_id(t, "ns");
        sub = tree_id(t, "ns/sub");
        deep = tree_id(t, "ns/sub/deep");
        switch_to(t, with(t->p, "two", "2", deep3));
        assert_int_equal(tree_id(t, "ns"), ns);
        assert_int_equal(tree_id(t, "ns/sub"), sub);
        assert_int_equal(tree_id(t, "ns/sub/deep"), deep);
        assert_reads(t, "ns/sub/deep/three.py", "3");
        assert_false(tree_has(t, "ns/sub/deep/two.py") || tree_has(t, "ns/sub/deep/one.py"));
        new = tree_id(t, "ns/sub/new");
        switch_to(t, with(t->p, "two", "3", deep3));
        assert_int_equal(tree_id(t, "ns/sub"), sub);
        assert_int_equal(tree_id(t, "ns/sub/deep"), deep);
        assert_int_equal(tree_id(t, "ns/sub/new"), new);
        switch_to(t, without(t->p, "two"));
        assert_false(tree_has(t, "ns"));
        switch_to(t, without(t->p, "one"));
        assert_false(edits_has_entries(t->edits, NODE_ROOT));
}

/* Also of what comes with an upgrade to a directory whose id a row holds already. */
static void directories_that_came_later_keep_their_ids(void **state)
{
        struct edited *t = *state;
        uint64_t sub;

        start(t, with(t->p, "one", "1", deep1));
        remove_ns(t);
        switch_to(t, with(t->p, "two", "1", (const char *const[]){ "site/ns/two.py", "2", NULL }));
        switch_to(t, with(t->p, "two", "2", deep2));
        sub = tree_id(t, "ns/sub");
        switch_to(t, with(t->p, "two", "3", deep3));
        assert_int_equal(tree_id(t, "ns/sub"), sub);
        assert_reads(t, "ns/sub/deep/three.py", "3");
}

static void assert_same_time(struct edited *t, const char *path, const struct node *before)
{
        struct node after;

        assert_int_equal(tree_find(t->tree, path, &after), 0);
        assert_int_equal(after.id, before->id);
        assert_memory_equal(&after.st.st_mtim, &before->st.st_mtim, sizeof(struct timespec));
}

static void of_two_directories_of_a_path_only_the_changed_one_has_a_new_time(void **state)
{
        struct edited *t = *state;
        struct node moved, moved_sub, ns, sub, after;

        start(t, with(t->p, "one", "1", deep1));
        rename_to(t, "ns", "moved");
        switch_to(t, with(t->p, "two", "1", deep2));
        switch_to(t, with(t->p, "three", "1", deep3));
        assert_int_equal(tree_find(t->tree, "moved", &moved), 0);
        assert_int_equal(tree_find(t->tree, "moved/sub/deep", &moved_sub), 0);
        switch_to(t, without(t->p, "three"));
        assert_same_time(t, "moved", &moved);
        assert_same_time(t, "moved/sub/deep", &moved_sub);
        assert_int_equal(tree_find(t->tree, "ns", &ns), 0);
        assert_int_equal(tree_find(t->tree, "ns/sub/deep", &sub), 0);
        switch_to(t, without(t->p, "one")); /* what was moved goes with it */
        assert_same_time(t, "ns", &ns);
        assert_same_time(t, "ns/sub/deep", &sub);
        switch_to(t, with(t->p, "two", "2", deep2));
        assert_int_equal(tree_find(t->tree, "ns", &after), 0);
        assert_int_equal(after.id, ns.id);
        assert_true(tree_ns(after.st.st_mtim) > tree_ns(ns.st.st_mtim));
}

static void a_directory_has_a_new_time_when_a_name_comes_back(void **state)
{
        static const char *const sub1[] = { "site/top/sub/one.py", "1", NULL }, *const sub2[] = { "site/top/sub/two.py", "2", NULL };
        struct edited *t = *state;
        struct node before, after;

        start(t, with(t->p, "one", "1", sub1));
        switch_to(t, with(t->p, "two", "1", sub2));
        rename_to(t, "top/sub", "moved");
        assert_int_equal(tree_find(t->tree, "top", &before), 0);
        switch_to(t, with(t->p, "two", "2", sub2));
        assert_reads(t, "top/sub/two.py", "2");
        assert_int_equal(tree_find(t->tree, "top", &after), 0);
        assert_int_equal(after.id, before.id);
        assert_true(tree_ns(after.st.st_mtim) > tree_ns(before.st.st_mtim));
        before = after;
        switch_to(t, with(t->p, "two", "3", sub2));
        assert_same_time(t, "top", &before);
        switch_to(t, without(t->p, "two")); /* and from which it goes again */
        assert_false(tree_has(t, "top/sub"));
        assert_int_equal(tree_find(t->tree, "top", &after), 0);
        assert_true(tree_ns(after.st.st_mtim) > tree_ns(before.st.st_mtim));
}

static void a_directory_keeps_its_time_when_what_was_removed_leaves(void **state)
{
        struct edited *t = *state;
        struct node before;

        start(t, with(t->p, "one", "1", deep1));
        switch_to(t, with(t->p, "two", "1", deep2));
        unlink_at(t, "ns/two.py");
        assert_int_equal(tree_find(t->tree, "ns", &before), 0);
        switch_to(t, without(t->p, "two"));
        assert_same_time(t, "ns", &before);
}

/* A directory that nobody holds any more has no row. */
/* What a file hid for a while has the names of the rows that stood for it meanwhile: each once. */
static void a_directory_that_a_file_had_hidden_has_one_name(void **state)
{
        struct edited *t = *state;
        uint64_t sub;

        mkdirat(t->p->fd, "site/top", 0755);
        put(t->p, "site/top/base", "base");
        start(t, with(t->p, "first", "1", (const char *const[]){ "site/top/sub/f.py", "f", NULL }));
        switch_to(t, with(t->p, "file", "1", (const char *const[]){ "site/top", "a file", NULL }));
        switch_to(t, with(t->p, "third", "1", (const char *const[]){ "site/top/g.py", "g", NULL }));
        sub = tree_id(t, "top/sub");
        rename_to(t, "top", "moved");
        write_at(t, "moved/sub/mine.py", "mine");
        switch_to(t, without(t->p, "third"));
        assert_int_equal(tree_id(t, "moved/sub"), sub);
        assert_false(tree_has(t, "moved/sub/f.py"));
        switch_to(t, with(t->p, "fourth", "1", (const char *const[]){ "site/top/h.py", "h", NULL }));
        assert_int_equal(tree_id(t, "moved/sub"), sub);
        assert_reads(t, "moved/sub/f.py", "f");
        assert_reads(t, "moved/sub/mine.py", "mine");
        assert_true(is_changed(t, sub, "f.py"));
}

static void a_moved_directory_stays_for_what_the_user_has_put_there(void **state)
{
        struct edited *t = *state;
        uint64_t sub;

        start(t, with(t->p, "pkg", "1", pkg1));
        sub = tree_id(t, "pkg/sub");
        rename_to(t, "pkg/sub", "moved");
        write_at(t, "moved/mine", "mine");
        make_at(t, "moved/folder", S_IFDIR | 0755);
        write_at(t, "moved/folder/mine", "mine too");
        switch_to(t, without(t->p, "pkg"));
        assert_int_equal(tree_id(t, "moved"), sub);
        assert_reads(t, "moved/mine", "mine");
        assert_reads(t, "moved/folder/mine", "mine too");
        assert_false(tree_has(t, "moved/c.py"));
        assert_kept(t, "moved/c.py", "c1");
        assert_int_equal(t->changes.kept, 1);
        assert_true(is_changed(t, sub, "c.py"));
        assert_false(tree_has(t, "pkg"));
}

static void a_directory_in_which_no_name_changes_keeps_its_time(void **state)
{
        struct edited *t = *state;
        struct node before, after;

        start(t, with(t->p, "pkg", "1", pkg1));
        write_at(t, "pkg/mine", "mine");
        write_at(t, "pkg/sub/mine", "mine too");
        unlink_at(t, "pkg/a.py");
        unlink_at(t, "pkg/b.py");
        assert_int_equal(tree_find(t->tree, "pkg", &before), 0);
        switch_to(t, without(t->p, "pkg"));
        assert_int_equal(tree_find(t->tree, "pkg", &after), 0);
        assert_int_equal(after.id, before.id);
        assert_memory_equal(&after.st.st_mtim, &before.st.st_mtim, sizeof(struct timespec));
}

/* Through another mount of the same partition, say. */
static void a_file_deep_in_a_removed_directory_has_no_links(void **state)
{
        struct edited *t = *state;
        uint64_t c, gone[2];
        struct node n;

        start(t, with(t->p, "pkg", "1", pkg1));
        c = tree_id(t, "pkg/sub/c.py");
        gone[0] = tree_id(t, "pkg");
        gone[1] = tree_id(t, "pkg/sub");
        unlink_at(t, "pkg/sub/c.py");
        unlink_at(t, "pkg/a.py");
        unlink_at(t, "pkg/b.py");
        rmdir_at(t, "pkg/sub");
        rmdir_at(t, "pkg");
        assert_int_equal(tree_drop_removed(t->tree, gone, 2), 0);
        assert_int_equal(tree_getattr(t->tree, c, &n), 0);
        assert_int_equal(n.st.st_nlink, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_unopened, teardown_edited)
                TEST(a_moved_directory_has_only_what_it_had),
                TEST(a_removed_directory_comes_back_with_a_later_package),
                TEST(of_a_moved_directory_that_is_hidden_only_the_users_bytes_are_kept),
                TEST(a_moved_directory_takes_along_what_packages_put_into_it),
                TEST(rows_with_a_directory_within_itself_have_an_end),
                TEST(the_directory_beside_a_moved_one_keeps_its_id),
                TEST(directories_below_one_that_came_back_keep_their_ids),
                TEST(directories_that_came_later_keep_their_ids),
                TEST(of_two_directories_of_a_path_only_the_changed_one_has_a_new_time),
                TEST(a_directory_has_a_new_time_when_a_name_comes_back),
                TEST(a_directory_keeps_its_time_when_what_was_removed_leaves),
                TEST(a_directory_that_a_file_had_hidden_has_one_name),
                TEST(a_moved_directory_stays_for_what_the_user_has_put_there),
                TEST(a_directory_in_which_no_name_changes_keeps_its_time),
                TEST(a_file_deep_in_a_removed_directory_has_no_links),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
