/* Which folders a commit notes, so that they keep their inode numbers. */
#include "tests/unit/commit_world.h"

static void what_only_the_leaving_slot_had_needs_no_row(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/one/sub/a.py");
        add(w, e, "two", "site/two/a.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/");
}

static void the_lowest_provider_that_leaves_is_pinned_and_others_are_not(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/nvidia/a/x.py site/nvidia/b/x.py");
        add(w, e, "two", "site/nvidia/a/y.py");
        add(w, e, "three", "site/nvidia/a/z.py site/nvidia/c/z.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 3);
        commit(w, e);
        assert_paths(w, "/- nvidia nvidia/a"); /* site-packages has what it had */
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/- nvidia! nvidia/a!");
        assert_true(row(w, "nvidia")->id == id_of(w, 1, 0, "site/nvidia"));
        assert_true(row(w, "nvidia/a")->id == id_of(w, 1, 0, "site/nvidia/a"));
}

static void an_upgrade_keeps_every_folder_and_the_next_one_too(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/one/sub/a.py site/one-1.dist-info/METADATA site/other/x.py");
        commit(w, e);
        for (uint32_t slot = 1; slot < 4; slot++) {
                e = edit(w);
                environment_remove_slot(e, slot);
                add(w, e, slot == 1 ? "uno" : slot == 2 ? "due" : "tre", "site/one/sub/b.py site/one-2.dist-info/METADATA");
                commit(w, e);
                assert_true(row(w, "one")->id == id_of(w, 1, 0, "site/one"));
                assert_true(row(w, "one/sub")->id == id_of(w, 1, 0, "site/one/sub"));
                assert_true(row(w, "one/sub")->time == w->now->time);
                assert_true(row(w, "one")->time < w->now->time); /* it has its one folder, as before */
                assert_null(row(w, "other"));
        }
        assert_true(row(w, "one-2.dist-info")->id == id_of(w, 2, 1, "site/one-2.dist-info"));
}

static void rows_stay_while_the_path_is_provided_and_go_with_it(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/ns/a/x.py");
        add(w, e, "two", "site/ns/a/y.py");
        add(w, e, "three", "site/three.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/- ns!- ns/a!");
        e = edit(w);
        environment_remove_slot(e, 3);
        commit(w, e);
        assert_paths(w, "/ ns!- ns/a!-");
        e = edit(w);
        add(w, e, "four", "site/ns/a/z.py");
        commit(w, e);
        assert_paths(w, "/- ns!- ns/a!-");
        e = edit(w);
        environment_remove_slot(e, 2);
        environment_remove_slot(e, 4);
        commit(w, e);
        assert_paths(w, "/");
}

static void the_data_tree_has_rows_of_its_own(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "data/share/a/x data/etc/x headers/one/x.h scripts/run site/one.py");
        add(w, e, "two", "data/share/b/x headers/one/y.h scripts/walk");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/ .fusepkg-data .fusepkg-data/data! .fusepkg-data/data/share! .fusepkg-data/headers!- "
                        ".fusepkg-data/headers/one!");
        assert_true(row(w, ".fusepkg-data/data")->id == id_of(w, 1, 0, "data"));
        assert_true(row(w, ".fusepkg-data/headers/one")->id == id_of(w, 1, 0, "headers/one"));
        e = edit(w);
        environment_remove_slot(e, 2);
        commit(w, e);
        assert_paths(w, "/- .fusepkg-data");
}

static void a_folder_where_another_has_a_file_is_not_shared(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/x/a.py");
        add(w, e, "two", "site/x");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/-");
}

static void make_bare(struct world *w)
{
        static const char record[] = "ns/sub/a.py,,\nns/b.py,,\n../../../bin/x,,\n/etc/x/y,,\nbare-1.dist-info/RECORD,,\n";
        int dist = dir_make(w->site_fd, "bare-1.dist-info", 0755);
        int ns = dir_make(w->site_fd, "ns", 0755);

        close(dir_make(ns, "sub", 0755));
        close(dir_make(ns, "kept", 0755));
        assert_int_equal(file_replace(dist, "RECORD", record, strlen(record), 0644, false), 0);
        close(dist);
        close(ns);
}

static void folders_of_the_base_need_no_pin(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        make_bare(w);
        add(w, e, "one", "site/ns/sub/x.py site/ns/own/x.py site/bare-1.dist-info/y");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/- bare-1.dist-info ns ns/sub");
}

static void hiding_a_bare_distribution_touches_the_folders_of_its_record(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        make_bare(w);
        add(w, e, "one", "site/one.py");
        environment_hide(e, "bare-1.dist-info");
        commit(w, e);
        assert_paths(w, "/ ns ns/sub");
        e = edit(w);
        free(e->hidden[0]);
        e->hidden_count = 0;
        commit(w, e);
        assert_paths(w, "/ bare-1.dist-info ns ns/sub");
        assert_true(row(w, "ns")->time == w->now->time);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(what_only_the_leaving_slot_had_needs_no_row),
                TEST(the_lowest_provider_that_leaves_is_pinned_and_others_are_not),
                TEST(an_upgrade_keeps_every_folder_and_the_next_one_too),
                TEST(rows_stay_while_the_path_is_provided_and_go_with_it),
                TEST(the_data_tree_has_rows_of_its_own),
                TEST(a_folder_where_another_has_a_file_is_not_shared),
                TEST(folders_of_the_base_need_no_pin),
                TEST(hiding_a_bare_distribution_touches_the_folders_of_its_record),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
