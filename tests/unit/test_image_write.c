#include "store/image_write.h"

#include "sample_tree.h"

#include <fcntl.h>

/* Computed by another program, after FORMAT.md. */
static const char sample_id[] = "fc2f7a3f63f36f6a29b7501bea4b6f4fcbf79735d3ec0f74a8af51923844cd40";
static const char sample_record[] =
        "pkg-1.0.dist-info/METADATA,sha256=fzrr8gQ293qMDbIOMlWE_mScuYsgWmgJOF2fayAVj7w,10\r\n"
        "pkg/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\r\n"
        "pkg/a.py,sha256=Yr2yCN5txrFppGf2RvUMo55sID-m9nMkMWJNjewed_s,11\r\n"
        "pkg/big.bin,sha256=3w9jBvz7IsrcGemGivByjqlETDY8VawgXEeCqCcXbZ4,200000\r\n"
        "pkg/copy.bin,sha256=3w9jBvz7IsrcGemGivByjqlETDY8VawgXEeCqCcXbZ4,200000\r\n"
        "\"pkg/q\"\"u,o.py\",sha256=jjXCzTv2ZBvbDiBQt2kyy7LmA0oN2swdm-qCprpX988,1\r\n"
        "pkg/sub/b.py,sha256=gUX_t65JGJopeG1462lec2_LCDSw2TGVrYE3FgyotKk,6\r\n";

static struct image *open_sample(int fd)
{
        struct image *img = NULL;
        struct errtext err = { "" };

        if (image_open(fd, &img, &err) < 0)
                fail_msg("%s", err.text);
        return img;
}

static void the_id_is_the_hash_of_the_canonical_tree(void **state)
{
        uint8_t id[SHA256_SIZE];
        char hex[SHA256_HEX_SIZE];

        (void)state;
        close(sample_image(false, id));
        hex_encode(id, sizeof(id), hex);
        assert_string_equal(hex, sample_id);
}

static void equal_trees_have_equal_ids_whatever_the_order(void **state)
{
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

        (void)state;
        close(sample_image(false, a));
        close(sample_image(true, b));
        assert_memory_equal(a, b, sizeof(a));
}

static void an_image_says_what_it_was_told(void **state)
{
        uint8_t id[SHA256_SIZE];
        int fd = sample_image(false, id);
        struct image *img = open_sample(fd);
        const struct image_meta *meta = image_meta(img);

        (void)state;
        assert_memory_equal(image_id(img), id, sizeof(id));
        assert_memory_equal(image_archive(img), sample_info.archive, SHA256_SIZE);
        assert_memory_equal(image_key(img), sample_info.key, SHA256_SIZE);
        assert_string_equal(meta->name, "pkg");
        assert_string_equal(meta->version, "1.0");
        assert_string_equal(meta->dist_info, "pkg-1.0.dist-info");
        assert_string_equal(meta->requires_python, ">=3.9");
        assert_true(meta->record_matched);
        assert_int_equal(image_files(img), ARRAY_LEN(sample_tree));
        assert_int_equal(image_objects(img), 1); /* two files, one content */
        assert_int_equal(image_content_size(img), 2 * SAMPLE_BIG + 11 + 10 + 9 + 4 + 6 + 1);
        assert_int_equal(image_time(img), 634296188);
        image_close(img);
        close(fd);
}

static void the_record_body_lists_what_is_in_site_packages(void **state)
{
        uint8_t id[SHA256_SIZE];
        int fd = sample_image(false, id);
        struct image *img = open_sample(fd);
        cleanup_buf struct buf record = { 0 };

        (void)state;
        assert_int_equal(image_read_record(img, fd, &record), 0);
        assert_string_equal(record.data, sample_record);
        assert_int_equal(image_record_size(img), strlen(sample_record));
        image_close(img);
        close(fd);
}

static void an_image_may_be_empty(void **state)
{
        int fd = memfd_create("image", MFD_CLOEXEC);
        struct image_writer *w = NULL;
        uint8_t id[SHA256_SIZE];
        char hex[SHA256_HEX_SIZE];
        struct image *img;

        (void)state;
        assert_int_equal(image_writer_new(fd, &w), 0);
        assert_int_equal(image_writer_finish(w, &sample_info, id, NULL), 0);
        image_writer_free(w);
        hex_encode(id, sizeof(id), hex);
        assert_string_equal(hex, "19601ac1d6befc2051086b9c5a0f9342390e963bd1a88a6dd01e830c44cd15db");
        img = open_sample(fd);
        assert_int_equal(image_entries(img), 1);
        image_close(img);
        close(fd);
}

