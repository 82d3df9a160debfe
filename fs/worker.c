#include "fs/worker.h"

#include "fs/cells.h"
#include "fs/mount_load.h"
#include "fs/mount_place.h"
#include "fs/mount_session.h"
#include "fs/prime.h"
#include "fs/vanish.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum {
        CLOSE_LIMIT_S = 5,
        SMALL_STACK = 256 << 10,
        RELOAD_STACK = 8 << 20, /* a view is merged folder by folder, each a few calls deeper; a path may have 512 */
        KEEPER_PAUSE_MS = 50,   /* before the next one when a keeper did not last so long: they may die at once */
        ALONE_MS = 1000,        /* until another keeper is tried, where none can be started */
};

struct worker {
        struct server server;
        struct handover *handover;
        int keeper_fd; /* a pidfd */
        int64_t keeper_started_ms; /* when we started one last, of CLOCK_MONOTONIC */
        int loaded_fd; /* an eventfd: set when the main thread looks after the keeper itself */
        uint64_t *removed; /* nodes that the kernel may hold, from before */
        size_t removed_count;
};

static int start_thread(void *(*run)(void *), struct server *s, size_t stack)
{
        pthread_attr_t attr;
        pthread_t thread;
        int r;

        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attr, stack);
        r = -pthread_create(&thread, &attr, run, s);
        pthread_attr_destroy(&attr);
        return r;
}

/* They are never waited for: see finish(). */
static int start_threads(struct server *s, struct errtext *err)
{
        int r = 0;

        for (size_t i = 0; i < SERVER_THREADS && r == 0; i++)
                r = start_thread(server_work, s, SMALL_STACK);
        if (r == 0)
                server_open_turn(s);
        if (r == 0)
                r = start_thread(reload_thread, s, RELOAD_STACK);
        if (r == 0)
                r = start_thread(prefetch_thread, s, SMALL_STACK);
        if (r == 0)
                r = start_thread(forget_thread, s, SMALL_STACK);
        return r < 0 ? errtext_set(err, r, "cannot start threads") : 0;
}

/* The database first: whoever has the lock opens it.  Then the lock, at once: a thread that waits for a slow disk may
 * keep the process for long. What workers are at lies in their cells. */
static void __attribute__((noreturn)) finish(struct worker *w)
{
        if (tree_lock_for_ever(w->server.tree, CLOSE_LIMIT_S) == 0)
                edits_close(w->server.edits);
        close(w->server.lock_fd);
        /* Threads may still be in a request: the process ends without tearing down what they use. */
        _exit(WORKER_ENDED);
}

/* The keeper ---------------------------------------------------------------------------------------------------- */

static void become_keeper(const struct handover *h, int socket, int worker_fd)
{
        if (dup2(socket, HANDOVER_FD_SOCKET) < 0 || dup2(worker_fd, HANDOVER_FD_PEER) < 0)
                _exit(127);
        handover_execute(h, "--keeper");
        _exit(127);
}

