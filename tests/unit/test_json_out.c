#include "tools/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *bytes, const char *text)
{
        json_t *value = json_out_string(bytes);

        assert_non_null(value);
        assert_string_equal(json_string_value(value), text);
        json_decref(value);
}

static void utf8_stays_as_it_is(void **state)
{
        (void)state;
        expect("", "");
        expect("/venv/\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d", "/venv/\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d");
}

static void other_bytes_are_replaced_one_by_one(void **state)
{
        (void)state;
        expect("a\xff" "b", "a\xef\xbf\xbd" "b");
        expect("\xc3", "\xef\xbf\xbd");
        expect("\xc3(", "\xef\xbf\xbd(");
        expect("x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd");
        expect("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd");
}

static void surrogates_and_overlong_forms_are_no_utf8(void **state)
{
        json_t *value = json_out_string("\xed\xa0\x80 \xe0\x80\xaf \xf4\x90\x80\x80");

        (void)state;
        assert_non_null(value);
        json_decref(value);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(utf8_stays_as_it_is),
                cmocka_unit_test(other_bytes_are_replaced_one_by_one),
                cmocka_unit_test(surrogates_and_overlong_forms_are_no_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
