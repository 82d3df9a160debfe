#include "store/verify.h"

#include "sample_index.h"

#include <sys/stat.h>

enum { OBJECT_SIZE = 150000 };

/* What verify_store said, as lines "path kind package package", sorted by nothing. */
struct said {
        struct buf lines;
        uint64_t done;
        uint64_t total;
};

static void note_error(const struct verify_error *e, void *user)
{
        struct said *said = user;

        assert_int_equal(buf_printf(&said->lines, "%s %s", e->path, e->kind), 0);
        for (size_t i = 0; e->packages[i]; i++)
                assert_int_equal(buf_printf(&said->lines, " %s", e->packages[i]), 0);
        assert_int_equal(buf_add_char(&said->lines, '\n'), 0);
}

static void note_progress(uint64_t done, uint64_t total, void *user)
{
        struct said *said = user;

        assert_true(done >= said->done);
        assert_true(done <= total);
        said->done = done;
        said->total = total;
}

static int verify(const struct store *s, struct said *said, unsigned threads)
{
        const struct verify_options o = { threads, note_error, note_progress, said };
        struct errtext err = { "" };
        int r;

        buf_clear(&said->lines);
        buf_add_str(&said->lines, "");
        said->done = said->total = 0;
        r = verify_store(s, &o, &err);
        if (r < 0)
                fail_msg("verify_store: %s", err.text);
        return r;
}

static void expect_one(const struct store *s, const char *line)
{
        struct said said = { 0 };

        assert_int_equal(verify(s, &said, 3), 1);
        assert_string_equal(said.lines.data, line);
        buf_release(&said.lines);
}

static void expect_clean(const struct store *s)
{
        struct said said = { 0 };

        assert_int_equal(verify(s, &said, 2), 0);
        assert_string_equal(said.lines.data, "");
        assert_true(said.done == said.total);
        buf_release(&said.lines);
}

/* Two versions of a package that share one object, and another package without objects; in the index, too. */
struct filled {
        struct store *s;
        uint8_t one[SHA256_SIZE], two[SHA256_SIZE], other[SHA256_SIZE], object[SHA256_SIZE];
};

static void fill(const struct sample *t, struct filled *f)
{
        struct index *x = NULL;
        struct errtext err;
        struct image *img;

        f->s = sample_open(t, STORE_CREATE);
        assert_int_equal(index_open(f->s, &x, &err), 0);
        img = sample_image(f->s, "demo", "1.0", 'o', OBJECT_SIZE);
        memcpy(f->one, image_id(img), SHA256_SIZE);
        memcpy(f->object, image_object(img, 0).id, SHA256_SIZE);
        assert_int_equal(index_add_image(x, img, "demo.whl"), 0);
        image_close(img);
        img = sample_image(f->s, "demo", "2.0", 'o', OBJECT_SIZE);
        memcpy(f->two, image_id(img), SHA256_SIZE);
        assert_int_equal(index_add_image(x, img, "demo.whl"), 0);
        image_close(img);
        img = sample_image(f->s, "other", "3", 0, 0);
        memcpy(f->other, image_id(img), SHA256_SIZE);
        assert_int_equal(index_add_image(x, img, "other.whl"), 0);
        image_close(img);
        index_close(x);
}

static void flip(const struct store *s, const char *name, off_t offset)
{
        char path[200], c;
        int fd;

        snprintf(path, sizeof path, "%s/%s", s->path, name);
        assert_int_equal(chmod(path, 0644), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &c, 1, offset), 1);
        c = (char)(c ^ 0x10);
        assert_int_equal(pwrite(fd, &c, 1, offset), 1);
        close(fd);
}

static off_t size_of(const struct store *s, const char *name)
{
        struct stat st;

        assert_int_equal(fstatat(s->root_fd, name, &st, 0), 0);
        return st.st_size;
}

static void a_whole_store_has_no_errors(void **state)
{
        struct filled f;

        fill(*state, &f);
        expect_clean(f.s);
        assert_int_equal(verify_image(f.s, f.one), 0);
        assert_int_equal(verify_image(f.s, f.other), 0);
        store_close(f.s);
}

