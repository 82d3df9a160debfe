#include "tools/outside_list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char sample[] = "fusepkg outside 1\n"
                             "generation 7\n"
                             "slot 3\n"
                             "script " HASH " 156 black\n"
                             "script " HASH " 9 a%20b\n"
                             "slot 4\n"
                             "link share/x..y\n"
                             "dir include/site\n"
                             "bare pip-1.0.dist-info\n";

static void what_is_read_is_written_again(void **state)
{
        cleanup_outside_list struct outside_list l = { 0 };
        cleanup_buf struct buf text = { 0 };

        (void)state;
        assert_int_equal(outside_list_parse(sample, strlen(sample), &l), 0);
        assert_int_equal(l.generation, 7);
        assert_int_equal(l.claim_count, 2);
        assert_string_equal(l.claims[1].name, "a b");
        assert_int_equal(l.claims[0].slot, 3);
        assert_true(outside_list_has_slot(&l, 4));
        assert_false(outside_list_has_slot(&l, 5));
        assert_true(outside_paths_have(&l.links, "share/x..y"));
        assert_int_equal(outside_list_format(&l, &text), 0);
        assert_string_equal(text.data, sample);
}

static void assert_broken(const char *text)
{
        cleanup_outside_list struct outside_list l = { 0 };

        assert_int_equal(outside_list_parse(text, strlen(text), &l), -EBADMSG);
}

static void anything_else_is_no_list(void **state)
{
        cleanup_outside_list struct outside_list l = { 0 };

        (void)state;
        assert_broken("");
        assert_broken("fusepkg outside 1\n");
        assert_broken("fusepkg outside 2\ngeneration 1\n");
        assert_broken("fusepkg outside 1\ngeneration x\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nlink /etc\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nlink a/../../b\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nlink ..\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nscript " HASH " 1 x\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nslot 1\nscript " HASH " 1 a/b\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nslot 1\nscript " HASH " 1 ..\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nslot 1\nscript 00 1 x\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nslot 99999999999\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nother\n");
        assert_broken("fusepkg outside 1\ngeneration 1\nslot 1");
        assert_int_equal(outside_list_parse("fusepkg outside 1\ngeneration 1\n\0\n", 33, &l), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_read_is_written_again),
                cmocka_unit_test(anything_else_is_no_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
