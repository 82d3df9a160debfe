/* fusepkg-entrypoint: process 1 of a container: mounts, runs the job, and ends as it does.
 *
 *     fusepkg-entrypoint [--venv DIR]... [--] COMMAND [ARGUMENT...]
 *
 * Mounts the environments of all venvs that are named (else of $VIRTUAL_ENV), where fusepkg has installed something in
 * them.  Signals are passed on to the job; children that nobody waits for are reaped.  When the job ends, the
 * environments are unmounted, so that their edits are on the disk; what still uses them then is told to end.  The
 * status is the job's, or 128 + the signal that ended it; 125 when mounting fails, 126 and 127 when the job cannot be
 * started.
 *
 * With $FUSEPKG_STORE_BASE, a store that is only there to be read, $FUSEPKG_STORE becomes one above it, for this
 * container alone: an overlay file system, whose changes are in memory ($FUSEPKG_STORE_UPPER: in that folder). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
        VENVS_MAX = 64,
        END_SECONDS = 5, /* for what the job has left running; docker gives 10 in all */
        STATUS_MOUNT = 125,
        STATUS_CANNOT_RUN = 126,
        STATUS_NOT_FOUND = 127,
};

static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };

static int usage(void)
{
        fprintf(stderr, "usage: fusepkg-entrypoint [--venv DIR]... [--] COMMAND [ARGUMENT...]\n");
        return STATUS_MOUNT;
}

