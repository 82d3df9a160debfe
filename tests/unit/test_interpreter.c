#include "tools/interpreter.h"
#include "tools/interpreter_ask.h"
#include "tools/tags.h"

#include "store/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/facts_fixture.h"

struct place {
        char folder[64];
        char python[96];
        int fd;
};

static int setup(void **state)
{
        struct place *p = calloc(1, sizeof(*p));

        snprintf(p->folder, sizeof(p->folder), "/tmp/test_interpreter.XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        snprintf(p->python, sizeof(p->python), "%s/fake", p->folder);
        p->fd = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = p;
        return 0;
}

static int teardown(void **state)
{
        static const char *const names[] = { "fake", "asked", "python", "link" };
        struct place *p = *state;

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                unlinkat(p->fd, names[i], 0);
        close(p->fd);
        rmdir(p->folder);
        free(p);
        return 0;
}

/* A program that notes each call and its arguments, and then does what BODY says. */
static void make_python(struct place *p, const char *body)
{
        struct buf text cleanup_buf = { 0 };

        buf_printf(&text, "#!/bin/sh\necho \"$1 $2 $3\" >>%s/asked\n%s", p->folder, body);
        assert_int_equal(file_replace(p->fd, "fake", text.data, text.len, 0755, false), 0);
}

static size_t times_asked(struct place *p)
{
        struct buf text cleanup_buf = { 0 };
        size_t n = 0;

        if (file_read_at(p->fd, "asked", 4096, &text) == 0)
                for (size_t i = 0; i < text.len; i++)
                        n += text.data[i] == '\n';
        return n;
}

static void ask(struct place *p, int expected)
{
        struct interpreter *python = NULL;
        const struct interpreter_facts *f = NULL;
        struct errtext err = { "" };
        int r;

        assert_int_equal(interpreter_new(p->python, p->fd, &python), 0);
        r = interpreter_get_facts(python, &f, &err);
        if (r != expected)
                fail_msg("%d instead of %d: %s", r, expected, err.text);
        if (!r) {
                assert_string_equal(f->python_full_version, "3.12.1");
                assert_int_equal(f->minor, 12);
                assert_int_equal(interpreter_get_facts(python, &f, &err), 0);
        } else {
                assert_true(err.text[0]);
        }
        interpreter_free(python);
}

#define ANSWER "cat <<'END'\n" FACTS_CPYTHON_312 "END\n"

static void it_is_asked_once_for_as_long_as_it_is_the_same_file(void **state)
{
        struct place *p = *state;
        struct buf text cleanup_buf = { 0 };

        make_python(p, ANSWER);
        ask(p, 0);
        ask(p, 0);
        assert_int_equal(times_asked(p), 1);
        assert_int_equal(file_read_at(p->fd, "asked", 4096, &text), 0);
        assert_string_equal(text.data, "-I -S -c\n");
        make_python(p, "# another one\n" ANSWER);
        ask(p, 0);
        assert_int_equal(times_asked(p), 2);
}

static void a_cache_that_is_damaged_is_not_believed(void **state)
{
        struct place *p = *state;
        struct buf text cleanup_buf = { 0 };

        make_python(p, ANSWER);
        ask(p, 0);
        assert_int_equal(file_read_at(p->fd, "python", 1 << 20, &text), 0);
        assert_int_equal(file_replace(p->fd, "python", text.data, text.len / 2, 0644, false), 0);
        ask(p, 0);
        assert_int_equal(times_asked(p), 2);
        assert_int_equal(file_replace(p->fd, "python", "junk", 4, 0644, false), 0);
        ask(p, 0);
        assert_int_equal(times_asked(p), 3);
}

static void the_link_is_followed_for_the_cache(void **state)
{
        struct place *p = *state;

        make_python(p, ANSWER);
        ask(p, 0);
        assert_int_equal(symlinkat("fake", p->fd, "link"), 0);
        snprintf(p->python, sizeof(p->python), "%s/link", p->folder);
        ask(p, 0);
        assert_int_equal(times_asked(p), 1);
}

static void one_that_fails_is_an_error_and_nothing_is_kept(void **state)
{
        struct place *p = *state;

        make_python(p, "exit 3\n");
        ask(p, -EPIPE);
        make_python(p, "kill -9 $$\n");
        ask(p, -EPIPE);
        make_python(p, "echo hello\n");
        ask(p, -EBADMSG);
        assert_int_equal(faccessat(p->fd, "python", F_OK, 0), -1);
        unlinkat(p->fd, "fake", 0);
        ask(p, -ENOENT);
}

static void answers_are_bounded_in_size_and_time(void **state)
{
        struct place *p = *state;
        struct buf text cleanup_buf = { 0 };
        struct errtext err = { "" };

        make_python(p, "yes\n");
        assert_int_equal(interpreter_ask(p->python, &text, &err), -EFBIG);
        make_python(p, "exec sleep 1000\n");
        assert_int_equal(interpreter_ask_script(p->python, "", 50, &text, &err), -ETIMEDOUT);
        make_python(p, "exec >&-\nexec sleep 1000\n");
        assert_int_equal(interpreter_ask_script(p->python, "", 50, &text, &err), -ETIMEDOUT);
        assert_int_equal(text.len, 0);
}

static void its_input_is_empty(void **state)
{
        struct place *p = *state;
        struct buf text cleanup_buf = { 0 };
        struct errtext err = { "" };

        make_python(p, "cat; echo \"input ended\"\n");
        assert_int_equal(interpreter_ask(p->python, &text, &err), 0);
        assert_string_equal(text.data, "input ended\n");
}

static void every_line_of_an_answer_is_needed(void **state)
{
        static const char good[] = FACTS_CPYTHON_312;
        struct interpreter_facts f;

        (void)state;
        assert_int_equal(interpreter_parse_facts(good, strlen(good), &f), 0);
        assert_string_equal(f.libc, "glibc");
        assert_int_equal(f.pointer_bits, 64);
        assert_false(f.free_threaded);
        interpreter_release_facts(&f);
        for (const char *line = good; *line; line = strchr(line, '\n') + 1) {
                struct buf text cleanup_buf = { 0 };

                buf_add(&text, good, (size_t)(line - good));
                buf_add_str(&text, strchr(line, '\n') + 1);
                assert_int_equal(interpreter_parse_facts(text.data ? text.data : "", text.len, &f), -EBADMSG);
        }
}

/* The question itself, to a real Python. */
static void a_real_python_answers(void **state)
{
        const char *search = getenv("PATH");
        struct interpreter *python = NULL;
        const struct interpreter_facts *f = NULL;
        const struct tags *t = NULL;
        struct errtext err = { "" };
        char path[512] = "";

        (void)state;
        for (const char *p = search; p && *p; p += strcspn(p, ":") + (p[strcspn(p, ":")] == ':')) {
                snprintf(path, sizeof(path), "%.*s/python3", (int)strcspn(p, ":"), p);
                if (access(path, X_OK) == 0)
                        break;
        }
        assert_int_equal(interpreter_new(path, -1, &python), 0);
        if (interpreter_get_facts(python, &f, &err) < 0 || interpreter_get_tags(python, &t, &err) < 0)
                fail_msg("%s", err.text);
        assert_int_equal(f->major, 3);
        assert_int_equal(f->pointer_bits, sizeof(void *) * 8);
        assert_string_equal(f->platform_system, "Linux");
        assert_true(tags_count(t) > 100);
        interpreter_free(python);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(it_is_asked_once_for_as_long_as_it_is_the_same_file),
                TEST(a_cache_that_is_damaged_is_not_believed),
                TEST(the_link_is_followed_for_the_cache),
                TEST(one_that_fails_is_an_error_and_nothing_is_kept),
                TEST(answers_are_bounded_in_size_and_time),
                TEST(its_input_is_empty),
                cmocka_unit_test(every_line_of_an_answer_is_needed),
                cmocka_unit_test(a_real_python_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
