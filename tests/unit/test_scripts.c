#include "tools/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char python[] = "/venv/bin/python";

static void the_script_of_an_entry_point_is_pips(void **state)
{
        const struct entry_point e = { .name = "black", .module = "black.tool", .attr = "cli.main" };
        cleanup_buf struct buf b = { 0 };

        (void)state;
        assert_int_equal(scripts_add_entry_point(&b, python, "3.12", &e), 0);
        assert_string_equal(b.data, "#!/venv/bin/python\n"
                                    "import sys\n"
                                    "from black.tool import cli\n"
                                    "if __name__ == '__main__':\n"
                                    "    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n"
                                    "    sys.exit(cli.main())\n");
}

static void python_3_8_has_no_removesuffix(void **state)
{
        const struct entry_point e = { .name = "black", .module = "black", .attr = "main" };
        cleanup_buf struct buf b = { 0 };

        (void)state;
        assert_int_equal(scripts_add_entry_point(&b, python, "3.8", &e), 0);
        assert_null(strstr(b.data, "removesuffix"));
        assert_non_null(strstr(b.data, "import re\n"));
        buf_clear(&b);
        assert_int_equal(scripts_add_entry_point(&b, python, "3.13t", &e), 0);
        assert_non_null(strstr(b.data, "removesuffix"));
}

static void a_path_that_the_kernel_cannot_run_goes_through_sh(void **state)
{
        cleanup_buf struct buf b = { 0 };
        char path[160] = "/";

        (void)state;
        assert_int_equal(scripts_add_shebang(&b, "/my venv/it's/bin/python"), 0);
        assert_string_equal(b.data, "#!/bin/sh\n'''exec' '/my venv/it'\"'\"'s/bin/python' \"$0\" \"$@\"\n' '''\n");

        /* "#!" + path + newline are 127 bytes, then 128. */
        memset(path + 1, 'a', 123);
        path[124] = '\0';
        buf_clear(&b);
        assert_int_equal(scripts_add_shebang(&b, path), 0);
        assert_int_equal(b.len, 127);
        strcat(path, "a");
        buf_clear(&b);
        assert_int_equal(scripts_add_shebang(&b, path), 0);
        assert_memory_equal(b.data, "#!/bin/sh\n", 10);
}

static void assert_rewritten(const char *text, const char *expected)
{
        cleanup_buf struct buf b = { 0 };

        assert_true(scripts_is_python(text, strlen(text)));
        assert_int_equal(scripts_add_rewritten(&b, python, text, strlen(text)), 0);
        assert_string_equal(b.data, expected);
}

static void only_the_first_line_of_a_script_is_replaced(void **state)
{
        (void)state;
        assert_rewritten("#!python\nprint(1)\n", "#!/venv/bin/python\nprint(1)\n");
        assert_rewritten("#!python3 -E\nprint(1)", "#!/venv/bin/python\nprint(1)");
        assert_rewritten("#!pythonw\r\nprint(1)\r\n", "#!/venv/bin/python\nprint(1)\r\n");
        assert_rewritten("#!python", "#!/venv/bin/python\n");
        assert_false(scripts_is_python("#!/usr/bin/python\n", 18));
        assert_false(scripts_is_python("#!pytho", 7));
        assert_false(scripts_is_python("", 0));
}

static void left_overs_of_setuptools_are_known(void **state)
{
        struct entry_point list[] = { { .name = "ep" } };
        const struct entry_points e = { list, 1 };

        (void)state;
        assert_true(scripts_is_wrapper(&e, "ep", 2));
        assert_true(scripts_is_wrapper(&e, "ep-script.py", 12));
        assert_true(scripts_is_wrapper(&e, "ep.exe", 6));
        assert_true(scripts_is_wrapper(&e, "ep.pya", 6));
        assert_false(scripts_is_wrapper(&e, "ep2", 3));
        assert_false(scripts_is_wrapper(&e, "e", 1));
}

static void pip_gets_its_versioned_names(void **state)
{
        struct entry_point list[] = {
                { .name = "pip", .module = "pip", .attr = "main" },
                { .name = "pip3", .module = "pip", .attr = "main" },
                { .name = "pip3.9", .module = "pip", .attr = "main" },
                { .name = "pipx", .module = "pipx", .attr = "main" },
        };
        const struct entry_points e = { list, ARRAY_LEN(list) };
        struct entry_points got = { 0 };

        (void)state;
        assert_int_equal(scripts_expand(&e, "3.12", &got), 0);
        assert_int_equal(got.count, 4);
        assert_string_equal(got.points[0].name, "pip");
        assert_string_equal(got.points[1].name, "pipx");
        assert_string_equal(got.points[2].name, "pip3");
        assert_string_equal(got.points[3].name, "pip3.12");
        entry_points_release(&got);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_script_of_an_entry_point_is_pips),
                cmocka_unit_test(python_3_8_has_no_removesuffix),
                cmocka_unit_test(a_path_that_the_kernel_cannot_run_goes_through_sh),
                cmocka_unit_test(only_the_first_line_of_a_script_is_replaced),
                cmocka_unit_test(left_overs_of_setuptools_are_known),
                cmocka_unit_test(pip_gets_its_versioned_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
