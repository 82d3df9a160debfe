#include "tests/unit/commit_world.h"

#include <dirent.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

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
        environment_sweep(w->state_fd);
        assert_state(w, "environment generated.1 generated.2 generated.9 generated.keys history 1 9");
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
                TEST(an_image_that_the_store_lacks_stops_the_commit),
                TEST(nothing_that_could_not_be_read_again_is_written),
                TEST(history_is_pruned_with_the_files_that_only_it_had),
                TEST(what_a_killed_commit_left_is_cleared_by_the_next),
                TEST(a_full_disk_leaves_the_old_generation),
                TEST(a_kill_between_any_two_system_calls_leaves_one_whole_generation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
