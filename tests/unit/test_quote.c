#include "tools/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *path, const char *word)
{
        cleanup_buf struct buf b = { 0 };

        assert_int_equal(quote_path(&b, "a/", path), 0);
        assert_string_equal(b.data, word);
}

static void what_can_be_seen_stays_as_it_is(void **state)
{
        (void)state;
        expect("", "a/");
        expect("pkg/a b'c.py", "a/pkg/a b'c.py");
        expect("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d", "a/\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d");
}

static void what_ends_a_line_or_a_word_is_escaped(void **state)
{
        (void)state;
        expect("x\ny\tz", "\"a/x\\ny\\tz\"");
        expect("q\"\\", "\"a/q\\\"\\\\\"");
        expect("\xc3\xa4\n", "\"a/\xc3\xa4\\n\"");
}

static void what_a_terminal_acts_upon_is_escaped(void **state)
{
        (void)state;
        expect("\033[2J\x7f\x01", "\"a/\\033[2J\\177\\001\"");
        expect("\xc2\x9b" "2J", "\"a/\\302\\2332J\"");          /* CSI in one character */
        expect("\x9b" "2J", "\"a/\\2332J\"");                   /* in one byte */
        expect("\xe2\x80\xae" "yp.a", "\"a/\\342\\200\\256yp.a\""); /* from right to left */
        expect("\xc3", "\"a/\\303\"");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_can_be_seen_stays_as_it_is),
                cmocka_unit_test(what_ends_a_line_or_a_word_is_escaped),
                cmocka_unit_test(what_a_terminal_acts_upon_is_escaped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
