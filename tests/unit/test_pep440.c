#include "tools/pep440.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct pep440 parsed(const char *text)
{
        struct pep440 v;

        if (pep440_parse(text, strlen(text), &v) < 0)
                fail_msg("'%s' is not taken for a version", text);
        return v;
}

static void versions_stand_in_the_order_of_the_specification(void **state)
{
        static const char *const order[] = {
                "0.9",        "1.0.dev0",     "1.0.dev456",   "1.0a1.dev1", "1.0a1",     "1.0a2.dev456", "1.0a12.dev456",
                "1.0a12",     "1.0b1.dev456", "1.0b2",        "1.0b2.post345.dev456",    "1.0b2.post345", "1.0rc1.dev456",
                "1.0rc1",     "1.0",          "1.0+abc",      "1.0+abc.5",  "1.0+abc.7", "1.0+abd",      "1.0+5",
                "1.0+5.x",    "1.0+20",       "1.0.post0",
                "1.0.post456.dev34",          "1.0.post456", "1.0.15",     "1.1.dev1",
                "1.1",        "1.10",         "2024.1.1",     "20240101120000",          "1!0.1",     "2!0",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(order); i++)
                for (size_t k = 0; k < ARRAY_LEN(order); k++) {
                        struct pep440 a = parsed(order[i]), b = parsed(order[k]);
                        int c = pep440_compare(&a, &b);

                        if ((c > 0) - (c < 0) != (i > k) - (i < k))
                                fail_msg("'%s' against '%s' gave %d", order[i], order[k], c);
                }
}

