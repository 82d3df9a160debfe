/* mount_main.c: fusepkg-mount, which serves one environment at one site-packages; control.h says how it is started.
 *
 * Order: both folders are opened, then the lock is taken; what was started becomes the keeper (keeper.h).  Its worker
 * loads the environment, its store and the base, and only then anything is mounted: whatever is wrong shows before the
 * venv's folder changes.  A kill at any point leaves the lock free (it goes with the last of both) and at worst a dead
 * mount, which the next command detaches. */
#include "fs/edits_report.h"
#include "fs/handover.h"
#include "fs/keeper.h"
#include "fs/mount_load.h"
#include "fs/mount_write.h"
#include "fs/owner.h"
#include "fs/worker.h"
#include "store/files.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <time.h>

enum {
        FUSE_MAGIC = 0x65735546,
        ASIDE = 32, /* descriptors from here on are on their way to the numbers of handover.h */
        FILES_MIN = EDIT_DATA_OPEN + POOL_FDS + 4 * SERVER_THREADS + 32, /* open files that a mount may have */
};

struct arguments {
        const char *site;
        const char *state;
        const char *write; /* not to be mounted, but written there */
        int ready_fd;
        bool foreground;
        bool allow_other;
        const char *program; /* what was executed */
        bool edits; /* do what the request for the edits says, and end */
};

static int usage(void)
{
        fprintf(stderr,
                "usage: fusepkg-mount [--foreground] [--allow-other] [--ready-fd N] [--write DIR] --site DIR --state DIR\n"
                "       fusepkg-mount --edits --site DIR --state DIR\n");
        return 2;
}

