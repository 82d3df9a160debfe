/* mount_process.c: signals to the process that a lock names.
 *
 * The number in a lock may be one of another machine or namespace of processes, of a process that has ended meanwhile,
 * or whatever the venv's owner has written there for root to read.  So nobody is sent a signal but a fusepkg-mount that
 * has this very lock open. */
#include "tools/mounts.h"

#include "fs/control.h"
#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

enum { INFO_MAX = 4096 };

#define PROCESS_NAME "fusepkg-mount\n" /* as all its versions call themselves */

/* The folder in /proc of that process: /proc may be one of another namespace, in which it has another number. */
static int open_proc(int pidfd)
{
        cleanup_close int info_fd = -1;
        cleanup_buf struct buf info = { 0 };
        char path[64];
        const char *line;
        int pid, fd;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        info_fd = open(path, O_RDONLY | O_CLOEXEC);
        if (info_fd < 0 || file_read_all(info_fd, INFO_MAX, &info) < 0 || !info.data)
                return -ESRCH;
        line = strstr(info.data, "\nPid:");
        if (!line || sscanf(line, " Pid: %d", &pid) != 1 || pid <= 0)
                return -ESRCH;
        snprintf(path, sizeof(path), "/proc/%d", pid);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -ESRCH : fd;
}

/* What else it has open may be on storage that stalls: what is known of that without asking is enough. */
static int has_open(int proc_fd, const struct statx *file)
{
        DIR *dir = dir_stream(proc_fd, "fd");
        const struct dirent *d;
        struct statx st;
        int r = dir ? -ESRCH : errno == EACCES ? -EPERM : -ESRCH;

        while (dir && r < 0 && (d = readdir(dir)))
                if (statx(dirfd(dir), d->d_name, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
                    st.stx_ino == file->stx_ino && st.stx_dev_major == file->stx_dev_major &&
                    st.stx_dev_minor == file->stx_dev_minor)
                        r = 0;
        if (dir)
                closedir(dir);
        return r;
}

int mount_process(const struct target *t, int pid)
{
        cleanup_close int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
        cleanup_close int proc = fd < 0 ? -1 : open_proc(fd);
        cleanup_buf struct buf name = { 0 };
        struct statx lock;
        int r;

        if (proc < 0 || file_read_at(proc, "comm", INFO_MAX, &name) < 0 || !name.data ||
            strcmp(name.data, PROCESS_NAME) != 0 ||
            statx(t->state_fd, CONTROL_LOCK_FILE, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_INO, &lock) < 0)
                return -ESRCH;
        r = has_open(proc, &lock);
        return r < 0 ? r : steal_fd(&fd);
}

int mount_signal(const struct target *t, int pid, int number)
{
        cleanup_close int fd = mount_process(t, pid);

        if (fd < 0)
                return fd;
        return pidfd_send_signal(fd, number, NULL, 0) < 0 ? -errno : 0;
}