static void spellings_of_one_version_are_equal(void **state)
{
        static const char *const pairs[][2] = {
                { "1.0", "1" },          { "1.0", "v1.0.0" },      { "1.0", " 1.0\n" },      { "1.01", "1.1" },
                { "1.0a1", "1.0-Alpha.1" }, { "1.0b0", "1.0beta" }, { "1.0rc2", "1.0_c-2" }, { "1.0rc3", "1.0PREVIEW3" },
                { "1.0.post1", "1.0-1" }, { "1.0.post0", "1.0r" }, { "1.0.post2", "1.0-rev_2" }, { "1.0.dev0", "1.0dev" },
                { "1.0+a.b", "1.0+A-b" }, { "1.0+1", "1.0+01" },   { "0!1.0", "1.0" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
                struct pep440 a = parsed(pairs[i][0]), b = parsed(pairs[i][1]);

                if (pep440_compare(&a, &b))
                        fail_msg("'%s' and '%s' differ", pairs[i][0], pairs[i][1]);
        }
}

static void what_is_no_version_is_refused(void **state)
{
        static const char *const texts[] = {
                "", " ", "a", "1.", "1..2", "1.0x", "1.0+", "1.0+a..b", "1.0+_a", "1!", "!1", "1.0.dev1.post1", "1.0a1b1", "1 .0",
                "1.0 a", "99999999999999999999", "1.0+a+b", "-1", "==1", "1.0.*", "\xc3\xa9",
        };
        struct pep440 v;

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
                if (pep440_parse(texts[i], strlen(texts[i]), &v) != -EINVAL)
                        fail_msg("'%s' is taken for a version", texts[i]);
}

static void limits_are_refused_and_not_overrun(void **state)
{
        char text[4096];
        struct pep440 v;
        size_t len = 0;

        (void)state;
        memset(text, '1', sizeof(text));
        assert_int_equal(pep440_parse(text, sizeof(text), &v), -EINVAL);
        for (size_t i = 0; i < 40; i++) {
                memcpy(text + len, i ? ".1" : "1", i ? 2 : 1);
                len += i ? 2 : 1;
                assert_int_equal(pep440_parse(text, len, &v), i < VERSION_RELEASE_MAX ? 0 : -EINVAL);
        }
        len = 1;
        for (size_t i = 0; i < 40; i++) {
                memcpy(text + len, i ? ".x" : "+x", 2);
                len += 2;
                assert_int_equal(pep440_parse(text, len, &v), i < VERSION_LOCAL_MAX ? 0 : -EINVAL);
        }
}

static void prereleases_are_known(void **state)
{
        struct pep440 dev = parsed("1.0.dev1"), rc = parsed("1rc1"), post = parsed("1.post1"), post_dev = parsed("1.post1.dev2");

        (void)state;
        assert_true(pep440_is_prerelease(&dev));
        assert_true(pep440_is_prerelease(&rc));
        assert_false(pep440_is_prerelease(&post));
        assert_true(pep440_is_prerelease(&post_dev));
}

/* Expected values come from packaging.specifiers: without and with pre-releases. */
static void specifiers_match_as_in_packaging(void **state)
{
        static const struct {
                const char *specifiers;
                const char *version;
                bool plain;
                bool prereleases;
        } cases[] = {
                { "", "1.0", true, true },
                { "", "1.0rc1", false, true },
                { ">=3.8", "3.12.1", true, true },
                { ">=3.8", "3.7", false, false },
                { ">=3.8,<4", "3.13.0rc1", false, true },
                { ">= 3.8 , != 3.9.* ,", "3.9.4", false, false },
                { "!=3.9.*", "3.10", true, true },
                { "==1.2.*", "1.2", true, true },
                { "==1.2.*", "1.2.3.post4", true, true },
                { "==1.2.*", "1.2rc1", false, true },
                { "==1.2.*", "1.20", false, false },
                { "==1.2.0.*", "1.2", true, true },
                { "==1.2.*", "1!1.2", false, false },
                { "==1.0", "1.0+cu130", true, true },
                { "==1.0+cu130", "1.0", false, false },
                { "==1.0+cu130", "1.0+CU130", true, true },
                { "!=1.0+cu130", "1.0", true, true },
                { "==1.0rc1", "1.0rc1", true, true },
                { ">=1.0rc1", "1.1rc1", true, true },
                { "<=1.0", "1.0+x", true, true },
                { "<1.0", "1.0rc1", false, false },
                { "<1.0", "0.9rc1", false, true },
                { "<1.0rc2", "1.0rc1", false, true },
                { ">1.0", "1.0.post1", false, false },
                { ">1.0", "1.0+x", false, false },
                { ">1.0", "1.0.1", true, true },
                { ">1.0.post1", "1.0.post2", true, true },
                { "~=2.2", "2.3", true, true },
                { "~=2.2", "3.0", false, false },
                { "~=1.4.5", "1.4.9", true, true },
                { "~=1.4.5", "1.5", false, false },
                { "~=2.2.post3", "2.2", false, false },
                { "~=1.4.5a4", "1.4.5a5", true, true },
                { "===1.0", "1.0", true, true },
                { "===1.0", "1.0.0", false, false },
                { "===rc.x", "RC.X", true, true },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct errtext err = { "" };
                bool plain = false, prereleases = false;

                if (version_matches(cases[i].specifiers, cases[i].version, false, &plain, &err) < 0 ||
                    version_matches(cases[i].specifiers, cases[i].version, true, &prereleases, &err) < 0)
                        fail_msg("'%s': %s", cases[i].specifiers, err.text);
                if (plain != cases[i].plain || prereleases != cases[i].prereleases)
                        fail_msg("'%s' for '%s' gave %d %d", cases[i].specifiers, cases[i].version, plain, prereleases);
        }
}

static void wrong_specifiers_are_refused_with_a_sentence(void **state)
{
        static const char *const texts[] = {
                "1.0", "=1.0", "==", "==x", ">=1.*", "~=1", "~=1.*", ">=1.0+x", "==1.0rc1.*", "==1.0.dev1.*", "==1.0+x.*", ">=1,2",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                struct errtext err = { "" };
                bool match;

                if (version_matches(texts[i], "1.0", false, &match, &err) != -EINVAL || !err.text[0])
                        fail_msg("'%s' is taken", texts[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(versions_stand_in_the_order_of_the_specification),
                cmocka_unit_test(spellings_of_one_version_are_equal),
                cmocka_unit_test(what_is_no_version_is_refused),
                cmocka_unit_test(limits_are_refused_and_not_overrun),
                cmocka_unit_test(prereleases_are_known),
                cmocka_unit_test(specifiers_match_as_in_packaging),
                cmocka_unit_test(wrong_specifiers_are_refused_with_a_sentence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
