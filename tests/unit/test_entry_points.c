#include "store/metadata.h"

#include <setjmp.h>

#include <cmocka.h>

static int parse(const char *text, struct entry_points *ret, struct errtext *err)
{
        return entry_points_parse(text, strlen(text), ret, err);
}

static void both_kinds_of_scripts_are_read(void **state)
{
        struct entry_points e = { 0 };

        (void)state;
        assert_int_equal(parse("# comment\n; another\n[plugins]\nanything = at all; here\n\n[console_scripts]\r\n"
                               "  black = black:patched_main [d, e]\r\na.b-c_d=m.n : C.run\n[gui_scripts]\nw = m:f\n",
                               &e, NULL), 0);
        assert_int_equal(e.count, 3);
        assert_string_equal(e.points[0].name, "black");
        assert_string_equal(e.points[0].module, "black");
        assert_string_equal(e.points[0].attr, "patched_main");
        assert_false(e.points[0].gui);
        assert_string_equal(e.points[1].name, "a.b-c_d");
        assert_string_equal(e.points[1].module, "m.n");
        assert_string_equal(e.points[1].attr, "C.run");
        assert_true(e.points[2].gui);
        entry_points_release(&e);
}

static void one_name_has_one_meaning(void **state)
{
        struct entry_points e = { 0 };

        (void)state;
        assert_int_equal(parse("[console_scripts]\nx = a:b\nx=a:b\n", &e, NULL), 0);
        assert_int_equal(e.count, 1);
        entry_points_release(&e);
        assert_int_equal(parse("[console_scripts]\nx = a:b\nx = a:c\n", &e, NULL), -EBADMSG);
}

static void what_would_leave_the_folder_or_reach_the_script_is_refused(void **state)
{
        static const char *const lines[] = {
                "../x = a:b", "/x = a:b", ". = a:b", ".. = a:b", "x y = a:b", "= a:b", "x", "x = a", "x = a:", "x = :b",
                "x = a:b;import os", "x = a:b()", "x = a b:c", "x = a:b [d", "x = a:b [d] e", "x = a:b:c",
                "x = a:b # no comment", "caf\xc3\xa9 = a:b",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
                struct entry_points e = { 0 };
                struct errtext err = { "" };
                char text[100] = "[console_scripts]\n";

                strcat(text, lines[i]);
                assert_int_equal(parse(text, &e, &err), -EBADMSG);
                assert_non_null(strstr(err.text, "entry_points.txt has the line"));
                assert_null(e.points);
        }
}

static void names_of_the_venv_itself_are_reserved(void **state)
{
        static const char *const reserved[] = { "python", "Python3", "python3.12", "python3.13t", "PYTHONW",
                                                "python.exe", "python2.7", "python3.py", "pypy", "pypy3.10", "graalpy",
                                                "activate", "Activate.ps1",
                                                "activate.fish", "activate_this.py", "deactivate.bat" };
        static const char *const free_names[] = { "python-demo", "pythonic", "pip3.12", "activate-global-demo",
                                                  "activated", "ipython", "python3-config", "py", "reactivate" };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
                assert_true(entry_point_reserved(reserved[i], strlen(reserved[i])));
        for (size_t i = 0; i < ARRAY_LEN(free_names); i++)
                assert_false(entry_point_reserved(free_names[i], strlen(free_names[i])));
        assert_int_equal(parse("[console_scripts]\npython3.12 = a:b\n", &(struct entry_points){ 0 }, NULL), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(both_kinds_of_scripts_are_read),
                cmocka_unit_test(one_name_has_one_meaning),
                cmocka_unit_test(what_would_leave_the_folder_or_reach_the_script_is_refused),
                cmocka_unit_test(names_of_the_venv_itself_are_reserved),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
