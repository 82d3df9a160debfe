#include "tools/find_links.h"

#include "store/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/facts_fixture.h"

struct place {
        char folder[64];
        int fd;
        struct interpreter *python;
        struct errtext err;
};

static int setup(void **state)
{
        static const char script[] = "#!/bin/sh\necho x >>\"$0.asked\"\ncat <<END\n" FACTS_CPYTHON_312 "END\n";
        struct place *p = calloc(1, sizeof(*p));
        char python[96];

        snprintf(p->folder, sizeof(p->folder), "/tmp/test_find_links.XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        snprintf(python, sizeof(python), "%s/python", p->folder);
        p->fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(file_replace(p->fd, "python", script, strlen(script), 0755, false), 0);
        assert_int_equal(interpreter_new(python, -1, &p->python), 0);
        *state = p;
        return 0;
}

static int teardown(void **state)
{
        struct place *p = *state;
        char *name = strrchr(p->folder, '/') + 1;
        int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        interpreter_free(p->python);
        close(p->fd);
        assert_int_equal(dir_remove_tree(tmp, name), 0);
        close(tmp);
        free(p);
        return 0;
}

static void put(struct place *p, const char *folder, const char *files)
{
        char *copy = strdup(files), *next = copy, *name;
        int fd = dir_make(p->fd, folder, 0755);

        while ((name = strsep(&next, " ")))
                assert_int_equal(file_replace(fd, name, "", 0, 0644, false), 0);
        close(fd);
        free(copy);
}

/* Picks from the folders w1 and w2; the choice's last two components, or the error. */
static const char *pick(struct place *p, const char *name, const char *specifiers, bool prereleases)
{
        const struct find_links_query q = { name, specifiers, prereleases };
        char one[96], two[96];
        const char *const folders[] = { one, two };
        char *path = NULL;
        int r;

        snprintf(one, sizeof(one), "%s/w1", p->folder);
        snprintf(two, sizeof(two), "%s/w2/", p->folder);
        p->err.text[0] = 0;
        r = find_links_pick(folders, access(two, F_OK) ? 1 : 2, &q, p->python, &path, &p->err);
        if (r < 0) {
                assert_int_equal(r, -ENOENT);
                assert_null(path);
                return p->err.text;
        }
        snprintf(p->err.text, sizeof(p->err.text), "%s", path + strlen(p->folder) + 1);
        free(path);
        return p->err.text;
}

static void assert_not_asked(struct place *p)
{
        assert_int_equal(faccessat(p->fd, "python.asked", F_OK, 0), -1);
}

static void the_newest_version_wins_in_any_folder(void **state)
{
        struct place *p = *state;

        put(p, "w1", "foo-1.9-py3-none-any.whl foo-1.2-py3-none-any.whl foobar-9-py3-none-any.whl note.txt bad.whl");
        put(p, "w2", "Foo-1.10-py3-none-any.whl");
        assert_string_equal(pick(p, "foo", NULL, false), "w2/Foo-1.10-py3-none-any.whl");
        assert_string_equal(pick(p, "FOO", "<1.10", false), "w1/foo-1.9-py3-none-any.whl");
        assert_string_equal(pick(p, "foo", "==1.2.0", false), "w1/foo-1.2-py3-none-any.whl");
        assert_not_asked(p);
}

static void prereleases_wait_until_they_are_asked_for_or_alone(void **state)
{
        struct place *p = *state;

        put(p, "w1", "foo-1.0-py3-none-any.whl foo-2.0rc1-py3-none-any.whl bar-1.0.dev3-py3-none-any.whl");
        assert_string_equal(pick(p, "foo", NULL, false), "w1/foo-1.0-py3-none-any.whl");
        assert_string_equal(pick(p, "foo", NULL, true), "w1/foo-2.0rc1-py3-none-any.whl");
        assert_string_equal(pick(p, "foo", "==2.0rc1", false), "w1/foo-2.0rc1-py3-none-any.whl");
        assert_string_equal(pick(p, "foo", ">=1.1", false), "w1/foo-2.0rc1-py3-none-any.whl");
        assert_string_equal(pick(p, "bar", NULL, false), "w1/bar-1.0.dev3-py3-none-any.whl");
}

static void of_one_version_the_best_tag_and_then_the_highest_build_wins(void **state)
{
        struct place *p = *state;

        put(p, "w1", "foo-1-py3-none-any.whl foo-1-cp312-cp312-manylinux_2_17_x86_64.whl "
                     "foo-1-cp312-cp312-manylinux_2_28_x86_64.whl foo-1-cp38-abi3-manylinux_2_28_x86_64.whl "
                     "foo-2-cp312-cp312-win_amd64.whl");
        assert_string_equal(pick(p, "foo", NULL, false), "w1/foo-1-cp312-cp312-manylinux_2_28_x86_64.whl");
        put(p, "w1", "bar-1-2-py3-none-any.whl bar-1-py3-none-any.whl baz-1-10a-py3-none-any.whl qux-1-py3-none-any.whl");
        put(p, "w2", "bar-1-10-py3-none-any.whl baz-1-10b-py3-none-any.whl qux-1-0-py3-none-any.whl");
        assert_string_equal(pick(p, "bar", NULL, false), "w2/bar-1-10-py3-none-any.whl");
        assert_string_equal(pick(p, "baz", NULL, false), "w2/baz-1-10b-py3-none-any.whl");
        assert_string_equal(pick(p, "qux", NULL, false), "w2/qux-1-0-py3-none-any.whl");
}

static void a_local_version_satisfies_the_public_pin(void **state)
{
        struct place *p = *state;

        put(p, "w1", "torch-2.8.0-py3-none-any.whl torch-2.8.0+cu130-py3-none-any.whl");
        assert_string_equal(pick(p, "torch", "==2.8.0", false), "w1/torch-2.8.0+cu130-py3-none-any.whl");
        assert_string_equal(pick(p, "torch", "==2.8.0+cu130", false), "w1/torch-2.8.0+cu130-py3-none-any.whl");
}

static void what_is_not_there_is_explained(void **state)
{
        struct place *p = *state;

        put(p, "w1", "foo-1.0-py3-none-any.whl foo-1.5-py3-none-any.whl win-1-cp312-cp312-win_amd64.whl");
        assert_non_null(strstr(pick(p, "pandas", NULL, false), "there is no wheel of 'pandas' in '"));
        assert_non_null(strstr(pick(p, "foo", "==2", false), "there is no wheel of 'foo==2' in "));
        assert_non_null(strstr(p->err.text, "1.5"));
        assert_not_asked(p);
        assert_non_null(strstr(pick(p, "win", NULL, false), "is for this Python, which takes cp312-cp312-manylinux_2_36_x86_64"));
        assert_non_null(strstr(p->err.text, "there is win-1-cp312-cp312-win_amd64.whl"));
}

static void a_folder_that_is_missing_is_an_error(void **state)
{
        struct place *p = *state;

        assert_non_null(strstr(pick(p, "foo", NULL, false), "cannot read the folder of wheels"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(the_newest_version_wins_in_any_folder),
                TEST(prereleases_wait_until_they_are_asked_for_or_alone),
                TEST(of_one_version_the_best_tag_and_then_the_highest_build_wins),
                TEST(a_local_version_satisfies_the_public_pin),
                TEST(what_is_not_there_is_explained),
                TEST(a_folder_that_is_missing_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
