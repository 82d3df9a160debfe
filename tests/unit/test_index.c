#include "store/index.h"

#include "sample_index.h"

static void an_image_is_found_by_key_and_archive(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t id[SHA256_SIZE], key[SHA256_SIZE], image[SHA256_SIZE], archive[SHA256_SIZE], expected[SHA256_SIZE];

        assert_int_equal(expect_key(x, "key demo 1.0", NULL), -ENOENT);
        add(s, x, "demo", "1.0", id);
        sample_hash("key demo 1.0", key);
        sample_hash("archive demo 1.0", expected);
        assert_int_equal(index_find_key(x, key, image, archive), 0);
        assert_memory_equal(image, id, SHA256_SIZE);
        assert_memory_equal(archive, expected, SHA256_SIZE);
        assert_int_equal(expect_archive(x, "archive demo 1.0", id), 0);
        assert_int_equal(expect_archive(x, "key demo 1.0", NULL), -ENOENT);
        index_close(x);
        x = open_index(s);
        assert_int_equal(expect_key(x, "key demo 1.0", id), 0);
        index_close(x);
        store_close(s);
}

static void another_archive_may_give_the_same_image(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t id[SHA256_SIZE], archive[SHA256_SIZE], key[SHA256_SIZE];
        static const uint8_t zero[SHA256_SIZE];

        add(s, x, "demo", "1.0", id);
        sample_hash("repacked", archive);
        sample_hash("repacked key", key);
        assert_int_equal(index_add_archive(x, id, archive, NULL, "repacked.whl"), 0);
        assert_int_equal(expect_archive(x, "repacked", id), 0);
        assert_int_equal(expect_key(x, "repacked key", NULL), -ENOENT);
        assert_int_equal(index_add_archive(x, id, archive, key, "repacked.whl"), 0);
        assert_int_equal(expect_key(x, "repacked key", id), 0);
        assert_int_equal(index_add_archive(x, id, archive, zero, "repacked.whl"), 0);
        assert_int_equal(index_find_key(x, zero, archive, key), -ENOENT);
        expect_list(x, "demo==1.0 ");
        index_close(x);
        store_close(s);
}

static void a_row_whose_image_is_gone_is_forgotten(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t id[SHA256_SIZE], other[SHA256_SIZE];
        char name[80];

        add(s, x, "demo", "1.0", id);
        add(s, x, "other", "1.0", other);
        store_image_name(id, name);
        assert_int_equal(unlinkat(s->root_fd, name, 0), 0);
        assert_int_equal(expect_key(x, "key demo 1.0", NULL), -ENOENT);
        expect_list(x, "other==1.0 ");
        assert_int_equal(expect_archive(x, "archive demo 1.0", NULL), -ENOENT);
        assert_int_equal(expect_key(x, "key other 1.0", other), 0);
        index_close(x);
        store_close(s);
}

static int stop_at_first(const struct index_image *image, void *user)
{
        (void)image;
        ++*(int *)user;
        return 5;
}

static int expect_sizes(const struct index_image *image, void *user)
{
        (void)user;
        assert_int_equal(image->files, 3);
        assert_true(image->content > 200000);
        assert_true(image->bytes > 200000);
        assert_true(image->bytes < 203000);
        return 0;
}

static void images_are_listed_by_name_and_version(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t id[SHA256_SIZE];
        struct image *img;
        int calls = 0;

        expect_list(x, "");
        add(s, x, "zope", "1", id);
        add(s, x, "Babel", "2", id);
        add(s, x, "attrs", "2", id);
        add(s, x, "attrs", "1", id);
        expect_list(x, "attrs==1 attrs==2 Babel==2 zope==1 ");
        assert_int_equal(index_each_image(x, stop_at_first, &calls), 5);
        assert_int_equal(calls, 1);
        for (const char *p = "attrs 1\0attrs 2\0Babel 2\0zope 1\0"; *p; p += strlen(p) + 1) {
                char word[100];
                uint8_t key[SHA256_SIZE], image[SHA256_SIZE], archive[SHA256_SIZE];

                snprintf(word, sizeof word, "key %s", p);
                sample_hash(word, key);
                assert_int_equal(index_find_key(x, key, image, archive), 0);
                assert_int_equal(index_forget_image(x, image), 0);
        }
        expect_list(x, "");
        img = sample_image(s, "big", "1", 'o', 200000);
        assert_int_equal(index_add_image(x, img, "big.whl"), 0);
        image_close(img);
        assert_int_equal(index_each_image(x, expect_sizes, NULL), 0);
        index_close(x);
        store_close(s);
}

static void touching_is_harmless(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        uint8_t ids[2][SHA256_SIZE] = { 0 };

        add(s, x, "demo", "1.0", ids[0]);
        index_close(x);
        run_sql(s, "UPDATE images SET used = 5");
        x = open_index(s);
        assert_int_equal(index_touch(x, ids, 2), 0);
        assert_int_equal(index_touch(x, NULL, 0), 0);
        index_close(x);
        run_sql(s, "CREATE TEMP TABLE check_(n CHECK(n = 1)); INSERT INTO check_ SELECT count(*) FROM images"
                   " WHERE used > 1000000000");
        store_close(s);
}

