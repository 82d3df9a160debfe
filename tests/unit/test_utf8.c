#include "store/utf8.h"

#include <setjmp.h>

#include <cmocka.h>

static uint32_t decoded(const char *text, size_t expected_len)
{
        uint32_t c = 0;

        assert_int_equal(utf8_decode(text, strlen(text), &c), expected_len);
        return c;
}

static void the_borders_of_each_length_are_decoded(void **state)
{
        (void)state;
        assert_int_equal(decoded("\x01", 1), 1);
        assert_int_equal(decoded("\x7f", 1), 0x7f);
        assert_int_equal(decoded("\xc2\x80", 2), 0x80);
        assert_int_equal(decoded("\xdf\xbf", 2), 0x7ff);
        assert_int_equal(decoded("\xe0\xa0\x80", 3), 0x800);
        assert_int_equal(decoded("\xef\xbf\xbf", 3), 0xffff);
        assert_int_equal(decoded("\xf0\x90\x80\x80", 4), 0x10000);
        assert_int_equal(decoded("\xf4\x8f\xbf\xbf", 4), 0x10ffff);
}

static void what_is_not_utf_8_is_refused(void **state)
{
        static const char *const broken[] = {
                "\x80", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
                "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff",
        };
        uint32_t c = 7;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
                assert_int_equal(utf8_decode(broken[i], strlen(broken[i]), &c), 0);
                assert_false(utf8_is_valid(broken[i], strlen(broken[i])));
        }
        assert_int_equal(c, 7);
        assert_true(utf8_is_valid("a\xc3\xa9\xe2\x82\xac", 6));
        assert_true(utf8_is_valid("", 0));
}

static void characters_that_act_or_hide_are_not_printable(void **state)
{
        static const uint32_t hidden[] = {
                0, 0x1b, 0x7f, 0x80, 0x9f, 0xad, 0x61c, 0x200b, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069, 0xd800, 0xe000,
                0xf8ff, 0xfdd0, 0xfeff, 0xfffe, 0xffff, 0x1fffe, 0xe0001, 0xe007f, 0xf0000, 0x10ffff,
        };
        static const uint32_t shown[] = { ' ', '~', 0xa0, 0xac, 0xae, 0xe9, 0x2010, 0x2029, 0x3042, 0xf900, 0xfffd,
                                          0x1f600 };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
                assert_false(utf8_is_printable(hidden[i]));
        for (size_t i = 0; i < ARRAY_LEN(shown); i++)
                assert_true(utf8_is_printable(shown[i]));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_borders_of_each_length_are_decoded),
                cmocka_unit_test(what_is_not_utf_8_is_refused),
                cmocka_unit_test(characters_that_act_or_hide_are_not_printable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
