/* What a keeper does about requests without an answer.  Its clock is ours; a socket stands for the kernel, a child that
 * sleeps for the worker. */
#include "fs/keeper_private.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { UNIQUE = 500 };

struct world {
        struct keeper k;
        pid_t worker;
        int kernel_fd; /* the kernel's end, as the next: the worker's */
        int worker_fd;
};

void keeper_record(struct keeper *k, const char *line)
{
        (void)k;
        (void)line;
}

static void place(int fd, int number)
{
        assert_int_equal(dup2(fd, number), number);
        close(fd);
}

static int aside(int fd)
{
        int to = fcntl(fd, F_DUPFD_CLOEXEC, HANDOVER_FDS_END + 8);

        close(fd);
        return to;
}

static int set_up(void **state)
{
        static struct world w;
        int fuse[2], socket[2];

        w = (struct world){ .k = { .now = 1 } };
        for (int fd = HANDOVER_FD_MEMORY; fd < HANDOVER_FDS_END; fd++)
                assert_int_equal(dup2(STDERR_FILENO, fd), fd); /* so that nothing else gets the number */
        assert_int_equal(handover_new(&w.k.h), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fuse), 0);
        w.kernel_fd = aside(fuse[0]);
        fuse[1] = aside(fuse[1]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socket), 0);
        w.worker_fd = aside(socket[0]);
        socket[1] = aside(socket[1]);
        place(fuse[1], HANDOVER_FD_FUSE);
        place(socket[1], HANDOVER_FD_SOCKET);
        w.worker = fork();
        if (w.worker == 0)
                for (;;)
                        pause();
        place(aside(pidfd_open(w.worker, 0)), HANDOVER_FD_PEER);
        w.k.h->worker_pid = w.worker;
        w.k.h->worker_state = WORKER_SERVING;
        *state = &w;
        return 0;
}

static int tear_down(void **state)
{
        struct world *w = *state;

        kill(w->worker, SIGKILL);
        waitpid(w->worker, NULL, 0);
        munmap(w->k.h, w->k.h->size);
        for (int fd = HANDOVER_FD_MEMORY; fd < HANDOVER_FDS_END; fd++)
                close(fd);
        close(w->kernel_fd);
        close(w->worker_fd);
        return 0;
}

static void take(struct world *w, unsigned i, uint32_t opcode, uint64_t unique)
{
        struct server_cell *c = handover_cell(w->k.h, i);

        *(struct fuse_in_header *)(void *)c->bytes = (struct fuse_in_header){ .len = sizeof(struct fuse_in_header), .opcode = opcode, .unique = unique };
        atomic_store(&c->tid, w->worker);
        atomic_fetch_add(&c->since, 1);
        atomic_store(&c->state, CELL_BUSY);
}

/* Looks each half second, for so long. */
static void let_pass(struct world *w, int64_t ms)
{
        for (int64_t end = w->k.now + ms; w->k.now < end;) {
                w->k.now += 500;
                keeper_watch(&w->k);
        }
}

/* How many requests got an error since the last time, and the last one's number. */
static unsigned errors(struct world *w, uint64_t *ret_last)
{
        struct fuse_out_header out;
        unsigned n = 0;

        while (recv(w->kernel_fd, &out, sizeof(out), MSG_DONTWAIT) == sizeof(out)) {
                assert_int_equal(out.error, -EIO);
                *ret_last = out.unique;
                n++;
        }
        return n;
}

static bool is_worker_alive(const struct world *w)
{
        return waitpid(w->worker, NULL, WNOHANG) == 0;
}

static void a_request_without_an_answer_gets_an_error_once(void **state)
{
        struct world *w = *state;
        uint64_t last = 0;

        take(w, 1, FUSE_READ, UNIQUE);
        let_pass(w, CELL_LIMIT - 2000);
        assert_int_equal(errors(w, &last), 0);
        let_pass(w, 4000);
        assert_int_equal(errors(w, &last), 1);
        assert_int_equal(last, UNIQUE);
        let_pass(w, 4 * CELL_LIMIT);
        assert_int_equal(errors(w, &last), 0);
        assert_true(is_worker_alive(w));
}

static void those_that_follow_have_less_time(void **state)
{
        struct world *w = *state;
        uint64_t last = 0;

        take(w, 1, FUSE_READ, UNIQUE);
        let_pass(w, CELL_LIMIT + 2000);
        assert_int_equal(errors(w, &last), 1);
        take(w, 1, FUSE_READ, UNIQUE + 2);
        let_pass(w, STALL_LIMIT + 2000);
        assert_int_equal(errors(w, &last), 1);
        assert_int_equal(last, UNIQUE + 2);
        handover_cell(w->k.h, 1)->state = CELL_IDLE;
        let_pass(w, STALL_MEMORY + 2000);
        take(w, 1, FUSE_READ, UNIQUE + 4);
        let_pass(w, CELL_LIMIT - 2000);
        assert_int_equal(errors(w, &last), 0);
}

