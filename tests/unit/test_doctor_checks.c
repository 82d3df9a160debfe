#include "tools/doctor_checks.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void apparmor_lets_mount_below_a_few_folders(void **state)
{
        (void)state;
        assert_true(doctor_check_apparmor_allows("/home/ann/p/.venv", "/home/ann", NULL));
        assert_true(doctor_check_apparmor_allows("/home/ann/p/.venv", "/home/ann/", NULL));
        assert_true(doctor_check_apparmor_allows("/mnt/a", NULL, NULL));
        assert_true(doctor_check_apparmor_allows("/tmp/a", NULL, NULL));
        assert_true(doctor_check_apparmor_allows("/run/user/7/a", NULL, "/run/user/7"));
        assert_false(doctor_check_apparmor_allows("/opt/venv", "/home/ann", "/run/user/7"));
        assert_false(doctor_check_apparmor_allows("/home/anna/venv", "/home/ann", NULL));
        assert_false(doctor_check_apparmor_allows("/mntx/venv", NULL, NULL));
}

static void the_folders_themselves_are_not_among_them(void **state)
{
        (void)state;
        assert_false(doctor_check_apparmor_allows("/home/ann", "/home/ann", NULL));
        assert_false(doctor_check_apparmor_allows("/mnt/", NULL, NULL));
        assert_false(doctor_check_apparmor_allows("/srv/a", "", ""));
        assert_false(doctor_check_apparmor_allows("/srv/a", "/", NULL));
}

static void user_allow_other_is_a_word_of_its_own(void **state)
{
        (void)state;
        assert_true(doctor_check_conf_allows("user_allow_other"));
        assert_true(doctor_check_conf_allows("# a comment\nmount_max = 10\n  user_allow_other \n"));
        assert_false(doctor_check_conf_allows(""));
        assert_false(doctor_check_conf_allows("#user_allow_other\n"));
        assert_false(doctor_check_conf_allows("# user_allow_other\n"));
        assert_false(doctor_check_conf_allows("user_allow_others\n"));
}

static void each_finding_says_what_it_is_about(void **state)
{
        static int (*const checks[])(const struct doctor_place *, struct finding *) = {
                doctor_check_kernel, doctor_check_device,   doctor_check_fusermount,  doctor_check_others,
                doctor_check_apparmor, doctor_check_namespaces, doctor_check_passthrough,
        };
        const struct doctor_place nowhere = { 0 };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
                struct finding f = { 0 };

                assert_int_equal(checks[i](&nowhere, &f), 0);
                assert_non_null(f.check);
                assert_true(f.found[0]);
                assert_true(f.ok || f.hint[0]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(apparmor_lets_mount_below_a_few_folders),
                cmocka_unit_test(the_folders_themselves_are_not_among_them),
                cmocka_unit_test(user_allow_other_is_a_word_of_its_own),
                cmocka_unit_test(each_finding_says_what_it_is_about),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
