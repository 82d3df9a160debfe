#include "fs/environment.h"

#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <xxhash.h>

#include "tests/unit/image_fixture.h"

enum { IMAGES_MAX = 16 };

/* A .fusepkg folder, a bare site-packages, some images, and the generation that is the truth. */
struct world {
        char folder[64];
        int folder_fd;
        int state_fd;
        int site_fd;
        struct image *images[IMAGES_MAX];
        size_t image_count;
        struct environment *now;
};

static int get_image(const uint8_t id[SHA256_SIZE], const struct image **ret, void *user)
{
        struct world *w = user;

        for (size_t i = 0; i < w->image_count; i++)
                if (!memcmp(image_id(w->images[i]), id, SHA256_SIZE)) {
                        *ret = w->images[i];
                        return 0;
                }
        return -ENOENT;
}

static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));

        /* In memory where that is possible: thousands of syncs to a disk would take a minute. */
        snprintf(w->folder, sizeof(w->folder), "%s/test_commit.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        assert_non_null(mkdtemp(w->folder));
        w->folder_fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        w->state_fd = dir_make(w->folder_fd, "state", 0755);
        w->site_fd = dir_make(w->folder_fd, "site", 0755);
        assert_true(w->state_fd >= 0 && w->site_fd >= 0);
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        environment_free(w->now);
        for (size_t i = 0; i < w->image_count; i++)
                image_close(w->images[i]);
        dir_remove_tree(w->folder_fd, "state");
        dir_remove_tree(w->folder_fd, "site");
        close(w->state_fd);
        close(w->site_fd);
        close(w->folder_fd);
        rmdir(w->folder);
        free(w);
        return 0;
}

static struct environment *edit(struct world *w)
{
        struct store store = { .path = (char *)"/store", .id = "00000000000000000000000000000000" };
        struct environment *e = NULL;

        if (w->now)
                assert_int_equal(environment_copy(w->now, &e), 0);
        else
                assert_int_equal(environment_new("lib/python3.12/site-packages", "3.12", &store, 022, &e), 0);
        return e;
}

/* A slot with that image and three generated files; returns its number. */
static uint32_t add_slot(struct environment *e, const struct image *img)
{
        static const char installer[] = "fusepkg\n", record[] = "a.dist-info/INSTALLER,,\n";
        const char *name = image_meta(img)->name;
        struct slot *s = NULL;

        assert_int_equal(environment_add_slot(e, &s), 0);
        memcpy(s->image, image_id(img), SHA256_SIZE);
        s->name = strdup(name);
        s->version = strdup("1.0");
        s->filename = strdup("x-1.0-py3-none-any.whl");
        s->files = calloc(3, sizeof(*s->files));
        s->file_count = 3;
        s->files[0] = (struct generated_file){ .name = strdup("INSTALLER"), .kind = GENERATED_BYTES,
                                               .data = span_of(installer) };
        s->files[1] = (struct generated_file){ .name = strdup("RECORD"), .kind = GENERATED_RECORD, .size = 1000,
                                               .data = span_of(record) };
        s->files[2] = (struct generated_file){ .name = strdup("REQUESTED"), .kind = GENERATED_BYTES };
        return s->number;
}

static struct image *make_image(struct world *w, const char *name, const char *paths)
{
        assert_true(w->image_count < IMAGES_MAX);
        return w->images[w->image_count++] = image_fixture(name, paths, NULL);
}

static uint32_t add(struct world *w, struct environment *e, const char *name, const char *paths)
{
        return add_slot(e, make_image(w, name, paths));
}

static int commit_only(struct world *w, struct environment *e)
{
        struct image_source images = { get_image, w };
        struct errtext err = { "" };
        int r = environment_commit(w->state_fd, w->now, e, &images, w->site_fd, &err);

        if (r < 0 && !err.text[0])
                fail_msg("an error without words: %d", r);
        return r;
}

static void commit(struct world *w, struct environment *e)
{
        assert_int_equal(commit_only(w, e), 0);
        environment_free(w->now);
        w->now = e;
}

static const struct dir_row *row(const struct world *w, const char *path)
{
        for (size_t i = 0; i < w->now->dir_count; i++)
                if (!strcmp(w->now->dirs[i].path, path))
                        return &w->now->dirs[i];
        return NULL;
}

