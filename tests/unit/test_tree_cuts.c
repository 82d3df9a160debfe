/* Names from which directories were taken more than once: what cuts keep apart outlives the rows that made them. */
#include "sample_edited.h"

#include <sqlite3.h>

static const char *const one[] = { "site/ns/one.py", "1", "site/ns/sub/one.py", "1", NULL };
static const char *const two[] = { "site/ns/two.py", "2", "site/ns/sub/two.py", "2", NULL };
static const char *const three[] = { "site/ns/three.py", "3", "site/ns/sub/three.py", "3", NULL };

static int count_cut(uint64_t dir, struct span name, uint32_t horizon, void *user)
{
        (void)dir;
        (void)name;
        (void)horizon;
        ++*(size_t *)user;
        return 0;
}

static size_t cuts_of(struct edited *t)
{
        size_t n = 0;

        assert_int_equal(edits_cuts_each(t->edits, count_cut, &n), 0);
        return n;
}

static void open_again(struct edited *t)
{
        edited_close(t);
        edited_open(t);
        assert_sound(t);
}

static void remove_ns(struct edited *t, const char *file)
{
        char path[64];

        snprintf(path, sizeof(path), "ns/%s", file);
        unlink_at(t, path);
        snprintf(path, sizeof(path), "ns/sub/%s", file);
        unlink_at(t, path);
        rmdir_at(t, "ns/sub");
        rmdir_at(t, "ns");
}

/* ns of one was removed, that of two is there. */
static void start_cut(struct edited *t)
{
        start(t, with(t->p, "one", "1", one));
        remove_ns(t, "one.py");
        assert_int_equal(cuts_of(t), 0);
        switch_to(t, with(t->p, "two", "1", two));
        assert_int_equal(cuts_of(t), 1);
}

static void one_that_came_again_can_be_moved(void **state)
{
        struct edited *t = *state;

        start_cut(t);
        rename_to(t, "ns", "moved");
        assert_sound(t);
        write_at(t, "ns", "mine");
        open_again(t);
        switch_to(t, with(t->p, "three", "1", three)); /* takes the name */
        assert_kept(t, "ns", "mine");
        assert_reads(t, "ns/three.py", "3");
        assert_reads(t, "moved/sub/two.py", "2");
        assert_false(tree_has(t, "moved/one.py") || tree_has(t, "moved/three.py") || tree_has(t, "ns/one.py"));
        assert_int_equal(cuts_of(t), 2);
        open_again(t);
        switch_to(t, without(t->p, "one"));
        switch_to(t, without(t->p, "two"));
        assert_false(tree_has(t, "moved"));
        switch_to(t, without(t->p, "three"));
        assert_int_equal(cuts_of(t), 0);
}

static void what_was_removed_before_does_not_come_again(void **state)
{
        struct edited *t = *state;

        start_cut(t);
        rename_to(t, "ns", "moved");
        rename_to(t, "moved", "ns");
        assert_false(tree_has(t, "ns/one.py"));
        open_again(t);
        assert_false(tree_has(t, "ns/one.py"));
        switch_to(t, without(t->p, "two"));
        assert_false(tree_has(t, "ns"));
        open_again(t);
        assert_false(tree_has(t, "ns"));
}

static void one_whose_lowest_package_left_goes_on_with_the_others(void **state)
{
        struct edited *t = *state;
        uint64_t moved, sub;

        start_cut(t);
        switch_to(t, with(t->p, "three", "1", three));
        moved = tree_id(t, "ns");
        sub = tree_id(t, "ns/sub");
        rename_to(t, "ns", "moved");
        for (int i = 0; i < 2; i++) {
                switch_to(t, i == 0 ? without(t->p, "two") : with(t->p, "two", "2", two));
                assert_int_equal(tree_id(t, "moved"), moved);
                assert_int_equal(tree_id(t, "moved/sub"), sub);
                assert_reads(t, "moved/three.py", "3");
                assert_reads(t, "moved/sub/three.py", "3");
                assert_false(tree_has(t, "moved/two.py"));
                assert_int_equal(tree_has(t, "ns/two.py"), i);
                open_again(t);
        }
        rename_to(t, "moved", "again");
        open_again(t);
        switch_to(t, without(t->p, "three"));
        assert_false(tree_has(t, "again"));
}

