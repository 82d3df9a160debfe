#include "tools/gc_roots.h"

#include "sample_store.h"

static const char head[] = "fusepkg environment 1\nid 00112233445566778899aabbccddeeff\ngeneration 7\ntime 1\n"
                           "store ffeeddccbbaa99887766554433221100 /store\n";

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void put(const struct sample *t, const char *name, const char *a, const char *b)
{
        cleanup_buf struct buf text = { 0 };

        buf_add_str(&text, a);
        buf_add_str(&text, b);
        assert_int_equal(file_replace(t->folder_fd, name, text.data, text.len, 0644, false), 0);
}

static void put_history(const struct sample *t, const char *name, const char *text)
{
        cleanup_close int fd = dir_make(t->folder_fd, "history", 0755);

        assert_true(fd >= 0);
        assert_int_equal(file_replace(fd, name, text, strlen(text), 0644, false), 0);
}

static int list_image(const uint8_t image[SHA256_SIZE], uint64_t generation, bool current, void *user)
{
        return buf_printf(user, "%02x %llu%s;", image[0], (unsigned long long)generation, current ? " now" : "");
}

static void expect(const struct sample *t, const char *images, bool whole, bool damaged)
{
        cleanup_buf struct buf b = { 0 };
        struct gc_environment e;
        bool is_whole;

        buf_add_str(&b, "");
        assert_int_equal(gc_environment_read(t->folder_fd, list_image, &b, &e, &is_whole), 0);
        assert_string_equal(b.data, images);
        assert_int_equal(is_whole, whole);
        assert_int_equal(e.damaged, damaged);
}

static void the_environment_and_its_history_are_read(void **state)
{
        const struct sample *t = *state;
        struct gc_environment e;
        cleanup_buf struct buf b = { 0 };
        bool whole;

        assert_int_equal(gc_environment_read(t->folder_fd, list_image, &b, &e, &whole), -ENOENT);
        put(t, "environment", head, "slot 1 " A " 5 r x 1\nend 0\n");
        expect(t, "aa 7 now;", true, false);
        put_history(t, "7", "slot 1 " A " 5\n"); /* the same once more */
        put_history(t, "6", "slot 2 " B " 5\nend 0\n");
        put_history(t, "6.tmp-1", "slot 2 " A " 5\nend 0\n");
        expect(t, "aa 7 now;bb 6;", true, false);
        assert_int_equal(gc_environment_read(t->folder_fd, list_image, &b, &e, &whole), 0);
        assert_string_equal(e.id, "00112233445566778899aabbccddeeff");
        assert_string_equal(e.store_id, "ffeeddccbbaa99887766554433221100");
        assert_int_equal(e.generation, 7);
}

static void what_is_damaged_names_what_it_can(void **state)
{
        const struct sample *t = *state;

        put(t, "environment", head, "slot 1 " A " 5 r x 1\nslot 2 " B);
        expect(t, "aa 7 now;bb 7 now;", false, true);
        put(t, "environment", head, "slot 1 " A " 5 r x 1\nend 0\nmore");
        expect(t, "aa 7 now;", false, true);
        put(t, "environment", "", "slot\nslot 1\nslot 1 xyz\nslots 1 " A "\nslot 1 " A "a\nend 0\n");
        expect(t, "", false, true);
        put(t, "environment", "", "");
        expect(t, "", false, true);
        put(t, "environment", head, "end 0\n");
        put_history(t, "3", "slot 1 " A "\nwhat comes next is not kn");
        expect(t, "aa 3;", true, false);
}

/* A venv may be another user's. */
static void what_is_no_file_is_not_waited_for(void **state)
{
        const struct sample *t = *state;
        struct gc_environment e;
        bool whole;

        assert_int_equal(mkfifoat(t->folder_fd, "environment", 0644), 0);
        assert_true(gc_environment_read(t->folder_fd, list_image, NULL, &e, &whole) < 0);
        assert_int_equal(unlinkat(t->folder_fd, "environment", 0), 0);
        put(t, "environment", head, "end 0\n");
        put_history(t, "1", "");
        assert_int_equal(mkfifoat(t->folder_fd, "history/2", 0644), 0);
        expect(t, "", false, false);
        assert_int_equal(unlinkat(t->folder_fd, "history/2", 0), 0);
        assert_int_equal(symlinkat("/etc/passwd", t->folder_fd, "history/2"), 0);
        expect(t, "", false, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(the_environment_and_its_history_are_read),
                TEST(what_is_damaged_names_what_it_can),
                TEST(what_is_no_file_is_not_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
