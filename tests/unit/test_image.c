#include "store/image.h"

#include "sample_tree.h"

#include "store/files.h"

#include <sys/stat.h>

struct opened {
        struct image *img;
        int fd;
        uint8_t *bytes; /* of the file */
        size_t size;
};

static int setup(void **state)
{
        struct opened *o = calloc(1, sizeof(*o));
        uint8_t id[SHA256_SIZE];
        struct stat st;

        o->fd = sample_image(false, id);
        assert_int_equal(image_open(o->fd, &o->img, NULL), 0);
        assert_int_equal(fstat(o->fd, &st), 0);
        o->size = (size_t)st.st_size;
        o->bytes = malloc(o->size);
        assert_int_equal(file_pread_full(o->fd, o->bytes, o->size, 0), 0);
        *state = o;
        return 0;
}

static int teardown(void **state)
{
        struct opened *o = *state;

        image_close(o->img);
        close(o->fd);
        free(o->bytes);
        free(o);
        return 0;
}

static int memory_file(const void *data, size_t size)
{
        int fd = memfd_create("copy", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(file_write_full(fd, data, size), 0);
        return fd;
}

static void every_path_is_found(void **state)
{
        struct opened *o = *state;

        for (size_t i = 0; i < ARRAY_LEN(sample_tree); i++) {
                cleanup_buf struct buf path = { 0 };
                struct image_entry e;
                uint32_t number;

                assert_int_equal(image_find(o->img, sample_tree[i].path, &number), 0);
                e = image_entry(o->img, number);
                assert_int_equal(e.executable, sample_tree[i].executable);
                assert_int_equal(e.type, sample_tree[i].text != NULL ? IMAGE_FILE : IMAGE_OBJECT);
                assert_int_equal(image_path(o->img, number, &path), 0);
                assert_string_equal(path.data, sample_tree[i].path);
        }
}

static void other_paths_are_not_found(void **state)
{
        static const char *const absent[] = { "pkg", "/site", "site//pkg", "site/pkg/a.py/x", "site/pkg/a",
                                              "site/.", "site/..", "site/pkg/A.py" };
        struct opened *o = *state;
        uint32_t number = 77;

        for (size_t i = 0; i < ARRAY_LEN(absent); i++)
                assert_int_equal(image_find(o->img, absent[i], &number), -ENOENT);
        assert_int_equal(number, 77);
        assert_int_equal(image_find(o->img, "", &number), 0);
        assert_int_equal(number, 0);
}

static void a_directory_lists_its_children_by_cookie(void **state)
{
        struct opened *o = *state;
        uint32_t number, seen = 0, subdirs = 0;
        struct image_entry dir;
        uint64_t cookie = 0;

        assert_int_equal(image_find(o->img, "site/pkg", &number), 0);
        dir = image_entry(o->img, number);
        assert_int_equal(dir.children, 6);
        for (uint32_t n = image_seek(o->img, number, 0); n < dir.first_child + dir.children;
             n = image_seek(o->img, number, cookie + 1)) {
                struct image_entry e = image_entry(o->img, n);

                assert_true(e.cookie > cookie && e.cookie < UINT64_C(1) << 63);
                assert_int_equal(e.cookie, image_cookie(e.name.data, e.name.len));
                assert_int_equal(e.parent, number);
                cookie = e.cookie;
                subdirs += e.type == IMAGE_DIR;
                seen++;
        }
        assert_int_equal(seen, dir.children);
        assert_int_equal(subdirs, dir.subdirs);
        assert_int_equal(subdirs, 1);
}

static void files_hold_their_bytes(void **state)
{
        struct opened *o = *state;

        for (size_t i = 0; i < ARRAY_LEN(sample_tree); i++) {
                cleanup_buf struct buf text = { 0 };
                uint32_t number;

                assert_int_equal(image_find(o->img, sample_tree[i].path, &number), 0);
                if (sample_tree[i].text == NULL) {
                        assert_int_equal(image_read_file(o->img, o->fd, number, &text), -EINVAL);
                        continue;
                }
                assert_int_equal(image_read_file(o->img, o->fd, number, &text), 0);
                assert_int_equal(text.len, strlen(sample_tree[i].text));
                assert_memory_equal(text.data != NULL ? text.data : "", sample_tree[i].text, text.len);
        }
}

static void objects_are_read_from_anywhere(void **state)
{
        static const uint64_t places[] = { 0, 1, 4096, 65535, 65536, 65537, 131071, 196608, 199999, 200000, 200001 };
        static const size_t lengths[] = { 0, 1, 100, 65535, 65536, 65537, 131072, 200000, 300000 };
        struct opened *o = *state;
        uint8_t *big = sample_big();
        uint8_t *got = malloc(300000);
        int fd = memory_file(big, SAMPLE_BIG);

        for (size_t i = 0; i < ARRAY_LEN(places); i++)
                for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
                        size_t left = places[i] < SAMPLE_BIG ? SAMPLE_BIG - (size_t)places[i] : 0;
                        size_t want = lengths[k] < left ? lengths[k] : left;

                        memset(got, 0xaa, 300000);
                        assert_int_equal(image_read_object(o->img, fd, 0, got, lengths[k], places[i]), want);
                        if (want > 0)
                                assert_memory_equal(got, big + places[i], want);
                        if (want < 300000)
                                assert_int_equal(got[want], 0xaa);
                }
        close(fd);
        free(big);
        free(got);
}

