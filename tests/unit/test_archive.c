#include "store/archive.h"
#include "store/files.h"
#include "zip_fixture.h"

#include <isa-l/igzip_lib.h>
#include <setjmp.h>
#include <sys/mman.h>

#include <cmocka.h>

static int opened(struct zip_fixture *z, struct archive **ret, struct errtext *err)
{
        int fd = memfd_create("archive", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(file_write_full(fd, z->bytes.data, z->bytes.len), 0);
        return archive_open_fd(fd, ret, err);
}

/* LEN bytes that compress, but not to nothing. */
static uint8_t *some_bytes(size_t len)
{
        uint8_t *data = malloc(len + 1);
        uint32_t n = 1;

        assert_non_null(data);
        for (size_t i = 0; i < len; i++) {
                n = n * 1664525 + 1013904223;
                data[i] = (uint8_t)(n >> 30 | (i >> 6 & 0x1c));
        }
        return data;
}

static size_t deflated(const uint8_t *data, size_t len, uint8_t **ret)
{
        struct isal_zstream s;
        size_t room = len + len / 8 + 1000;

        *ret = malloc(room);
        assert_non_null(*ret);
        isal_deflate_stateless_init(&s);
        s.next_in = (uint8_t *)data;
        s.avail_in = (uint32_t)len;
        s.next_out = *ret;
        s.avail_out = (uint32_t)room;
        s.end_of_stream = 1;
        assert_int_equal(isal_deflate_stateless(&s), COMP_OK);
        return s.total_out;
}

struct collected {
        struct buf bytes;
        size_t pieces;
        int answer;
};

static int collect(const void *data, size_t len, void *user)
{
        struct collected *c = user;

        assert_true(len > 0 && len <= 256 << 10);
        c->pieces++;
        return c->answer < 0 ? c->answer : buf_add(&c->bytes, data, len);
}

static void members_of_all_sizes_come_out_as_they_went_in(void **state)
{
        static const size_t sizes[] = { 0, 1, 2, 255, 4096, 65535, 65536, (256 << 10) - 1, 256 << 10, (256 << 10) + 1,
                                        (512 << 10) + 1, 3000000 };

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
                size_t size = sizes[i / 2];
                cleanup_free uint8_t *data = some_bytes(size);
                cleanup_free uint8_t *payload = NULL;
                size_t stored = i % 2 ? deflated(data, size, &payload) : 0;
                struct zip_fixture z = { 0 };
                struct collected c = { 0 };
                struct archive *a = NULL;
                struct errtext err = { "" };

                zip_add(&z, "a", data, size, payload, stored);
                zip_finish(&z);
                assert_int_equal(opened(&z, &a, &err), 0);
                assert_int_equal(archive_check_local(a, &err), 0);
                if (archive_extract(a, 0, collect, &c, &err) < 0)
                        fail_msg("%zu bytes: %s", size, err.text);
                assert_int_equal(c.bytes.len, size);
                assert_true(size == 0 || memcmp(c.bytes.data, data, size) == 0);
                assert_true(c.pieces <= size / (128 << 10) + 2);
                buf_release(&c.bytes);
                archive_close(a);
                zip_release(&z);
        }
}

static void the_error_of_a_sink_is_handed_on(void **state)
{
        struct zip_fixture z = { 0 };
        struct collected c = { .answer = -ENOSPC };
        struct archive *a = NULL;

        (void)state;
        zip_add_text(&z, "a", "text");
        zip_finish(&z);
        assert_int_equal(opened(&z, &a, NULL), 0);
        assert_int_equal(archive_extract(a, 0, collect, &c, NULL), -ENOSPC);
        assert_int_equal(c.pieces, 1);
        archive_close(a);
        zip_release(&z);
}

