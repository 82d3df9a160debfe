#include "store/version.h"

#include <setjmp.h>

#include <cmocka.h>

static void expect_form(const char *version, const char *form)
{
        cleanup_buf struct buf b = { 0 };

        assert_int_equal(version_normalize(version, strlen(version), &b), 0);
        assert_string_equal(b.data, form);
}

static void versions_have_a_normal_form(void **state)
{
        (void)state;
        expect_form("1.0", "1");
        expect_form("0.0.0", "0");
        expect_form("1.01.0-Beta_2", "1.1b2");
        expect_form("V1.2.3", "1.2.3");
        expect_form("2!1.0", "2!1");
        expect_form("0!1.10", "1.10");
        expect_form("1.0alpha", "1a0");
        expect_form("1.0.preview-1", "1rc1");
        expect_form("1.0c3", "1rc3");
        expect_form("1.0-1", "1.post1");
        expect_form("1.0.rev2.dev03", "1.post2.dev3");
        expect_form("1.0.post", "1.post0");
        expect_form("1.0+CU_130.007", "1+cu.130.7");
        expect_form("1.0+0abc", "1+0abc");
        expect_form("2024.10.1", "2024.10.1");
}

static void what_is_no_version_is_refused_and_nothing_appended(void **state)
{
        static const char *const broken[] = { "", "one", "1.", "1..2", "1.0+", "1.0+a..b", "1.0 ", "1.0/2", "1.0-",
                                              "1!", "v", "1.0post1x", "1.0+a b", "-1", "1.0b2b3" };
        cleanup_buf struct buf b = { 0 };

        (void)state;
        assert_int_equal(buf_add_str(&b, "before"), 0);
        for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
                assert_int_equal(version_normalize(broken[i], strlen(broken[i]), &b), -EINVAL);
                assert_string_equal(b.data, "before");
        }
}

static void spellings_of_one_version_are_equal(void **state)
{
        (void)state;
        assert_true(version_equal("1.01.0", "1.1"));
        assert_true(version_equal("1.0RC1", "1.0.0-rc.1"));
        assert_false(version_equal("1.0", "1.0.1"));
        assert_false(version_equal("1.0", "1.0+local"));
        assert_true(version_equal("odd one", "odd one"));
        assert_false(version_equal("odd one", "odd  one"));
}

static void a_local_part_of_one_of_them_does_not_count(void **state)
{
        (void)state;
        assert_true(version_equal_public("2.1.0+cu130", "2.1"));
        assert_true(version_equal_public("2.1", "2.1.0+cu130"));
        assert_true(version_equal_public("2.1+a", "2.1+A"));
        assert_false(version_equal_public("2.1+a", "2.1+b"));
        assert_false(version_equal_public("2.2+a", "2.1"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(versions_have_a_normal_form),
                cmocka_unit_test(what_is_no_version_is_refused_and_nothing_appended),
                cmocka_unit_test(spellings_of_one_version_are_equal),
                cmocka_unit_test(a_local_part_of_one_of_them_does_not_count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
