#include "store/base.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static void an_error_gives_back_its_number_and_its_words(void **state)
{
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(errtext_set(&err, -EINVAL, "'%s' is not a wheel", "x.zip"), -EINVAL);
        assert_string_equal(err.text, "'x.zip' is not a wheel");
        assert_int_equal(errtext_set(NULL, -EPERM, "nobody reads %d", 1), -EPERM);
}

static void an_error_may_quote_the_one_before(void **state)
{
        struct errtext err;

        (void)state;
        errtext_set(&err, -EBADMSG, "inner");
        errtext_set(&err, -EBADMSG, "outer: %s", err.text);
        assert_string_equal(err.text, "outer: inner");
}

static void a_long_error_is_cut(void **state)
{
        char name[3 * ERRTEXT_SIZE];
        struct errtext err;

        (void)state;
        memset(name, 'a', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        errtext_set(&err, -EINVAL, "%s", name);
        assert_int_equal(strlen(err.text), ERRTEXT_SIZE - 1);
        /* Cut in the middle of a character: what is left of it is not shown. */
        memcpy(name + ERRTEXT_SIZE - 2, "\xc3\xa4", 2);
        errtext_set(&err, -EINVAL, "%s", name);
        assert_int_equal(err.text[ERRTEXT_SIZE - 2], '?');
}

static void what_a_terminal_would_act_upon_becomes_a_question_mark(void **state)
{
        static const struct {
                const char *in, *out;
        } cases[] = {
                { "a\x1b[2Jb", "a?[2Jb" },          { "a\nb\tc\rd", "a?b?c?d" },
                { "\x7f", "?" },                    { "\xc2\x9b" "31m", "??31m" },
                { "\x9b" "31m", "?31m" },           { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
                { "\xe2\x80\xae" "txt", "???txt" }, { "\xe2\x82\xac", "\xe2\x82\xac" },
                { "\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d" }, { "\xc3", "?" }, { "\xe2\x82", "??" }, { "\xff", "?" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct errtext err;

                errtext_set(&err, -1, "%s", cases[i].in);
                assert_string_equal(err.text, cases[i].out);
        }
}

static void errno_has_words_with_either_sign(void **state)
{
        char text[128];

        (void)state;
        assert_string_equal(errno_name(-ENOENT, text), "No such file or directory");
        assert_string_equal(errno_name(ENOENT, text), "No such file or directory");
        assert_non_null(strstr(errno_name(-99999, text), "99999"));
}

static void hexadecimal_there_and_back(void **state)
{
        uint8_t bytes[256], back[256];
        char hex[513];

        (void)state;
        for (int i = 0; i < 256; i++)
                bytes[i] = (uint8_t)i;
        hex_encode(bytes, sizeof bytes, hex);
        assert_int_equal(strlen(hex), 512);
        assert_memory_equal(hex, "000102", 6);
        assert_int_equal(hex_decode(hex, 512, back, 256), 0);
        assert_memory_equal(bytes, back, 256);
        assert_int_equal(hex_decode("aBCdeF", 6, back, 3), 0);
        assert_memory_equal(back, "\xab\xcd\xef", 3);
}

static void what_is_not_hexadecimal_is_refused_and_nothing_written(void **state)
{
        static const char *const bad[] = { "0g", "g0", "0", "000", "0x", " 0", "\xc3\xa4" };
        uint8_t byte = 0x5a;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                assert_int_equal(hex_decode(bad[i], strlen(bad[i]), &byte, 1), -EINVAL);
        assert_int_equal(hex_decode("0011", 4, &byte, 1), -EINVAL);
        assert_int_equal(hex_decode("", 0, &byte, 1), -EINVAL);
        assert_int_equal(byte, 0x5a);
}

static void integers_on_disk_are_little_endian(void **state)
{
        struct le16 a = le16_put(0x1234);
        struct le32 b = le32_put(0xfedcba98);
        struct le64 c = le64_put(0xfedcba9876543210);

        (void)state;
        assert_memory_equal(&a, "\x34\x12", 2);
        assert_memory_equal(&b, "\x98\xba\xdc\xfe", 4);
        assert_memory_equal(&c, "\x10\x32\x54\x76\x98\xba\xdc\xfe", 8);
        assert_int_equal(le16_get(a), 0x1234);
        assert_int_equal(le32_get(b), 0xfedcba98);
        assert_true(le64_get(c) == 0xfedcba9876543210);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_error_gives_back_its_number_and_its_words),
                cmocka_unit_test(an_error_may_quote_the_one_before),
                cmocka_unit_test(a_long_error_is_cut),
                cmocka_unit_test(what_a_terminal_would_act_upon_becomes_a_question_mark),
                cmocka_unit_test(errno_has_words_with_either_sign),
                cmocka_unit_test(hexadecimal_there_and_back),
                cmocka_unit_test(what_is_not_hexadecimal_is_refused_and_nothing_written),
                cmocka_unit_test(integers_on_disk_are_little_endian),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
