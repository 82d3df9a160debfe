#include "tools/requirements.h"

#include "store/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/facts_fixture.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct place {
        char folder[64];
        char path[96]; /* of r.txt */
        int fd;
        struct interpreter *python;
        struct requirements all;
        struct errtext err;
};

static int setup(void **state)
{
        struct place *p = calloc(1, sizeof(*p));
        char python[96];

        snprintf(p->folder, sizeof(p->folder), "/tmp/test_requirements.XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        snprintf(p->path, sizeof(p->path), "%s/r.txt", p->folder);
        snprintf(python, sizeof(python), "%s/python", p->folder);
        p->fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(file_replace(p->fd, "python", "#!/bin/sh\ncat <<END\n" FACTS_CPYTHON_312 "END\n",
                                      sizeof("#!/bin/sh\ncat <<END\n" FACTS_CPYTHON_312 "END\n") - 1, 0755, false), 0);
        assert_int_equal(interpreter_new(python, -1, &p->python), 0);
        *state = p;
        return 0;
}

static int teardown(void **state)
{
        struct place *p = *state;
        char *name = strrchr(p->folder, '/') + 1;
        int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        requirements_release(&p->all);
        interpreter_free(p->python);
        close(p->fd);
        assert_int_equal(dir_remove_tree(tmp, name), 0);
        close(tmp);
        free(p);
        return 0;
}

static int read_text(struct place *p, const char *text)
{
        requirements_release(&p->all);
        p->err.text[0] = 0;
        assert_int_equal(file_replace(p->fd, "r.txt", text, strlen(text), 0644, false), 0);
        return requirements_read(p->path, p->python, &p->all, &p->err);
}

/* All requirements as "name==version" or "path", separated by blanks. */
static void assert_list(struct place *p, const char *text, const char *expected)
{
        struct buf list cleanup_buf = { 0 };

        if (read_text(p, text) < 0)
                fail_msg("%s", p->err.text);
        for (size_t i = 0; i < p->all.count; i++) {
                const struct requirement *q = &p->all.list[i];

                buf_printf(&list, "%s%s%s%s", i ? " " : "", q->path ? q->path : q->name, q->path ? "" : "==",
                           q->path ? "" : q->version);
        }
        assert_string_equal(list.data ? list.data : "", expected);
}

static void pins_are_read_in_all_their_spellings(void **state)
{
        struct place *p = *state;

        assert_list(p, "rich==15.0.0\n", "rich==15.0.0");
        assert_list(p, "  rich == 15.0.0  \r\nsix===1.17\r\n", "rich==15.0.0 six==1.17");
        assert_list(p, "rich (==15.0.0)", "rich==15.0.0");
        assert_list(p, "Foo.Bar_baz[a,b] == 1.0rc1+cu1", "Foo.Bar_baz==1.0rc1+cu1");
        assert_list(p, "\xef\xbb\xbfrich==1", "rich==1");
        assert_list(p, "", "");
        assert_list(p, "# nothing\n\n   \n", "");
}

static void lines_are_continued_and_numbered_by_their_start(void **state)
{
        struct place *p = *state;

        assert_list(p, "# x\nrich==1 \\\n  --hash=sha256:" HASH_A " \\\n  --hash=sha256:" HASH_B "\n\nsix==2\n", "rich==1 six==2");
        assert_int_equal(p->all.list[0].hash_count, 2);
        assert_int_equal(p->all.list[0].hashes[1][31], 0xbb);
        assert_int_equal(p->all.list[0].line, 2);
        assert_int_equal(p->all.list[1].line, 6);
        assert_int_equal(p->all.list[1].hash_count, 0);
        assert_string_equal(p->all.list[1].file, p->path);
        assert_list(p, "rich==1 \\", "rich==1");
}

static void markers_decide(void **state)
{
        struct place *p = *state;

        assert_list(p, "a==1; python_version >= '3.8'\nb==1 ; sys_platform == 'win32'\nc==1;os_name=='posix'\n", "a==1 c==1");
        assert_list(p, "./x.whl ; python_version < '3'\n./y.whl ; python_version > '3'", "./y.whl");
        /* What a marker leaves out need not be pinned. */
        assert_list(p, "a>=1; sys_platform == 'win32'\n", "");
        assert_int_equal(read_text(p, "a==1; colour == 'red'"), -EINVAL);
}

static void paths_and_file_urls_name_wheels(void **state)
{
        struct place *p = *state;

        assert_list(p, "x-1-py3-none-any.whl\nsub/y;1.whl\n/abs/z.whl\n", "x-1-py3-none-any.whl sub/y;1.whl /abs/z.whl");
        assert_list(p, "six @ file:///a%20b/six.whl#sha256=" HASH_A "\n", "/a b/six.whl");
        assert_int_equal(p->all.list[0].hash_count, 1);
        assert_list(p, "six[x]@file:/a/six.whl ; os_name == 'posix'\n", "/a/six.whl");
        assert_list(p, "x.whl --hash=sha256:" HASH_B, "x.whl");
        assert_int_equal(p->all.list[0].hash_count, 1);
}

static void what_is_not_an_exact_wheel_is_refused_and_the_line_is_named(void **state)
{
        static const struct {
                const char *line;
                const char *says;
        } cases[] = {
                { "pandas", "'pandas' is not pinned" },
                { "pandas>=2", "not pinned" },
                { "pandas==2.*", "not pinned" },
                { "pandas==2,!=2.1", "not pinned" },
                { "pandas~=2.0", "not pinned" },
                { "pandas==", "not pinned" },
                { "pandas==x", "'x' is not a version" },
                { "pandas===a b", "not a version" },
                { "pandas[x==1", "bracket" },
                { "==1", "is not a requirement" },
                { "./folder", "is not a wheel" },
                { "x.tar.gz", "not pinned" },
                { "dist/x.tar.gz", "is not a wheel" },
                { "https://example.org/x.whl", "is a URL" },
                { "x @ git+https://example.org/x", "is a URL" },
                { "x @ file://host/x.whl", "names no file of this machine" },
                { "x @ file:///%zz.whl", "percent-encoded" },
                { "-e .", "editable" },
                { "-c c.txt", "constraints" },
                { "--constraint=c.txt", "constraints" },
                { "-r", "needs a file" },
                { "-r https://example.org/r.txt", "downloads nothing" },
                { "-r missing.txt", "cannot read" },
                { "-f", "needs a folder" },
                { "a==1 --hash=sha256:12", "not a SHA-256" },
                { "a==1 --hash=sha512:" HASH_A, "SHA-256 alone" },
                { "a==1 --hash", "needs an algorithm" },
                { "a==1\n--require-hashes", "asks for a --hash" },
        };
        struct place *p = *state;

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                char text[512];

                snprintf(text, sizeof(text), "# first\n%s\n", cases[i].line);
                if (read_text(p, text) >= 0)
                        fail_msg("'%s' is taken", cases[i].line);
                if (!strstr(p->err.text, cases[i].says) ||
                    (!strstr(p->err.text, "r.txt:2: ") && !strstr(p->err.text, "cannot read")))
                        fail_msg("'%s' gave '%s'", cases[i].line, p->err.text);
        }
}