/* Runs fusepkg to its end; its exit status, or -1. */
static int fusepkg(const char *command, const char *venv)
{
        sigset_t none;
        pid_t child = fork(), done;
        int status = -1;

        if (child == 0) {
                sigemptyset(&none);
                sigprocmask(SIG_SETMASK, &none, NULL);
                execlp("fusepkg", "fusepkg", command, "-q", "--venv", venv, (char *)NULL);
                fprintf(stderr, "fusepkg-entrypoint: cannot run fusepkg: %s\n", strerror(errno));
                _exit(STATUS_NOT_FOUND);
        }
        do
                done = child < 0 ? -1 : waitpid(child, &status, 0);
        while (done < 0 && child >= 0 && errno == EINTR);
        return done == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool has_environment(const char *venv)
{
        char path[4096];

        snprintf(path, sizeof(path), "%s/.fusepkg/environment", venv);
        return access(path, F_OK) == 0;
}

static int fail(const char *what, const char *path)
{
        fprintf(stderr, "fusepkg-entrypoint: cannot %s %s: %s\n", what, path, strerror(errno));
        return -1;
}

/* gc on the other side removes nothing while we live: store/store.h, store_hold_open().  The descriptor stays open,
 * here alone. */
static int hold_all(const char *base)
{
        struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
        char path[4096];
        int fd;

        snprintf(path, sizeof(path), "%s/images", base);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail("open", path);
        /* Not while it is at it.  A file system without locks is used all the same. */
        (void)flock(fd, LOCK_SH);
        (void)fcntl(fd, F_OFD_SETLK, &all);
        (void)flock(fd, LOCK_UN);
        return 0;
}

/* The upper folder of an overlay cannot itself be on one, as a container's root is. */
static int stack_store(void)
{
        const char *base = getenv("FUSEPKG_STORE_BASE"), *store = getenv("FUSEPKG_STORE"),
                   *upper = getenv("FUSEPKG_STORE_UPPER");
        static const char memory[] = "/run/fusepkg-store";
        char options[3 * 4096], path[2][4096];

        if (!base || !*base)
                return 0;
        if (!store || !*store || strpbrk(base, ",:")) {
                fprintf(stderr,
                        "fusepkg-entrypoint: FUSEPKG_STORE_BASE needs FUSEPKG_STORE, and a name without ',' and ':'\n");
                return -1;
        }
        if (hold_all(base) < 0)
                return -1;
        if (!upper || !*upper) {
                upper = memory;
                if (mkdir(memory, 0700) < 0 && errno != EEXIST)
                        return fail("make", memory);
                if (mount("fusepkg-store", memory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") < 0)
                        return fail("mount a tmpfs at", memory);
        }
        snprintf(path[0], sizeof(path[0]), "%s/upper", upper);
        snprintf(path[1], sizeof(path[1]), "%s/work", upper);
        for (size_t i = 0; i < 2; i++)
                if (mkdir(path[i], 0700) < 0 && errno != EEXIST)
                        return fail("make", path[i]);
        if (mkdir(store, 0700) < 0 && errno != EEXIST)
                return fail("make", store);
        snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", base, path[0], path[1]);
        return mount("fusepkg-store", store, "overlay", MS_NOSUID | MS_NODEV, options) < 0 ?
                       fail("stack a store at", store) :
                       0;
}

static pid_t start(char *const argv[])
{
        sigset_t none;
        pid_t child = fork();

        if (child != 0)
                return child;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execvp(argv[0], argv);
        fprintf(stderr, "fusepkg-entrypoint: cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN);
}

/* Reaps what has ended; true when the job was among it. */
static bool reap(pid_t job, int *ret_status)
{
        bool ended = false;
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == job) {
                        *ret_status = status;
                        ended = true;
                }
        return ended;
}

/* What a terminal sends reaches the job, too: only what was sent to us alone is passed on. */
static int wait_for(pid_t job, const sigset_t *signals)
{
        siginfo_t info;
        int status = 0;

        for (;;) {
                if (sigwaitinfo(signals, &info) < 0)
                        continue;
                if (info.si_signo == SIGCHLD) {
                        if (reap(job, &status))
                                return status;
                } else if (info.si_code != SI_KERNEL) {
                        kill(job, info.si_signo);
                }
        }
}

/* A mount's process that is told to end unmounts and closes its edits. */
static void end_all(const sigset_t *signals)
{
        struct timespec step = { 0, 20000000 };
        int status;

        kill(-1, SIGTERM);
        for (int i = 0; i < END_SECONDS * 50; i++) {
                reap(-1, &status);
                if (waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD)
                        return;
                sigtimedwait(signals, NULL, &step);
        }
}

int main(int argc, char **argv)
{
        const char *venvs[VENVS_MAX], *active = getenv("VIRTUAL_ENV");
        size_t count = 0, mounted = 0;
        bool busy = false;
        sigset_t signals;
        int at = 1, status;
        pid_t job;

        for (; at < argc && argv[at][0] == '-'; at++) {
                if (strcmp(argv[at], "--") == 0) {
                        at++;
                        break;
                }
                if (strcmp(argv[at], "--venv") != 0 || at + 1 >= argc || count == VENVS_MAX)
                        return usage();
                venvs[count++] = argv[++at];
        }
        if (at >= argc)
                return usage();
        if (count == 0 && active && *active)
                venvs[count++] = active;
        sigemptyset(&signals);
        sigaddset(&signals, SIGCHLD);
        for (size_t i = 0; i < sizeof(forwarded) / sizeof(*forwarded); i++)
                sigaddset(&signals, forwarded[i]);
        sigprocmask(SIG_BLOCK, &signals, NULL);

        if (stack_store() < 0)
                return STATUS_MOUNT;
        for (; mounted < count; mounted++)
                if (has_environment(venvs[mounted]) && fusepkg("mount", venvs[mounted]) != 0)
                        return STATUS_MOUNT;
        job = start(argv + at);
        if (job < 0) {
                fprintf(stderr, "fusepkg-entrypoint: cannot start a process: %s\n", strerror(errno));
                return STATUS_CANNOT_RUN;
        }
        status = wait_for(job, &signals);
        for (size_t i = 0; i < count; i++)
                if (has_environment(venvs[i]) && fusepkg("umount", venvs[i]) != 0)
                        busy = true;
        if (busy && getpid() == 1)
                end_all(&signals);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
