#include "tools/command.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int run(const struct options *o)
{
        (void)o;
        return EXIT_DONE;
}

static const struct option_spec cook_options[] = {
        { "--pan", 'p', "SIZE", "which pan" },
        { "--hot", 'H', NULL, "with chili" },
        { "--salt", 's', NULL, "with salt" },
        { NULL, 0, NULL, NULL },
};
static const struct command cook = { .name = "cook",
                                     .aliases = "fry boil",
                                     .usage = "[OPTIONS] DISH...",
                                     .summary = "Make food",
                                     .options = cook_options,
                                     .min_arguments = 1,
                                     .max_arguments = 3,
                                     .run = run };
static const struct command shelf_list = { .name = "shelf list", .usage = "", .summary = "Show the shelf", .run = run };
static const struct command *const table[] = { &cook, &shelf_list, NULL };

#define WORDS(...) (const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ }))

static int parse(const char *const *words, size_t n, struct options **ret, struct errtext *err)
{
        return command_parse(&cook, words, n, ret, err);
}

static void values_may_follow_or_be_glued_on(void **state)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse(WORDS("--pan", "1", "soup", "--pan=2", "-p", "3", "-p4"), &o, &err), 0);
        assert_int_equal(option_count(o, "--pan"), 4);
        assert_string_equal(option_value_at(o, "--pan", 0), "1");
        assert_string_equal(option_value_at(o, "--pan", 1), "2");
        assert_string_equal(option_value_at(o, "--pan", 2), "3");
        assert_string_equal(option_value(o, "--pan"), "4");
        assert_null(option_value_at(o, "--pan", 4));
        assert_int_equal(argument_count(o), 1);
        options_free(o);
}

static void an_empty_value_is_a_value(void **state)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse(WORDS("--pan=", "soup"), &o, &err), 0);
        assert_string_equal(option_value(o, "--pan"), "");
        options_free(o);
}

static void short_flags_combine_and_count(void **state)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse(WORDS("-vsHvp7", "soup"), &o, &err), 0);
        assert_int_equal(option_count(o, "--verbose"), 2);
        assert_int_equal(option_count(o, "--salt"), 1);
        assert_int_equal(option_count(o, "--hot"), 1);
        assert_string_equal(option_value(o, "--pan"), "7");
        options_free(o);
}

static void after_two_dashes_everything_is_an_argument(void **state)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse(WORDS("-s", "--", "--pan", "-", "--"), &o, &err), 0);
        assert_int_equal(argument_count(o), 3);
        assert_string_equal(argument_at(o, 0), "--pan");
        assert_string_equal(argument_at(o, 2), "--");
        assert_null(argument_at(o, 3));
        assert_int_equal(option_count(o, "--pan"), 0);
        options_free(o);
}

static void a_single_dash_is_an_argument(void **state)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse(WORDS("-"), &o, &err), 0);
        assert_string_equal(argument_at(o, 0), "-");
        options_free(o);
}

static void assert_refused(const char *const *words, size_t n, const char *sentence)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        assert_int_equal(parse(words, n, &o, &err), -EINVAL);
        assert_null(o);
        assert_string_equal(err.text, sentence);
}

static void mistakes_are_named(void **state)
{
        (void)state;
        assert_refused(WORDS("--pam", "1", "soup"), "unknown option '--pam'");
        assert_refused(WORDS("--pam=1", "soup"), "unknown option '--pam'");
        assert_refused(WORDS("-x", "soup"), "unknown option '-x'");
        assert_refused(WORDS("soup", "--pan"), "the option '--pan' needs a value: SIZE");
        assert_refused(WORDS("soup", "-sp"), "the option '-p' needs a value: SIZE");
        assert_refused(WORDS("soup", "--salt=1"), "the option '--salt' takes no value");
        assert_refused(WORDS("-s"), "`fusepkg cook` needs an argument");
        assert_refused(WORDS("a", "b", "c", "d"), "unexpected argument 'd'");
        assert_refused(WORDS("soup", "--color", "red"), "the value of '--color' is auto, always or never, not 'red'");
}

static void asking_for_help_needs_no_arguments(void **state)
{
        struct options *o = NULL;
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse(WORDS("--help"), &o, &err), 0);
        assert_int_equal(option_count(o, "--help"), 1);
        options_free(o);
}

static void commands_are_found_by_name_alias_and_group(void **state)
{
        size_t used = 0;

        (void)state;
        assert_ptr_equal(command_find(table, WORDS("cook", "x"), &used), &cook);
        assert_int_equal(used, 1);
        assert_ptr_equal(command_find(table, WORDS("boil"), &used), &cook);
        assert_ptr_equal(command_find(table, WORDS("shelf", "list", "x"), &used), &shelf_list);
        assert_int_equal(used, 2);
        assert_null(command_find(table, WORDS("coo"), &used));
        assert_null(command_find(table, WORDS("fry boil"), &used));
        assert_null(command_find(table, WORDS("shelf"), &used));
        assert_null(command_find(table, WORDS("shelf", "lis"), &used));
        assert_null(command_find(table, NULL, 0, &used));
}

static void help_comes_from_the_table(void **state)
{
        cleanup_buf struct buf text = { 0 }, overview = { 0 };

        (void)state;
        assert_int_equal(command_help(&cook, &text), 0);
        assert_non_null(strstr(text.data, "Usage: fusepkg cook [OPTIONS] DISH..."));
        assert_non_null(strstr(text.data, "Also: fry boil."));
        assert_non_null(strstr(text.data, "  -p, --pan SIZE                   which pan\n"));
        assert_non_null(strstr(text.data, "--quiet"));
        assert_int_equal(command_overview(table, &overview), 0);
        assert_non_null(strstr(overview.data, "  shelf list       Show the shelf\n"));
}

static void wrong_usage_is_status_2(void **state)
{
        char *unknown[] = { "fusepkg", "-qq", "bogus", NULL };
        char *bad_option[] = { "fusepkg", "-qq", "cook", "--bogus", NULL };
        char *nothing[] = { "fusepkg", NULL };
        char *fine[] = { "fusepkg", "-q", "--color", "never", "boil", "soup", NULL };

        (void)state;
        assert_int_equal(command_main(table, 3, unknown), EXIT_USAGE);
        assert_int_equal(command_main(table, 4, bad_option), EXIT_USAGE);
        assert_int_equal(command_main(table, 1, nothing), EXIT_USAGE);
        assert_int_equal(command_main(table, 6, fine), EXIT_DONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(values_may_follow_or_be_glued_on),
                cmocka_unit_test(an_empty_value_is_a_value),
                cmocka_unit_test(short_flags_combine_and_count),
                cmocka_unit_test(after_two_dashes_everything_is_an_argument),
                cmocka_unit_test(a_single_dash_is_an_argument),
                cmocka_unit_test(mistakes_are_named),
                cmocka_unit_test(asking_for_help_needs_no_arguments),
                cmocka_unit_test(commands_are_found_by_name_alias_and_group),
                cmocka_unit_test(help_comes_from_the_table),
                cmocka_unit_test(wrong_usage_is_status_2),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
