#include "tools/mounts.h"

#include "fs/control.h"
#include "store/buf.h"
#include "store/files.h"
#include "tools/bare_seen.h"
#include "tools/container_hints.h"
#include "tools/doctor_checks.h"
#include "tools/identity.h"
#include "tools/python_start.h"
#include "tools/scope.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
        READY_TIMEOUT_MS = 30 * 1000,
        READY_LINE_MAX = ERRTEXT_SIZE + 16,
        ARGUMENTS_MAX = 12,
        LOCK_STEP_MS = 2,
        ENDING_MS = 3 * 1000,       /* for the mount's process to end, once nothing is mounted any more */
        COMING_MS = 5000,           /* for a mount that is being made */
        ELSEWHERE_MS = 200,         /* for one that may as well have its mount in another namespace */
};

/* The folder of this executable, with room behind it. */
static int own_folder(struct buf *ret)
{
        char path[4096], *slash;
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        if (n < 0)
                return -errno;
        path[n] = '\0';
        slash = strrchr(path, '/');
        if (!slash)
                return -ENOENT;
        return buf_add(ret, path, (size_t)(slash - path));
}

int mount_program(char **ret)
{
        static const char *const places[] = {
                "/fusepkg-mount", "/../fs/fusepkg-mount", "/" FUSEPKG_LIBEXEC "/fusepkg-mount",
        };
        const char *given = getenv("FUSEPKG_MOUNT_PROGRAM");
        cleanup_buf struct buf path = { 0 };
        size_t base;
        int r;

        if (given && given[0])
                r = buf_add_str(&path, given);
        else
                r = own_folder(&path);
        base = path.len;
        for (size_t i = 0; r == 0 && !(given && given[0]); i++) {
                if (i == ARRAY_LEN(places))
                        return -ENOENT;
                path.len = base;
                r = buf_add_str(&path, places[i]);
                if (r == 0 && access(path.data, X_OK) == 0)
                        break;
        }
        if (r < 0)
                return r;
        if (access(path.data, X_OK) < 0)
                return -errno;
        *ret = buf_steal(&path);
        return 0;
}

/* Where it is not, or on another machine, we wait for nothing. */
static bool in_our_namespace(const struct target *t, int pid)
{
        cleanup_close int process = mount_process(t, pid);
        char path[64];
        struct stat theirs, ours;

        snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
        return process >= 0 && stat(path, &theirs) == 0 && stat("/proc/self/ns/mnt", &ours) == 0 && theirs.st_ino == ours.st_ino &&
               theirs.st_dev == ours.st_dev;
}

/* umount(8) is back before the mount's process has written what it has to and lets go of the lock. */
static int examine_settled(const struct target *t, struct mount_info *ret)
{
        for (int waited_ms = 0;; waited_ms += LOCK_STEP_MS) {
                int r = mount_examine(t->site, t->state_fd, ret);

                if (r < 0 || ret->state != MOUNT_NONE || !ret->locked ||
                    waited_ms >= (in_our_namespace(t, ret->pid) ? ENDING_MS : ELSEWHERE_MS))
                        return r;
                usleep(LOCK_STEP_MS * 1000);
        }
}

/* The rules that can be told before trying; the rest is the mount's own to find out. */
static int check_allowed(const struct target *t, const struct mount_options *o, struct errtext *err)
{
        struct mount_info info;
        struct stat st;
        int r;

        if (fstat(t->venv_fd, &st) < 0)
                return errtext_set(err, -errno, "cannot examine %s: %s", t->venv, errno_name(-errno, (char[128]){ 0 }));
        if (geteuid() != 0 && geteuid() != st.st_uid)
                return errtext_set(err, -EPERM, "%s belongs to another user, who alone (or root) may mount it",
                                   t->venv);
        if (o->allow_other && geteuid() != 0 && !doctor_check_others_allowed())
                return errtext_set(err, -EPERM, "--allow-other needs the line 'user_allow_other' in /etc/fuse.conf, "
                                                "which root must add");
        r = examine_settled(t, &info);
        if (r < 0)
                return errtext_set(err, r, "cannot examine the mount at %s: %s", t->site,
                                   errno_name(r, (char[128]){ 0 }));
        if (info.state == MOUNT_LIVE)
                return errtext_set(err, -EALREADY, "%s is mounted already", t->site);
        if (info.state == MOUNT_FOREIGN)
                return errtext_set(err, -EBUSY, "something that is not fusepkg's is mounted at %s", t->site);
        if (info.locked && in_our_namespace(t, info.pid))
                return errtext_set(
                        err, -EBUSY,
                        "%s is mounted already, by process %d, at another path or where a container has taken it along: "
                        "`fusepkg umount --force --venv '%s'` ends that",
                        t->venv, info.pid, t->venv);
        if (info.locked)
                return errtext_set(err, -EBUSY, "%s is mounted already, by process %d on host '%s' (boot %s)", t->venv,
                                   info.pid, info.host, info.boot);
        return info.state == MOUNT_DEAD ? mount_detach(t->site, err) : 0;
}

