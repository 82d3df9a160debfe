#include "fs/environment.h"

#include "store/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <xxhash.h>

static const char zeros[] = "00000000000000000000000000000000";

static struct environment *small(void)
{
        struct store store = { .path = (char *)"/home/a b/store" };
        struct environment *e = NULL;
        struct slot *s = NULL;

        memcpy(store.id, zeros, sizeof(store.id));
        assert_int_equal(environment_new("lib/python3.12/site-packages", "3.12", &store, 022, &e), 0);
        e->generation = 7;
        e->time = 5000;
        assert_int_equal(environment_add_slot(e, &s), 0);
        s->time = 4000;
        s->requested = true;
        s->name = strdup("Six");
        s->version = strdup("1.17.0");
        s->filename = strdup("six-1.17.0-py2.py3-none-any.whl");
        s->url = strdup("file:///tmp/with%20space/six 1.whl");
        s->files = calloc(2, sizeof(*s->files));
        s->file_count = 2;
        s->files[0] = (struct generated_file){ strdup("INSTALLER"), GENERATED_BYTES, 6, 8, 0, 8, 1, { 0 } };
        s->files[1] = (struct generated_file){ strdup("RECORD"), GENERATED_RECORD, 6, 900, 8, 44, 0xff, { 0 } };
        assert_int_equal(environment_hide(e, "pip-24.dist-info"), 0);
        assert_int_equal(environment_hide(e, "attrs-1.dist-info"), 0);
        assert_int_equal(environment_hide(e, "pip-24.dist-info"), 0);
        e->dirs = calloc(2, sizeof(*e->dirs));
        e->dir_count = 2;
        e->dirs[0] = (struct dir_row){ strdup(""), 0, 4500, 4600 };
        e->dirs[1] = (struct dir_row){ strdup("a b/\xc3\xa9"), 0x1fffffffffull, 5000, 5000 };
        return e;
}

static void text_of(const struct environment *e, struct buf *ret)
{
        assert_int_equal(environment_format(e, ret), 0);
}

static void what_is_formatted_parses_to_the_same_text(void **state)
{
        struct environment *e = small(), *again = NULL;
        struct buf text cleanup_buf = { 0 }, second cleanup_buf = { 0 };
        struct errtext err = { "" };

        (void)state;
        text_of(e, &text);
        assert_int_equal(environment_parse(text.data, text.len, &again, &err), 0);
        text_of(again, &second);
        assert_string_equal(text.data, second.data);
        assert_string_equal(again->store_path, "/home/a b/store");
        assert_string_equal(again->slots[0].url, "file:///tmp/with%20space/six 1.whl");
        assert_true(again->slots[0].requested);
        assert_int_equal(again->slots[0].files[1].kind, GENERATED_RECORD);
        assert_string_equal(again->hidden[0], "attrs-1.dist-info");
        assert_int_equal(again->hidden_count, 2);
        assert_int_equal(again->dirs[1].id, 0x1fffffffffull);
        assert_string_equal(again->dirs[0].path, "");
        environment_free(e);
        environment_free(again);
}

static void the_text_is_as_the_header_says(void **state)
{
        struct environment *e = small();
        struct buf text cleanup_buf = { 0 };
        char expected[2048];

        (void)state;
        memcpy(e->id, "0123456789abcdef0123456789abcdef", 33);
        text_of(e, &text);
        snprintf(expected, sizeof(expected),
                 "fusepkg environment 1\nid 0123456789abcdef0123456789abcdef\ngeneration 7\ntime 5000\n"
                 "store %s /home/a%%20b/store\numask 022\npython 3.12\nsite lib/python3.12/site-packages\nnext 2\n"
                 "slot 1 %s%s 4000 r Six 1.17.0 %s%s six-1.17.0-py2.py3-none-any.whl "
                 "file:///tmp/with%%2520space/six%%201.whl\n"
                 "file b 6 8 0 8 0000000000000001 INSTALLER\nfile r 6 900 8 44 00000000000000ff RECORD\n"
                 "hide attrs-1.dist-info\nhide pip-24.dist-info\ndir 0 4500 4600 \ndir 1fffffffff 5000 5000 a%%20b/\xc3\xa9\n",
                 zeros, zeros, zeros, zeros, zeros);
        assert_int_equal(strncmp(text.data, expected, strlen(expected)), 0);
        assert_int_equal(text.len, strlen(expected) + 21);
        environment_free(e);
}