/* A pidfd of the process that started us, unless it has gone. */
static int open_keeper(const struct handover *h)
{
        pid_t parent = getppid();
        int fd = parent == h->keeper_pid ? pidfd_open(parent, 0) : -1;

        if (fd >= 0 && getppid() != parent) {
                close(fd);
                return -1;
        }
        return fd;
}

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int start_keeper(struct worker *w)
{
        cleanup_close int self = pidfd_open(getpid(), 0);
        const struct timespec pause = { 0, KEEPER_PAUSE_MS * 1000000 };
        int ends[2], r;
        pid_t pid;

        if (w->keeper_fd >= 0)
                close(w->keeper_fd);
        w->keeper_fd = -1;
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        if (self < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        /* Until it is there, a kill of this process ends the mount. */
        if (w->keeper_started_ms && now_ms() - w->keeper_started_ms < KEEPER_PAUSE_MS)
                nanosleep(&pause, NULL);
        w->keeper_started_ms = now_ms();
        pid = fork();
        if (pid == 0)
                become_keeper(w->handover, ends[1], self);
        r = pid < 0 ? -errno : 0;
        close(ends[1]);
        if (r == 0) {
                atomic_store(&w->handover->keeper_pid, pid);
                dup3(ends[0], HANDOVER_FD_SOCKET, O_CLOEXEC);
                w->keeper_fd = pidfd_open(pid, 0);
                r = w->keeper_fd < 0 ? -errno : 0;
        }
        close(ends[0]);
        if (r == 0)
                log_line(&w->server.log, "the keeper has died: process %d is the next one", (int)pid);
        else if (pid > 0)
                kill(pid, SIGKILL); /* we would not see it end, and there may be only one */
        return r;
}

static bool is_keeper_gone(struct worker *w)
{
        struct pollfd p = { w->keeper_fd, POLLIN, 0 };

        return w->keeper_fd < 0 || poll(&p, 1, 0) != 0;
}

/* Is there one now?  While none can be started, all else goes on, and it is tried again. */
static bool have_keeper(struct worker *w)
{
        int r;

        if (!is_keeper_gone(w))
                return true;
        r = start_keeper(w);
        if (r < 0)
                log_line(&w->server.log, "the keeper has died, and the next one cannot be started: %s", strerror(-r));
        return r == 0;
}

/* While the main thread loads, which may take its time: a worker without a keeper is one kill away from a dead mount. */
static void *guard_keeper(void *arg)
{
        struct worker *w = arg;
        struct pollfd fds[] = { { w->loaded_fd, POLLIN, 0 }, { -1, POLLIN, 0 } };

        do {
                const bool kept = !atomic_load(&w->handover->stopping) && have_keeper(w);

                fds[1].fd = kept ? w->keeper_fd : -1;
                if (poll(fds, ARRAY_LEN(fds), kept ? -1 : ALONE_MS) < 0)
                        fds[0].revents = 0;
        } while (!fds[0].revents);
        return NULL;
}

/* Main loop ----------------------------------------------------------------------------------------------------- */

/* False: the keeper is no longer there. */
static bool obey(struct worker *w)
{
        for (;;) {
                int r = handover_receive(HANDOVER_FD_SOCKET, false, NULL);

                switch (r) {
                case MESSAGE_STOP:
                        finish(w);
                case MESSAGE_RELOAD:
                        reload_request(&w->server, NULL, false);
                        break;
                case MESSAGE_HAND_ON:
                        server_hand_on(&w->server);
                        break;
                case MESSAGE_REST:
                        image_pool_rest(w->server.pool);
                        malloc_trim(0);
                        break;
                default:
                        return r != 0;
                }
        }
}

static int timeout_ms(const struct vanish *v, bool kept)
{
        int timeout = vanish_timeout_ms(v);

        return kept || (timeout >= 0 && timeout < ALONE_MS) ? timeout : ALONE_MS;
}

static void __attribute__((noreturn)) serve(struct worker *w)
{
        struct handover *h = w->handover;
        struct server *s = &w->server;
        struct vanish vanish;

        vanish_init(&vanish, s->state_fd);
        for (;;) {
                if (h->stopping && is_keeper_gone(w))
                        finish(w);

                const bool kept = have_keeper(w);
                struct pollfd fds[] = {
                        { s->done_fd, POLLIN, 0 },
                        { kept ? HANDOVER_FD_SOCKET : -1, POLLIN, 0 },
                        { kept ? w->keeper_fd : -1, POLLIN, 0 },
                        { vanish.fd, POLLIN, 0 },
                };

                if (poll(fds, ARRAY_LEN(fds), timeout_ms(&vanish, kept)) < 0 && errno != EINTR)
                        finish(w);
                if (fds[0].revents) {
                        atomic_store(&h->stopping, 1);
                        log_line(&s->log, "unmounted from %s", h->site);
                        finish(w);
                }
                if (!vanish.left && vanish_is_gone(&vanish)) {
                        log_line(&s->log, "the environment was deleted: unmounting %s", h->site);
                        vanish_leave(&vanish, mount_place_detach((dev_t)h->device, h->site));
                }
                if (fds[1].revents && !obey(w) && !is_keeper_gone(w))
                        nanosleep(&(struct timespec){ 0, 1000000 }, NULL); /* it is about to be */
        }
}

/* Start --------------------------------------------------------------------------------------------------------- */

static int hand_over_connection(struct worker *w, struct errtext *err)
{
        int fd = fuse_session_fd(w->server.se);

        if (dup3(fd, HANDOVER_FD_FUSE, O_CLOEXEC) < 0 || handover_send(HANDOVER_FD_SOCKET, MESSAGE_MOUNTED, fd) < 0 ||
            handover_receive(HANDOVER_FD_SOCKET, true, NULL) != MESSAGE_TAKEN)
                return errtext_set(err, -EPIPE, "the keeper of the mount has died");
        return 0;
}

static int mount_first(struct worker *w, struct errtext *err)
{
        struct handover *h = w->handover;
        struct server *s = &w->server;
        struct prime prime = { -1, -1 };
        int r = mount_session(s, h->site, h->allow_other, err);

        if (r == 0)
                r = hand_over_connection(w, err);
        if (r == 0)
                r = prime_fork(h->site, fuse_session_fd(s->se), &prime);
        if (r == 0)
                r = server_prepare(s);
        if (r == 0)
                r = start_threads(s, err);
        if (r == 0) {
                r = prime_run(&prime);
                if (r < 0)
                        errtext_set(err, r, "mounted '%s', but cannot read it: %s", h->site, strerror(-r));
        }
        if (r < 0) {
                if (s->se)
                        fuse_session_unmount(s->se);
                return r;
        }
        h->device = mount_place_device(h->site);
        log_line(&s->log, "mounted at %s: generation %llu", h->site, (unsigned long long)atomic_load(&s->announced));
        return 0;
}

static int take_over(struct worker *w, struct errtext *err)
{
        struct server *s = &w->server;
        int r = mount_session_new(s, w->handover->allow_other);

        if (r == 0)
                r = server_prepare(s);
        if (r < 0)
                return errtext_set(err, r, "cannot take the mount over");
        r = server_replay_init(s);
        if (r < 0)
                return errtext_set(
                        err, r,
                        "this program would serve the mount otherwise than the kernel was told: unmount and mount again");
        cells_sort(w->handover, HANDOVER_FD_FUSE, &s->log);
        r = start_threads(s, err);
        for (size_t i = 0; i < w->removed_count && r == 0; i++)
                forget_note(s, w->removed[i]);
        free(w->removed);
        return r;
}

/* Those who may be waiting are told by the keeper. */
static int start(struct worker *w, struct errtext *err)
{
        struct handover *h = w->handover;
        struct server *s = &w->server;
        int site = fcntl(HANDOVER_FD_SITE, F_DUPFD_CLOEXEC, HANDOVER_FDS_END), r;

        s->done_fd = eventfd(0, EFD_CLOEXEC);
        if (site < 0 || s->done_fd < 0)
                return errtext_set(err, -errno, "cannot make descriptors");
        r = s->took_over ? mount_load_again(s, site, &w->removed, &w->removed_count, err) : mount_load(s, site, err);
        if (r == 0 && !s->took_over) {
                h->read_only = s->read_only;
                h->first = atomic_load(&s->announced);
                atomic_store(&h->announced, h->first);
        }
        if (r == 0)
                r = s->took_over ? take_over(w, err) : mount_first(w, err);
        return r;
}

/* Nobody could begin to serve, since the environment was deleted while nobody did: as serve() would have noticed it. */
static void leave_deleted(struct worker *w)
{
        struct server *s = &w->server;
        struct vanish vanish;

        vanish_init(&vanish, s->state_fd);
        while (!vanish_is_gone(&vanish)) {
                if (!vanish.missing_since_ms) {
                        vanish_release(&vanish);
                        return;
                }
                nanosleep(&(struct timespec){ 0, VANISH_SURE_MS * 1000000 }, NULL);
        }
        vanish_release(&vanish);
        log_line(&s->log, "the environment was deleted: unmounting %s", w->handover->site);
        if (mount_place_detach((dev_t)w->handover->device, w->handover->site) == 0)
                atomic_store(&w->handover->stopping, 1);
}

static int load(struct worker *w, struct errtext *err)
{
        pthread_t guard;
        int r;

        if (!w->server.took_over)
                return start(w, err);
        w->loaded_fd = eventfd(0, EFD_CLOEXEC);
        r = w->loaded_fd < 0 ? -errno : -pthread_create(&guard, NULL, guard_keeper, w);
        if (r < 0)
                return errtext_set(err, r, "cannot watch the keeper of the mount");
        r = start(w, err);
        if (r < 0)
                return r; /* the process ends, and the thread with it */
        eventfd_write(w->loaded_fd, 1);
        pthread_join(guard, NULL);
        close(w->loaded_fd);
        return 0;
}

static void block_signals(void)
{
        sigset_t set;

        signal(SIGPIPE, SIG_IGN);
        signal(SIGALRM, SIG_DFL); /* the keeper catches it: children that we start end by it */
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGIO); /* vanish.h */
        sigprocmask(SIG_SETMASK, &set, NULL);
}