/* The node id of a slot's directory, PATH being that in the image. */
static uint64_t id_of(const struct world *w, uint32_t slot, size_t image, const char *path)
{
        uint32_t entry = 0;

        assert_int_equal(image_find(w->images[image], path, &entry), 0);
        return (uint64_t)slot << 32 | entry;
}

/* All rows as "path:id:age", age counting commits back by their times; compared as one text. */
static void assert_paths(const struct world *w, const char *expected)
{
        struct buf text cleanup_buf = { 0 };

        buf_add_str(&text, "");
        for (size_t i = 0; i < w->now->dir_count; i++) {
                const struct dir_row *d = &w->now->dirs[i];

                buf_printf(&text, "%s%s%s%s", i ? " " : "", d->path[0] ? d->path : "/", d->id ? "!" : "",
                           d->time == w->now->time ? "" : "-");
        }
        assert_string_equal(text.data ? text.data : "", expected);
}

static void assert_file_is_whole(const struct world *w, const struct generated_file *f)
{
        char name[64], data[128];
        int fd;

        assert_true(f->length < sizeof(data));
        snprintf(name, sizeof(name), "generated.%" PRIu64, f->generation);
        fd = openat(w->state_fd, name, O_RDONLY);
        if (fd < 0)
                fail_msg("%s is missing", name);
        assert_int_equal(file_pread_full(fd, data, f->length, (off_t)f->offset), 0);
        close(fd);
        assert_true(XXH3_64bits(data, f->length) == f->sum);
}

static void assert_files_are_whole(const struct world *w, const struct environment *e)
{
        for (size_t i = 0; i < e->slot_count; i++)
                for (size_t k = 0; k < e->slots[i].file_count; k++)
                        assert_file_is_whole(w, &e->slots[i].files[k]);
}

static void a_commit_can_be_loaded_and_its_files_are_whole(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w), *loaded = NULL;
        struct buf text cleanup_buf = { 0 }, file cleanup_buf = { 0 }, history cleanup_buf = { 0 };
        struct errtext err = { "" };

        add(w, e, "one", "site/one/a.py");
        add(w, e, "two", "site/two/a.py");
        commit(w, e);
        assert_int_equal(w->now->generation, 1);
        assert_int_equal(w->now->slots[0].time, w->now->time);
        assert_int_equal(environment_load(w->state_fd, &loaded, &err), 0);
        assert_files_are_whole(w, loaded);
        assert_int_equal(loaded->slots[0].files[0].size, 8);
        assert_int_equal(loaded->slots[0].files[1].size, 1000);
        assert_int_equal(loaded->slots[1].files[2].size, 0);
        assert_int_equal(loaded->slots[1].files[0].offset, loaded->slots[0].files[0].length + loaded->slots[0].files[1].length);
        environment_format(w->now, &text);
        assert_int_equal(file_read_at(w->state_fd, "environment", 1 << 20, &file), 0);
        assert_int_equal(file_read_at(w->state_fd, "history/1", 1 << 20, &history), 0);
        assert_string_equal(text.data, file.data);
        assert_string_equal(text.data, history.data);
        environment_free(loaded);
}

static void time_grows_though_the_clock_was_set_back(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);
        uint64_t future = UINT64_C(9000000000000000000);

        commit(w, e);
        w->now->time = future;
        commit(w, edit(w));
        assert_true(w->now->time == future + 1000000);
        assert_int_equal(w->now->generation, 2);
}

static void a_slot_that_is_carried_over_keeps_its_time_and_files(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);
        uint64_t first;

        add(w, e, "one", "site/one/a.py");
        commit(w, e);
        first = w->now->time;
        e = edit(w);
        add(w, e, "two", "site/two/a.py");
        commit(w, e);
        assert_true(w->now->slots[0].time == first);
        assert_int_equal(w->now->slots[0].files[0].generation, 1);
        assert_int_equal(w->now->slots[1].files[0].generation, 2);
        assert_files_are_whole(w, w->now);
        assert_int_equal(w->now->dir_count, 0);
}

