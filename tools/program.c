#include "tools/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>

extern char **environ;

static int read_output(int fd, struct buf *ret)
{
        char piece[4096];
        size_t got = 0;
        int r = 0;

        for (;;) {
                ssize_t n = read(fd, piece, sizeof piece);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return r < 0 ? r : n < 0 ? -errno : 0;
                /* What is too much is read all the same, so that the program is not stopped by a full pipe. */
                if (r == 0 && got + (size_t)n <= PROGRAM_OUTPUT_MAX)
                        r = buf_add(ret, piece, (size_t)n);
                got += (size_t)n;
        }
}

static int wait_for(pid_t pid)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* cron and systemd start programs with short or empty search paths. */
static int spawn_somewhere(pid_t *pid, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                           char *const argv[])
{
        static const char *const folders[] = { "/usr/bin", "/bin", "/usr/sbin", "/sbin" };
        int r = posix_spawnp(pid, argv[0], actions, attributes, argv, environ);

        for (size_t i = 0; r == ENOENT && !strchr(argv[0], '/') && i < ARRAY_LEN(folders); i++) {
                char path[512];

                snprintf(path, sizeof path, "%s/%s", folders[i], argv[0]);
                r = posix_spawn(pid, path, actions, attributes, argv, environ);
        }
        return -r;
}

static int spawn_into(int output, const char *const argv[], pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none;
        int r;

        sigemptyset(&none);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        r = -posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = -posix_spawn_file_actions_adddup2(&actions, output, 1);
        if (r == 0)
                r = -posix_spawn_file_actions_adddup2(&actions, output, 2);
        if (r == 0)
                r = -posix_spawn_file_actions_addclosefrom_np(&actions, 3);
        if (r == 0)
                r = -posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
                r = -posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        if (r == 0)
                r = spawn_somewhere(ret, &actions, &attributes, (char *const *)argv);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return r;
}

int program_run(const char *const argv[], struct buf *ret_output)
{
        int ends[2];
        pid_t pid;
        int r, status;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        r = spawn_into(ends[1], argv, &pid);
        close(ends[1]);
        if (r == 0) {
                r = read_output(ends[0], ret_output);
                status = wait_for(pid);
                if (r == 0)
                        r = status;
        }
        close(ends[0]);
        return r;
}

const char *program_last_line(struct buf *output)
{
        char *line;

        while (output->len > 0 && (output->data[output->len - 1] == '\n' || output->data[output->len - 1] == ' '))
                output->data[--output->len] = '\0';
        if (output->len == 0)
                return "";
        line = strrchr(output->data, '\n');
        return line ? line + 1 : output->data;
}