static void a_copy_is_equal_and_stands_alone(void **state)
{
        struct environment *e = small(), *copy = NULL;
        struct buf text cleanup_buf = { 0 }, second cleanup_buf = { 0 };

        (void)state;
        text_of(e, &text);
        assert_int_equal(environment_copy(e, &copy), 0);
        environment_free(e);
        text_of(copy, &second);
        assert_string_equal(text.data, second.data);
        environment_free(copy);
}

static void names_are_found_in_any_spelling(void **state)
{
        struct environment *e = small();
        struct slot *s = NULL;

        (void)state;
        assert_int_equal(environment_add_slot(e, &s), 0);
        assert_int_equal(s->number, 2);
        s->name = strdup("Foo.Bar_baz");
        assert_ptr_equal(environment_find(e, "foo-bar-BAZ"), s);
        assert_ptr_equal(environment_find(e, "six"), &e->slots[0]);
        assert_null(environment_find(e, "seven"));
        environment_free(e);
}

static void a_slot_number_is_never_used_again(void **state)
{
        struct environment *e = small();
        struct slot *s = NULL;

        (void)state;
        assert_int_equal(environment_remove_slot(e, 1), 0);
        assert_int_equal(environment_remove_slot(e, 1), -ENOENT);
        assert_int_equal(e->slot_count, 0);
        assert_int_equal(environment_add_slot(e, &s), 0);
        assert_int_equal(s->number, 2);
        s->name = strdup("two");
        s->time = 7;
        assert_int_equal(environment_add_slot(e, &s), 0);
        s->name = strdup("three");
        assert_int_equal(environment_renew_slot(e, 2), 0);
        assert_int_equal(environment_renew_slot(e, 2), -ENOENT);
        assert_int_equal(e->slot_count, 2);
        assert_string_equal(e->slots[0].name, "three");
        assert_string_equal(e->slots[1].name, "two");
        assert_int_equal(e->slots[1].number, 4);
        assert_int_equal(e->slots[1].time, 0);
        e->next_slot = ENVIRONMENT_SLOTS_MAX;
        assert_int_equal(environment_add_slot(e, &s), -ENOSPC);
        assert_int_equal(environment_renew_slot(e, 4), -ENOSPC);
        assert_int_equal(e->slot_count, 2);
        environment_free(e);
}

static void only_plain_names_are_hidden(void **state)
{
        struct environment *e = small();

        (void)state;
        assert_int_equal(environment_hide(e, ""), -EINVAL);
        assert_int_equal(environment_hide(e, "a/b"), -EINVAL);
        assert_int_equal(environment_hide(e, ".."), -EINVAL);
        assert_int_equal(e->hidden_count, 2);
        environment_free(e);
}

/* Replaces FROM by TO in a good text and makes the checksum right again, so that the field itself is judged. */
static int parse_with(const char *from, const char *to, struct errtext *err)
{
        struct environment *e = small(), *again = NULL;
        struct buf text cleanup_buf = { 0 }, changed cleanup_buf = { 0 };
        const char *at;
        int r;

        text_of(e, &text);
        environment_free(e);
        at = strstr(text.data, from);
        assert_non_null(at);
        buf_add(&changed, text.data, (size_t)(at - text.data));
        buf_add_str(&changed, to);
        buf_add(&changed, at + strlen(from), text.len - 21 - (size_t)(at - text.data) - strlen(from));
        buf_printf(&changed, "end %016llx\n", (unsigned long long)XXH3_64bits(changed.data, changed.len));
        err->text[0] = 0;
        r = environment_parse(changed.data, changed.len, &again, err);
        environment_free(again);
        return r;
}

