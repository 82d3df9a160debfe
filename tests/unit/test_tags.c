#include "tools/tags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/facts_fixture.h"

/* The facts of CPython 3.12, changed: PATCH is "key=value key=value". */
static struct tags *tags_of(const char *patch)
{
        struct buf text cleanup_buf = { 0 };
        struct interpreter_facts f;
        struct tags *t = NULL;
        char *copy = strdup(patch), *next = copy, *word;

        /* The first line of a key counts. */
        while ((word = strsep(&next, " ")))
                if (strchr(word, '=')) {
                        *strchr(word, '=') = ' ';
                        buf_printf(&text, "%s\n", word);
                }
        buf_add_str(&text, FACTS_CPYTHON_312);
        assert_int_equal(interpreter_parse_facts(text.data, text.len, &f), 0);
        assert_int_equal(tags_new(&f, &t), 0);
        interpreter_release_facts(&f);
        free(copy);
        return t;
}

static size_t find(const struct tags *t, const char *tag)
{
        for (size_t i = 0; i < tags_count(t); i++)
                if (!strcmp(tags_at(t, i), tag))
                        return i;
        return SIZE_MAX;
}

/* Each of the tags, separated by blanks, is there, in this order. */
static void assert_order(const struct tags *t, const char *tags)
{
        char *copy = strdup(tags), *next = copy, *tag;
        size_t last = 0, place;
        bool first = true;

        while ((tag = strsep(&next, " "))) {
                place = find(t, tag);
                if (place == SIZE_MAX)
                        fail_msg("there is no %s", tag);
                if (!first && place <= last)
                        fail_msg("%s comes too early", tag);
                last = place;
                first = false;
        }
        free(copy);
}

static void assert_lacks(const struct tags *t, const char *tag)
{
        if (find(t, tag) != SIZE_MAX)
                fail_msg("there is %s", tag);
}

static void cpython_has_the_tags_of_packaging_in_its_order(void **state)
{
        struct tags *t = tags_of("");

        (void)state;
        assert_int_equal(tags_count(t), 987); /* what packaging 24.1 counts */
        assert_string_equal(tags_at(t, 0), "cp312-cp312-manylinux_2_36_x86_64");
        assert_string_equal(tags_at(t, 986), "py30-none-any");
        assert_order(t, "cp312-cp312-manylinux_2_36_x86_64 cp312-cp312-manylinux_2_17_x86_64 cp312-cp312-manylinux2014_x86_64 "
                        "cp312-cp312-manylinux_2_16_x86_64 cp312-cp312-manylinux_2_12_x86_64 "
                        "cp312-cp312-manylinux2010_x86_64 cp312-cp312-manylinux_2_5_x86_64 cp312-cp312-manylinux1_x86_64 "
                        "cp312-cp312-linux_x86_64 cp312-abi3-manylinux_2_36_x86_64 cp312-none-manylinux_2_36_x86_64 "
                        "cp311-abi3-manylinux_2_36_x86_64 cp32-abi3-linux_x86_64 py312-none-manylinux_2_36_x86_64 "
                        "py3-none-linux_x86_64 py311-none-linux_x86_64 py30-none-linux_x86_64 cp312-none-any "
                        "py312-none-any py3-none-any py311-none-any py30-none-any");
        assert_lacks(t, "cp312-cp312-manylinux_2_37_x86_64");
        assert_lacks(t, "cp312-cp312-manylinux_2_4_x86_64");
        assert_lacks(t, "cp31-abi3-linux_x86_64");
        assert_lacks(t, "cp311-cp311-linux_x86_64");
        assert_lacks(t, "py2-none-any");
        tags_free(t);
}

static void other_machines_begin_at_glibc_2_17(void **state)
{
        struct tags *t = tags_of("sysconfig_platform=linux-aarch64 platform_machine=aarch64");

        (void)state;
        assert_order(t, "cp312-cp312-manylinux_2_36_aarch64 cp312-cp312-manylinux_2_17_aarch64 "
                        "cp312-cp312-manylinux2014_aarch64 cp312-cp312-linux_aarch64");
        assert_lacks(t, "cp312-cp312-manylinux_2_16_aarch64");
        tags_free(t);
}

