/* mount_main.c: fusepkg-mount, which serves one environment at one site-packages; control.h says how it is started.
 *
 * Order: both folders are opened, then the lock is taken, then the environment, its store and the base are loaded, and only then anything is
 * mounted: whatever is wrong shows before the venv's folder changes.  A kill at any point leaves the lock free (it goes with the process) and at
 * worst a dead mount, which the next command detaches. */
#include "fs/edits_report.h"
#include "fs/mount_place.h"
#include "fs/mount_session.h"
#include "fs/mount_write.h"
#include "fs/owner.h"
#include "fs/prime.h"
#include "fs/vanish.h"
#include "store/files.h"

#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>

enum {
        FUSE_MAGIC = 0x65735546,
        CLOSE_LIMIT_S = 5,
        SMALL_STACK = 256 << 10,
        RELOAD_STACK = 8 << 20, /* a view is merged folder by folder, each a few calls deeper; a path may have 512 */
};

struct arguments {
        const char *site;
        const char *state;
        const char *write; /* not to be mounted, but written there */
        int ready_fd;
        bool foreground;
        bool allow_other;
        bool edits; /* do what the request for the edits says, and end */
};

static int usage(void)
{
        fprintf(stderr, "usage: fusepkg-mount [--foreground] [--allow-other] [--ready-fd N] [--write DIR] --site DIR --state DIR\n"
                        "       fusepkg-mount --edits --site DIR --state DIR\n");
        return 2;
}

static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
        static const struct option options[] = {
                { "foreground", no_argument, NULL, 'f' }, { "edits", no_argument, NULL, 'e' }, { "allow-other", no_argument, NULL, 'o' },
                { "ready-fd", required_argument, NULL, 'r' }, { "site", required_argument, NULL, 's' },
                { "state", required_argument, NULL, 't' }, { "version", no_argument, NULL, 'V' },
                { "write", required_argument, NULL, 'w' }, { NULL, 0, NULL, 0 },
        };
        int c;

        *ret = (struct arguments){ .ready_fd = -1 };
        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (c) {
                case 'f':
                        ret->foreground = true;
                        break;
                case 'e':
                        ret->edits = true;
                        break;
                case 'o':
                        ret->allow_other = true;
                        break;
                case 'r':
                        ret->ready_fd = atoi(optarg);
                        break;
                case 's':
                        ret->site = optarg;
                        break;
                case 't':
                        ret->state = optarg;
                        break;
                case 'w':
                        ret->write = optarg;
                        ret->foreground = true;
                        break;
                case 'V':
                        printf("fusepkg-mount %s, libfuse %s\n", FUSEPKG_VERSION, fuse_pkgversion());
                        exit(0);
                default:
                        return -EINVAL;
                }
        }
        return ret->site && ret->state && optind == argc ? 0 : -EINVAL;
}

/* Leaves the starter: no descriptor of it, no working directory, no session. */
static int leave_starter(const struct arguments *a)
{
        cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        pid_t pid;

        if (null < 0)
                return -errno;
        if (a->ready_fd > 2)
                fcntl(a->ready_fd, F_SETFD, FD_CLOEXEC);
        if (!a->foreground && !a->edits) {
                pid = fork();
                if (pid < 0)
                        return -errno;
                if (pid > 0)
                        _exit(0);
                setsid();
                for (int fd = 0; fd <= 2; fd++)
                        dup2(null, fd);
        }
        /* Everything above 2 but the pipe. */
        for (int fd = 3, last = a->ready_fd > 2 ? a->ready_fd : 2; fd < last; fd++)
                close(fd);
        close_range((unsigned)(a->ready_fd > 2 ? a->ready_fd : 2) + 1, ~0U, 0);
        null = -1;
        return chdir("/") < 0 ? -errno : 0;
}

static void say_ready(struct arguments *a, const char *line)
{
        if (a->ready_fd < 0)
                return;
        file_write_full(a->ready_fd, line, strlen(line));
        close(a->ready_fd);
        a->ready_fd = -1;
}