/* In the child: nothing of the starter goes along but what is named here. */
static void __attribute__((noreturn)) become(const char *program, char *const argv[], int ready_fd)
{
        char why[128];
        sigset_t none;
        int null = open("/dev/null", O_RDWR);

        if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
                _exit(127);
        syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
        if (fcntl(ready_fd, F_SETFD, 0) < 0)
                _exit(127);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(program, argv);
        dprintf(ready_fd, "error cannot run '%s': %s\n", program, errno_name(-errno, why));
        _exit(127);
}

static void fill_arguments(const struct target *t, const struct mount_options *o, const char *program,
                           const char *ready, const char *state, const char *argv[ARGUMENTS_MAX])
{
        size_t n = 0;

        argv[n++] = program;
        if (o->foreground)
                argv[n++] = "--foreground";
        if (o->allow_other)
                argv[n++] = "--allow-other";
        if (ready) {
                argv[n++] = "--ready-fd";
                argv[n++] = ready;
        }
        argv[n++] = "--site";
        argv[n++] = t->site;
        argv[n++] = "--state";
        argv[n++] = state;
        argv[n] = NULL;
}

/* Reads the one line: its length without the newline, 0 when it never came. */
static int read_line(int fd, char line[READY_LINE_MAX])
{
        int64_t limit = (int64_t)(ui_now_ns() / 1000000) + READY_TIMEOUT_MS;
        size_t got = 0;

        while (got < READY_LINE_MAX - 1) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int64_t left = limit - (int64_t)(ui_now_ns() / 1000000);
                int r = left > 0 ? poll(&p, 1, (int)left) : 0;
                ssize_t n;

                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return r < 0 ? -errno : -ETIMEDOUT;
                n = read(fd, line + got, READY_LINE_MAX - 1 - got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                got += (size_t)n;
                if (memchr(line, '\n', got))
                        break;
        }
        line[got] = '\0';
        line[strcspn(line, "\n")] = '\0';
        return (int)strlen(line);
}

/* It may have left us already: then its lock says who it is. */
static void give_up(const struct target *t, pid_t child)
{
        struct mount_info info;

        kill(child, SIGTERM);
        if (mount_examine(t->site, t->state_fd, &info) == 0 && info.locked)
                (void)mount_signal(t, info.pid, SIGTERM);
}

static int wait_ready(const struct target *t, int fd, pid_t child, struct errtext *err)
{
        char line[READY_LINE_MAX];
        int status, n = read_line(fd, line);

        if (n == -ETIMEDOUT) {
                give_up(t, child);
                return errtext_set(err, n, "the mount of %s was not ready after %d seconds (see %s/.fusepkg/log)",
                                   t->site,
                                   READY_TIMEOUT_MS / 1000, t->venv);
        }
        if (n < 0)
                return errtext_set(err, n, "cannot hear from the mount's process: %s", errno_name(n, (char[128]){ 0 }));
        if (strcmp(line, "ok") == 0) {
                waitpid(child, &status, WNOHANG);
                return 0;
        }
        if (strncmp(line, "error " CONTROL_REFUSED, strlen("error " CONTROL_REFUSED)) == 0)
                return errtext_set(err, -ENODEV, "%s", line + 6);
        if (strncmp(line, "error ", 6) == 0)
                return errtext_set(err, -EIO, "%s", line + 6);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
                return errtext_set(
                        err, -EIO,
                        "the program fusepkg-mount cannot be loaded: a library that it needs is missing, or too old");
        return errtext_set(err, -EIO, "the mount's process ended before it was ready (see %s/.fusepkg/log)", t->venv);
}

static int start_behind(const struct target *t, const char *program, const struct mount_options *o, const char *state,
                        struct errtext *err)
{
        const char *argv[ARGUMENTS_MAX];
        char ready[16];
        int ends[2], r;
        pid_t child;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return errtext_set(err, -errno, "cannot make a pipe: %s", errno_name(-errno, (char[128]){ 0 }));
        snprintf(ready, sizeof ready, "%d", ends[1]);
        fill_arguments(t, o, program, ready, state, argv);
        child = fork();
        if (child == 0)
                become(program, (char *const *)argv, ends[1]);
        close(ends[1]);
        if (child < 0)
                r = errtext_set(err, -EAGAIN, "cannot start the mount's process");
        else
                r = wait_ready(t, ends[0], child, err);
        close(ends[0]);
        return r;
}

bool mount_came(const struct target *t)
{
        for (int waited_ms = 0; waited_ms < COMING_MS; waited_ms += LOCK_STEP_MS) {
                struct mount_info info;

                if (mount_examine(t->site, t->state_fd, &info) < 0)
                        return false;
                if (info.state == MOUNT_LIVE)
                        return true;
                if (!info.locked || (waited_ms >= ELSEWHERE_MS && !in_our_namespace(t, info.pid)))
                        return false;
                usleep(LOCK_STEP_MS * 1000);
        }
        return false;
}