static void an_empty_store_has_none_either(void **state)
{
        struct store *s = sample_open(*state, STORE_CREATE);

        expect_clean(s);
        store_close(s);
}

static void a_reader_of_the_store_can_verify_it(void **state)
{
        struct filled f;
        struct store *reader;

        fill(*state, &f);
        reader = sample_open(*state, STORE_READ);
        expect_clean(reader);
        store_close(reader);
        store_close(f.s);
}

static void every_flipped_byte_of_an_image_is_found(void **state)
{
        struct filled f;
        char name[80];
        off_t size;

        fill(*state, &f);
        store_image_name(f.other, name);
        size = size_of(f.s, name);
        assert_true(size > 256 && size < 5000);
        for (off_t i = 0; i < size; i++) {
                flip(f.s, name, i);
                if (verify_image(f.s, f.other) == 0)
                        fail_msg("byte %ld of %ld", (long)i, (long)size);
                flip(f.s, name, i);
        }
        assert_int_equal(verify_image(f.s, f.other), 0);
        store_close(f.s);
}

static void a_damaged_image_is_named_with_its_package(void **state)
{
        static const off_t places[] = { 0, 20, 30, 130, 200, 250, 260 };
        struct filled f;
        char name[80], line[200];

        fill(*state, &f);
        store_image_name(f.other, name);
        snprintf(line, sizeof line, "%s corrupt other==3\n", name);
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                flip(f.s, name, places[i]);
                expect_one(f.s, line);
                flip(f.s, name, places[i]);
        }
        flip(f.s, name, size_of(f.s, name) - 1);
        expect_one(f.s, line);
        store_close(f.s);
}

static void a_truncated_image_is_named_at_every_length(void **state)
{
        struct filled f;
        char name[80], line[200];

        fill(*state, &f);
        store_image_name(f.other, name);
        snprintf(line, sizeof line, "%s truncated other==3\n", name);
        for (off_t size = size_of(f.s, name) - 1; size > 0; size -= 97) {
                assert_int_equal(sample_truncate(f.s, name, size), 0);
                expect_one(f.s, line);
        }
        assert_int_equal(sample_truncate(f.s, name, 0), 0);
        expect_one(f.s, line);
        store_close(f.s);
}

static void a_missing_image_is_known_from_the_index(void **state)
{
        struct filled f;
        char name[80], line[200];

        fill(*state, &f);
        store_image_name(f.other, name);
        snprintf(line, sizeof line, "%s missing other==3\n", name);
        assert_int_equal(unlinkat(f.s->root_fd, name, 0), 0);
        expect_one(f.s, line);
        assert_int_equal(verify_image(f.s, f.other), -EBADMSG);
        store_close(f.s);
}

static void an_image_under_another_name_is_found(void **state)
{
        struct filled f;
        struct said said = { 0 };
        char from[80], to[80], line[200];

        fill(*state, &f);
        store_image_name(f.other, from);
        store_image_name(f.one, to);
        assert_int_equal(renameat(f.s->root_fd, from, f.s->root_fd, to), 0);
        assert_int_equal(verify(f.s, &said, 1), 2);
        snprintf(line, sizeof line, "%s corrupt demo==1.0\n", to);
        assert_non_null(strstr(said.lines.data, line));
        snprintf(line, sizeof line, "%s missing other==3\n", from);
        assert_non_null(strstr(said.lines.data, line));
        buf_release(&said.lines);
        assert_int_equal(verify_image(f.s, f.one), -EBADMSG);
        store_close(f.s);
}