static int finish_two(const char *a, const char *b)
{
        int fd = memfd_create("image", MFD_CLOEXEC);
        struct image_writer *w = NULL;
        struct errtext err = { "" };
        uint8_t id[SHA256_SIZE];
        int r;

        assert_int_equal(image_writer_new(fd, &w), 0);
        assert_int_equal(image_writer_add(w, &(struct image_file){ .path = a }), 0);
        assert_int_equal(image_writer_add(w, &(struct image_file){ .path = b }), 0);
        r = image_writer_finish(w, &sample_info, id, &err);
        assert_true(r == 0 || err.text[0] != '\0');
        image_writer_free(w);
        close(fd);
        return r;
}

static void one_path_cannot_be_two_things(void **state)
{
        (void)state;
        assert_int_equal(finish_two("site/a", "site/a"), -EEXIST);
        assert_int_equal(finish_two("site/a", "site/a/b"), -EEXIST);
        assert_int_equal(finish_two("site/a/b", "site/a"), -EEXIST);
        assert_int_equal(finish_two("site/a/b", "site/a-"), 0);
        assert_int_equal(finish_two("site/a", "data/a"), 0);
}

static int add_path(const char *path)
{
        struct image_writer *w = NULL;
        int r;

        assert_int_equal(image_writer_new(-1, &w), 0);
        r = image_writer_add(w, &(struct image_file){ .path = path });
        image_writer_free(w);
        return r;
}

static void paths_that_no_image_may_hold_are_refused(void **state)
{
        static const char *const bad[] = { "", "site", "site/", "/site/a", "a", "other/a", "site//a", "site/./a",
                                           "site/../a", "site/a/", "site/a/..", "sitex/a" };
        char path[IMAGE_PATH_MAX + 2];

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                assert_int_equal(add_path(bad[i]), -EINVAL);
        assert_int_equal(add_path("site/..a/..."), 0);
        memset(path, 'x', sizeof(path));
        memcpy(path, "site/", 5);
        path[5 + IMAGE_NAME_MAX + 1] = '\0';
        assert_int_equal(add_path(path), -ENAMETOOLONG);
        path[5 + IMAGE_NAME_MAX] = '\0';
        assert_int_equal(add_path(path), 0);
        for (size_t i = 5; i + 1 < sizeof(path); i++)
                path[i] = i % 2 == 0 ? '/' : 'x';
        path[IMAGE_PATH_MAX] = 'x';
        path[sizeof(path) - 1] = '\0';
        assert_int_equal(add_path(path), -ENAMETOOLONG);
}

static void files_must_lie_in_blocks_that_are_there(void **state)
{
        int fd = memfd_create("image", MFD_CLOEXEC);
        struct image_file f = { .path = "site/a", .size = 4, .block = 1, .block_offset = 1 };
        struct image_writer *w = NULL;
        uint8_t id[SHA256_SIZE];

        (void)state;
        assert_int_equal(image_writer_new(fd, &w), 0);
        assert_int_equal(image_writer_add(w, &f), 0);
        assert_int_equal(image_writer_finish(w, &sample_info, id, NULL), -EINVAL);
        assert_int_equal(image_writer_block(w, 1, "1234", 4, 4), 0);
        assert_int_equal(image_writer_block(w, 1, "1234", 4, 4), -EEXIST);
        assert_int_equal(image_writer_finish(w, &sample_info, id, NULL), -EINVAL); /* block 0 is missing */
        assert_int_equal(image_writer_block(w, 0, "1234", 4, 4), 0);
        assert_int_equal(image_writer_finish(w, &sample_info, id, NULL), -EINVAL); /* one byte too far */
        image_writer_free(w);
        close(fd);
}

static void a_full_disk_is_an_error(void **state)
{
        int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
        struct image_writer *w = NULL;
        uint8_t id[SHA256_SIZE];

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(image_writer_new(fd, &w), 0);
        assert_int_equal(image_writer_block(w, 0, "1234", 4, 4), -ENOSPC);
        image_writer_free(w);
        assert_int_equal(image_writer_new(fd, &w), 0);
        assert_int_equal(image_writer_finish(w, &sample_info, id, NULL), -ENOSPC);
        image_writer_free(w);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_id_is_the_hash_of_the_canonical_tree),
                cmocka_unit_test(equal_trees_have_equal_ids_whatever_the_order),
                cmocka_unit_test(an_image_says_what_it_was_told),
                cmocka_unit_test(the_record_body_lists_what_is_in_site_packages),
                cmocka_unit_test(an_image_may_be_empty),
                cmocka_unit_test(one_path_cannot_be_two_things),
                cmocka_unit_test(paths_that_no_image_may_hold_are_refused),
                cmocka_unit_test(files_must_lie_in_blocks_that_are_there),
                cmocka_unit_test(a_full_disk_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