static void a_member_is_read_whole_or_not_at_all(void **state)
{
        struct zip_fixture z = { 0 };
        cleanup_buf struct buf b = { 0 };
        struct archive *a = NULL;
        struct errtext err = { "" };
        size_t member = 7;

        (void)state;
        zip_add_text(&z, "first", "1");
        zip_add_text(&z, "dir/second", "12345");
        zip_finish(&z);
        assert_int_equal(opened(&z, &a, NULL), 0);
        assert_int_equal(archive_find(a, "second", &member), -ENOENT);
        assert_int_equal(archive_find(a, "dir/second", &member), 0);
        assert_int_equal(member, 1);
        assert_int_equal(buf_add_str(&b, "before "), 0);
        assert_int_equal(archive_read(a, member, 4, &b, &err), -EFBIG);
        assert_string_equal(b.data, "before ");
        assert_int_equal(archive_read(a, member, 5, &b, NULL), 0);
        assert_string_equal(b.data, "before 12345");
        archive_close(a);

        /* Its checksum now belongs to other bytes. */
        *(char *)memmem(z.bytes.data, z.bytes.len, "12345", 5) = 'x';
        assert_int_equal(opened(&z, &a, NULL), 0);
        assert_int_equal(archive_read(a, member, 5, &b, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "'dir/second' does not match its checksum"));
        assert_string_equal(b.data, "before 12345");
        archive_close(a);
        zip_release(&z);
}

static void a_folder_cannot_be_read(void **state)
{
        struct zip_fixture z = { 0 };
        cleanup_buf struct buf b = { 0 };
        struct archive *a = NULL;
        struct errtext err = { "" };

        (void)state;
        zip_add_text(&z, "folder/", "");
        zip_finish(&z);
        assert_int_equal(opened(&z, &a, NULL), 0);
        assert_true(a->members[0].is_dir);
        assert_string_equal(a->members[0].name.data, "folder");
        assert_int_equal(archive_read(a, 0, 100, &b, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "is a folder"));
        archive_close(a);
        zip_release(&z);
}

static void cutting_an_archive_anywhere_is_noticed(void **state)
{
        struct zip_fixture z = { 0 };
        size_t whole;

        (void)state;
        zip_add_text(&z, "a", "text");
        zip_add_text(&z, "b", "more text");
        zip_finish(&z);
        whole = z.bytes.len;
        for (z.bytes.len = 0; z.bytes.len < whole; z.bytes.len++) {
                struct archive *a = NULL;
                struct errtext err = { "" };

                assert_int_equal(opened(&z, &a, &err), -EBADMSG);
                assert_true(err.text[0] != '\0');
                assert_null(a);
        }
        zip_release(&z);
}

static void sizes_are_limited_by_the_caller_and_by_the_ratio(void **state)
{
        struct zip_fixture z = { 0 };
        struct archive *a = NULL;
        struct errtext err = { "" };

        (void)state;
        zip_add_text(&z, "a", "0123456789");
        zip_add_text(&z, "b", "0123456789");
        zip_finish(&z);
        assert_int_equal(opened(&z, &a, NULL), 0);
        assert_int_equal(archive_check_size(a, 0, &err), 0);
        assert_int_equal(archive_check_size(a, 20, &err), 0);
        assert_int_equal(archive_check_size(a, 19, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "20 bytes, more than the limit of 19"));
        a->members[0].size = 64 << 20;
        assert_int_equal(archive_check_size(a, 0, &err), -EBADMSG);
        a->file_size = 2 << 20;
        assert_int_equal(archive_check_size(a, 0, &err), 0);
        archive_close(a);
        zip_release(&z);
}

static void a_file_that_shrinks_meanwhile_is_an_error(void **state)
{
        struct zip_fixture z = { 0 };
        cleanup_buf struct buf b = { 0 };
        struct archive *a = NULL;
        struct errtext err = { "" };

        (void)state;
        zip_add_text(&z, "a", "text that will be gone");
        zip_finish(&z);
        assert_int_equal(opened(&z, &a, NULL), 0);
        assert_int_equal(ftruncate(a->fd, 40), 0);
        assert_true(archive_read(a, 0, 100, &b, &err) < 0);
        assert_non_null(strstr(err.text, "cannot be read"));
        archive_close(a);
        zip_release(&z);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_of_all_sizes_come_out_as_they_went_in),
                cmocka_unit_test(the_error_of_a_sink_is_handed_on),
                cmocka_unit_test(a_member_is_read_whole_or_not_at_all),
                cmocka_unit_test(a_folder_cannot_be_read),
                cmocka_unit_test(cutting_an_archive_anywhere_is_noticed),
                cmocka_unit_test(sizes_are_limited_by_the_caller_and_by_the_ratio),
                cmocka_unit_test(a_file_that_shrinks_meanwhile_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