/* Whole for its checksums, but its tree names another hash than that of the contents. */
static void an_image_that_lies_about_its_contents_is_found(void **state)
{
        struct store *s = sample_open(*state, STORE_CREATE);
        struct image_info info = { .name = "liar", .version = "1", .dist_info = "liar", .requires_python = "" };
        struct image_file f = { .path = "site/a.py", .size = 5 };
        struct image_writer *w = NULL;
        struct staging g;
        struct errtext err;
        uint8_t id[SHA256_SIZE];
        char name[80], line[200];
        int fd;

        assert_int_equal(store_staging_open(s, &g, &err), 0);
        fd = openat(g.fd, "image", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
        assert_int_equal(image_writer_new(fd, &w), 0);
        sample_hash("other", f.sha256);
        assert_int_equal(image_writer_add(w, &f), 0);
        assert_int_equal(image_writer_block(w, 0, "bytes", 5, 5), 0);
        assert_int_equal(image_writer_finish(w, &info, id, &err), 0);
        image_writer_free(w);
        close(fd);
        assert_int_equal(store_publish_image(s, &g, "image", id), 0);
        store_staging_close(s, &g);
        store_image_name(id, name);
        snprintf(line, sizeof line, "%s corrupt liar==1\n", name);
        expect_one(s, line);
        store_close(s);
}

static struct index *unsettle(const struct filled *f)
{
        struct index *x = NULL;
        struct errtext err;

        assert_int_equal(index_open(f->s, &x, &err), 0);
        index_close(x);
        run_sql(f->s, "UPDATE images SET boot = 'an earlier one'");
        assert_int_equal(index_open(f->s, &x, &err), 0);
        return x;
}

static void an_unsettled_image_is_settled_or_discarded(void **state)
{
        struct filled f;
        struct index *x;
        char name[80], object[80];

        fill(*state, &f);
        x = unsettle(&f);
        assert_int_equal(index_is_settled(x, f.one), 0);
        assert_int_equal(verify_unsettled(f.s, x, f.one), 0);
        assert_int_equal(index_is_settled(x, f.one), 1);

        store_image_name(f.other, name);
        flip(f.s, name, 300);
        assert_int_equal(verify_unsettled(f.s, x, f.other), -EBADMSG);
        assert_int_equal(faccessat(f.s->root_fd, name, F_OK, 0), -1);

        store_object_name(f.object, object);
        flip(f.s, object, 0);
        assert_int_equal(verify_unsettled(f.s, x, f.two), -EBADMSG);
        store_image_name(f.two, name);
        assert_int_equal(faccessat(f.s->root_fd, name, F_OK, 0), -1);
        assert_int_equal(faccessat(f.s->root_fd, object, F_OK, 0), -1);
        expect_list(x, "demo==1.0 ");
        index_close(x);
        store_close(f.s);
}

static void a_damaged_object_names_all_its_packages(void **state)
{
        struct filled f;
        char name[80], line[200];

        fill(*state, &f);
        store_object_name(f.object, name);
        flip(f.s, name, OBJECT_SIZE - 1);
        snprintf(line, sizeof line, "%s corrupt demo==1.0 demo==2.0\n", name);
        expect_one(f.s, line);
        assert_int_equal(verify_image(f.s, f.one), -EBADMSG);
        assert_int_equal(verify_image(f.s, f.other), 0);
        flip(f.s, name, OBJECT_SIZE - 1);
        expect_clean(f.s);

        assert_int_equal(sample_truncate(f.s, name, OBJECT_SIZE - 1), 0);
        snprintf(line, sizeof line, "%s truncated demo==1.0 demo==2.0\n", name);
        expect_one(f.s, line);
        assert_int_equal(sample_truncate(f.s, name, OBJECT_SIZE + 1), 0);
        snprintf(line, sizeof line, "%s corrupt demo==1.0 demo==2.0\n", name);
        expect_one(f.s, line);
        assert_int_equal(unlinkat(f.s->root_fd, name, 0), 0);
        snprintf(line, sizeof line, "%s missing demo==1.0 demo==2.0\n", name);
        expect_one(f.s, line);
        assert_int_equal(verify_image(f.s, f.two), -EBADMSG);
        store_close(f.s);
}

static void an_object_behind_a_symlink_is_foreign(void **state)
{
        struct filled f;
        char name[80], line[200];

        fill(*state, &f);
        store_object_name(f.object, name);
        assert_int_equal(renameat(f.s->root_fd, name, f.s->root_fd, "moved"), 0);
        assert_int_equal(symlinkat("../../moved", f.s->root_fd, name), 0);
        snprintf(line, sizeof line, "%s foreign demo==1.0 demo==2.0\n", name);
        expect_one(f.s, line);
        store_close(f.s);
}

static void orphans_must_be_whole_and_litter_is_none_of_its_business(void **state)
{
        struct filled f;
        struct staging g;
        struct errtext err;
        uint8_t id[SHA256_SIZE];
        char name[80], line[200];

        fill(*state, &f);
        assert_int_equal(store_staging_open(f.s, &g, &err), 0);
        sample_object(f.s, &g, 'p', 500, id);
        assert_int_equal(file_replace(g.fd, "half", "x", 1, 0600, false), 0);
        expect_clean(f.s);
        store_object_name(id, name);
        flip(f.s, name, 3);
        snprintf(line, sizeof line, "%s corrupt\n", name);
        expect_one(f.s, line);
        store_staging_close(f.s, &g);
        store_close(f.s);
}

static void foreign_files_are_named(void **state)
{
        struct filled f;

        fill(*state, &f);
        assert_int_equal(file_replace(f.s->images_fd, "notes.txt", "x", 1, 0644, false), 0);
        expect_one(f.s, "images/notes.txt foreign\n");
        store_close(f.s);
}

static void a_store_without_index_is_verified_all_the_same(void **state)
{
        struct filled f;
        char name[80], line[200];

        fill(*state, &f);
        unlinkat(f.s->root_fd, "index.db", 0);
        unlinkat(f.s->root_fd, "index.db-wal", 0);
        unlinkat(f.s->root_fd, "index.db-shm", 0);
        expect_clean(f.s);
        store_image_name(f.other, name);
        flip(f.s, name, 300);
        snprintf(line, sizeof line, "%s corrupt other==3\n", name);
        expect_one(f.s, line);
        assert_int_equal(faccessat(f.s->root_fd, "index.db", F_OK, 0), -1);
        store_close(f.s);
}

static void many_images_are_verified_by_many_threads(void **state)
{
        struct store *s = sample_open(*state, STORE_CREATE);
        struct said said = { 0 };
        char version[16], name[80];
        uint8_t id[SHA256_SIZE] = { 0 };

        for (int i = 0; i < 60; i++) {
                struct image *img;

                snprintf(version, sizeof version, "%d", i);
                img = sample_image(s, "demo", version, (char)('A' + i % 30), OBJECT_SIZE);
                if (i == 59)
                        memcpy(id, image_object(img, 0).id, SHA256_SIZE);
                image_close(img);
        }
        assert_int_equal(verify(s, &said, 8), 0);
        assert_true(said.done == said.total);
        store_object_name(id, name);
        flip(s, name, 1000);
        assert_int_equal(verify(s, &said, 8), 1);
        assert_non_null(strstr(said.lines.data, " corrupt demo==29 demo==59\n"));
        buf_release(&said.lines);
        store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_whole_store_has_no_errors),
                TEST(an_empty_store_has_none_either),
                TEST(a_reader_of_the_store_can_verify_it),
                TEST(every_flipped_byte_of_an_image_is_found),
                TEST(a_damaged_image_is_named_with_its_package),
                TEST(a_truncated_image_is_named_at_every_length),
                TEST(a_missing_image_is_known_from_the_index),
                TEST(an_image_under_another_name_is_found),
                TEST(an_image_that_lies_about_its_contents_is_found),
                TEST(an_unsettled_image_is_settled_or_discarded),
                TEST(a_damaged_object_names_all_its_packages),
                TEST(an_object_behind_a_symlink_is_foreign),
                TEST(orphans_must_be_whole_and_litter_is_none_of_its_business),
                TEST(foreign_files_are_named),
                TEST(a_store_without_index_is_verified_all_the_same),
                TEST(many_images_are_verified_by_many_threads),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
