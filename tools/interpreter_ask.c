#include "tools/interpreter_ask.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

enum {
        ANSWER_MAX = 64 * 1024, /* bytes; a real one has 700 */
        TIMEOUT_MS = 30000,     /* a Python on a slow network file system takes seconds */
};

/* For every CPython 3 and PyPy 3.  os.uname, not platform.uname, which starts a process in older ones.  musl does
 * not tell its version but by its loader, which stands in the executable. */
static const char question[] =
        "import os, platform, re, struct, sys, sysconfig\n"
        "def var(name):\n"
        "    return sysconfig.get_config_var(name) or ''\n"
        "with open(os.path.realpath(sys.executable), 'rb') as f:\n"
        "    head = f.read(4096)\n"
        "arm = head[4:6] == b'\\1\\1' and head[18:20] == b'\\x28\\0'\n"
        "flags = struct.unpack('<I', head[36:40])[0] if arm else 0\n"
        "try:\n"
        "    libc = os.confstr('CS_GNU_LIBC_VERSION') or ''\n"
        "except (AttributeError, OSError, ValueError):\n"
        "    libc = ''\n"
        "m = re.match(r'glibc (\\d+)\\.(\\d+)', libc)\n"
        "kind = 'glibc' if m else ''\n"
        "loader = re.search(rb'/[^\\0]*ld-musl-[^\\0]*', head)\n"
        "if not m and loader:\n"
        "    import subprocess\n"
        "    p = subprocess.Popen([os.fsdecode(loader.group())], stdin=subprocess.DEVNULL,\n"
        "                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "    m = re.search(r'Version (\\d+)\\.(\\d+)', os.fsdecode(p.communicate()[1]))\n"
        "    kind = 'musl' if m else ''\n"
        "v = sys.version_info\n"
        "full = '%d.%d.%d' % v[:3]\n"
        "if v.releaselevel != 'final':\n"
        "    full += v.releaselevel[0].replace('c', 'rc') + str(v.serial)\n"
        "i = sys.implementation.version\n"
        "impl = '%d.%d.%d' % i[:3]\n"
        "if i.releaselevel != 'final':\n"
        "    impl += i.releaselevel[0].replace('c', 'rc') + str(i.serial)\n"
        "u = os.uname()\n"
        "for key, value in [\n"
        "        ('implementation_name', sys.implementation.name), ('implementation_version', impl),\n"
        "        ('platform_python_implementation', platform.python_implementation()),\n"
        "        ('python_version', '%d.%d' % v[:2]), ('python_full_version', full), ('os_name', os.name),\n"
        "        ('sys_platform', sys.platform), ('platform_system', u.sysname), ('platform_machine', u.machine),\n"
        "        ('sysconfig_platform', sysconfig.get_platform()), ('extension_suffix', var('EXT_SUFFIX')),\n"
        "        ('version_nodot', var('py_version_nodot') or '%d%d' % v[:2]), ('major', v[0]), ('minor', v[1]),\n"
        "        ('free_threaded', int(bool(var('Py_GIL_DISABLED')))), ('debug', int(bool(var('Py_DEBUG')))),\n"
        "        ('hard_float', int(flags & 0xff000000 == 0x05000000 and flags & 0x400 == 0x400)),\n"
        "        ('pointer_bits', struct.calcsize('P') * 8), ('libc', kind),\n"
        "        ('libc_major', m.group(1) if m else 0), ('libc_minor', m.group(2) if m else 0)]:\n"
        "    print(key, ''.join('%%%02X' % ord(c) if c <= ' ' or c in '%\\x7f' else c for c in str(value)))\n";

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until FD can be read or has ended. */
static int wait_readable(int fd, int64_t deadline_ms)
{
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                int64_t left = deadline_ms - now_ms();
                int r;

                if (left <= 0)
                        return -ETIMEDOUT;
                r = poll(&p, 1, (int)left);
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return -errno;
        }
}

static int read_answer(int fd, int64_t deadline_ms, struct buf *ret)
{
        char piece[4096];

        for (;;) {
                ssize_t n;
                int r = wait_readable(fd, deadline_ms);

                if (r < 0)
                        return r;
                n = read(fd, piece, sizeof(piece));
                if (n == 0)
                        return 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (ret->len + (size_t)n > ANSWER_MAX)
                        return -EFBIG;
                r = buf_add(ret, piece, (size_t)n);
                if (r < 0)
                        return r;
        }
}

/* Its output has ended; the process must, too. */
static int wait_end(pid_t pid, int64_t deadline_ms)
{
        int pidfd cleanup_close = pidfd_open(pid, 0);

        return pidfd < 0 ? -errno : wait_readable(pidfd, deadline_ms);
}

static int start(const char *executable, const char *script, int out, pid_t *ret)
{
        const char *const argv[] = { executable, "-I", "-S", "-c", script, NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        int r;

        sigemptyset(&none);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        posix_spawn_file_actions_init(&actions);
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        r = r ? r : posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        r = r ? r : posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        r = r ? r : posix_spawn(ret, executable, &actions, &attributes, (char *const *)argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        return -r;
}

static int judge(const char *executable, int r, int status, unsigned timeout_ms, struct errtext *err)
{
        char why[128];

        if (r == -ETIMEDOUT)
                return errtext_set(err, r, "'%s' did not answer within %u seconds when asked for its tags", executable,
                                   (timeout_ms + 999) / 1000);
        if (r < 0)
                return errtext_set(err, r, "cannot ask '%s' for its tags: %s", executable, errno_name(r, why));
        if (WIFSIGNALED(status))
                return errtext_set(err, -EPIPE, "'%s' was killed by signal %d when asked for its tags", executable,
                                   WTERMSIG(status));
        if (WEXITSTATUS(status))
                return errtext_set(err, -EPIPE, "'%s' ended with exit status %d when asked for its tags", executable,
                                   WEXITSTATUS(status));
        return 0;
}

int interpreter_ask_script(const char *executable, const char *script, unsigned timeout_ms, struct buf *ret,
                           struct errtext *err)
{
        int64_t deadline_ms = now_ms() + timeout_ms;
        struct buf answer cleanup_buf = { 0 };
        int in cleanup_close = -1;
        int pipes[2], status = 0, r;
        char why[128];
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return errtext_set(err, -errno, "cannot make a pipe");
        in = pipes[0];
        r = start(executable, script, pipes[1], &pid);
        close(pipes[1]);
        if (r < 0)
                return errtext_set(err, r, "cannot run '%s': %s", executable, errno_name(r, why));
        r = read_answer(in, deadline_ms, &answer);
        r = r < 0 ? r : wait_end(pid, deadline_ms);
        if (r < 0)
                kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        r = judge(executable, r, status, timeout_ms, err);
        return r < 0 ? r : buf_add(ret, answer.data, answer.len);
}

int interpreter_ask(const char *executable, struct buf *ret, struct errtext *err)
{
        return interpreter_ask_script(executable, question, TIMEOUT_MS, ret, err);
}
