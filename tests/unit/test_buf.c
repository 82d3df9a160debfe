#include "store/buf.h"

#include <setjmp.h>

#include <cmocka.h>

static void an_empty_one_is_valid(void **state)
{
        cleanup_buf struct buf b = { 0 };
        char *text;

        (void)state;
        buf_clear(&b);
        assert_int_equal(buf_add(&b, "", 0), 0);
        assert_int_equal(b.len, 0);
        assert_string_equal(b.data, "");
        buf_release(&b);
        text = buf_steal(&b);
        assert_string_equal(text, "");
        free(text);
}

static void it_grows_and_always_ends_with_a_nul(void **state)
{
        cleanup_buf struct buf b = { 0 };

        (void)state;
        for (size_t i = 0; i < 5000; i++) {
                assert_int_equal(buf_add_char(&b, (char)('a' + i % 26)), 0);
                assert_int_equal(b.len, i + 1);
                assert_true(b.cap > b.len);
                assert_int_equal(b.data[b.len], '\0');
        }
        for (size_t i = 0; i < 5000; i++)
                assert_int_equal(b.data[i], 'a' + i % 26);
}

static void formatted_text_is_appended_whole(void **state)
{
        cleanup_buf struct buf b = { 0 };
        char word[1001];

        (void)state;
        memset(word, 'x', 1000);
        word[1000] = '\0';
        assert_int_equal(buf_add_str(&b, "start "), 0);
        assert_int_equal(buf_printf(&b, "%s|%d", word, 42), 0);
        assert_int_equal(b.len, 6 + 1000 + 3);
        assert_string_equal(b.data + 1006, "|42");
}

static void a_size_beyond_all_memory_is_refused_and_nothing_lost(void **state)
{
        cleanup_buf struct buf b = { 0 };

        (void)state;
        assert_int_equal(buf_add_str(&b, "abc"), 0);
        assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
        assert_int_equal(buf_reserve(&b, SIZE_MAX - 3), -ENOMEM);
        assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), -ENOMEM);
        assert_string_equal(b.data, "abc");
}

static void stolen_memory_is_the_callers(void **state)
{
        cleanup_buf struct buf b = { 0 };
        char *text;

        (void)state;
        buf_add_str(&b, "mine");
        text = buf_steal(&b);
        assert_null(b.data);
        assert_int_equal(b.len, 0);
        assert_string_equal(text, "mine");
        free(text);
}

static void every_byte_survives_escaping(void **state)
{
        cleanup_buf struct buf escaped = { 0 };
        cleanup_buf struct buf back = { 0 };
        char bytes[255];

        (void)state;
        for (int i = 0; i < 255; i++)
                bytes[i] = (char)(i + 1);
        assert_int_equal(buf_add_escaped(&escaped, bytes, sizeof bytes), 0);
        for (size_t i = 0; i < escaped.len; i++) {
                unsigned char c = (unsigned char)escaped.data[i];

                assert_true(c > ' ' && c != 0x7f);
        }
        assert_int_equal(buf_add_unescaped(&back, escaped.data, escaped.len), 0);
        assert_int_equal(back.len, sizeof bytes);
        assert_memory_equal(back.data, bytes, sizeof bytes);
}

static void escapes_look_like_this(void **state)
{
        cleanup_buf struct buf b = { 0 };

        (void)state;
        assert_int_equal(buf_add_escaped(&b, "a b%\n\x7f\xc3\xa4", 8), 0);
        assert_string_equal(b.data, "a%20b%25%0A%7F\xc3\xa4");
}

static void a_broken_escape_is_refused_and_nothing_added(void **state)
{
        static const char *const bad[] = { "%", "ab%", "%2", "%zz", "%00", "x%0g", "%-1", "% 1" };
        cleanup_buf struct buf b = { 0 };

        (void)state;
        buf_add_str(&b, "old");
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                assert_int_equal(buf_add_unescaped(&b, bad[i], strlen(bad[i])), -EINVAL);
                assert_string_equal(b.data, "old");
                assert_int_equal(b.len, 3);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_one_is_valid),
                cmocka_unit_test(it_grows_and_always_ends_with_a_nul),
                cmocka_unit_test(formatted_text_is_appended_whole),
                cmocka_unit_test(a_size_beyond_all_memory_is_refused_and_nothing_lost),
                cmocka_unit_test(stolen_memory_is_the_callers),
                cmocka_unit_test(every_byte_survives_escaping),
                cmocka_unit_test(escapes_look_like_this),
                cmocka_unit_test(a_broken_escape_is_refused_and_nothing_added),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