/* A read-only disk has no lock, and nobody who could be in the way. */
int mount_lock(const struct target *t, int *ret, struct errtext *err)
{
        cleanup_close int fd = file_open_own(t->state_fd, MOUNTS_LOCK_FILE, O_RDWR | O_CREAT, 0644);

        if (fd == -EROFS || fd == -EACCES)
                return 0;
        if (fd < 0)
                return errtext_set(err, fd, "cannot open '%s/" ENVIRONMENT_DIR "/" MOUNTS_LOCK_FILE "': %s", t->venv,
                                   errno_name(fd, (char[128]){ 0 }));
        for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_STEP_MS) {
                if (errno != EWOULDBLOCK || waited_ms >= READY_TIMEOUT_MS)
                        return errtext_set(err, -errno, "another process has been mounting or unmounting %s for long",
                                           t->venv);
                usleep(LOCK_STEP_MS * 1000);
        }
        *ret = steal_fd(&fd);
        return 0;
}

bool mount_try_lock(const struct target *t, int *ret)
{
        cleanup_close int fd = file_open_own(t->state_fd, MOUNTS_LOCK_FILE, O_RDWR, 0);

        if (fd < 0)
                return fd == -ENOENT;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return false;
        *ret = steal_fd(&fd);
        return true;
}

/* What concerns the bare folder, before it is covered; no reason not to mount. */
static void leave_bare(const struct target *t)
{
        struct errtext err;
        int r = bare_seen_update(t);

        if (r < 0)
                ui_warning("cannot note what is in '%s': %s", t->site, errno_name(r, (char[128]){ 0 }));
        if (identity_note_first(t, &err) < 0 || python_start_write(t, &err) < 0)
                ui_warning("%s", err.text);
        target_give_state(t);
}

static bool is_process(const struct target *t, int pid)
{
        cleanup_close int process = mount_process(t, pid);

        return process >= 0;
}

/* Where it cannot, the mount is as good as any other process of this session. */
static void leave_session(const struct target *t)
{
        enum scope_manager manager = scope_find();
        struct mount_info info;

        if (manager == SCOPE_NONE || mount_examine(t->site, t->state_fd, &info) < 0 || info.state != MOUNT_LIVE ||
            !is_process(t, info.pid) || !is_process(t, info.worker))
                return;
        (void)scope_move(manager, t->site, (const pid_t[]){ info.pid, info.worker }, 2);
}

int mount_start(const struct target *t, const struct mount_options *o, struct errtext *err)
{
        cleanup_free char *program = NULL;
        cleanup_buf struct buf state = { 0 };
        cleanup_close int lock = -1;
        int r = mount_lock(t, &lock, err);

        if (r == 0)
                r = check_allowed(t, o, err);
        if (r == 0)
                r = identity_check(t, err);
        if (r < 0)
                return r;
        leave_bare(t);
        r = mount_program(&program);
        if (r < 0)
                return errtext_set(err, r, "the program fusepkg-mount is missing: it belongs beside fusepkg or into "
                                           FUSEPKG_LIBEXEC);
        r = buf_printf(&state, "%s/" ENVIRONMENT_DIR, t->venv);
        if (r < 0)
                return errtext_set(err, r, "out of memory");
        if (o->foreground) {
                const char *argv[ARGUMENTS_MAX];

                fill_arguments(t, o, program, NULL, state.data, argv);
                execv(program, (char *const *)argv);
                return errtext_set(err, -errno, "cannot run %s: %s", program, errno_name(-errno, (char[128]){ 0 }));
        }
        r = start_behind(t, program, o, state.data, err);
        if (r == 0)
                leave_session(t);
        return r;
}

static bool say_lines(struct buf *lines)
{
        for (char *line = lines->data, *end; line && (end = strchr(line, '\n')); line = end + 1)
                ui_hint("%.*s", (int)(end - line), line);
        return lines->len > 0;
}

/* What this machine lacks: the first that is found. */
static bool say_check(const struct target *t)
{
        static int (*const checks[])(const struct doctor_place *, struct finding *) = {
                doctor_check_device, doctor_check_fusermount, doctor_check_apparmor,
        };
        struct doctor_place place = { .venv = t->venv, .site = t->site };

        for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
                struct finding f = { 0 };

                if (checks[i](&place, &f) == 0 && !f.ok && f.hint[0]) {
                        ui_hint("%s", f.hint);
                        return true;
                }
        }
        return false;
}

void mount_hints(const struct target *t, int error)
{
        cleanup_buf struct buf lacks = { 0 }, advice = { 0 }, out = { 0 };
        struct container_facts facts;

        if (error != -ENODEV)
                return;
        container_look(&facts);
        if (container_lacks(&facts, &lacks) < 0 || container_advice(&facts, &advice) < 0 ||
            container_ways_out(&facts, t->venv, &out) < 0)
                return;
        if (!say_lines(&lacks) && !say_check(t) && !say_lines(&advice))
                ui_hint("fusepkg doctor shows what this machine offers");
        say_lines(&out);
}
