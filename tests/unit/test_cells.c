/* The memory that one process of a mount leaves to the next, and what that does with the requests in it.  A pipe stands
 * for the kernel: it takes whatever is said to it, and once its other end is closed it knows of no request. */
#include "fs/cells.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { UNIQUE = 1000, OLD_S = REPLAY_LIMIT_S + 10 };

struct world {
        struct handover *h;
        struct log log;
        int said_fd;   /* what the kernel was told */
        int fuse_fd;
};

static int set_up(void **state)
{
        static struct world w;
        int ends[2];

        w = (struct world){ .log = { .state_fd = -1, .fd = -1 } };
        pthread_mutex_init(&w.log.lock, NULL);
        signal(SIGPIPE, SIG_IGN);
        for (int fd = HANDOVER_FD_MEMORY; fd < HANDOVER_FDS_END; fd++)
                assert_int_equal(dup2(STDERR_FILENO, fd), fd); /* so that nothing else gets the number */
        assert_int_equal(handover_new(&w.h), 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        w.said_fd = ends[0];
        w.fuse_fd = ends[1];
        *state = &w;
        return 0;
}

static int tear_down(void **state)
{
        struct world *w = *state;

        munmap(w->h, w->h->size);
        for (int fd = HANDOVER_FD_MEMORY; fd < HANDOVER_FDS_END; fd++)
                close(fd);
        close(w->fuse_fd);
        if (w->said_fd >= 0)
                close(w->said_fd);
        return 0;
}

static struct server_cell *take(struct world *w, unsigned i)
{
        struct server_cell *c = handover_cell(w->h, i);

        *(struct fuse_in_header *)(void *)c->bytes = (struct fuse_in_header){ .len = sizeof(struct fuse_in_header), .unique = UNIQUE + 2 * i };
        atomic_store(&c->state, CELL_BUSY);
        return c;
}

static uint32_t len_of(const struct server_cell *c)
{
        return ((const struct fuse_in_header *)(const void *)c->bytes)->len;
}

static void sort(struct world *w)
{
        cells_sort(w->h, w->fuse_fd, &w->log);
}

/* The requests that were given an error since the last time, how many; they have to be number I's. */
static unsigned refused(struct world *w, unsigned i)
{
        struct fuse_out_header out;
        unsigned n = 0;

        while (read(w->said_fd, &out, sizeof(out)) == sizeof(out))
                if (out.error) {
                        assert_int_equal(out.error, -EIO);
                        assert_int_equal(out.unique, UNIQUE + 2 * i);
                        n++;
                }
        return n;
}

static void what_was_answered_is_let_go_of(void **state)
{
        struct world *w = *state;
        struct server_cell *c = take(w, 1);

        close(w->said_fd);
        w->said_fd = -1;
        sort(w);
        assert_int_equal(len_of(c), 0);
        assert_int_equal(c->state, CELL_IDLE);
}

static void what_is_no_request_is_let_go_of(void **state)
{
        struct world *w = *state;
        struct fuse_in_header *in = (void *)take(w, 0)->bytes;
        struct fuse_out_header out;

        in->len = sizeof(*in) - 1;
        ((struct fuse_in_header *)(void *)take(w, 1)->bytes)->len = CELL_BYTES + 1;
        ((struct fuse_in_header *)(void *)take(w, 2)->bytes)->unique = 0;
        sort(w);
        for (unsigned i = 0; i < SERVER_THREADS; i++)
                assert_int_equal(len_of(handover_cell(w->h, i)), 0);
        assert_int_equal(read(w->said_fd, &out, sizeof(out)), -1); /* nor was the kernel asked */
}

static void kills_from_outside_are_not_a_request_s_doing(void **state)
{
        struct world *w = *state;
        struct server_cell *c = take(w, 0);

        for (int i = 0; i < 50; i++)
                sort(w);
        assert_int_equal(refused(w, 0), 0);
        assert_true(len_of(c) > 0);
        assert_int_equal(c->replays, 50);
}

static void one_that_outlives_many_is_refused_at_last(void **state)
{
        struct world *w = *state;
        struct server_cell *c = take(w, 2);
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        atomic_store(&c->begun, ((int64_t)t.tv_sec - OLD_S) * 1000000000);
        for (int i = 0; i < REPLAYS_MAX; i++) {
                sort(w);
                assert_int_equal(refused(w, 2), 0);
        }
        sort(w);
        assert_int_equal(refused(w, 2), 1);
        assert_int_equal(len_of(c), 0);
        assert_int_equal(c->replays, 0);
}

static void who_crashes_is_refused_and_nobody_else(void **state)
{
        struct world *w = *state;
        struct server_cell *bad = take(w, 0), *good = take(w, 1);

        for (int i = 0; i < REPLAYS_MAX; i++) {
                sort(w);
                assert_int_equal(refused(w, 0), 0);
                atomic_store(&bad->tid, gettid());
                cells_blame();
                assert_int_equal(w->h->faulted, 1);
        }
        sort(w);
        assert_int_equal(refused(w, 0), 1);
        assert_int_equal(len_of(bad), 0);
        assert_int_equal(bad->faults, 0);
        assert_true(len_of(good) > 0);
        assert_int_equal(good->faults, 0);
}

static void an_idle_thread_has_no_request_to_blame(void **state)
{
        struct world *w = *state;
        struct server_cell *c = take(w, 0);

        atomic_store(&c->tid, gettid());
        cell_drop(c);
        cells_blame();
        assert_int_equal(c->faults, 0);
        assert_int_equal(w->h->faulted, 1);
}

/* How a child ends that is at the first cell; how many faults that has then. */
static uint32_t faults_of_child(struct world *w, void (*end)(void), int by, int *ret_signal)
{
        struct server_cell *c = take(w, 0);
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                atomic_store(&c->tid, gettid());
                cells_watch_faults();
                end();
                _exit(0);
        }
        if (by) {
                while (atomic_load(&c->tid) != pid || atomic_load(&w->h->stopping) == 0)
                        sched_yield();
                kill(pid, by);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        *ret_signal = WTERMSIG(status);
        return c->faults;
}

static struct handover *shared;

static void wait_for_kill(void)
{
        atomic_store(&shared->stopping, 1);
        for (;;)
                pause();
}

static void touch_nothing(void)
{
        volatile char *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        nothing[0] = 1;
}

static void crashes_are_told_from_kills(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        (void)state;
        (void)faults_of_child;
        (void)wait_for_kill;
        (void)touch_nothing;
        skip();
#else
        struct world *w = *state;
        int number;

        shared = w->h;
        assert_int_equal(faults_of_child(w, touch_nothing, 0, &number), 1);
        assert_int_equal(number, SIGSEGV);
        assert_int_equal(faults_of_child(w, abort, 0, &number), 2);
        assert_int_equal(number, SIGABRT);
        assert_int_equal(w->h->faulted, 1);
        atomic_store(&w->h->faulted, 0);
        assert_int_equal(faults_of_child(w, wait_for_kill, SIGSEGV, &number), 2);
        assert_int_equal(number, SIGSEGV);
        assert_int_equal(w->h->faulted, 0);
#endif
}

static void the_next_process_finds_the_memory(void **state)
{
        struct world *w = *state;
        struct handover *again = NULL;

        take(w, 1);
        assert_int_equal(handover_open(&again), 0);
        assert_ptr_not_equal(again, w->h);
        assert_int_equal(again->mount_id, w->h->mount_id);
        assert_int_equal(len_of(handover_cell(again, 1)), sizeof(struct fuse_in_header));
        assert_ptr_equal((char *)handover_cell(again, 1), (char *)again + handover_cell_offset(1));
        munmap(again, again->size);
}

static void memory_of_another_layout_is_not_touched(void **state)
{
        struct world *w = *state;
        struct handover *again = NULL;

        w->h->version++;
        assert_int_equal(handover_open(&again), -EPROTO);
        w->h->version--;
        w->h->cell_size++;
        assert_int_equal(handover_open(&again), -EPROTO);
        w->h->cell_size--;
        w->h->magic[0]++;
        assert_int_equal(handover_open(&again), -EPROTO);
        assert_null(again);
}

static void messages_carry_descriptors(void **state)
{
        struct world *w = *state;
        int ends[2], passed = -1;

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(handover_receive(ends[1], false, &passed), -EAGAIN);
        assert_int_equal(handover_send(ends[0], MESSAGE_MOUNTED, w->fuse_fd), 0);
        assert_int_equal(handover_send(ends[0], MESSAGE_SERVING, -1), 0);
        assert_int_equal(handover_receive(ends[1], true, &passed), MESSAGE_MOUNTED);
        assert_true(passed >= 0);
        assert_int_equal(write(passed, "x", 1), 1);
        close(passed);
        assert_int_equal(handover_receive(ends[1], true, &passed), MESSAGE_SERVING);
        assert_int_equal(passed, -1);
        close(ends[0]);
        assert_int_equal(handover_receive(ends[1], true, NULL), 0);
        close(ends[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_was_answered_is_let_go_of, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_request_is_let_go_of, set_up, tear_down),
                cmocka_unit_test_setup_teardown(kills_from_outside_are_not_a_request_s_doing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(one_that_outlives_many_is_refused_at_last, set_up, tear_down),
                cmocka_unit_test_setup_teardown(who_crashes_is_refused_and_nobody_else, set_up, tear_down),
                cmocka_unit_test_setup_teardown(an_idle_thread_has_no_request_to_blame, set_up, tear_down),
                cmocka_unit_test_setup_teardown(crashes_are_told_from_kills, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_next_process_finds_the_memory, set_up, tear_down),
                cmocka_unit_test_setup_teardown(memory_of_another_layout_is_not_touched, set_up, tear_down),
                cmocka_unit_test_setup_teardown(messages_carry_descriptors, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