static void what_only_the_leaving_slot_had_needs_no_row(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/one/sub/a.py");
        add(w, e, "two", "site/two/a.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/");
}

static void the_lowest_provider_that_leaves_is_pinned_and_others_are_not(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/nvidia/a/x.py site/nvidia/b/x.py");
        add(w, e, "two", "site/nvidia/a/y.py");
        add(w, e, "three", "site/nvidia/a/z.py site/nvidia/c/z.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 3);
        commit(w, e);
        assert_paths(w, "/- nvidia nvidia/a"); /* site-packages has what it had */
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/- nvidia! nvidia/a!");
        assert_true(row(w, "nvidia")->id == id_of(w, 1, 0, "site/nvidia"));
        assert_true(row(w, "nvidia/a")->id == id_of(w, 1, 0, "site/nvidia/a"));
}

static void an_upgrade_keeps_every_folder_and_the_next_one_too(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/one/sub/a.py site/one-1.dist-info/METADATA site/other/x.py");
        commit(w, e);
        for (uint32_t slot = 1; slot < 4; slot++) {
                e = edit(w);
                environment_remove_slot(e, slot);
                add(w, e, slot == 1 ? "uno" : slot == 2 ? "due" : "tre", "site/one/sub/b.py site/one-2.dist-info/METADATA");
                commit(w, e);
                assert_true(row(w, "one")->id == id_of(w, 1, 0, "site/one"));
                assert_true(row(w, "one/sub")->id == id_of(w, 1, 0, "site/one/sub"));
                assert_true(row(w, "one/sub")->time == w->now->time);
                assert_true(row(w, "one")->time < w->now->time); /* it has its one folder, as before */
                assert_null(row(w, "other"));
        }
        assert_true(row(w, "one-2.dist-info")->id == id_of(w, 2, 1, "site/one-2.dist-info"));
}

static void rows_stay_while_the_path_is_provided_and_go_with_it(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/ns/a/x.py");
        add(w, e, "two", "site/ns/a/y.py");
        add(w, e, "three", "site/three.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/- ns!- ns/a!");
        e = edit(w);
        environment_remove_slot(e, 3);
        commit(w, e);
        assert_paths(w, "/ ns!- ns/a!-");
        e = edit(w);
        add(w, e, "four", "site/ns/a/z.py");
        commit(w, e);
        assert_paths(w, "/- ns!- ns/a!-");
        e = edit(w);
        environment_remove_slot(e, 2);
        environment_remove_slot(e, 4);
        commit(w, e);
        assert_paths(w, "/");
}

static void the_data_tree_has_rows_of_its_own(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "data/share/a/x data/etc/x headers/one/x.h scripts/run site/one.py");
        add(w, e, "two", "data/share/b/x headers/one/y.h scripts/walk");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/ .fusepkg-data .fusepkg-data/data! .fusepkg-data/data/share! .fusepkg-data/headers!- "
                        ".fusepkg-data/headers/one!");
        assert_true(row(w, ".fusepkg-data/data")->id == id_of(w, 1, 0, "data"));
        assert_true(row(w, ".fusepkg-data/headers/one")->id == id_of(w, 1, 0, "headers/one"));
        e = edit(w);
        environment_remove_slot(e, 2);
        commit(w, e);
        assert_paths(w, "/- .fusepkg-data");
}

static void a_folder_where_another_has_a_file_is_not_shared(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/x/a.py");
        add(w, e, "two", "site/x");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/-");
}

static void make_bare(struct world *w)
{
        static const char record[] = "ns/sub/a.py,,\nns/b.py,,\n../../../bin/x,,\n/etc/x/y,,\nbare-1.dist-info/RECORD,,\n";
        int dist = dir_make(w->site_fd, "bare-1.dist-info", 0755);
        int ns = dir_make(w->site_fd, "ns", 0755);

        close(dir_make(ns, "sub", 0755));
        close(dir_make(ns, "kept", 0755));
        assert_int_equal(file_replace(dist, "RECORD", record, strlen(record), 0644, false), 0);
        close(dist);
        close(ns);
}

