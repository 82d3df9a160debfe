#include "store/ingest.h"

#include "sample_ingest.h"

/* Is PATH in the image, with these bytes and that mode? */
static void check_file(const struct place *p, const struct image *img, int fd, const char *path,
                       const struct sample_member *m)
{
        cleanup_buf struct buf got = { 0 };
        struct image_entry e;
        uint32_t number;

        assert_int_equal(image_find(img, path, &number), 0);
        e = image_entry(img, number);
        assert_int_equal(e.size, sample_size(m));
        assert_int_equal(e.executable, m->executable);
        if (e.type == IMAGE_OBJECT) {
                struct image_object o = image_object(img, e.object);
                cleanup_close int object = store_open_object(p->store, o.id);
                struct stat st;

                assert_true(object >= 0);
                assert_int_equal(fstat(object, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0444);
                assert_int_equal(file_read_all(object, 1 << 30, &got), 0);
                assert_int_equal(image_read_object(img, object, e.object, got.data, got.len, 0), e.size);
        } else {
                assert_int_equal(image_read_file(img, fd, number, &got), 0);
        }
        assert_int_equal(got.len, sample_size(m));
        if (got.len > 0)
                assert_memory_equal(got.data, m->data, got.len);
}

static void check_member(const struct place *p, const uint8_t id[SHA256_SIZE], const char *path,
                         const struct sample_member *m)
{
        int fd;
        struct image *img = open_image(p, id, &fd);

        check_file(p, img, fd, path, m);
        image_close(img);
        close(fd);
}

static void a_wheel_becomes_an_image(void **state)
{
        struct place *p = *state;
        cleanup_free char *big = noise(BIG, 1);
        struct sample_member members[] = {
                { .name = "a/__init__.py", .data = "" },
                { .name = "a/big.so", .data = big, .size = BIG, .executable = true },
                { .name = "a/mod.py", .data = "x = 1\n" },
                { .name = "a-1.0.data/scripts/tool", .data = "#!python\n", .executable = true },
                { .name = "a-1.0.data/data/share/doc", .data = "read me" },
                { .name = "a-1.0.data/headers/a.h", .data = "#pragma once" },
        };
        struct ingest_wheel w[8];
        cleanup_buf struct buf file = { 0 };
        uint8_t hash[SHA256_SIZE];
        struct image *img;
        int fd;

        sample_wheel(p->sample->folder_fd, "a", members, ARRAY_LEN(members));
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        assert_true(w[0].prepared);
        assert_int_equal(w[0].warnings.len, 0);
        assert_int_equal(file_read_at(p->sample->folder_fd, "a-1.0-py3-none-any.whl", 1 << 24, &file), 0);
        assert_int_equal(sha256_bytes(file.data, file.len, hash), 0);
        assert_memory_equal(w[0].archive, hash, sizeof(hash));
        img = open_image(p, w[0].image, &fd);
        check_file(p, img, fd, "site/a/__init__.py", &members[0]);
        check_file(p, img, fd, "site/a/big.so", &members[1]);
        check_file(p, img, fd, "site/a/mod.py", &members[2]);
        check_file(p, img, fd, "scripts/tool", &members[3]);
        check_file(p, img, fd, "data/share/doc", &members[4]);
        check_file(p, img, fd, "headers/a/a.h", &members[5]);
        assert_int_equal(image_files(img), 8);
        assert_true(image_meta(img)->record_matched);
        assert_memory_equal(image_archive(img), hash, sizeof(hash));
        image_close(img);
        close(fd);
        assert_int_equal(litter(p), 0);
        assert_int_equal(verify(p), 0);
        release(w);
}

static void known_wheels_clear_litter_as_well(void **state)
{
        struct place *p = *state;
        struct sample_member m = { .name = "a/mod.py", .data = "x = 1\n" };
        struct ingest_wheel first[8], again[8];

        sample_wheel(p->sample->folder_fd, "a", &m, 1);
        assert_int_equal(ingest(p, "a", NULL, first), 0);
        assert_int_equal(mkdirat(p->store->staging_fd, "0123456789abcdef0123456789abcdef", 0700), 0);
        assert_int_equal(ingest(p, "a", NULL, again), 0);
        assert_false(again[0].prepared);
        assert_int_equal(litter(p), 0);
        release(first);
        release(again);
}

static void a_known_wheel_is_not_unpacked_again(void **state)
{
        struct place *p = *state;
        struct sample_member m = { .name = "a/mod.py", .data = "x = 1\n" };
        struct ingest_wheel first[8], again[8];

        sample_wheel(p->sample->folder_fd, "a", &m, 1);
        sample_wheel(p->sample->folder_fd, "b", &m, 1);
        assert_int_equal(ingest(p, "a", NULL, first), 0);
        assert_int_equal(ingest(p, "a b", NULL, again), 0);
        assert_false(again[0].prepared);
        assert_true(again[1].prepared);
        assert_memory_equal(again[0].image, first[0].image, SHA256_SIZE);
        assert_memory_equal(again[0].archive, first[0].archive, SHA256_SIZE);
        release(first);
        release(again);
}

static void small_files_are_packed_in_many_blocks(void **state)
{
        enum { COUNT = 400, SIZE = 3000 };
        struct place *p = *state;
        struct sample_member members[COUNT];
        char names[COUNT][40];
        cleanup_free char *data = noise(COUNT + SIZE, 2);
        struct ingest_wheel w[8];
        struct image *img;
        int fd;

        for (unsigned i = 0; i < COUNT; i++) {
                snprintf(names[i], sizeof(names[i]), "a/%u/f%u.py", i % 7, i);
                members[i] = (struct sample_member){ .name = names[i], .data = data + i, .size = SIZE };
                if (i % 50 == 49)
                        members[i].size = 1;
        }
        sample_wheel(p->sample->folder_fd, "a", members, COUNT);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        img = open_image(p, w[0].image, &fd);
        assert_true(image_blocks(img) >= COUNT * SIZE / BLOCK_MAX_SIZE);
        for (unsigned i = 0; i < COUNT; i++) {
                char path[60];

                snprintf(path, sizeof(path), "site/%.40s", names[i]);
                check_file(p, img, fd, path, &members[i]);
        }
        image_close(img);
        close(fd);
        assert_int_equal(verify(p), 0);
        release(w);
}

static void a_lying_record_is_healed_with_a_warning(void **state)
{
        struct place *p = *state;
        struct sample_member m[] = { { .name = "a/mod.py", .data = "x = 1\n", .wrong_hash = true },
                                     { .name = "a/more.py", .data = "y = 1\n" } };
        struct ingest_wheel w[8];
        cleanup_buf struct buf record = { 0 };
        struct image *img;
        int fd;

        sample_wheel(p->sample->folder_fd, "a", m, 2);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        assert_string_equal(w[0].warnings.data, "'a-1.0-py3-none-any.whl': RECORD gives another hash for 'a/mod.py'\n");
        img = open_image(p, w[0].image, &fd);
        assert_false(image_meta(img)->record_matched);
        assert_int_equal(image_key(img)[0] | image_key(img)[31], 0);
        check_file(p, img, fd, "site/a/mod.py", &m[0]);
        assert_int_equal(image_read_record(img, fd, &record), 0);
        assert_non_null(strstr(record.data, "a/mod.py,sha256="));
        image_close(img);
        close(fd);
        release(w);
        /* Known by the hash of the archive alone. */
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        assert_false(w[0].prepared);
        release(w);
        assert_int_equal(verify(p), 0);
}

/* A wheel with the same directory and RECORD but other bytes must not be taken for the one that lied first. */
static void a_liar_does_not_speak_for_others(void **state)
{
        struct place *p = *state;
        struct sample_member m[] = { { .name = "a/mod.py", .data = "x = 1\n", .wrong_hash = true } };
        struct ingest_wheel w[8], other[8];

        sample_wheel(p->sample->folder_fd, "a", m, 1);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        m[0].wrong_hash = false;
        sample_wheel(p->sample->folder_fd, "a", m, 1);
        assert_int_equal(ingest(p, "a", NULL, other), 0);
        assert_true(other[0].prepared);
        assert_memory_equal(w[0].image, other[0].image, SHA256_SIZE); /* the tree is the same, after all */
        assert_memory_not_equal(w[0].archive, other[0].archive, SHA256_SIZE);
        release(other);
        assert_int_equal(ingest(p, "a", NULL, other), 0);
        assert_false(other[0].prepared);
        release(w);
        release(other);
}

static void who_is_strict_refuses_a_lying_record(void **state)
{
        struct place *p = *state;
        struct ingest_options strict = { .strict = true };
        struct sample_member wrong = { .name = "a/mod.py", .data = "x = 1\n", .wrong_hash = true };
        struct sample_member unlisted = { .name = "b/mod.py", .data = "x = 1\n", .unlisted = true };
        struct ingest_wheel w[8];

        sample_wheel(p->sample->folder_fd, "a", &wrong, 1);
        sample_wheel(p->sample->folder_fd, "b", &unlisted, 1);
        assert_int_equal(ingest(p, "a b", &strict, w), -EBADMSG);
        assert_string_equal(w[0].err.text, "'a-1.0-py3-none-any.whl': RECORD gives another hash for 'a/mod.py'");
        assert_non_null(strstr(w[1].err.text, "'b-1.0-py3-none-any.whl': RECORD"));
        release(w);
        assert_int_equal(count_files(p->store->objects_fd, ".") + count_files(p->store->images_fd, "."), 0);
        assert_int_equal(ingest(p, "a b", NULL, w), 0);
        assert_true(w[0].warnings.len > 0 && w[1].warnings.len > 0);
        release(w);
        /* Being in the store does not make it better. */
        assert_int_equal(ingest(p, "a b", &strict, w), -EBADMSG);
        release(w);
}

static void damage(const struct place *p, const char *name, const char *what)
{
        cleanup_buf struct buf file = { 0 };
        char *at;

        assert_int_equal(file_read_at(p->sample->folder_fd, name, 1 << 24, &file), 0);
        at = memmem(file.data, file.len, what, strlen(what));
        assert_non_null(at);
        *at ^= 1;
        assert_int_equal(file_replace(p->sample->folder_fd, name, file.data, file.len, 0644, false), 0);
}

static void a_bad_wheel_leaves_nothing_and_the_good_ones_stay(void **state)
{
        struct place *p = *state;
        cleanup_free char *big = noise(BIG, 3);
        struct sample_member good = { .name = "a/mod.py", .data = "x = 1\n" };
        struct sample_member bad[] = { { .name = "b/big.so", .data = big, .size = BIG },
                                       { .name = "b/mod.py", .data = "needle\n" } };
        struct ingest_wheel w[8];

        sample_wheel(p->sample->folder_fd, "a", &good, 1);
        sample_wheel(p->sample->folder_fd, "b", bad, 2);
        damage(p, "b-1.0-py3-none-any.whl", "needle");
        assert_int_equal(ingest(p, "a b absent", NULL, w), -EBADMSG);
        assert_int_equal(w[0].result, 0);
        assert_int_equal(w[1].result, -EBADMSG);
        assert_non_null(strstr(w[1].err.text, "'b-1.0-py3-none-any.whl'"));
        assert_non_null(strstr(w[1].err.text, "b/mod.py"));
        assert_int_equal(w[2].result, -ENOENT);
        assert_int_equal(count_files(p->store->objects_fd, "."), 0);
        assert_int_equal(count_files(p->store->images_fd, "."), 1);
        assert_int_equal(litter(p), 0);
        release(w);
}

static void one_target_may_come_twice_with_the_same_bytes_only(void **state)
{
        struct place *p = *state;
        struct sample_member m[] = { { .name = "a/mod.py", .data = "x = 1\n" },
                                     { .name = "a-1.0.data/purelib/a/mod.py", .data = "x = 1\n", .executable = true } };
        struct sample_member merged = { .data = "x = 1\n", .executable = true };
        struct ingest_wheel w[8];

        sample_wheel(p->sample->folder_fd, "a", m, 2);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        check_member(p, w[0].image, "site/a/mod.py", &merged);
        release(w);
        m[1].name = "b-1.0.data/purelib/a/mod.py";
        m[1].data = "x = 2\n";
        sample_wheel(p->sample->folder_fd, "b", m, 2);
        assert_int_equal(ingest(p, "b", NULL, w), -EBADMSG);
        release(w);
}

static void a_wheel_given_twice_is_worked_on_once(void **state)
{
        struct place *p = *state;
        struct sample_member m = { .name = "a/mod.py", .data = "x = 1\n" };
        struct ingest_wheel w[8];

        sample_wheel(p->sample->folder_fd, "a", &m, 1);
        assert_int_equal(ingest(p, "a a a", NULL, w), 0);
        assert_int_equal(w[0].prepared + w[1].prepared + w[2].prepared, 1);
        assert_memory_equal(w[0].image, w[1].image, SHA256_SIZE);
        assert_memory_equal(w[0].image, w[2].image, SHA256_SIZE);
        release(w);
}

static void what_was_damaged_in_the_store_is_made_again(void **state)
{
        struct place *p = *state;
        cleanup_free char *big = noise(BIG, 4);
        struct sample_member m = { .name = "a/big.so", .data = big, .size = BIG };
        struct ingest_wheel w[8];
        uint8_t hash[SHA256_SIZE];
        char name[80];

        sample_wheel(p->sample->folder_fd, "a", &m, 1);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        release(w);
        assert_int_equal(sha256_bytes(big, BIG, hash), 0);
        store_object_name(hash, name);
        assert_int_equal(unlinkat(p->store->root_fd, name, 0), 0);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        assert_true(w[0].prepared);
        check_member(p, w[0].image, "site/a/big.so", &m);
        assert_int_equal(sample_truncate(p->store, name, 5), 0);
        release(w);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        check_member(p, w[0].image, "site/a/big.so", &m);
        store_image_name(w[0].image, name);
        assert_int_equal(sample_truncate(p->store, name, 300), 0);
        release(w);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        check_member(p, w[0].image, "site/a/big.so", &m);
        assert_int_equal(verify(p), 0);
        release(w);
}

static void flip(const struct place *p, const char *name, off_t at)
{
        char path[200];
        uint8_t byte;
        int fd;

        snprintf(path, sizeof(path), "%s/%s", p->store->path, name);
        assert_int_equal(chmod(path, 0644), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(fchmod(fd, 0444), 0);
        close(fd);
}

/* What a power cut leaves: files of the right size, without the right bytes, of which the index knows nothing. */
static void what_stands_in_the_store_is_not_believed_unseen(void **state)
{
        struct place *p = *state;
        cleanup_free char *big = noise(BIG, 8);
        struct sample_member m[] = { { .name = "a/big.so", .data = big, .size = BIG },
                                     { .name = "a/mod.py", .data = "x = 1\n" } };
        struct ingest_wheel w[8];
        uint8_t hash[SHA256_SIZE];
        char name[80];

        sample_wheel(p->sample->folder_fd, "a", m, 2);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        assert_int_equal(index_forget_image(p->index, w[0].image), 0);
        store_image_name(w[0].image, name);
        flip(p, name, IMAGE_HEADER_SIZE + 2); /* in a block */
        assert_int_equal(sha256_bytes(big, BIG, hash), 0);
        store_object_name(hash, name);
        flip(p, name, BIG - 1);
        release(w);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        check_member(p, w[0].image, "site/a/big.so", &m[0]);
        check_member(p, w[0].image, "site/a/mod.py", &m[1]);
        assert_int_equal(verify(p), 0);
        release(w);
}

static void an_index_that_was_lost_is_no_harm(void **state)
{
        struct place *p = *state;
        struct sample_member m = { .name = "a/mod.py", .data = "x = 1\n" };
        struct ingest_wheel w[8];

        sample_wheel(p->sample->folder_fd, "a", &m, 1);
        assert_int_equal(ingest(p, "a", NULL, w), 0);
        assert_int_equal(index_forget_image(p->index, w[0].image), 0);
        release(w);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(ingest(p, "a", NULL, w), 0);
                assert_int_equal(w[0].prepared, i == 0);
                release(w);
        }
}

struct progress {
        uint64_t done;
        uint64_t total;
        bool backwards;
};

static void on_progress(uint64_t done, uint64_t total, void *user)
{
        struct progress *p = user;

        p->backwards |= done < p->done || done > total;
        p->done = done;
        p->total = total;
}

static void progress_ends_at_the_total(void **state)
{
        struct place *p = *state;
        struct progress seen = { 0 };
        struct ingest_options options = { .threads = 4, .progress = on_progress, .user = &seen };
        cleanup_free char *big = noise(BIG, 5);
        struct sample_member m[] = { { .name = "a/big.so", .data = big, .size = BIG },
                                     { .name = "a/mod.py", .data = "x" } };
        struct ingest_wheel w[8];

        sample_wheel(p->sample->folder_fd, "a", m, 2);
        assert_int_equal(ingest(p, "a a", &options, w), 0);
        assert_false(seen.backwards);
        assert_int_equal(seen.done, seen.total);
        assert_true(seen.total > BIG);
        release(w);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_wheel_becomes_an_image, setup, teardown),
                cmocka_unit_test_setup_teardown(known_wheels_clear_litter_as_well, setup, teardown),
                cmocka_unit_test_setup_teardown(a_known_wheel_is_not_unpacked_again, setup, teardown),
                cmocka_unit_test_setup_teardown(small_files_are_packed_in_many_blocks, setup, teardown),
                cmocka_unit_test_setup_teardown(a_lying_record_is_healed_with_a_warning, setup, teardown),
                cmocka_unit_test_setup_teardown(a_liar_does_not_speak_for_others, setup, teardown),
                cmocka_unit_test_setup_teardown(who_is_strict_refuses_a_lying_record, setup, teardown),
                cmocka_unit_test_setup_teardown(a_bad_wheel_leaves_nothing_and_the_good_ones_stay, setup, teardown),
                cmocka_unit_test_setup_teardown(one_target_may_come_twice_with_the_same_bytes_only, setup, teardown),
                cmocka_unit_test_setup_teardown(a_wheel_given_twice_is_worked_on_once, setup, teardown),
                cmocka_unit_test_setup_teardown(what_was_damaged_in_the_store_is_made_again, setup, teardown),
                cmocka_unit_test_setup_teardown(what_stands_in_the_store_is_not_believed_unseen, setup, teardown),
                cmocka_unit_test_setup_teardown(an_index_that_was_lost_is_no_harm, setup, teardown),
                cmocka_unit_test_setup_teardown(progress_ends_at_the_total, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
