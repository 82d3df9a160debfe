#include "store/record.h"

#include <setjmp.h>

#include <cmocka.h>

#define EMPTY "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" /* of no bytes at all */

static struct record parsed(const char *text)
{
        struct record rec = { 0 };

        assert_int_equal(record_parse(text, strlen(text), &rec, NULL), 0);
        return rec;
}

static void rows_are_read_in_order(void **state)
{
        struct record rec = parsed("a.py," EMPTY ",0\r\n\r\n\"b,\"\"c\"\".py\",,\nRECORD,,\n");

        (void)state;
        assert_int_equal(rec.count, 3);
        assert_string_equal(rec.rows[0].path, "a.py");
        assert_true(rec.rows[0].has_hash && rec.rows[0].has_sha256 && rec.rows[0].has_size);
        assert_int_equal(rec.rows[0].sha256[0], 0xe3);
        assert_int_equal(rec.rows[0].sha256[31], 0x55);
        assert_int_equal(rec.rows[0].size, 0);
        assert_string_equal(rec.rows[1].path, "b,\"c\".py");
        assert_false(rec.rows[1].has_hash || rec.rows[1].has_size);
        assert_string_equal(rec.rows[2].path, "RECORD");
        record_release(&rec);
}

static void short_rows_and_other_hashes_are_read(void **state)
{
        struct record rec = parsed("a\nb,\nc,md5=xyz,18446744073709551615\nd," EMPTY "=");

        (void)state;
        assert_int_equal(rec.count, 4);
        assert_false(rec.rows[0].has_hash);
        assert_false(rec.rows[1].has_hash);
        assert_true(rec.rows[2].has_hash);
        assert_false(rec.rows[2].has_sha256);
        assert_true(rec.rows[2].size == UINT64_MAX);
        assert_true(rec.rows[3].has_sha256);
        record_release(&rec);
}

static void what_is_broken_is_refused_with_its_line(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } broken[] = {
                { "a,,\nb,,,\n", "line 2: more than three" },
                { "a,,,x\n", "more than three" },
                { "\"a,,\n", "never closed" },
                { "\"a\"b,,\n", "after a closing" },
                { "a,,\rb,,\n", "carriage return" },
                { "a,abc,\n", "name its algorithm" },
                { "a,sha256=short,\n", "broken SHA-256" },
                { "a,sha256=47DEQpj8HBSa+_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,\n", "broken SHA-256" },
                { "a,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFV,\n", "broken SHA-256" },
                { "a,,-1\n", "no number" },
                { "a,,18446744073709551616\n", "no number" },
                { "caf\xe9,,\n", "not UTF-8" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
                struct record rec = { 0 };
                struct errtext err = { "" };

                assert_int_equal(record_parse(broken[i].text, strlen(broken[i].text), &rec, &err), -EBADMSG);
                assert_non_null(strstr(err.text, broken[i].words));
                assert_null(rec.rows);
        }
        assert_int_equal(record_parse("a\0b,,\n", 6, &(struct record){ 0 }, NULL), -EBADMSG);
}

static void written_rows_are_those_that_installers_write(void **state)
{
        cleanup_buf struct buf b = { 0 };
        static const char hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        uint8_t hash[SHA256_SIZE];

        (void)state;
        assert_int_equal(hex_decode(hex, 64, hash, sizeof hash), 0);
        assert_int_equal(record_add_row(&b, "a.py", hash, 0), 0);
        assert_int_equal(record_add_row(&b, "b \"c\",d.py", NULL, 7), 0);
        assert_string_equal(b.data, "a.py," EMPTY ",0\r\n\"b \"\"c\"\",d.py\",,\r\n");
}

static void expect_merged(const char *a, const char *b, const char *expected)
{
        cleanup_buf struct buf merged = { 0 };

        assert_int_equal(record_merge(a, strlen(a), b, strlen(b), &merged), 0);
        assert_string_equal(merged.data ? merged.data : "", expected);
}

static void two_runs_become_one_and_the_second_wins(void **state)
{
        (void)state;
        expect_merged("a,,1\nc,,1\ne,,1\n", "b,,2\nc,,2\nz,,2\n", "a,,1\nb,,2\nc,,2\ne,,1\nz,,2\n");
        expect_merged("", "a,,\n", "a,,\n");
        expect_merged("a,,\n", "", "a,,\n");
        expect_merged("", "", "");
        expect_merged("a,,", "b,,", "a,,\nb,,\n");
        /* By the path itself: a quote would come before '-'. */
        expect_merged("-x,,\n", "\"z,\",,\n", "-x,,\n\"z,\",,\n");
        expect_merged("\"a,b\",,1\n", "\"a,b\",,2\n", "\"a,b\",,2\n");
        assert_int_equal(record_merge("\"", 1, "", 0, &(struct buf){ 0 }), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rows_are_read_in_order),
                cmocka_unit_test(short_rows_and_other_hashes_are_read),
                cmocka_unit_test(what_is_broken_is_refused_with_its_line),
                cmocka_unit_test(written_rows_are_those_that_installers_write),
                cmocka_unit_test(two_runs_become_one_and_the_second_wins),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