static void a_broken_object_is_an_error(void **state)
{
        struct opened *o = *state;
        uint8_t *big = sample_big();
        uint8_t got[10];
        int fd;

        big[70000] ^= 1;
        fd = memory_file(big, SAMPLE_BIG);
        assert_int_equal(image_read_object(o->img, fd, 0, got, 10, 0), 10);
        assert_int_equal(image_read_object(o->img, fd, 0, got, 10, 65530), -EIO);
        assert_int_equal(image_read_object(o->img, fd, 0, got, 10, 131000), -EIO); /* the same 64 KiB */
        assert_int_equal(ftruncate(fd, 199999), 0);
        assert_int_equal(image_read_object(o->img, fd, 0, got, 10, 199000), -EIO);
        close(fd);
        free(big);
}

/* Looks at everything; returns how many contents could not be read. */
static unsigned touch_all(const struct image *img, int fd)
{
        cleanup_free void *block = malloc(BLOCK_MAX_SIZE);
        cleanup_buf struct buf record = { 0 };
        unsigned bad = 0;

        for (uint32_t i = 0; i < image_entries(img); i++) {
                cleanup_buf struct buf path = { 0 };
                cleanup_buf struct buf text = { 0 };
                struct image_entry e = image_entry(img, i);
                uint32_t found = 0;

                assert_int_equal(image_path(img, i, &path), 0);
                assert_int_equal(image_find(img, path.data != NULL ? path.data : "", &found), 0);
                assert_int_equal(found, i);
                if (e.type == IMAGE_FILE)
                        bad += image_read_file(img, fd, i, &text) != 0;
                else if (e.type == IMAGE_OBJECT)
                        bad += image_read_object(img, fd, e.object, block, 100, e.size - 1) < 0;
                else
                        assert_true(image_seek(img, i, UINT64_MAX) == e.first_child + e.children);
        }
        for (uint32_t i = 0; i < image_blocks(img); i++)
                bad += image_read_block(img, fd, i, block) < 0;
        assert_int_equal(image_read_block(img, fd, image_blocks(img), block), -EINVAL);
        bad += image_read_record(img, fd, &record) != 0;
        return bad;
}

static void every_truncation_is_noticed(void **state)
{
        struct opened *o = *state;

        for (size_t size = 0; size < o->size; size++) {
                int fd = memory_file(o->bytes, size);
                struct errtext err = { "" };
                struct image *img = NULL;

                assert_int_equal(image_open(fd, &img, &err), -EBADMSG);
                assert_true(err.text[0] != '\0');
                assert_null(img);
                /* Truncated after it was opened: what is gone is an error, the rest is right. */
                assert_true(touch_all(o->img, fd) > 0);
                close(fd);
        }
}

