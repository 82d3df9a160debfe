#include "tools/generated.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t one[SHA256_SIZE] = { 1 }, two[SHA256_SIZE] = { 2 };

static void rows_are_sorted_by_bytes_and_quoted(void **state)
{
        struct generated_rows rows = { 0 };
        cleanup_buf struct buf text = { 0 };

        (void)state;
        assert_int_equal(generated_rows_add(&rows, "b", one, 1), 0);
        assert_int_equal(generated_rows_add(&rows, "a,b", one, 20), 0);
        assert_int_equal(generated_rows_add(&rows, "B/RECORD", NULL, 0), 0);
        assert_int_equal(generated_rows_add(&rows, "../../../bin/x", two, 3), 0);
        assert_int_equal(generated_rows_format(&rows, &text), 0);
        assert_string_equal(text.data, "../../../bin/x,sha256=AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,3\r\n"
                                       "B/RECORD,,\r\n"
                                       "\"a,b\",sha256=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,20\r\n"
                                       "b,sha256=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,1\r\n");
        generated_rows_release(&rows);
}

static void of_equal_paths_the_first_row_counts(void **state)
{
        struct generated_rows rows = { 0 };
        cleanup_buf struct buf text = { 0 };

        (void)state;
        for (unsigned i = 0; i < 40; i++)
                assert_int_equal(generated_rows_add(&rows, i % 2 ? "x" : "y", NULL, i), 0);
        rows.rows[0].has_hash = rows.rows[1].has_hash = true;
        assert_int_equal(generated_rows_format(&rows, &text), 0);
        assert_string_equal(text.data, "x,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,1\r\n"
                                       "y,sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,0\r\n");
        generated_rows_release(&rows);
}

static void assert_url(const char *path, const char *expected)
{
        cleanup_buf struct buf url = { 0 };

        assert_int_equal(generated_url(path, &url), 0);
        assert_string_equal(url.data, expected);
}

static void urls_are_absolute_tidy_and_escaped(void **state)
{
        cleanup_buf struct buf url = { 0 };

        (void)state;
        assert_url("/w/six-1.0-py3-none-any.whl", "file:///w/six-1.0-py3-none-any.whl");
        assert_url("/a/./b//../c d+e%.whl", "file:///a/c%20d%2Be%25.whl");
        assert_url("/../x~_-.whl", "file:///x~_-.whl");
        assert_url("/\xc3\xa9.whl", "file:///%C3%A9.whl");

        assert_int_equal(chdir("/usr"), 0);
        assert_int_equal(generated_url("../x.whl", &url), 0);
        assert_string_equal(url.data, "file:///x.whl");
}

static void direct_url_json_is_what_pip_writes(void **state)
{
        cleanup_buf struct buf text = { 0 };

        (void)state;
        assert_int_equal(generated_direct_url("file:///x.whl", one, &text), 0);
        assert_string_equal(text.data,
                            "{\"archive_info\": {\"hash\": "
                            "\"sha256=0100000000000000000000000000000000000000000000000000000000000000\", \"hashes\": "
                            "{\"sha256\": \"0100000000000000000000000000000000000000000000000000000000000000\"}}, "
                            "\"url\": \"file:///x.whl\"}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rows_are_sorted_by_bytes_and_quoted),
                cmocka_unit_test(of_equal_paths_the_first_row_counts),
                cmocka_unit_test(urls_are_absolute_tidy_and_escaped),
                cmocka_unit_test(direct_url_json_is_what_pip_writes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
