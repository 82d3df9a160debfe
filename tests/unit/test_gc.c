#include "store/gc.h"

#include "sample_index.h"

#include <signal.h>
#include <sys/wait.h>

static struct gc *stock(const struct store *s, struct index *x, const struct gc *previous)
{
        struct gc *g = NULL;
        struct errtext err;

        assert_int_equal(gc_new(s, x, previous, NULL, &g, &err), 0);
        return g;
}

/* An image with the object of 200,000 times FILL. */
static void add_with(const struct store *s, struct index *x, const char *name, char fill, uint8_t ret_id[SHA256_SIZE],
                     uint8_t ret_object[SHA256_SIZE])
{
        struct image *img = sample_image(s, name, "1", fill, 200000);

        assert_int_equal(index_add_image(x, img, "file.whl"), 0);
        memcpy(ret_id, image_id(img), SHA256_SIZE);
        memcpy(ret_object, image_object(img, 0).id, SHA256_SIZE);
        image_close(img);
}

static bool has_image(const struct store *s, const uint8_t id[SHA256_SIZE])
{
        cleanup_close int fd = store_open_image_file(s, id);

        return fd >= 0;
}

static bool has_object(const struct store *s, const uint8_t id[SHA256_SIZE])
{
        cleanup_close int fd = store_open_object(s, id);

        return fd >= 0;
}

static void need(struct gc *g, const uint8_t id[SHA256_SIZE])
{
        assert_int_equal(gc_need(g, id, &(struct gc_reason){ .why = GC_CURRENT, .generation = 1 }), 0);
}

static void sweep(struct gc *g, const struct store *s, struct index *x)
{
        struct errtext err;

        gc_settle(g);
        assert_int_equal(gc_sweep(g, s, x, NULL, &err), 0);
        gc_free(g);
}

struct three {
        struct store *s;
        struct index *x;
        uint8_t a[SHA256_SIZE], b[SHA256_SIZE], c[SHA256_SIZE];
        uint8_t shared[SHA256_SIZE], own[SHA256_SIZE];
};

/* a and b share an object, c has its own. */
static void open_three(const struct sample *t, struct three *ret)
{
        ret->s = sample_open(t, STORE_CREATE);
        ret->x = open_index(ret->s);
        add_with(ret->s, ret->x, "a", 'x', ret->a, ret->shared);
        add_with(ret->s, ret->x, "b", 'x', ret->b, ret->shared);
        add_with(ret->s, ret->x, "c", 'y', ret->c, ret->own);
}

static void close_three(struct three *f)
{
        index_close(f->x);
        store_close(f->s);
}

static void what_is_needed_stays_with_its_objects(void **state)
{
        struct three f;
        struct gc_totals totals;
        struct gc *g;

        open_three(*state, &f);
        g = stock(f.s, f.x, NULL);
        need(g, f.a);
        gc_settle(g);
        gc_totals(g, &totals);
        assert_int_equal(totals.images, 2);
        assert_int_equal(totals.objects, 1);
        assert_int_equal(totals.kept, 1);
        assert_true(totals.bytes > 200000);
        sweep(g, f.s, f.x);
        expect_list(f.x, "a==1 ");
        assert_true(has_image(f.s, f.a) && has_object(f.s, f.shared));
        assert_false(has_image(f.s, f.b) || has_image(f.s, f.c) || has_object(f.s, f.own));
        close_three(&f);
}

static void what_an_image_frees_is_what_it_alone_has(void **state)
{
        struct three f;
        struct gc *g;

        open_three(*state, &f);
        g = stock(f.s, f.x, NULL);
        gc_settle(g);
        assert_int_equal(gc_image_count(g), 3);
        assert_string_equal(gc_image(g, 0)->name, "a");
        assert_int_equal(gc_image(g, 0)->frees, gc_image(g, 0)->bytes);
        assert_true(gc_image(g, 2)->frees >= gc_image(g, 2)->bytes + 200000);
        gc_free(g);
        close_three(&f);
}

static void an_image_that_the_index_lacks_is_looked_at_too(void **state)
{
        struct three f;
        struct gc *g;

        open_three(*state, &f);
        assert_int_equal(index_forget_image(f.x, f.a), 0);
        assert_int_equal(index_forget_image(f.x, f.c), 0);
        g = stock(f.s, f.x, NULL);
        need(g, f.c);
        sweep(g, f.s, f.x);
        assert_true(has_image(f.s, f.c) && has_object(f.s, f.own));
        assert_false(has_image(f.s, f.a) || has_object(f.s, f.shared));
        close_three(&f);
}

