/* The tree where things go wrong: requests that fail half-way, times that are out of range. */
#include "sample_edited.h"

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
        commit_environment(t->p, with(t->p, "pkg", "1", pkg1));
        edited_open(t);
        return 0;
}

static int teardown_edited(void **state)
{
        struct edited *t = *state;

        edited_close(t);
        *state = t->p;
        free(t);
        return teardown(state);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_edited, teardown_edited)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(what_is_not_made_is_no_removed_node),
                TEST(times_are_kept_as_far_as_they_can_be),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
