#include "fs/keeper_private.h"

#include "fs/worker.h"
#include "store/files.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* Time ---------------------------------------------------------------------------------------------------------- */

static int64_t real_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void advance(struct keeper *k)
{
        int64_t real = real_ms(), step = real - k->last_real;

        k->now += step < KEEPER_STEP_MAX ? step : KEEPER_STEP_MAX;
        k->last_real = real;
}

/* The worker ---------------------------------------------------------------------------------------------------- */

static void say_ready(struct keeper *k, const char *word, const char *sentence)
{
        char line[ERRTEXT_SIZE + 16];

        if (k->ready_fd < 0)
                return;
        snprintf(line, sizeof(line), "%s%s%s\n", word, *sentence ? " " : "", sentence);
        file_write_full(k->ready_fd, line, strlen(line));
        close(k->ready_fd);
        k->ready_fd = -1;
}

/* FIRST: it has nothing behind it, and whoever mounts waits for it; so it goes on in the program that we are. */
static void become_worker(const struct handover *h, int socket, bool first)
{
        if (dup2(socket, HANDOVER_FD_SOCKET) < 0)
                _exit(127);
        if (first) {
                close_range(HANDOVER_FDS_END, ~0U, 0);
                munmap((void *)h, h->size);
                worker_main();
        }
        handover_execute(h, "--worker");
        _exit(127);
}

static bool start_worker(struct keeper *k)
{
        struct handover *h = k->h;
        int ends[2], peer;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return false;
        atomic_store(&h->worker_state, WORKER_LOADING);
        atomic_store(&h->faulted, 0);
        h->said[0] = '\0';
        pid = fork();
        if (pid == 0)
                become_worker(h, ends[1], !k->is_mounted && h->restarts == 0);
        close(ends[1]);
        peer = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (pid > 0 && peer < 0) { /* we would not see it end, and there may be only one */
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                pid = -1;
        }
        if (pid > 0) {
                atomic_store(&h->worker_pid, pid);
                dup3(ends[0], HANDOVER_FD_SOCKET, O_CLOEXEC);
                dup3(peer, HANDOVER_FD_PEER, O_CLOEXEC);
                close(peer);
        } else {
                atomic_store(&h->worker_state, WORKER_NONE);
        }
        close(ends[0]);
        k->killed[0] = '\0';
        k->reaped = false;
        k->kill_at = 0;
        k->start_at = 0;
        k->loading_since = k->now;
        keeper_awake(k);
        memset(k->watch, 0, sizeof(k->watch));
        k->unread_since = k->stopped_since = 0;
        return pid > 0;
}

static void reap(struct keeper *k)
{
        pid_t pid;
        int status;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid == k->h->worker_pid) {
                        k->reaped = true;
                        k->status = status;
                }
                if (pid == k->recorder)
                        k->recorder = 0;
                if (pid == k->detacher)
                        k->detacher = 0;
        }
}

/* In words, for `status`. */
static void say_why(const struct keeper *k, char *ret, size_t size)
{
        if (k->killed[0])
                snprintf(ret, size, "%s", k->killed);
        else if (k->h->said[0])
                snprintf(ret, size, "%.*s", (int)size - 1, k->h->said);
        else if (!k->reaped)
                snprintf(ret, size, "it ended");
        else if (WIFSIGNALED(k->status))
                snprintf(ret, size, "killed by signal %d (%s)", WTERMSIG(k->status), strsignal(WTERMSIG(k->status)));
        else if (WEXITSTATUS(k->status) == 3)
                snprintf(ret, size, "the program does not know the layout of this mount's memory");
        else
                snprintf(ret, size, "ended with status %d", WEXITSTATUS(k->status));
}

static void __attribute__((noreturn)) end(struct keeper *k, int status)
{
        close(HANDOVER_FD_FUSE);
        close(HANDOVER_FD_LOCK);
        (void)k;
        _exit(status);
}

