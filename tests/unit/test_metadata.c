#include "store/metadata.h"

#include <setjmp.h>

#include <cmocka.h>

static void the_header_is_read_and_the_text_below_is_not(void **state)
{
        static const char text[] = "Metadata-Version: 2.4\r\nname:  Demo.Pkg \r\nVERSION: 1.0rc1\r\n"
                                   "Summary: one\r\nSummary: two\r\n"
                                   "Requires-Dist: a>=1\r\nRequires-Dist: b; extra == 'x'\r\nRequires-Python: >=3.8\r\n"
                                   "Project-URL: Home, https://example.org/\r\nLicense: text\r\n  more text\r\n"
                                   "License-Expression: MIT\r\n\r\nName: evil\r\n";
        struct metadata m = { 0 };
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(metadata_parse(text, sizeof text - 1, &m, &err), 0);
        assert_string_equal(m.name, "Demo.Pkg");
        assert_string_equal(m.version, "1.0rc1");
        assert_string_equal(m.summary, "one");
        assert_string_equal(m.requires_python, ">=3.8");
        assert_string_equal(m.home_page, "https://example.org/");
        assert_string_equal(m.license, "MIT");
        assert_null(m.author);
        assert_int_equal(m.requires_count, 2);
        assert_string_equal(m.requires_dist[1], "b; extra == 'x'");
        metadata_release(&m);
}

static void other_encodings_become_question_marks(void **state)
{
        static const char text[] = "Name: a\nVersion: 1\nAuthor: Ren\xe9 \xc3\xa9\nLicense: x\n  y\n";
        struct metadata m = { 0 };

        (void)state;
        assert_int_equal(metadata_parse(text, sizeof text - 1, &m, NULL), 0);
        assert_string_equal(m.author, "Ren? \xc3\xa9");
        assert_string_equal(m.license, "x\n  y");
        metadata_release(&m);
}

static void name_and_version_must_be_there_once_and_well_formed(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } broken[] = {
                { "", "no Name" },
                { "Version: 1\n", "no Name" },
                { "Name: a\n\nVersion: 1\n", "no Version" },
                { "Name: a\nnot a field\nVersion: 1\n", "no Version" },
                { " Name: a\nVersion: 1\n", "no Name" },
                { "Name: a\nName: a\nVersion: 1\n", "two fields Name" },
                { "Name: a\nVersion: 1\nVersion: 2\n", "two fields Version" },
                { "Name: a b\nVersion: 1\n", "malformed Name" },
                { "Name: a-\nVersion: 1\n", "malformed Name" },
                { "Name:\nVersion: 1\n", "malformed Name" },
                { "Name: a\nVersion: one\n", "malformed Version" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
                struct metadata m = { 0 };
                struct errtext err = { "" };

                assert_int_equal(metadata_parse(broken[i].text, strlen(broken[i].text), &m, &err), -EBADMSG);
                assert_non_null(strstr(err.text, broken[i].words));
                assert_null(m.name);
        }
}

static void a_wheel_file_says_its_version_and_tags(void **state)
{
        static const char text[] = "Wheel-Version: 1.3\nRoot-Is-Purelib: TRUE\nTag: py2-none-any\nTag: py3-none-any\n"
                                   "Wheel-Version: 9.0\n";
        struct wheel_file w = { 0 };

        (void)state;
        assert_int_equal(wheel_file_parse(text, sizeof text - 1, &w, NULL), 0);
        assert_int_equal(w.major, 1);
        assert_int_equal(w.minor, 3);
        assert_true(w.root_is_purelib);
        assert_int_equal(w.tag_count, 2);
        assert_string_equal(w.tags[1], "py3-none-any");
        wheel_file_release(&w);
}

static void other_wheel_versions_are_refused(void **state)
{
        static const char *const broken[] = { "", "Tag: a\n", "Wheel-Version: 1\n", "Wheel-Version: 1.0.0\n",
                                              "Wheel-Version: x.y\n", "Wheel-Version: 1.\n", "Wheel-Version: -1.0\n",
                                              "Wheel-Version: 4294967297.0\n" };
        struct wheel_file w = { 0 };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(broken); i++)
                assert_int_equal(wheel_file_parse(broken[i], strlen(broken[i]), &w, NULL), -EBADMSG);
        assert_int_equal(wheel_file_parse("Wheel-Version: 2.0\n", 19, &w, NULL), -ENOTSUP);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_header_is_read_and_the_text_below_is_not),
                cmocka_unit_test(other_encodings_become_question_marks),
                cmocka_unit_test(name_and_version_must_be_there_once_and_well_formed),
                cmocka_unit_test(a_wheel_file_says_its_version_and_tags),
                cmocka_unit_test(other_wheel_versions_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
