#include "store/wheel_name.h"

#include <setjmp.h>

#include <cmocka.h>

static void a_name_has_five_parts(void **state)
{
        struct wheel_name w = { 0 };
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(wheel_name_parse("six-1.17.0-py2.py3-none-any.whl", &w, &err), 0);
        assert_string_equal(w.distribution, "six");
        assert_string_equal(w.version, "1.17.0");
        assert_null(w.build);
        assert_string_equal(w.python, "py2.py3");
        assert_string_equal(w.abi, "none");
        assert_string_equal(w.platform, "any");
        wheel_name_release(&w);
}

static void or_six_with_a_build_number(void **state)
{
        struct wheel_name w = { 0 };

        (void)state;
        assert_int_equal(wheel_name_parse("A.b_c-1!2.0+cu_1-1abc-cp312-abi3-"
                                          "manylinux_2_17_x86_64.manylinux2014_x86_64.whl", &w, NULL), 0);
        assert_string_equal(w.distribution, "A.b_c");
        assert_string_equal(w.version, "1!2.0+cu_1");
        assert_string_equal(w.build, "1abc");
        assert_string_equal(w.platform, "manylinux_2_17_x86_64.manylinux2014_x86_64");
        wheel_name_release(&w);
}

static void other_names_are_refused_with_a_sentence(void **state)
{
        static const char *const broken[] = {
                "six-1.0-py3-none-any.zip", "six-1.0.whl", "six-1.0-py3-none.whl", "six-1.0-1-2-py3-none-any.whl",
                "six-1.0-x-py3-none-any.whl", "six__x-1.0-py3-none-any.whl", "-1.0-py3-none-any.whl",
                "six--py3-none-any.whl", "six-1.0-py3..py2-none-any.whl", "six-1.0-py3-none-.whl",
                "s/x-1.0-py3-none-any.whl",
                "six-1.0-py3-none-any.whl.whl ", ".whl", "", "six-.1-py3-none-any.whl", "six-1 0-py3-none-any.whl",
                "numpy-2.3.2-cp313-cp313t-musllinux_1_2_x86_64-x86_64_v3.whl",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
                struct wheel_name w = { 0 };
                struct errtext err = { "" };

                assert_int_equal(wheel_name_parse(broken[i], &w, &err), -EINVAL);
                assert_non_null(strstr(err.text, "not the file name of a wheel"));
                assert_null(w.distribution);
        }
}

static void names_are_equal_up_to_case_and_separators(void **state)
{
        cleanup_buf struct buf b = { 0 };

        (void)state;
        assert_int_equal(name_normalize("Foo._-Bar", 9, &b), 0);
        assert_string_equal(b.data, "foo-bar");
        assert_true(name_equal("Foo.Bar", "foo__bar"));
        assert_true(name_equal("a", "A"));
        assert_false(name_equal("foobar", "foo-bar"));
        assert_false(name_equal("foo", "foo-"));
        assert_false(name_equal("", "a"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_has_five_parts),
                cmocka_unit_test(or_six_with_a_build_number),
                cmocka_unit_test(other_names_are_refused_with_a_sentence),
                cmocka_unit_test(names_are_equal_up_to_case_and_separators),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