static bool is_unmounted(const struct keeper *k)
{
        struct pollfd p = { HANDOVER_FD_FUSE, 0, 0 };

        return k->is_mounted && poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

static void wait_for_detacher(struct keeper *k)
{
        for (int i = 0; k->detacher && i < STOP_LIMIT / 5; i++) {
                poll(NULL, 0, 5);
                reap(k);
        }
}

/* Nothing stays of a mount that did not come up. */
static void __attribute__((noreturn)) fail(struct keeper *k, const char *why)
{
        if (k->is_mounted && !is_unmounted(k)) {
                keeper_detach(k);
                wait_for_detacher(k);
        }
        say_ready(k, "error", *k->h->said ? k->h->said : why);
        end(k, 1);
}

/* The old program again. */
static void undo_upgrade(struct keeper *k, const char *why)
{
        char line[sizeof(k->h->upgrade) + 64];

        dup3(k->previous_fd, HANDOVER_FD_PROGRAM, O_CLOEXEC);
        close(k->previous_fd);
        k->previous_fd = -1;
        k->upgrading = false;
        k->h->upgrades++;
        snprintf(k->h->upgrade, sizeof(k->h->upgrade), "%s", why);
        snprintf(line, sizeof(line), "not upgraded, the new program cannot serve this mount: %s", why);
        keeper_record(k, line);
}

static int64_t pause_for(const struct keeper *k)
{
        int64_t pause = PAUSE_FIRST;

        if (k->failures < FAILURES_FREE)
                return 0;
        for (unsigned i = FAILURES_FREE; i < k->failures && pause < PAUSE_MAX; i++)
                pause *= 2;
        return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}

/* A stop that was asked for is no failure, nor is what somebody else did to a worker that served.  One that crashes
 * soon after each start is one, however far it comes. */
static void worker_ended(struct keeper *k)
{
        struct handover *h = k->h;
        bool served = h->worker_state == WORKER_SERVING, asked = k->upgrading && k->kill_at;
        bool fine = served && (!atomic_load(&h->faulted) || k->now - k->serving_since >= SERVED_LONG);
        char why[sizeof(h->reason)], line[sizeof(why) + 64];

        reap(k);
        say_why(k, why, sizeof(why));
        atomic_store(&h->worker_state, WORKER_NONE);
        if (h->stopping || is_unmounted(k))
                end(k, 0);
        if (!k->is_up)
                fail(k, why);
        if (k->down_since == 0)
                k->down_since = k->now;
        k->kill_at = 0;
        if (k->upgrading && !asked) {
                undo_upgrade(k, why);
        } else if (!asked) {
                h->restarts++;
                snprintf(h->reason, sizeof(h->reason), "%s", why);
                snprintf(line, sizeof(line), "process %d has ended: %s; starting again", (int)h->worker_pid, why);
                k->failures = fine ? 0 : k->failures + 1;
                keeper_record(k, k->failures > FAILURES_FREE + 3 ? NULL : line);
        }
        k->start_at = k->now + (asked ? 0 : pause_for(k));
}

static void serving(struct keeper *k)
{
        struct handover *h = k->h;
        bool upgraded = k->upgrading;

        k->serving_since = k->now;
        k->down_since = 0;
        k->is_up = true;
        h->degraded = false;
        if (upgraded) {
                h->upgrades++;
                snprintf(h->upgrade, sizeof(h->upgrade), "ok");
                snprintf(h->reason, sizeof(h->reason), "upgrade");
                k->upgrading = false;
                close(k->previous_fd);
        }
        if (k->ready_fd >= 0) {
                keeper_record_now(k); /* the starter reads who serves */
                say_ready(k, "ok", "");
        } else {
                keeper_record(k, upgraded ? "upgraded" : NULL);
        }
        if (upgraded)
                handover_execute(h, "--keeper");
}

static void stop_worker(struct keeper *k)
{
        handover_send(HANDOVER_FD_SOCKET, MESSAGE_STOP, -1);
        k->kill_at = k->now + STOP_LIMIT;
}

/* What comes in ------------------------------------------------------------------------------------------------- */

static void hear(struct keeper *k)
{
        for (;;) {
                int passed = -1, r = handover_receive(HANDOVER_FD_SOCKET, false, &passed);

                if (r == MESSAGE_MOUNTED && passed >= 0) {
                        dup3(passed, HANDOVER_FD_FUSE, O_CLOEXEC);
                        k->is_mounted = true;
                        close(passed);
                        handover_send(HANDOVER_FD_SOCKET, MESSAGE_TAKEN, -1);
                } else if (r == MESSAGE_SERVING) {
                        serving(k);
                } else if (r == MESSAGE_AWAKE) {
                        keeper_awake(k);
                } else if (r <= 0) {
                        return;
                }
        }
}

/* To the program that lies where ours did. */
static void upgrade(struct keeper *k)
{
        int fd = k->h->program[0] && !k->upgrading && k->is_up ? open(k->h->program, O_PATH | O_CLOEXEC) : -1;

        if (fd < 0) {
                k->h->upgrades++;
                snprintf(k->h->upgrade, sizeof(k->h->upgrade), "cannot open '%.200s': %s", k->h->program,
                         strerror(errno));
                keeper_record(k, NULL);
                return;
        }
        k->previous_fd = fcntl(HANDOVER_FD_PROGRAM, F_DUPFD_CLOEXEC, HANDOVER_FDS_END);
        dup3(fd, HANDOVER_FD_PROGRAM, O_CLOEXEC);
        close(fd);
        k->upgrading = true;
        stop_worker(k);
}

static void unmount(struct keeper *k, unsigned signal)
{
        char line[HANDOVER_PATH];

        snprintf(line, sizeof(line), "signal %u: unmounting %.400s", signal, k->h->site);
        k->h->stopping = 1;
        keeper_record(k, line);
        keeper_detach(k);
        wait_for_detacher(k);
        if (k->h->worker_state == WORKER_NONE)
                end(k, 0);
        stop_worker(k);
}

static void take_signals(struct keeper *k)
{
        struct signalfd_siginfo info;

        while (read(k->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                switch (info.ssi_signo) {
                case SIGCHLD:
                        reap(k);
                        break;
                case SIGHUP:
                        handover_send(HANDOVER_FD_SOCKET, MESSAGE_RELOAD, -1);
                        break;
                case SIGUSR1:
                        upgrade(k);
                        break;
                default:
                        unmount(k, info.ssi_signo);
                }
        }
        if (k->record_due && !k->recorder)
                keeper_record(k, NULL);
}

/* The loop ------------------------------------------------------------------------------------------------------ */

static bool is_refusing(const struct keeper *k)
{
        int64_t after = k->failures && k->h->said[0] ? REFUSE_FAILED : REFUSE_AFTER;

        /* One that is on its way: two hundred that were killed in one moment take their time. */
        if (k->failures == 0 && k->h->worker_state == WORKER_LOADING)
                after = REFUSE_LOADING;
        if (k->now < k->stalled_until)
                after = STALL_LIMIT;
        return k->is_up && k->down_since && k->now - k->down_since >= after;
}

static void keep_limits(struct keeper *k)
{
        struct handover *h = k->h;

        if (k->kill_at && k->now >= k->kill_at && h->worker_state != WORKER_NONE) {
                /* Unmounted: what a worker cannot end, because a disk holds it up, ends when the disk does. */
                if (h->stopping && k->killed[0])
                        end(k, 0);
                keeper_kill(k, "it did not end when it was asked to");
                k->kill_at = k->now + STOP_LIMIT;
        }
        if (h->worker_state == WORKER_LOADING && k->is_up && k->now - k->loading_since >= LOAD_LIMIT)
                keeper_kill(k, "it did not begin to serve");
        if (is_refusing(k) && !h->degraded) {
                h->degraded = true;
                keeper_refuse_left(k);
                keeper_record(k, "nobody can serve the mount: requests end with errors");
        }
        if (h->worker_state == WORKER_NONE && k->now >= k->start_at && !h->stopping && !start_worker(k))
                k->start_at = k->now + PAUSE_FIRST;
}

static void stop_unmounted(struct keeper *k)
{
        k->h->stopping = 1;
        k->kill_at = k->now + STOP_LIMIT;
}

static void __attribute__((noreturn)) run(struct keeper *k)
{
        int64_t watched = 0;

        for (;;) {
                const short wanted = is_refusing(k) || k->resting ? POLLIN : 0;
                /* Each request wakes all who wait at the connection: while a worker reads there, that is it alone. */
                const bool waits = k->is_mounted && (wanted || k->h->worker_state != WORKER_SERVING);
                struct pollfd fds[] = {
                        { k->h->worker_state == WORKER_NONE ? -1 : HANDOVER_FD_PEER, POLLIN, 0 },
                        { k->signal_fd, POLLIN, 0 },
                        { k->h->worker_state == WORKER_NONE ? -1 : HANDOVER_FD_SOCKET, POLLIN, 0 },
                        { waits ? HANDOVER_FD_FUSE : -1, wanted, 0 },
                };

                if (poll(fds, ARRAY_LEN(fds), keeper_timeout(k)) < 0 && errno != EINTR)
                        end(k, 1);
                advance(k);
                if (fds[1].revents)
                        take_signals(k);
                if (fds[2].revents)
                        hear(k);
                if (fds[0].revents)
                        worker_ended(k);
                else if (fds[2].revents & POLLHUP)
                        poll(&fds[0], 1, 10); /* it ends */
                if ((fds[3].revents & POLLERR) && !k->h->stopping && k->h->worker_state != WORKER_NONE) {
                        stop_unmounted(k);
                } else if (fds[3].revents & POLLERR) {
                        if (k->h->worker_state == WORKER_NONE)
                                end(k, 0);
                        poll(fds, 3, 20); /* nothing new comes from there; until the worker has ended */
                } else if ((fds[3].revents & POLLIN) && is_refusing(k)) {
                        keeper_refuse_next(k);
                } else if (fds[3].revents & POLLIN) {
                        keeper_awake(k); /* we rested; maybe the worker has told us already, or has ended */
                }
                keep_limits(k);
                if (k->now - watched >= KEEPER_TICK / 2) {
                        watched = k->now;
                        keeper_watch(k);
                        if (!k->kill_at && k->h->worker_state == WORKER_SERVING && is_unmounted(k))
                                stop_unmounted(k);
                }
        }
}

/* Start --------------------------------------------------------------------------------------------------------- */

static void ignore(int signal)
{
        (void)signal;
}

/* SIGALRM ends a read of the connection that came too late; the others are read from a descriptor. */
static int take_over_signals(void)
{
        struct sigaction alarm = { .sa_handler = ignore };
        sigset_t set;

        signal(SIGPIPE, SIG_IGN);
        sigaction(SIGALRM, &alarm, NULL);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_SETMASK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void init(struct keeper *k, struct handover *h, int ready_fd)
{
        *k = (struct keeper){ .h = h, .ready_fd = ready_fd, .previous_fd = -1, .now = 1, .last_real = real_ms() };
        k->signal_fd = take_over_signals();
        keeper_awake(k);
        prctl(PR_SET_NAME, "fusepkg-mount");
        atomic_store(&h->keeper_pid, getpid());
}

void keeper_main(struct handover *h, int ready_fd)
{
        static struct keeper k;

        init(&k, h, ready_fd);
        if (k.signal_fd < 0 || !start_worker(&k))
                fail(&k, "cannot start the process that serves the mount");
        run(&k);
}

void keeper_again(void)
{
        static struct keeper k;
        struct handover *h;

        if (handover_open(&h) < 0)
                _exit(1);
        init(&k, h, -1);
        k.is_up = k.is_mounted = true;
        if (h->worker_state != WORKER_SERVING)
                k.down_since = k.loading_since = k.now;
        keeper_record(&k, NULL);
        run(&k);
}