static void one_within_a_removed_directory_is_remembered(void **state)
{
        struct edited *t = *state;

        start(t, with(t->p, "one", "1", one));
        unlink_at(t, "ns/sub/one.py");
        rmdir_at(t, "ns/sub");
        switch_to(t, with(t->p, "two", "1", two));
        rename_to(t, "ns/sub", "moved");
        unlink_at(t, "ns/one.py");
        unlink_at(t, "ns/two.py");
        rmdir_at(t, "ns");
        assert_sound(t);
        open_again(t);
        switch_to(t, with(t->p, "three", "1", three));
        assert_reads(t, "moved/two.py", "2");
        assert_false(tree_has(t, "moved/one.py") || tree_has(t, "moved/three.py"));
        open_again(t);
}

static void change_rows(struct edited *t, const char *sql)
{
        sqlite3 *db = NULL;
        char file[64];

        edited_close(t);
        snprintf(file, sizeof(file), "/proc/self/fd/%d/" EDITS_FILE, t->p->state_fd);
        assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        edited_open(t);
}

/* What an earlier version left has the rows alone. */
static void a_database_without_the_table_gets_it(void **state)
{
        struct edited *t = *state;

        start_cut(t);
        change_rows(t, "DROP TABLE cut");
        assert_int_equal(cuts_of(t), 1);
        rename_to(t, "ns", "moved");
        open_again(t);
        assert_reads(t, "moved/two.py", "2");
}

/* An earlier version was there in between: what it did not carry over is not true any more. */
static void cuts_of_another_generation_do_not_count(void **state)
{
        struct edited *t = *state;

        start_cut(t);
        change_rows(t, "UPDATE cut SET horizon = 77; INSERT INTO cut SELECT dir, 'other', horizon, generation - 1 FROM cut");
        assert_int_equal(cuts_of(t), 2); /* of the row; and the one that was changed, which does nothing */
        change_rows(t, "UPDATE cut SET generation = generation - 1");
        assert_int_equal(cuts_of(t), 1);
        assert_sound(t);
}

static void a_table_that_was_rolled_back_is_made_again(void **state)
{
        struct edited *t = *state;
        uint64_t now;

        start(t, with(t->p, "one", "1", one));
        now = t->p->environment->generation;
        assert_int_equal(edits_begin(t->edits), 0);
        assert_int_equal(edits_cut_put(t->edits, 1, "ns", 1, now), 0);
        assert_int_equal(cuts_of(t), 1);
        edits_rollback(t->edits);
        assert_int_equal(cuts_of(t), 0);
        assert_int_equal(edits_begin(t->edits), 0);
        assert_int_equal(edits_cut_put(t->edits, 1, "ns", 1, now - 1), 0);
        assert_int_equal(cuts_of(t), 0);
        assert_int_equal(edits_cut_put(t->edits, 1, "ns", 1, now), 0);
        assert_int_equal(edits_cut_put(t->edits, 1, "ns", 2, now), 0);
        assert_int_equal(edits_commit(t->edits), 0);
        assert_int_equal(cuts_of(t), 2);
        assert_int_equal(edits_begin(t->edits), 0);
        assert_int_equal(edits_cuts_clear(t->edits), 0);
        assert_int_equal(edits_commit(t->edits), 0);
        assert_int_equal(cuts_of(t), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_unopened, teardown_edited)
                TEST(one_that_came_again_can_be_moved),
                TEST(what_was_removed_before_does_not_come_again),
                TEST(one_whose_lowest_package_left_goes_on_with_the_others),
                TEST(one_within_a_removed_directory_is_remembered),
                TEST(a_database_without_the_table_gets_it),
                TEST(cuts_of_another_generation_do_not_count),
                TEST(a_table_that_was_rolled_back_is_made_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
