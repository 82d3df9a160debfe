#include "tools/mounts.h"

#include "store/buf.h"
#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
        NAMED_MAX = 8,          /* processes that a sentence can hold */
        MAPS_MAX = 64 << 20,    /* bytes */
        COMM_MAX = 64,
};

static bool is_number(const char *name)
{
        return name[0] != '\0' && strspn(name, "0123456789") == strlen(name);
}

/* Asks for what the kernel knows already: a mount that hangs must not take us with it.  A dead one answers ENOTCONN,
 * and another user's EACCES, even to root: then the link's text tells. */
static bool link_is_on(int dirfd, const char *name, dev_t device, const char *site)
{
        struct statx st;
        char path[4096];
        size_t len = strlen(site);
        ssize_t n;

        if (statx(dirfd, name, AT_STATX_DONT_SYNC, 0, &st) == 0)
                return makedev(st.stx_dev_major, st.stx_dev_minor) == device;
        if (errno != ENOTCONN && errno != EACCES)
                return false;
        n = readlinkat(dirfd, name, path, sizeof path - 1);
        if (n < (ssize_t)len)
                return false;
        path[n] = '\0';
        return memcmp(path, site, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool has_descriptor(int pidfd, dev_t device, const char *site)
{
        int fd = openat(pidfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool found = false;
        struct dirent *d;
        DIR *dir;

        if (fd < 0)
                return false;
        dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return false;
        }
        while (!found && (d = readdir(dir)))
                found = is_number(d->d_name) && link_is_on(dirfd(dir), d->d_name, device, site);
        closedir(dir);
        return found;
}

/* Lines are "7f00-7f01 r-xp 00000000 fd:01 1234   /path". */
static bool has_mapping(int pidfd, dev_t device)
{
        cleanup_close int fd = openat(pidfd, "maps", O_RDONLY | O_CLOEXEC);
        cleanup_buf struct buf text = { 0 };
        char *save = NULL;

        if (fd < 0 || file_read_all(fd, MAPS_MAX, &text) < 0 || text.len == 0)
                return false;
        for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                unsigned major_, minor_;

                if (sscanf(line, "%*s %*s %*s %x:%x", &major_, &minor_) == 2 && makedev(major_, minor_) == device)
                        return true;
        }
        return false;
}

static bool uses(int pidfd, dev_t device, const char *site)
{
        return link_is_on(pidfd, "cwd", device, site) || link_is_on(pidfd, "root", device, site) ||
               link_is_on(pidfd, "exe", device, site) || has_descriptor(pidfd, device, site) ||
               has_mapping(pidfd, device);
}

static int name_process(int pidfd, const char *pid, struct buf *ret)
{
        cleanup_buf struct buf comm = { 0 };

        if (file_read_at(pidfd, "comm", COMM_MAX, &comm) < 0 || comm.len == 0)
                return buf_printf(ret, "%sprocess %s", ret->len ? ", " : "", pid);
        comm.data[strcspn(comm.data, "\n")] = '\0';
        return buf_printf(ret, "%s%s (%s)", ret->len ? ", " : "", comm.data, pid);
}

int mount_users(dev_t device, const char *site, struct buf *ret)
{
        cleanup_buf struct buf words = { 0 };
        DIR *proc = opendir("/proc");
        struct dirent *d;
        size_t count = 0;
        int r = 0;

        if (!proc)
                return -errno;
        while (r == 0 && (d = readdir(proc))) {
                if (!is_number(d->d_name) || (pid_t)strtol(d->d_name, NULL, 10) == getpid())
                        continue;
                cleanup_close int pidfd = openat(dirfd(proc), d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (pidfd < 0 || !uses(pidfd, device, site))
                        continue;
                if (++count <= NAMED_MAX)
                        r = name_process(pidfd, d->d_name, &words);
        }
        closedir(proc);
        if (r == 0 && count > NAMED_MAX)
                r = buf_printf(&words, " and %zu more", count - NAMED_MAX);
        return r < 0 ? r : buf_add(ret, words.data ? words.data : "", words.len);
}
