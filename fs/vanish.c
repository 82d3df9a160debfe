#include "fs/vanish.h"
#include "fs/environment.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/vfs.h>
#include <time.h>

enum {
        NFS_MAGIC = 0x6969,
        PIECE = 4096,
};

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_silent(int dirfd)
{
        struct statfs st;

        return fstatfs(dirfd, &st) < 0 || st.f_type == NFS_MAGIC;
}

static int watch_by_inotify(const char *path)
{
        cleanup_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        if (fd < 0 || inotify_add_watch(fd, path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0)
                return -errno;
        return steal_fd(&fd);
}

/* A user may have 128 inotify descriptors, editors' and all: with more mounts than that, those beyond would have to
 * look every second.  The older dnotify knows no such limit; it sends a signal, and one is as good as ten. */
static int watch_by_signal(const char *path, int *ret_dir)
{
        cleanup_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        sigset_t set;
        int fd;

        if (dir < 0 || fcntl(dir, F_NOTIFY, DN_DELETE | DN_RENAME | DN_MULTISHOT) < 0)
                return -errno;
        sigemptyset(&set);
        sigaddset(&set, SIGIO);
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd >= 0)
                *ret_dir = steal_fd(&dir);
        return fd;
}

void vanish_init(struct vanish *v, int state_fd)
{
        char path[64];

        *v = (struct vanish){ .state_fd = state_fd, .fd = -1, .dir_fd = -1 };
        if (is_silent(state_fd))
                return;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", state_fd);
        v->fd = watch_by_inotify(path);
        if (v->fd < 0)
                v->fd = watch_by_signal(path, &v->dir_fd);
        if (v->fd < 0)
                v->fd = -1;
}

void vanish_release(struct vanish *v)
{
        if (v->dir_fd >= 0)
                close(v->dir_fd);
        if (v->fd >= 0)
                close(v->fd);
        v->fd = v->dir_fd = -1;
}

int vanish_timeout_ms(const struct vanish *v)
{
        if (v->left)
                return -1;
        if (v->missing_since_ms)
                return v->missing_since_ms > now_ms() ? VANISH_LOOK_MS : VANISH_SURE_MS;
        return v->fd < 0 ? VANISH_LOOK_MS : -1;
}

bool vanish_is_gone(struct vanish *v)
{
        char piece[PIECE];

        while (v->fd >= 0 && read(v->fd, piece, sizeof(piece)) > 0)
                ;
        if (faccessat(v->state_fd, ENVIRONMENT_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
                v->missing_since_ms = 0;
                return false;
        }
        if (!v->missing_since_ms)
                v->missing_since_ms = now_ms();
        return now_ms() - v->missing_since_ms >= VANISH_SURE_MS;
}

void vanish_leave(struct vanish *v, int r)
{
        vanish_release(v);
        v->left = r == 0;
        v->missing_since_ms = r == 0 ? 0 : now_ms() + VANISH_LOOK_MS;
}