static void leases_come_and_go(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);

        assert_int_equal(put_lease(x, "/b/.venv", UINT64_MAX, 7, "e1"), 0);
        assert_int_equal(put_lease(x, "/a/.venv", 1, 2, "e2"), 0);
        assert_int_equal(put_lease(x, "/a/.venv", 3, 4, "e3"), 0);
        assert_int_equal(put_lease(x, "/a/.venv", 5, 6, "e2"), 0);
        /* Two disks may have been mounted at one path, one after the other. */
        expect_leases(x, "/a/.venv 5 6 e2\n/a/.venv 3 4 e3\n/b/.venv 18446744073709551615 7 e1\n");
        assert_int_equal(drop_lease(x, "/b/.venv", "e1"), 0);
        assert_int_equal(drop_lease(x, "/absent", "e1"), 0);
        assert_int_equal(drop_lease(x, "/a/.venv", "e2"), 0);
        expect_leases(x, "/a/.venv 3 4 e3\n");
        index_close(x);
        store_close(s);
}

static int list_use(const uint8_t image[SHA256_SIZE], int64_t ended, void *user)
{
        return buf_printf(user, "%02x%s ", image[0], ended ? " ended" : "");
}

static void expect_uses(struct index *x, const struct index_lease *lease, const char *text)
{
        cleanup_buf struct buf b = { 0 };

        buf_add_str(&b, "");
        assert_int_equal(index_each_use(x, lease, list_use, &b), 0);
        assert_string_equal(b.data, text);
}

static void uses_end_and_begin_again(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = open_index(s);
        const struct index_lease a = { .venv = "/a", .environment = "e", .place = "p" };
        const struct index_lease b = { .venv = "/b", .environment = "e" };
        const uint8_t ids[3][SHA256_SIZE] = { { 1 }, { 2 }, { 3 } };

        assert_int_equal(index_put_lease(x, &a, ids, 2), 0);
        assert_int_equal(index_put_lease(x, &b, ids + 2, 1), 0);
        expect_uses(x, &a, "01 02 ");
        assert_int_equal(index_put_lease(x, &a, ids + 1, 2), 0);
        expect_uses(x, &a, "01 02 03 ");
        assert_int_equal(index_end_uses(x, &a, ids + 1, 2), 0);
        expect_uses(x, &a, "01 ended 02 03 ");
        assert_int_equal(index_put_lease(x, &a, ids, 1), 0);
        expect_uses(x, &a, "01 02 03 ");
        assert_int_equal(index_drop_use(x, &a, ids[1]), 0);
        expect_uses(x, &a, "01 03 ");
        assert_int_equal(index_drop_lease(x, &a), 0);
        expect_uses(x, &a, "");
        expect_uses(x, &b, "03 ");
        index_close(x);
        store_close(s);
}

static int count_doubted(const struct index_image *image, void *user)
{
        *(int *)user += image->doubted;
        return 0;
}

/* The images know nothing of leases: who finds the index gone must not take the images for unused. */
static void images_of_a_lost_index_are_doubted_until_trusted(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE), *reader;
        uint8_t id[SHA256_SIZE];
        struct index *x = open_index(s);
        int n = 0;

        add(s, x, "demo", "1.0", id);
        assert_int_equal(index_each_image(x, count_doubted, &n), 0);
        assert_int_equal(n, 0);
        index_close(x);
        unlinkat(s->root_fd, "index.db", 0);
        unlinkat(s->root_fd, "index.db-wal", 0);
        unlinkat(s->root_fd, "index.db-shm", 0);
        reader = sample_open(t, STORE_READ);
        x = open_index(reader);
        assert_int_equal(index_each_image(x, count_doubted, &n), 0);
        assert_int_equal(n, 1);
        index_close(x);
        store_close(reader);
        x = open_index(s);
        add(s, x, "demo", "1.0", id); /* again: the doubt stays */
        add(s, x, "demo", "2.0", id);
        n = 0;
        assert_int_equal(index_each_image(x, count_doubted, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(index_trust(x), 0);
        n = 0;
        assert_int_equal(index_each_image(x, count_doubted, &n), 0);
        assert_int_equal(n, 0);
        index_close(x);
        store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(an_image_is_found_by_key_and_archive),
                TEST(another_archive_may_give_the_same_image),
                TEST(a_row_whose_image_is_gone_is_forgotten),
                TEST(images_are_listed_by_name_and_version),
                TEST(touching_is_harmless),
                TEST(leases_come_and_go),
                TEST(uses_end_and_begin_again),
                TEST(images_of_a_lost_index_are_doubted_until_trusted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