static void folders_of_the_base_need_no_pin(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        make_bare(w);
        add(w, e, "one", "site/ns/sub/x.py site/ns/own/x.py site/bare-1.dist-info/y");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        commit(w, e);
        assert_paths(w, "/- bare-1.dist-info ns ns/sub");
}

static void hiding_a_bare_distribution_touches_the_folders_of_its_record(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        make_bare(w);
        add(w, e, "one", "site/one.py");
        environment_hide(e, "bare-1.dist-info");
        commit(w, e);
        assert_paths(w, "/ ns ns/sub");
        e = edit(w);
        free(e->hidden[0]);
        e->hidden_count = 0;
        commit(w, e);
        assert_paths(w, "/ bare-1.dist-info ns ns/sub");
        assert_true(row(w, "ns")->time == w->now->time);
}

static void an_image_that_the_store_lacks_stops_the_commit(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w), *loaded = NULL;

        add(w, e, "one", "site/one.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 1);
        w->now->slots[0].image[0] ^= 1;
        assert_int_equal(commit_only(w, e), -ENOENT);
        environment_free(e);
        assert_int_equal(environment_load(w->state_fd, &loaded, NULL), 0);
        assert_int_equal(loaded->generation, 1);
        environment_free(loaded);
}

static void nothing_that_could_not_be_read_again_is_written(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w), *loaded = NULL;

        add(w, e, "a/b", "site/one.py");
        assert_int_equal(commit_only(w, e), -EINVAL);
        environment_free(e);
        assert_int_equal(environment_load(w->state_fd, &loaded, NULL), -ENOENT);
}

/* The names in the state folder and its history, sorted, in one line. */
static void list_state(const struct world *w, struct buf *ret)
{
        struct dirent **names;
        char path[128];

        for (int pass = 0; pass < 2; pass++) {
                int n;

                snprintf(path, sizeof(path), "%s/state%s", w->folder, pass ? "/history" : "");
                n = scandir(path, &names, NULL, versionsort);
                for (int i = 0; i < n; i++) {
                        if (names[i]->d_name[0] != '.')
                                buf_printf(ret, "%s%s", ret->len ? " " : "", names[i]->d_name);
                        free(names[i]);
                }
                if (n >= 0)
                        free(names);
        }
}

static void assert_state(const struct world *w, const char *expected)
{
        struct buf names cleanup_buf = { 0 };

        list_state(w, &names);
        assert_string_equal(names.data, expected);
}

static void history_is_pruned_with_the_files_that_only_it_had(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);

        add(w, e, "one", "site/one.py");
        commit(w, e);
        e = edit(w);
        add(w, e, "two", "site/two.py");
        commit(w, e);
        e = edit(w);
        environment_remove_slot(e, 2);
        for (int i = 3; i <= 21; i++) {
                commit(w, e);
                e = i < 21 ? edit(w) : NULL;
        }
        assert_state(w, "environment generated.1 generated.2 history 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21");
        commit(w, edit(w));
        assert_state(w, "environment generated.1 history 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22");
        assert_files_are_whole(w, w->now);
}

static void what_a_killed_commit_left_is_cleared_by_the_next(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);
        int history;

        add(w, e, "one", "site/one.py");
        commit(w, e);
        history = dir_make(w->state_fd, "history", 0755);
        file_replace(w->state_fd, "generated.2", "left over", 9, 0644, false);
        file_replace(w->state_fd, "generated.9", "left over", 9, 0644, false);
        file_replace(w->state_fd, "environment.tmp-0123", "left over", 9, 0644, false);
        file_replace(w->state_fd, "generated.keys", "not ours", 8, 0644, false);
        file_replace(history, "9", "left over", 9, 0644, false);
        file_replace(history, "2.tmp-0123", "left over", 9, 0644, false);
        close(history);
        commit(w, edit(w));
        assert_state(w, "environment generated.1 generated.keys history 1 2");
}