static void each_wrong_field_is_refused_with_a_sentence(void **state)
{
        static const char *const cases[][2] = {
                { "fusepkg environment 1", "fusepkg environment 2" },
                { "fusepkg environment 1", "something else" },
                { "generation 7", "generation 07" },
                { "generation 7", "generation -1" },
                { "generation 7", "generation 5" },           /* a file of generation 6 */
                { "time 5000", "time 99999999999999999999" },
                { "time 5000", "time 4999" },                 /* a row later than the commit */
                { "time 5000\n", "time 5000 \n" },
                { "store 0", "store z" },
                { "/home/a%20b", "home/a%20b" },
                { "/home/a%20b", "/home/a%0" },
                { "/home/a%20b", "/home/%61%20b" },           /* not the one form */
                { "/home/a%20b", "/home/a%00b" },
                { "umask 022", "umask 22" },
                { "umask 022", "umask 7777" },
                { "python 3.12", "python 3" },
                { "python 3.12", "python 3.12/x" },
                { "site lib/python3.12/", "site /lib/python3.12/" },
                { "site lib/python3.12/", "site ../python3.12/" },
                { "site lib/python3.12/", "site lib//" },
                { "next 2", "next 1" },
                { "next 2", "next 2000000000" },
                { "next 2\n", "" },
                { "slot 1 ", "slot 0 " },
                { " 4000 r ", " 4000 x " },
                { " 4000 r ", " 0 r " },
                { " 4000 r ", " 5001 r " },
                { " Six ", "  " },
                { " Six ", " a/b " },
                { " Six 1.17.0", " Six" },
                { "file b 6 8 0 8", "file c 6 8 0 8" },
                { "file b 6 8 0 8", "file b 0 8 0 8" },
                { "file b 6 8 0 8", "file b 6 9 0 8" },
                { "INSTALLER", ".." },
                { "INSTALLER", "RECORD" },
                { "file r 6 900 8 44 00000000000000ff RECORD", "file r 6 900 8 44 00000000000000ff OTHER" },
                { "00000000000000ff RECORD", "ff RECORD" },
                { "hide attrs-1.dist-info\nhide pip-24.dist-info\n", "hide pip-24.dist-info\nhide attrs-1.dist-info\n" },
                { "hide attrs-1.dist-info\n", "hide attrs-1.dist-info\nhide attrs-1.dist-info\n" },
                { "hide attrs-1.dist-info", "hide a/b" },
                { "dir 0 4500 4600 \n", "dir 0 4500 4600\n" },
                { "dir 0 4500 4600 \n", "dir 4000000000000000 4500 4600 \n" },
                { "dir 1fffffffff 5000 5000 a", "dir 1fffffffff 5000 5000 /a" },
                { "dir 1fffffffff 5000 5000 a", "dir 1fffffffff 5000 5000 ../a" },
                { "dir 1fffffffff 5000 5000 a", "dir 1FFFFFFFFF 5000 5000 a" },
                { "dir 0 4500 4600 \n", "dir 0 4500 4600 zz\n" },
                { "dir 0 4500 4600 \n", "dir 0 4500 4600 \nmore\n" },
                { "dir 0 4500 4600 \n", "dir 0 4500 4600 \n\n" },
        };
        struct errtext err = { "" };

        (void)state;
        assert_int_equal(parse_with("umask 022", "umask 022", &err), 0);
        assert_int_equal(parse_with("python 3.12", "python 3.13t", &err), 0);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                int r = parse_with(cases[i][0], cases[i][1], &err);

                if (r != -EBADMSG || !err.text[0])
                        fail_msg("'%s' for '%s' gave %d '%s'", cases[i][1], cases[i][0], r, err.text);
        }
}

static void no_prefix_of_a_text_and_no_flipped_byte_is_taken(void **state)
{
        struct environment *e = small(), *again = NULL;
        struct buf text cleanup_buf = { 0 };

        (void)state;
        text_of(e, &text);
        for (size_t i = 0; i < text.len; i++) {
                char *piece cleanup_free = malloc(i + 1);

                memcpy(piece, text.data, i);
                assert_int_equal(environment_parse(piece, i, &again, NULL), -EBADMSG);
                text.data[i] ^= 1;
                assert_int_equal(environment_parse(text.data, text.len, &again, NULL), -EBADMSG);
                text.data[i] ^= 1;
        }
        environment_free(e);
}

static void loading_names_what_is_missing_or_damaged(void **state)
{
        char folder[] = "/tmp/test_environment.XXXXXX";
        struct environment *e = NULL;
        struct errtext err = { "" };
        int fd;

        (void)state;
        assert_non_null(mkdtemp(folder));
        fd = open(folder, O_RDONLY | O_DIRECTORY);
        assert_int_equal(environment_load(fd, &e, &err), -ENOENT);
        assert_int_equal(file_replace(fd, "environment", "junk", 4, 0644, false), 0);
        assert_int_equal(environment_load(fd, &e, &err), -EBADMSG);
        assert_string_equal(err.text, "cannot use '.fusepkg/environment': it is not an environment of fusepkg");
        assert_null(e);
        unlinkat(fd, "environment", 0);
        close(fd);
        rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_formatted_parses_to_the_same_text),
                cmocka_unit_test(the_text_is_as_the_header_says),
                cmocka_unit_test(a_copy_is_equal_and_stands_alone),
                cmocka_unit_test(names_are_found_in_any_spelling),
                cmocka_unit_test(a_slot_number_is_never_used_again),
                cmocka_unit_test(only_plain_names_are_hidden),
                cmocka_unit_test(each_wrong_field_is_refused_with_a_sentence),
                cmocka_unit_test(no_prefix_of_a_text_and_no_flipped_byte_is_taken),
                cmocka_unit_test(loading_names_what_is_missing_or_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
