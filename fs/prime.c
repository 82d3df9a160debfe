#include "fs/prime.h"
#include "fs/environment.h"
#include "fs/handover.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

enum { PRIME_LIMIT_S = 10, READ_AHEAD_KB = 1024 };

static void read_ahead(int dirfd)
{
        char path[96];
        struct stat st;
        FILE *f;

        if (geteuid() != 0 || fstat(dirfd, &st) < 0)
                return;
        snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
        f = fopen(path, "we");
        if (!f)
                return;
        fprintf(f, "%d", READ_AHEAD_KB);
        fclose(f);
}

static int touch(const char *site)
{
        cleanup_close int dirfd = open(site, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cleanup_close int fd = -1;
        struct statx stx;
        char data[64];

        if (dirfd < 0)
                return -errno;
        fd = openat(dirfd, ENVIRONMENT_DIR, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, data, sizeof(data)) <= 0)
                return -EIO;
        fgetxattr(fd, "user.fusepkg", data, sizeof(data));
        flistxattr(fd, data, sizeof(data));
        statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &stx);
        statx(dirfd, "", AT_EMPTY_PATH, STATX_ALL, &stx);
        close(steal_fd(&fd)); /* FLUSH */
        read_ahead(dirfd);
        return 0;
}

int prime_fork(const char *site, int fuse_fd, struct prime *ret)
{
        int go[2];
        char c;

        if (pipe2(go, O_CLOEXEC) < 0)
                return -errno;
        ret->pid = fork();
        if (ret->pid < 0) {
                int r = -errno;

                close(go[0]);
                close(go[1]);
                return r;
        }
        if (ret->pid == 0) {
                signal(SIGTERM, SIG_DFL);
                close(fuse_fd);
                close(HANDOVER_FD_FUSE);
                close(go[1]);
                /* End of file: the parent died or gave up. */
                if (read(go[0], &c, 1) != 1)
                        _exit(1);
                alarm(PRIME_LIMIT_S);
                _exit(touch(site) < 0 ? 1 : 0);
        }
        close(go[0]);
        ret->go_fd = go[1];
        return 0;
}

int prime_run(struct prime *p)
{
        struct pollfd ended = { .events = POLLIN };
        int status = 0;
        pid_t done;

        if (write(p->go_fd, "g", 1) != 1)
                return -errno;
        close(p->go_fd);
        p->go_fd = -1;
        ended.fd = pidfd_open(p->pid, 0);
        if (ended.fd < 0)
                return -errno;
        while (poll(&ended, 1, PRIME_LIMIT_S * 1000) < 0 && errno == EINTR)
                ;
        close(ended.fd);
        done = waitpid(p->pid, &status, WNOHANG);
        if (done == p->pid)
                return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
        if (done < 0)
                return -errno;
        kill(p->pid, SIGKILL);
        return -ETIMEDOUT;
}
