#include "tools/add_select.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_parsed(const char *text, const char *name, const char *specifiers)
{
        cleanup_free char *got_name = NULL, *got = NULL;
        struct errtext err = { "" };

        assert_int_equal(add_select_parse(text, &got_name, &got, &err), 0);
        assert_string_equal(got_name, name);
        if (specifiers)
                assert_string_equal(got, specifiers);
        else
                assert_null(got);
}

static void a_requirement_is_a_name_and_specifiers(void **state)
{
        (void)state;
        assert_parsed("rich", "rich", NULL);
        assert_parsed("rich==15.0.0", "rich", "==15.0.0");
        assert_parsed(" zope.interface [test, docs] >=5, <7 ", "zope.interface", ">=5, <7");
        assert_parsed("a", "a", NULL);
}

static void what_is_none_is_refused(void **state)
{
        static const char *const texts[] = { "", "-x", "a-", ".a", "a b", "a@file:///x", "a[b", "a;b", "\xc3\xa9" };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                char *name = NULL, *specifiers = NULL;
                struct errtext err = { "" };

                assert_int_equal(add_select_parse(texts[i], &name, &specifiers, &err), -EINVAL);
                assert_null(name);
                assert_true(strlen(err.text) > 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_requirement_is_a_name_and_specifiers),
                cmocka_unit_test(what_is_none_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