static void each_request_has_time_of_its_own(void **state)
{
        struct world *w = *state;
        uint64_t last = 0;

        for (uint64_t i = 0; i < 10; i++) {
                take(w, 0, FUSE_WRITE, UNIQUE + 2 * i);
                let_pass(w, CELL_LIMIT / 2);
        }
        assert_int_equal(errors(w, &last), 0);
}

static void a_sync_ends_within_half_a_minute(void **state)
{
        struct world *w = *state;
        uint64_t last = 0;

        take(w, 2, FUSE_FSYNC, UNIQUE);
        let_pass(w, CELL_LIMIT + 2000);
        assert_int_equal(errors(w, &last), 0);
        let_pass(w, 30000 - CELL_LIMIT - 2000);
        assert_int_equal(errors(w, &last), 1);
}

static void who_copies_is_not_disturbed(void **state)
{
        struct world *w = *state;
        struct server_cell *c = handover_cell(w->k.h, 0);
        uint64_t last = 0;

        w->k.h->worker_pid = getpid(); /* somebody who moves bytes: this test */
        take(w, 0, FUSE_WRITE, UNIQUE);
        atomic_store(&c->tid, getpid());
        for (int i = 0; i < 10 * CELL_LIMIT / 1000; i++) {
                struct fuse_in_header waits = { .len = sizeof(waits), .opcode = FUSE_LOOKUP, .unique = UNIQUE + 2 };
                int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
                char bytes[64];

                if (i == 5)
                        assert_int_equal(send(w->kernel_fd, &waits, sizeof(waits), 0), sizeof(waits));
                assert_int_equal(read(null, bytes, sizeof(bytes)), sizeof(bytes));
                close(null);
                let_pass(w, 1000);
        }
        assert_int_equal(errors(w, &last), 0);
        assert_true(is_worker_alive(w)); /* though it has read nothing for long */
}

static void a_stopped_worker_is_killed_without_errors(void **state)
{
        struct world *w = *state;
        uint64_t last = 0;
        int status;

        take(w, 0, FUSE_LOOKUP, UNIQUE);
        kill(w->worker, SIGSTOP);
        assert_int_equal(waitpid(w->worker, &status, WUNTRACED), w->worker);
        let_pass(w, STOPPED_LIMIT + 1500);
        assert_int_equal(waitpid(w->worker, &status, 0), w->worker);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_string_equal(w->k.killed, "it was stopped");
        assert_int_equal(errors(w, &last), 0);
}

static void who_does_not_read_is_told_then_killed(void **state)
{
        struct world *w = *state;
        struct fuse_in_header waits = { .len = sizeof(waits), .opcode = FUSE_LOOKUP, .unique = UNIQUE };
        uint64_t last = 0;

        let_pass(w, 2000);
        assert_int_equal(send(w->kernel_fd, &waits, sizeof(waits), 0), sizeof(waits));
        let_pass(w, UNREAD_HAND_ON + 1000);
        assert_int_equal(handover_receive(w->worker_fd, false, NULL), MESSAGE_HAND_ON);
        let_pass(w, UNREAD_LIMIT);
        assert_int_equal(errors(w, &last), 1);
        assert_int_equal(last, UNIQUE);
        assert_int_equal(waitpid(w->worker, NULL, 0), w->worker);
}

static void a_keeper_rests_until_there_is_a_request(void **state)
{
        struct world *w = *state;

        let_pass(w, KEEPER_IDLE / 2);
        assert_false(w->k.resting);
        take(w, 1, FUSE_FSYNC, UNIQUE);
        let_pass(w, 2 * KEEPER_IDLE);
        assert_false(w->k.resting);
        atomic_store(&handover_cell(w->k.h, 1)->state, CELL_IDLE);
        let_pass(w, KEEPER_IDLE + 1000);
        assert_true(w->k.resting);
        assert_int_equal(atomic_load(&w->k.h->resting), 1);
        assert_int_equal(handover_receive(w->worker_fd, false, NULL), MESSAGE_REST);
        keeper_awake(&w->k);
        assert_int_equal(atomic_load(&w->k.h->resting), 0);
        let_pass(w, KEEPER_IDLE / 2);
        assert_false(w->k.resting);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_request_without_an_answer_gets_an_error_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(those_that_follow_have_less_time, set_up, tear_down),
                cmocka_unit_test_setup_teardown(each_request_has_time_of_its_own, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_sync_ends_within_half_a_minute, set_up, tear_down),
                cmocka_unit_test_setup_teardown(who_copies_is_not_disturbed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_stopped_worker_is_killed_without_errors, set_up, tear_down),
                cmocka_unit_test_setup_teardown(who_does_not_read_is_told_then_killed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_keeper_rests_until_there_is_a_request, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