static void a_needed_image_that_cannot_be_read_keeps_what_the_index_knows(void **state)
{
        struct three f;
        struct gc *g;
        char name[80];

        open_three(*state, &f);
        store_image_name(f.c, name);
        assert_int_equal(sample_truncate(f.s, name, 100), 0);
        g = stock(f.s, f.x, NULL);
        need(g, f.c);
        sweep(g, f.s, f.x);
        assert_true(has_object(f.s, f.own));
        assert_false(has_object(f.s, f.shared));
        /* Nobody knows what it refers to. */
        add_with(f.s, f.x, "a", 'x', f.a, f.shared);
        assert_int_equal(index_forget_image(f.x, f.c), 0);
        g = stock(f.s, f.x, NULL);
        need(g, f.c);
        sweep(g, f.s, f.x);
        assert_true(has_image(f.s, f.c) && has_object(f.s, f.own) && has_object(f.s, f.shared));
        assert_false(has_image(f.s, f.a));
        close_three(&f);
}

static void rows_without_an_image_go(void **state)
{
        struct three f;
        char name[80];

        open_three(*state, &f);
        store_image_name(f.b, name);
        assert_int_equal(unlinkat(f.s->root_fd, name, 0), 0);
        sweep(stock(f.s, f.x, NULL), f.s, f.x);
        expect_list(f.x, "");
        assert_false(has_object(f.s, f.shared) || has_object(f.s, f.own));
        close_three(&f);
}

static void files_of_others_are_left_alone(void **state)
{
        struct three f;

        open_three(*state, &f);
        assert_int_equal(mkdirat(f.s->root_fd, "images/zz", 0700), 0);
        assert_int_equal(file_replace(f.s->images_fd, "a note", "x", 1, 0644, false), 0);
        sweep(stock(f.s, f.x, NULL), f.s, f.x);
        assert_int_equal(faccessat(f.s->images_fd, "zz", F_OK, 0), 0);
        assert_int_equal(faccessat(f.s->images_fd, "a note", F_OK, 0), 0);
        close_three(&f);
}

static void an_earlier_stock_says_what_images_refer_to(void **state)
{
        struct three f;
        struct gc *before, *g;

        open_three(*state, &f);
        before = stock(f.s, f.x, NULL);
        gc_settle(before);
        g = stock(f.s, f.x, before);
        need(g, f.b);
        sweep(g, f.s, f.x);
        gc_free(before);
        assert_true(has_image(f.s, f.b) && has_object(f.s, f.shared));
        assert_false(has_image(f.s, f.c) || has_object(f.s, f.own));
        close_three(&f);
}

/* An ingest that ran while the earlier stock was taken: the image was seen, its object was not. */
static void an_earlier_stock_that_lacks_objects_is_not_believed(void **state)
{
        struct three f;
        struct gc *before, *g;
        char name[80];

        open_three(*state, &f);
        store_object_name(f.own, name);
        assert_int_equal(renameat(f.s->root_fd, name, f.s->root_fd, "away"), 0);
        before = stock(f.s, f.x, NULL);
        assert_int_equal(renameat(f.s->root_fd, "away", f.s->root_fd, name), 0);
        gc_settle(before);
        g = stock(f.s, f.x, before);
        need(g, f.c);
        sweep(g, f.s, f.x);
        gc_free(before);
        assert_true(has_image(f.s, f.c) && has_object(f.s, f.own));
        close_three(&f);
}

/* A child that uses the store until it is killed. */
static pid_t start_user(const struct sample *t)
{
        int ready[2];
        char byte;
        pid_t child;

        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0) {
                struct store *s = NULL;
                struct index *x = NULL;

                if (store_open(t->store_path, STORE_WRITE, &s, NULL) < 0 || index_open(s, &x, NULL) < 0 ||
                    write(ready[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return child;
}

static void kill_user(void *user)
{
        pid_t *child = user;

        assert_int_equal(kill(*child, SIGKILL), 0);
        assert_int_equal(waitpid(*child, NULL, 0), *child);
        *child = 0;
}

static void gc_waits_for_whoever_uses_the_store(void **state)
{
        const struct sample *t = *state;
        struct store *s = sample_open(t, STORE_CREATE);
        struct index *x = NULL;
        struct errtext err;
        pid_t child;

        index_close(open_index(s));
        child = start_user(t);
        assert_int_equal(index_open_alone(s, kill_user, &child, &x, &err), 0);
        assert_int_equal(child, 0);
        index_close(x);
        x = open_index(s);
        index_close(x);
        store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, sample_setup, sample_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(what_is_needed_stays_with_its_objects),
                TEST(what_an_image_frees_is_what_it_alone_has),
                TEST(an_image_that_the_index_lacks_is_looked_at_too),
                TEST(a_needed_image_that_cannot_be_read_keeps_what_the_index_knows),
                TEST(rows_without_an_image_go),
                TEST(files_of_others_are_left_alone),
                TEST(an_earlier_stock_says_what_images_refer_to),
                TEST(an_earlier_stock_that_lacks_objects_is_not_believed),
                TEST(gc_waits_for_whoever_uses_the_store),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
