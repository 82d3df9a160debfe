#include "tools/program.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>

static int run(const char *script, struct buf *output)
{
        const char *argv[] = { "sh", "-c", script, NULL };

        return program_run(argv, output);
}

static void what_it_says_and_its_status_come_back(void **state)
{
        cleanup_buf struct buf output = { 0 };

        (void)state;
        assert_int_equal(run("echo one; echo two >&2; exit 3", &output), 3);
        assert_string_equal(output.data, "one\ntwo\n");
        assert_string_equal(program_last_line(&output), "two");
}

static void a_signal_is_a_status_above_128(void **state)
{
        cleanup_buf struct buf output = { 0 };

        (void)state;
        assert_int_equal(run("kill -9 $$", &output), 137);
}

static void a_missing_program_is_an_error(void **state)
{
        const char *argv[] = { "no-such-program-anywhere", NULL };
        cleanup_buf struct buf output = { 0 };

        (void)state;
        assert_int_equal(program_run(argv, &output), -ENOENT);
        assert_string_equal(program_last_line(&output), "");
}

static void programs_are_found_without_a_search_path(void **state)
{
        cleanup_free char *path = strdup(getenv("PATH") ? getenv("PATH") : "");
        cleanup_buf struct buf output = { 0 };

        (void)state;
        setenv("PATH", "/nowhere", 1);
        assert_int_equal(run("exit 4", &output), 4);
        setenv("PATH", path, 1);
}

static void too_much_output_stops_nobody(void **state)
{
        cleanup_buf struct buf output = { 0 };

        (void)state;
        assert_int_equal(run("i=0; while [ $i -lt 40 ]; do printf %08192d 0; i=$((i+1)); done; exit 5", &output), 5);
        assert_true(output.len <= PROGRAM_OUTPUT_MAX);
}

static void it_inherits_no_descriptor(void **state)
{
        cleanup_close int fd = open("/dev/null", O_RDONLY);
        cleanup_buf struct buf output = { 0 };

        (void)state;
        assert_true(fd >= 3 && fd < 10);
        assert_int_equal(run("for i in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$i ] && echo $i; done; read x; exit $?", &output), 1);
        assert_int_equal(output.len, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_it_says_and_its_status_come_back),
                cmocka_unit_test(a_signal_is_a_status_above_128),
                cmocka_unit_test(a_missing_program_is_an_error),
                cmocka_unit_test(programs_are_found_without_a_search_path),
                cmocka_unit_test(too_much_output_stops_nobody),
                cmocka_unit_test(it_inherits_no_descriptor),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