static void musl_has_tags_of_its_own(void **state)
{
        struct tags *t = tags_of("libc=musl libc_major=1 libc_minor=2");

        (void)state;
        assert_order(t, "cp312-cp312-musllinux_1_2_x86_64 cp312-cp312-musllinux_1_0_x86_64 cp312-cp312-linux_x86_64");
        assert_lacks(t, "cp312-cp312-manylinux2014_x86_64");
        tags_free(t);
}

static void an_unknown_libc_leaves_the_plain_platform(void **state)
{
        struct tags *t = tags_of("libc= libc_major=0 libc_minor=0");

        (void)state;
        assert_string_equal(tags_at(t, 0), "cp312-cp312-linux_x86_64");
        assert_string_equal(tags_at(t, 1), "cp312-abi3-linux_x86_64");
        tags_free(t);
}

static void a_32_bit_python_on_a_64_bit_kernel(void **state)
{
        struct tags *t = tags_of("pointer_bits=32");

        (void)state;
        assert_string_equal(tags_at(t, 0), "cp312-cp312-manylinux_2_36_i686");
        assert_lacks(t, "cp312-cp312-linux_x86_64");
        tags_free(t);
        t = tags_of("pointer_bits=32 sysconfig_platform=linux-aarch64 hard_float=1");
        assert_order(t, "cp312-cp312-manylinux_2_36_armv8l cp312-cp312-manylinux_2_17_armv7l cp312-cp312-linux_armv8l "
                        "cp312-cp312-linux_armv7l");
        tags_free(t);
        t = tags_of("pointer_bits=32 sysconfig_platform=linux-armv7l");
        assert_string_equal(tags_at(t, 0), "cp312-cp312-linux_armv7l");
        tags_free(t);
}

static void free_threads_have_no_abi3_and_from_3_15_abi3t(void **state)
{
        struct tags *t = tags_of("minor=13 version_nodot=313 free_threaded=1");

        (void)state;
        assert_string_equal(tags_at(t, 0), "cp313-cp313t-manylinux_2_36_x86_64");
        assert_lacks(t, "cp313-cp313-manylinux_2_36_x86_64");
        assert_lacks(t, "cp313-abi3-manylinux_2_36_x86_64");
        assert_lacks(t, "cp313-abi3t-manylinux_2_36_x86_64");
        tags_free(t);
        t = tags_of("minor=15 version_nodot=315 free_threaded=1");
        assert_order(t, "cp315-cp315t-linux_x86_64 cp315-abi3t-linux_x86_64 cp315-none-linux_x86_64 cp314-abi3t-linux_x86_64");
        assert_lacks(t, "cp315-abi3-linux_x86_64");
        tags_free(t);
}

static void debug_builds_and_old_ones(void **state)
{
        struct tags *t = tags_of("debug=1");

        (void)state;
        assert_order(t, "cp312-cp312d-linux_x86_64 cp312-cp312-linux_x86_64 cp312-abi3-linux_x86_64");
        tags_free(t);
        t = tags_of("minor=7 version_nodot=37");
        assert_string_equal(tags_at(t, 0), "cp37-cp37m-manylinux_2_36_x86_64");
        tags_free(t);
}

static void pypy(void **state)
{
        struct tags *t = tags_of("implementation_name=pypy minor=10 version_nodot=310 "
                                 "extension_suffix=.pypy310-pp73-x86_64-linux-gnu.so");

        (void)state;
        assert_string_equal(tags_at(t, 0), "pp310-pypy310_pp73-manylinux_2_36_x86_64");
        assert_order(t, "pp310-pypy310_pp73-linux_x86_64 pp310-none-manylinux_2_36_x86_64 py310-none-manylinux_2_36_x86_64 "
                        "py30-none-linux_x86_64 pp3-none-any py310-none-any");
        assert_lacks(t, "cp310-abi3-linux_x86_64");
        tags_free(t);
}

/* SIZE_MAX: it does not fit. */
static size_t rank_of(const struct tags *t, const char *wheel)
{
        struct wheel_name w;
        size_t rank = SIZE_MAX;

        assert_int_equal(wheel_name_parse(wheel, &w, NULL), 0);
        if (!tags_match(t, &w, &rank))
                rank = SIZE_MAX;
        wheel_name_release(&w);
        return rank;
}