static int parse_arguments(int argc, char **argv, struct arguments *ret)
{
        static const struct option options[] = {
                { "foreground", no_argument, NULL, 'f' },
                { "edits", no_argument, NULL, 'e' },
                { "allow-other", no_argument, NULL, 'o' },
                { "ready-fd", required_argument, NULL, 'r' },
                { "site", required_argument, NULL, 's' },
                { "state", required_argument, NULL, 't' },
                { "version", no_argument, NULL, 'V' },
                { "write", required_argument, NULL, 'w' },
                { NULL, 0, NULL, 0 },
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

static int put_aside(int *fd)
{
        int to = fcntl(*fd, F_DUPFD_CLOEXEC, ASIDE);

        if (to < 0)
                return -errno;
        close(*fd);
        *fd = to;
        return 0;
}

/* A mount outlives the job that started it, and is not bound by what was meant for that.  What root alone may lift
 * stays: the sizes of files, of which a signal would end the worker at a write of somebody else. */
static int leave_limits(struct errtext *err)
{
        static const int limits[] = { RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC };
        struct rlimit l;

        signal(SIGCHLD, SIG_DFL); /* ignored, it would let nobody wait for fusermount3 */
        signal(SIGXFSZ, SIG_IGN); /* EFBIG to whom it concerns */
        for (size_t i = 0; i < ARRAY_LEN(limits); i++)
                if (getrlimit(limits[i], &l) == 0 && l.rlim_cur != l.rlim_max) {
                        l.rlim_cur = l.rlim_max;
                        setrlimit(limits[i], &l);
                }
        if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < FILES_MIN)
                return errtext_set(err, -EMFILE, "only %llu files may be open (ulimit -n), and a mount needs %d",
                                   (unsigned long long)l.rlim_cur, FILES_MIN);
        return 0;
}

/* Leaves the starter: no descriptor of it, no working directory, no session. */
static int leave_starter(struct arguments *a)
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
        return chdir("/") < 0 || (a->ready_fd >= 0 && put_aside(&a->ready_fd) < 0) ? -errno : 0;
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

/* Without mounting ------------------------------------------------------------------------------------------------ */

/* edits_report.h */
static int serve_edits_alone(struct server *s, struct errtext *err)
{
        struct tree_changes changes = { 0 };
        int r = edits_serve_request(s->tree, s->state_fd, &changes, err);

        tree_changes_release(&changes);
        edits_close(s->edits);
        close(s->lock_fd);
        return r;
}

static int work_alone(const struct arguments *a, struct server *s, int site_fd, struct errtext *err)
{
        int r;

        log_open(&s->log, s->state_fd, false);
        s->lock_fd = r = owner_lock(s->state_fd, true, err);
        if (r < 0) {
                close(site_fd);
                return r;
        }
        r = mount_load(s, site_fd, err);
        if (r == 0)
                r = a->write ? mount_write(s, a->write, err) : serve_edits_alone(s, err);
        if (r < 0)
                log_line(&s->log, "%s", err->text);
        return r;
}

/* Mounting ------------------------------------------------------------------------------------------------------- */

static int place(int *fd, int number)
{
        int r = dup3(*fd, number, O_CLOEXEC) < 0 ? -errno : 0;

        close(*fd);
        *fd = -1;
        return r;
}

/* The numbers of handover.h are free: leave_starter has closed what was there. */
static int place_all(int site_fd, int state_fd, int lock_fd, struct handover **ret)
{
        int program = open("/proc/self/exe", O_PATH | O_CLOEXEC), hold = mount_load_hold(state_fd);
        int *const fds[] = { &site_fd, &state_fd, &lock_fd, &program, &hold };
        const int numbers[] = { HANDOVER_FD_SITE, HANDOVER_FD_STATE, HANDOVER_FD_LOCK, HANDOVER_FD_PROGRAM,
                                HANDOVER_FD_HOLD };
        int r = program < 0 ? -errno : 0;

        for (size_t i = 0; i < ARRAY_LEN(fds) && r == 0; i++)
                if (*fds[i] >= 0)
                        r = put_aside(fds[i]);
        /* All numbers are taken from the start, so that nothing else gets one. */
        for (int number = HANDOVER_FD_MEMORY; number < HANDOVER_FDS_END && r == 0; number++)
                r = dup3(program, number, O_CLOEXEC) < 0 ? -errno : 0;
        for (size_t i = 0; i < ARRAY_LEN(fds) && r == 0; i++)
                if (fds[i] != &hold || hold >= 0)
                        r = place(fds[i], numbers[i]);
        return r < 0 ? r : handover_new(ret);
}

static int fill(struct handover *h, const struct arguments *a, struct errtext *err)
{
        if (strlen(a->site) >= sizeof(h->site) || strlen(a->state) >= sizeof(h->state) ||
            strlen(a->program) >= sizeof(h->program))
                return errtext_set(err, -ENAMETOOLONG, "the path of the venv is too long");
        memcpy(h->site, a->site, strlen(a->site) + 1);
        memcpy(h->state, a->state, strlen(a->state) + 1);
        memcpy(h->program, a->program, strlen(a->program) + 1);
        h->foreground = a->foreground;
        h->allow_other = geteuid() == 0 || a->allow_other;
        h->since = (int64_t)time(NULL);
        return 0;
}

/* Returns on failure only: nothing is mounted then. */
static int keep(struct arguments *a, int site_fd, int state_fd, struct errtext *err)
{
        struct handover *h;
        int lock_fd = owner_lock(state_fd, false, err), r;

        if (lock_fd < 0)
                return lock_fd;
        r = place_all(site_fd, state_fd, lock_fd, &h);
        if (r == 0)
                r = fill(h, a, err);
        if (r < 0)
                return *err->text ? r :
                                    errtext_set(err, r, "cannot share memory between the mount's processes: %s",
                                                strerror(-r));
        keeper_main(h, a->ready_fd);
}

/* "" when it is not known: the mount cannot be upgraded then. */
static void find_program(const char *name, char *ret, size_t size)
{
        ssize_t n;

        if (name[0] == '/') {
                snprintf(ret, size, "%s", name);
                return;
        }
        n = readlink("/proc/self/exe", ret, size - 1);
        ret[n > 0 ? n : 0] = '\0';
}

int main(int argc, char **argv)
{
        static struct server s = { .state_fd = -1, .lock_fd = -1, .done_fd = -1 };
        char program[HANDOVER_PATH], line[ERRTEXT_SIZE + 16];
        struct errtext err = { "" };
        struct arguments a;
        int site_fd = -1, r;

        if (argc > 1 && strcmp(argv[1], "--worker") == 0)
                worker_main();
        if (argc > 1 && strcmp(argv[1], "--keeper") == 0)
                keeper_again();
        if (parse_arguments(argc, argv, &a) < 0)
                return usage();
        find_program(argv[0], program, sizeof(program));
        a.program = program;

        r = leave_limits(&err);
        if (r == 0)
                r = leave_starter(&a);
        if (r == 0)
                r = open_folders(&a, &site_fd, &s.state_fd, &err);
        if (r == 0)
                r = a.write || a.edits ? work_alone(&a, &s, site_fd, &err) : keep(&a, site_fd, s.state_fd, &err);
        if (r < 0) {
                snprintf(line, sizeof(line), "error %s\n", *err.text ? err.text : strerror(-r));
                if (a.ready_fd < 0)
                        fprintf(stderr, "fusepkg-mount: %s\n", err.text);
                say_ready(&a, line);
        }
        return r < 0 ? 1 : 0;
}