/* A disk that is full, as far as this process goes: no file may grow beyond a few bytes. */
static void a_full_disk_leaves_the_old_generation(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w), *loaded = NULL;
        struct rlimit old, limit;

        add(w, e, "one", "site/one.py");
        commit(w, e);
        e = edit(w);
        add(w, e, "two", "site/two.py");
        getrlimit(RLIMIT_FSIZE, &old);
        signal(SIGXFSZ, SIG_IGN);
        for (rlim_t size = 0; size < 200; size += 50) {
                struct environment *copy = NULL;
                int r;

                environment_copy(e, &copy);
                limit = (struct rlimit){ size, old.rlim_max };
                setrlimit(RLIMIT_FSIZE, &limit);
                r = commit_only(w, copy);
                setrlimit(RLIMIT_FSIZE, &old);
                environment_free(copy);
                assert_int_equal(r, -EFBIG);
                assert_int_equal(environment_load(w->state_fd, &loaded, NULL), 0);
                assert_int_equal(loaded->generation, 1);
                environment_free(loaded);
                assert_state(w, "environment generated.1 history 1");
        }
        commit(w, e);
        assert_state(w, "environment generated.1 generated.2 history 1 2");
}

/* Runs a commit of E in a child and kills it at its Nth stop (each system call stops twice).  False: it was done
 * before. */
static bool commit_killed_at(struct world *w, struct environment *e, unsigned n)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                ptrace(PTRACE_TRACEME, 0, NULL, NULL);
                raise(SIGSTOP);
                _exit(commit_only(w, e) == 0 ? 0 : 1);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        for (unsigned i = 0; i < n && WIFSTOPPED(status); i++) {
                assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        if (WIFEXITED(status)) {
                assert_int_equal(WEXITSTATUS(status), 0);
                return false;
        }
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return true;
}

static void upgrade_to(struct environment *e, const struct image *img)
{
        assert_int_equal(environment_remove_slot(e, e->slots[0].number), 0);
        add_slot(e, img);
}

static void a_kill_between_any_two_system_calls_leaves_one_whole_generation(void **state)
{
        struct world *w = *state;
        struct environment *e = edit(w);
        const struct image *one = make_image(w, "one", "site/ns/one.py");
        const struct image *two = make_image(w, "two", "site/ns/two.py");
        bool seen_old = false, seen_new = false, killed = true;

        add_slot(e, one);
        commit(w, e);
        for (unsigned n = 2; killed; n += 2) { /* after each call: its end is the next one's beginning */
                struct environment *after = NULL;
                struct errtext err = { "" };

                e = edit(w);
                upgrade_to(e, two);
                killed = commit_killed_at(w, e, n);
                environment_free(e);
                if (environment_load(w->state_fd, &after, &err) < 0)
                        fail_msg("kill at %u: %s", n, err.text);
                assert_in_range(after->generation, w->now->generation, w->now->generation + 1);
                *(after->generation == w->now->generation ? &seen_old : &seen_new) = true;
                assert_files_are_whole(w, after);
                environment_free(w->now);
                w->now = after;

                /* From whatever was left, the next commit works. */
                e = edit(w);
                upgrade_to(e, one);
                commit(w, e);
                assert_files_are_whole(w, w->now);
        }
        assert_true(seen_old);
        assert_true(seen_new);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(a_commit_can_be_loaded_and_its_files_are_whole),
                TEST(time_grows_though_the_clock_was_set_back),
                TEST(a_slot_that_is_carried_over_keeps_its_time_and_files),
                TEST(what_only_the_leaving_slot_had_needs_no_row),
                TEST(the_lowest_provider_that_leaves_is_pinned_and_others_are_not),
                TEST(an_upgrade_keeps_every_folder_and_the_next_one_too),
                TEST(rows_stay_while_the_path_is_provided_and_go_with_it),
                TEST(the_data_tree_has_rows_of_its_own),
                TEST(a_folder_where_another_has_a_file_is_not_shared),
                TEST(folders_of_the_base_need_no_pin),
                TEST(hiding_a_bare_distribution_touches_the_folders_of_its_record),
                TEST(an_image_that_the_store_lacks_stops_the_commit),
                TEST(nothing_that_could_not_be_read_again_is_written),
                TEST(history_is_pruned_with_the_files_that_only_it_had),
                TEST(what_a_killed_commit_left_is_cleared_by_the_next),
                TEST(a_full_disk_leaves_the_old_generation),
                TEST(a_kill_between_any_two_system_calls_leaves_one_whole_generation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