static void files_include_others_beside_them(void **state)
{
        struct place *p = *state;
        int sub = dir_make(p->fd, "sub", 0755);

        close(dir_make(sub, "wheels", 0755));
        file_replace(sub, "a.txt", "a==1\n-r b.txt\n-f wheels\n", 24, 0644, false);
        file_replace(sub, "b.txt", "b==2\n", 5, 0644, false);
        close(sub);
        assert_list(p, "-r sub/a.txt\n--requirement=sub/b.txt\nc==3\n-rsub/b.txt", "a==1 b==2 b==2 c==3 b==2");
        assert_true(strstr(p->all.list[1].file, "sub/b.txt") != NULL);
        assert_int_equal(p->all.find_links_count, 1);
        assert_true(strstr(p->all.find_links[0], "sub/wheels") != NULL);
        assert_int_equal(read_text(p, "-r r.txt\n"), -ELOOP);
}

static void folders_of_wheels_are_collected(void **state)
{
        struct place *p = *state;

        assert_list(p, "-f /w1\n--find-links=file:///w%202\n--find-links '/w 3'\n-f https://example.org/simple\n", "");
        assert_int_equal(p->all.find_links_count, 3);
        assert_string_equal(p->all.find_links[0], "/w1");
        assert_string_equal(p->all.find_links[1], "/w 2");
        assert_string_equal(p->all.find_links[2], "/w 3");
        assert_non_null(strstr(p->all.warnings.data, "ignored"));
}

static void other_options_are_ignored_with_a_warning(void **state)
{
        struct place *p = *state;

        assert_list(p, "--index-url https://example.org\n-i x\n--no-index\na==1 --config-settings x=y\n", "a==1");
        assert_non_null(strstr(p->all.warnings.data, "r.txt:1: the option --index-url is ignored\n"));
        assert_non_null(strstr(p->all.warnings.data, "r.txt:2: the option -i is ignored\n"));
        assert_non_null(strstr(p->all.warnings.data, "r.txt:4: the option --config-settings is ignored\n"));
        assert_null(strstr(p->all.warnings.data, "no-index"));
}

static void several_files_add_up(void **state)
{
        struct place *p = *state;

        assert_list(p, "a==1\n", "a==1");
        assert_int_equal(requirements_read(p->path, p->python, &p->all, &p->err), 0);
        assert_int_equal(p->all.count, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(pins_are_read_in_all_their_spellings),
                TEST(lines_are_continued_and_numbered_by_their_start),
                TEST(markers_decide),
                TEST(paths_and_file_urls_name_wheels),
                TEST(what_is_not_an_exact_wheel_is_refused_and_the_line_is_named),
                TEST(files_include_others_beside_them),
                TEST(folders_of_wheels_are_collected),
                TEST(other_options_are_ignored_with_a_warning),
                TEST(several_files_add_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
