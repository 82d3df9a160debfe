#include "tools/edit_report.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEAD "fusepkg edits-report 1\ngeneration 7\n"

static const char sample[] = HEAD "modified 100000003 755 14 1 a%20b.py\n"
                                  "moved 100000004 d new pkg/old\n"
                                  "moved 100000006 d newer pkg/older 12\n"
                                  "linked 100000005 twin.py pkg/x.py\n"
                                  "removed 10 f pkg/y.py\n"
                                  "added 4000000000000001 l 777 3 z%0A\n"
                                  "added 4000000000000002 l 777 3 zz a%20b\n"
                                  "kept 7 pkg/a%25\n"
                                  "reverted pkg\n"
                                  "bad two%20words\n"
                                  "conflicting a%20b.py demo site-packages\n"
                                  "original 10 100644 pkg/y.py\n"
                                  "base ns/a%20b\n"
                                  "blocked 3\n"
                                  "blocked 12\n"
                                  "end\n";

static void every_line_is_read(void **state)
{
        cleanup_edit_report struct edit_report r = { 0 };
        const struct edit_change *c;

        (void)state;
        assert_int_equal(edit_report_parse(sample, strlen(sample), &r, NULL), 0);
        assert_int_equal(r.generation, 7);
        assert_int_equal(r.change_count, 7);
        c = edit_report_find(&r, "a b.py", CHANGE_MODIFIED);
        assert_non_null(c);
        assert_int_equal(c->id, 0x100000003);
        assert_int_equal(c->mode, 0755);
        assert_int_equal(c->size, 14);
        assert_true(c->data);
        assert_null(edit_report_find(&r, "a b.py", CHANGE_ADDED));
        c = edit_report_find(&r, "new", CHANGE_MOVED);
        assert_string_equal(c->origin, "pkg/old");
        assert_int_equal(c->type, 'd');
        assert_true(c->newest == UINT64_MAX);
        assert_int_equal(edit_report_find(&r, "newer", CHANGE_MOVED)->newest, 12);
        c = edit_report_find(&r, "z\n", CHANGE_ADDED);
        assert_int_equal(c->id, UINT64_C(0x4000000000000001));
        assert_false(c->data); /* a symlink's bytes are not in a file */
        assert_null(c->target);
        assert_string_equal(edit_report_find(&r, "zz", CHANGE_ADDED)->target, "a b");
        assert_string_equal(r.kept.list[0], "7/pkg/a%");
        assert_string_equal(r.reverted.list[0], "pkg");
        assert_string_equal(r.bad.list[0], "two words");
        assert_int_equal(r.conflict_count, 1);
        assert_string_equal(r.conflicts[0].path, "a b.py");
        assert_string_equal(r.conflicts[0].loser, "demo");
        assert_string_equal(r.conflicts[0].winner, "site-packages");
        assert_int_equal(r.originals[0].mode, 0100644);
        assert_string_equal(r.base.list[0], "ns/a b");
        assert_int_equal(r.blocked_count, 2);
        assert_int_equal(r.blocked[1], 12);
}

static void what_is_broken_is_refused(void **state)
{
        static const char *const broken[] = {
                "", "end\n", "fusepkg edits-report 2\nend\n", HEAD, HEAD "removed 10 f\nend\n",
                HEAD "removed xyz f a\nend\n",
                HEAD "removed 10 q a\nend\n", HEAD "removed 10 f a b\nend\n", HEAD "added 1 f 9 1 a\nend\n",
                HEAD "added 1 f 644 -1 a\nend\n", HEAD "modified 1 644 1 2 a\nend\n", HEAD "removed 10 f %zz\nend\n",
                HEAD "removed 10 f %00\nend\n", HEAD "whatever\nend\n", HEAD "added 1 f 7777777 1 a\nend\n",
                HEAD "a b c d e f g h\nend\n", HEAD "added 1 f 644 1 a b\nend\n",
                HEAD "blocked 0\nend\n", HEAD "blocked x\nend\n", HEAD "blocked 1 2\nend\n",
                HEAD "moved 1 d a b c\nend\n", HEAD "moved 1 d a\nend\n",
                HEAD "modified 1 644 1 1 a b\nend\n", HEAD "conflicting a b\nend\n", HEAD "conflicting a b c d\nend\n",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
                struct edit_report r = { 0 };

                assert_int_equal(edit_report_parse(broken[i], strlen(broken[i]), &r, NULL), -EBADMSG);
        }
}

static void paths_are_within_folders_and_not_names(void **state)
{
        (void)state;
        assert_true(edit_path_is_within("pkg/a", "pkg"));
        assert_true(edit_path_is_within("pkg", "pkg"));
        assert_true(edit_path_is_within("pkg", ""));
        assert_false(edit_path_is_within("pkgs/a", "pkg"));
        assert_false(edit_path_is_within("pkg", "pkg/a"));
        assert_true(edit_path_is_generated("pkg/__pycache__/a.cpython-312.pyc"));
        assert_true(edit_path_is_generated("__pycache__"));
        assert_true(edit_path_is_generated("pkg/a.nbi"));
        assert_false(edit_path_is_generated("pkg/a.pyc"));
        assert_false(edit_path_is_generated("my__pycache__/a"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_line_is_read),
                cmocka_unit_test(what_is_broken_is_refused),
                cmocka_unit_test(paths_are_within_folders_and_not_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