static int open_folders(const struct arguments *a, int *ret_site, int *ret_state, struct errtext *err)
{
        cleanup_close int site = open(a->site, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cleanup_close int state = open(a->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct statfs st;
        char why[128];

        if (site < 0 || fstatfs(site, &st) < 0)
                return errtext_set(err, -errno, "cannot open '%s': %s", a->site, errno_name(-errno, why));
        if (state < 0)
                return errtext_set(err, -errno, "cannot open '%s': %s", a->state, errno_name(-errno, why));
        if (st.f_type == FUSE_MAGIC && faccessat(site, ENVIRONMENT_DIR, F_OK, 0) == 0)
                return errtext_set(err, -EBUSY, "'%s' is mounted already", a->site);
        *ret_site = steal_fd(&site);
        *ret_state = steal_fd(&state);
        return 0;
}

/* A venv that cannot be written is mounted all the same, read-only. */
static int open_edits(struct server *s, const struct environment *e, struct errtext *err)
{
        int r = edits_open(s->state_fd, e->id, &s->edits, err);

        if (r == -EROFS || r == -EACCES) {
                s->read_only = true;
                r = edits_open_copy(s->state_fd, e->id, &s->edits, err);
                if (r == -ENOENT)
                        r = -EROFS;
        }
        if (r == 0)
                r = edit_data_open(s->state_fd, &s->edit_data, err);
        if (r == 0)
                return 0;
        s->read_only = true;
        edits_close(s->edits);
        s->edits = NULL;
        if (r != -EROFS && r != -EACCES && r != -ENOSPC && r != -EDQUOT)
                return r;
        log_line(&s->log, "%s: mounted read-only", err->text);
        err->text[0] = '\0';
        return 0;
}

static int view_above_cuts(struct server *s, const struct environment *e, struct view **ret, struct errtext *err)
{
        struct view_cut *cuts = NULL;
        size_t n = 0;
        int r = tree_cuts(s->edits, &cuts, &n);

        if (r < 0)
                return errtext_set(err, r, "cannot read the edits");
        r = view_new_cut(e, s->pool, s->base, s->state_fd, NULL, cuts, n, ret, err);
        tree_cuts_free(cuts, n);
        return r;
}

static int load_view(struct server *s, const struct environment *e, int site_fd, struct view **ret, struct errtext *err)
{
        const char *moved = getenv("FUSEPKG_STORE");
        int r = store_open(e->store_path, STORE_READ, &s->store, err), numbers;

        /* Its new place is only recorded with the next change. */
        if (r == -ENOENT && moved && *moved)
                r = store_open(moved, STORE_READ, &s->store, err);
        if (r == 0 && strcmp(e->store_id, s->store->id) != 0)
                r = errtext_set(err, -ESTALE, "the store at '%s' is another one (%s) than the environment's (%s)", e->store_path,
                                s->store->id, e->store_id);
        if (r == 0)
                r = image_pool_new(s->store, &s->pool);
        if (r < 0) {
                close(site_fd);
                return r;
        }
        numbers = file_open_own(s->state_fd, BASE_NODES_FILE, O_RDWR | O_CREAT | O_APPEND, 0644);
        r = base_new(site_fd, numbers < 0 ? -1 : numbers, &s->base, err);
        return r < 0 ? r : view_above_cuts(s, e, ret, err);
}

/* Rows of another generation are carried over before anything is dropped. */
static int settle_edits(struct server *s, struct errtext *err)
{
        struct errtext note = { "" };
        size_t lost = 0, kept = 0;
        int r = tree_settle(s->tree, s->pool, s->base, &kept, &note, err);

        if (*note.text)
                log_line(&s->log, "the edits are of a generation that cannot be read: %s", note.text);
        if (kept)
                log_line(&s->log, "%zu changed files of packages that are gone or hidden were put to .fusepkg/kept", kept);
        if (r < 0)
                return r;
        r = tree_sweep(s->tree, &lost);
        if (r < 0)
                errtext_set(err, r, "cannot clear '.fusepkg/" EDIT_DATA_DIR "'");
        if (lost)
                log_line(&s->log, "the bytes of %zu files that were written last are lost: the machine stopped before they were on the disk", lost);
        return r;
}

static int load(struct server *s, int site_fd, struct errtext *err)
{
        struct environment *e = NULL;
        struct view *v = NULL;
        int r = environment_load(s->state_fd, &e, err);

        if (r == 0)
                r = open_edits(s, e, err);
        if (r == 0)
                r = load_view(s, e, site_fd, &v, err);
        else
                close(site_fd);
        if (r == 0)
                r = tree_new(v, s->edits, s->edit_data, &s->tree);
        if (r == 0)
                r = settle_edits(s, err);
        if (r == 0)
                atomic_store(&s->announced, e->generation);
        environment_free(e);
        return r;
}

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

/* They are never waited for: see main(). */
static int start_threads(struct server *s, struct errtext *err)
{
        int r = server_prepare(s);

        for (size_t i = 0; i < SERVER_THREADS && r == 0; i++)
                r = start_thread(server_work, s, SMALL_STACK);
        if (r == 0)
                r = start_thread(reload_thread, s, RELOAD_STACK);
        if (r == 0)
                r = start_thread(prefetch_thread, s, SMALL_STACK);
        if (r == 0)
                r = start_thread(forget_thread, s, SMALL_STACK);
        return r < 0 ? errtext_set(err, r, "cannot start threads") : 0;
}

/* Until the mount is gone, or a signal asks us to end it.  SIGHUP: read the environment again. */
static void wait_for_end(struct server *s, int signal_fd, const char *site)
{
        dev_t device = mount_place_device(site);
        struct signalfd_siginfo info;
        struct vanish vanish;

        vanish_init(&vanish, s->state_fd);
        for (;;) {
                struct pollfd fds[] = { { s->done_fd, POLLIN, 0 }, { signal_fd, POLLIN, 0 }, { vanish.fd, POLLIN, 0 } };

                if (poll(fds, 3, vanish_timeout_ms(&vanish)) < 0 && errno != EINTR)
                        return;
                if (fds[0].revents) {
                        log_line(&s->log, "unmounted from %s", site);
                        return;
                }
                if (!vanish.left && vanish_is_gone(&vanish)) {
                        log_line(&s->log, "the environment was deleted: unmounting %s", site);
                        vanish_leave(&vanish, mount_place_detach(device, site));
                }
                if (!(fds[1].revents & POLLIN) || read(signal_fd, &info, sizeof(info)) != sizeof(info))
                        continue;
                if (info.ssi_signo == SIGHUP) {
                        reload_request(s, NULL, false);
                        continue;
                }
                log_line(&s->log, "signal %u: unmounting %s", info.ssi_signo, site);
                mount_place_detach(device, site);
                return;
        }
}

/* Signals are blocked in all threads and read from a descriptor by the main one. */
static int block_signals(void)
{
        sigset_t set;

        signal(SIGPIPE, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC);
}

/* edits_report.h; without mounting. */
static int serve_edits_alone(struct server *s, struct errtext *err)
{
        struct tree_changes changes = { 0 };
        int r = edits_serve_request(s->tree, s->state_fd, &changes, err);

        tree_changes_release(&changes);
        edits_close(s->edits);
        close(s->lock_fd);
        return r;
}

static int serve(struct server *s, struct arguments *a, struct errtext *err)
{
        cleanup_close int signal_fd = block_signals();
        struct prime prime = { -1, -1 };
        int r;

        s->done_fd = eventfd(0, EFD_CLOEXEC);
        if (signal_fd < 0 || s->done_fd < 0)
                return errtext_set(err, -errno, "cannot set up signals");
        r = mount_session(s, a->site, geteuid() == 0 || a->allow_other, err);
        if (r < 0)
                return r;
        r = prime_fork(a->site, fuse_session_fd(s->se), &prime);
        if (r == 0)
                r = start_threads(s, err);
        if (r == 0) {
                r = prime_run(&prime);
                if (r < 0)
                        errtext_set(err, r, "mounted '%s', but cannot read it: %s", a->site, strerror(-r));
        }
        if (r < 0) {
                fuse_session_unmount(s->se);
                return r;
        }
        log_line(&s->log, "mounted at %s: generation %llu", a->site, (unsigned long long)atomic_load(&s->announced));
        say_ready(a, "ok\n");
        wait_for_end(s, signal_fd, a->site);
        /* The database first: whoever has the lock opens it.  Then the lock, at once: a thread that waits for a slow disk may keep the process for
         * long. */
        if (tree_lock_for_ever(s->tree, CLOSE_LIMIT_S) == 0)
                edits_close(s->edits);
        close(s->lock_fd);
        return 0;
}

int main(int argc, char **argv)
{
        static struct server s = {
                .state_fd = -1, .lock_fd = -1, .done_fd = -1, .prefetch = PREFETCH_INITIALIZER, .forget = FORGET_INITIALIZER,
                .reload_lock = PTHREAD_MUTEX_INITIALIZER, .reload_cond = PTHREAD_COND_INITIALIZER,
        };
        struct errtext err = { "" };
        struct arguments a;
        char line[ERRTEXT_SIZE + 16];
        int site_fd = -1, r;

        if (parse_arguments(argc, argv, &a) < 0)
                return usage();
        /* Threads share two arenas, and what a request of 1 MiB took is kept for the next one. */
        mallopt(M_ARENA_MAX, 2);
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 4 << 20);

        r = leave_starter(&a);
        if (r == 0)
                r = open_folders(&a, &site_fd, &s.state_fd, &err);
        if (r == 0) {
                log_open(&s.log, s.state_fd, a.foreground && !a.write);
                s.lock_fd = r = owner_lock(s.state_fd, &err);
        }
        s.site = a.site;
        if (r >= 0)
                r = load(&s, site_fd, &err);
        if (r == 0)
                r = a.write ? mount_write(&s, a.write, &err) : a.edits ? serve_edits_alone(&s, &err) : serve(&s, &a, &err);
        if (r < 0) {
                if (s.log.fd > 0)
                        log_line(&s.log, "not mounted: %s", err.text);
                snprintf(line, sizeof(line), "error %s\n", *err.text ? err.text : strerror(-r));
                if (a.ready_fd < 0 && (!a.foreground || a.write))
                        fprintf(stderr, "fusepkg-mount: %s\n", err.text);
                say_ready(&a, line);
        }
        /* Threads may still be in a request: the process ends without tearing down what they use. */
        _exit(r < 0 ? 1 : 0);
}