static void every_flipped_byte_is_noticed(void **state)
{
        static const uint8_t flips[] = { 0x01, 0x80, 0xff };
        struct opened *o = *state;
        unsigned sound = touch_all(o->img, o->fd); /* objects are not in this file */

        for (size_t at = 0; at < o->size; at++)
                for (size_t k = 0; k < ARRAY_LEN(flips); k++) {
                        struct image *img = NULL;
                        int fd, r;

                        o->bytes[at] ^= flips[k];
                        fd = memory_file(o->bytes, o->size);
                        r = image_open(fd, &img, NULL);
                        if (r == 0)
                                assert_true(touch_all(img, fd) > sound);
                        else
                                assert_int_equal(r, -EBADMSG);
                        image_close(img);
                        close(fd);
                        o->bytes[at] ^= flips[k];
                }
}

/* A file whose sums were made to fit: what a sum cannot tell the checks must. */
static void no_index_leads_out_of_the_memory(void **state)
{
        static const uint8_t flips[] = { 0x01, 0x02, 0x04, 0x80, 0xff };
        struct opened *o = *state;
        struct image_header_disk h;
        size_t index_size, index;

        memcpy(&h, o->bytes, sizeof(h));
        index_size = (size_t)le64_get(h.index_size);
        index = o->size - index_size;
        for (size_t at = 0; at < o->size; at++)
                for (size_t k = 0; k < ARRAY_LEN(flips); k++) {
                        cleanup_free uint8_t *copy = malloc(sizeof(h) + index_size);
                        struct image *img = NULL;
                        uint8_t before = o->bytes[at];
                        int r;

                        if (at >= IMAGE_HEADER_SIZE && at < index)
                                continue;
                        o->bytes[at] = before ^ flips[k];
                        memcpy(&h, o->bytes, sizeof(h));
                        h.index_sum = le64_put(XXH3_64bits(o->bytes + index, index_size));
                        h.header_sum = le64_put(XXH3_64bits(&h, offsetof(struct image_header_disk, header_sum)));
                        memcpy(copy, &h, sizeof(h));
                        memcpy(copy + sizeof(h), o->bytes + index, index_size);
                        r = image_parse(copy, sizeof(h) + index_size, o->size, &img, NULL);
                        if (r == 0)
                                touch_all(img, o->fd);
                        else
                                assert_true(r == -EBADMSG || r == -ENOTSUP);
                        image_close(img);
                        o->bytes[at] = before;
                }
}

static void a_newer_version_is_not_supported(void **state)
{
        struct opened *o = *state;
        struct image_header_disk *h = (struct image_header_disk *)o->bytes;
        struct image *img = NULL;
        int fd;

        h->version = le32_put(IMAGE_VERSION + 1);
        h->header_sum = le64_put(XXH3_64bits(h, offsetof(struct image_header_disk, header_sum)));
        fd = memory_file(o->bytes, o->size);
        assert_int_equal(image_open(fd, &img, NULL), -ENOTSUP);
        close(fd);
}

static void cookies_leave_room_for_the_dots(void **state)
{
        char name[24];

        (void)state;
        for (int i = 0; i < 100000; i++) {
                int len = snprintf(name, sizeof(name), "%d", i);
                uint64_t cookie = image_cookie(name, (size_t)len);

                assert_true(cookie >= IMAGE_COOKIE_MIN && cookie < UINT64_C(1) << 63);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(every_path_is_found, setup, teardown),
                cmocka_unit_test_setup_teardown(other_paths_are_not_found, setup, teardown),
                cmocka_unit_test_setup_teardown(a_directory_lists_its_children_by_cookie, setup, teardown),
                cmocka_unit_test_setup_teardown(files_hold_their_bytes, setup, teardown),
                cmocka_unit_test_setup_teardown(objects_are_read_from_anywhere, setup, teardown),
                cmocka_unit_test_setup_teardown(a_broken_object_is_an_error, setup, teardown),
                cmocka_unit_test_setup_teardown(every_truncation_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(every_flipped_byte_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(no_index_leads_out_of_the_memory, setup, teardown),
                cmocka_unit_test_setup_teardown(a_newer_version_is_not_supported, setup, teardown),
                cmocka_unit_test(cookies_leave_room_for_the_dots),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