static void wheels_match_by_their_best_tag(void **state)
{
        struct tags *t = tags_of("");

        (void)state;
        assert_int_equal(rank_of(t, "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
                         find(t, "cp312-cp312-manylinux_2_17_x86_64"));
        assert_int_equal(rank_of(t, "a-1-cp36.cp38-abi3-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl"),
                         find(t, "cp38-abi3-manylinux_2_28_x86_64"));
        assert_int_equal(rank_of(t, "a-1-py2.py3-none-any.whl"), find(t, "py3-none-any"));
        assert_int_equal(rank_of(t, "a-1-CP312-CP312-Linux_x86_64.whl"), find(t, "cp312-cp312-linux_x86_64"));
        assert_int_equal(rank_of(t, "a-1-cp311-cp311-manylinux2014_x86_64.whl"), SIZE_MAX);
        assert_int_equal(rank_of(t, "a-1-cp312-cp312-manylinux_2_37_x86_64.whl"), SIZE_MAX);
        assert_int_equal(rank_of(t, "a-1-cp312-cp312-win_amd64.whl"), SIZE_MAX);
        assert_int_equal(rank_of(t, "a-1-py2-none-any.whl"), SIZE_MAX);
        tags_free(t);
}

static void only_py3_none_any_is_universal(void **state)
{
        static const struct {
                const char *wheel;
                bool universal;
        } cases[] = { { "a-1-py3-none-any.whl", true },         { "a-1-py2.py3-none-any.whl", true },
                      { "a-1-py2-none-any.whl", false },        { "a-1-py312-none-any.whl", false },
                      { "a-1-py3-none-linux_x86_64.whl", false }, { "a-1-cp312-none-any.whl", false } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct wheel_name w;

                assert_int_equal(wheel_name_parse(cases[i].wheel, &w, NULL), 0);
                assert_int_equal(tags_are_universal(&w), cases[i].universal);
                wheel_name_release(&w);
        }
}

static void a_universal_wheel_asks_nobody(void **state)
{
        struct interpreter *p = NULL;
        struct errtext err = { "" };
        struct wheel_name w;

        (void)state;
        assert_int_equal(interpreter_new("/nonexistent/python", -1, &p), 0);
        assert_int_equal(wheel_name_parse("a-1-py3-none-any.whl", &w, NULL), 0);
        assert_int_equal(tags_check(p, &w, &err), 0);
        wheel_name_release(&w);
        assert_int_equal(wheel_name_parse("a-1-cp312-cp312-linux_x86_64.whl", &w, NULL), 0);
        assert_int_equal(tags_check(p, &w, &err), -ENOENT);
        wheel_name_release(&w);
        interpreter_free(p);
}

static void fitting_tags_are_told_in_short(void **state)
{
        struct tags *t = tags_of("");
        struct buf text cleanup_buf = { 0 };

        (void)state;
        assert_int_equal(tags_describe(t, &text), 0);
        assert_string_equal(text.data, "cp312-cp312-manylinux_2_36_x86_64, cp312-abi3-manylinux_2_36_x86_64, ... py3-none-any");
        tags_free(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(cpython_has_the_tags_of_packaging_in_its_order),
                cmocka_unit_test(other_machines_begin_at_glibc_2_17),
                cmocka_unit_test(musl_has_tags_of_its_own),
                cmocka_unit_test(an_unknown_libc_leaves_the_plain_platform),
                cmocka_unit_test(a_32_bit_python_on_a_64_bit_kernel),
                cmocka_unit_test(free_threads_have_no_abi3_and_from_3_15_abi3t),
                cmocka_unit_test(debug_builds_and_old_ones),
                cmocka_unit_test(pypy),
                cmocka_unit_test(wheels_match_by_their_best_tag),
                cmocka_unit_test(only_py3_none_any_is_universal),
                cmocka_unit_test(a_universal_wheel_asks_nobody),
                cmocka_unit_test(fitting_tags_are_told_in_short),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