void worker_main(void)
{
        static struct worker w = {
                .server = {
                        .state_fd = HANDOVER_FD_STATE, .lock_fd = HANDOVER_FD_LOCK, .done_fd = -1, .prefetch = PREFETCH_INITIALIZER,
                        .forget = FORGET_INITIALIZER, .reload_lock = PTHREAD_MUTEX_INITIALIZER, .reload_cond = PTHREAD_COND_INITIALIZER,
                },
        };
        struct server *s = &w.server;
        struct errtext err = { "" };
        int r;

        prctl(PR_SET_NAME, "fusepkg-mount");
        block_signals();
        if (handover_open(&w.handover) < 0)
                _exit(WORKER_UNKNOWN_LAYOUT);
        cells_watch_faults();
        s->handover = w.handover;
        s->site = w.handover->site;
        s->took_over = w.handover->init_size != 0;
        w.keeper_fd = open_keeper(w.handover);
        /* One arena for all threads, since the top of others is never given back; what a request of 1 MiB took is kept
         * for the next one, until no more come (MESSAGE_REST). */
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 4 << 20);
        log_open(&s->log, s->state_fd, w.handover->foreground);
        r = load(&w, &err);
        if (r < 0) {
                log_line(&s->log, "%s: %s", s->took_over ? "cannot go on" : "not mounted",
                         *err.text ? err.text : strerror(-r));
                snprintf(w.handover->said, sizeof(w.handover->said), "%s", *err.text ? err.text : strerror(-r));
                if (s->took_over)
                        leave_deleted(&w);
                _exit(WORKER_REFUSES);
        }
        atomic_store(&w.handover->worker_state, WORKER_SERVING);
        handover_send(HANDOVER_FD_SOCKET, MESSAGE_SERVING, -1);
        serve(&w);
}
