#include "tools/mounts.h"

#include "fs/control.h"
#include "fs/mountinfo.h"
#include "store/files.h"
#include "tools/program.h"

#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

enum {
        LOCK_TEXT_MAX = 4096,
        DETACH_MAX = 64, /* mounts over each other that we take off in one go */
        OPEN_TRIES = 16,
};

const char *mount_state_name(enum mount_state s)
{
        switch (s) {
        case MOUNT_LIVE:
                return "mounted";
        case MOUNT_DEAD:
                return "dead";
        case MOUNT_FOREIGN:
                return "foreign";
        case MOUNT_NONE:
                break;
        }
        return "unmounted";
}

static void take_upgrade(char *value, struct mount_info *info)
{
        char *said;

        info->has_keeper = true;
        info->upgrades = (unsigned)strtoul(value, &said, 10);
        snprintf(info->upgrade, sizeof info->upgrade, "%s", said + strspn(said, " "));
}

static void take_lock_line(char *line, struct mount_info *info)
{
        char *value = strchr(line, ' ');

        if (!value)
                return;
        *value++ = '\0';
        if (strcmp(line, "host") == 0)
                snprintf(info->host, sizeof info->host, "%s", value);
        else if (strcmp(line, "boot") == 0)
                snprintf(info->boot, sizeof info->boot, "%s", value);
        else if (strcmp(line, "pid") == 0)
                info->pid = (int)strtol(value, NULL, 10);
        else if (strcmp(line, "worker") == 0)
                info->worker = (int)strtol(value, NULL, 10);
        else if (strcmp(line, "restarts") == 0)
                info->restarts = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(line, "reason") == 0)
                snprintf(info->reason, sizeof info->reason, "%s", value);
        else if (strcmp(line, "state") == 0)
                info->degraded = strcmp(value, "degraded") == 0;
        else if (strcmp(line, "upgrades") == 0)
                take_upgrade(value, info);
        else if (strcmp(line, "since") == 0)
                info->since = strtoll(value, NULL, 10);
}

/* The text of a lock that nobody holds is that of a process that is gone: it says nothing. */
static int read_lock(int state_fd, struct mount_info *info)
{
        cleanup_close int fd = file_open_beneath(state_fd, CONTROL_LOCK_FILE, O_RDONLY | O_NONBLOCK, 0);
        cleanup_buf struct buf text = { 0 };
        char *save = NULL;
        int r;

        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        if (flock(fd, LOCK_SH | LOCK_NB) == 0)
                return 0;
        if (errno != EWOULDBLOCK)
                return -errno;
        info->locked = true;
        r = file_read_all(fd, LOCK_TEXT_MAX, &text);
        if (r < 0)
                return r;
        for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                take_lock_line(line, info);
        return 0;
}

/* Only asked when no process holds the lock, so that nobody can keep us waiting: a mount without its process answers at
 * once.  statfs, since stat of a dead mount's root may be answered from the kernel's cache. */
static bool is_dead(const char *site)
{
        struct statfs st;

        return statfs(site, &st) < 0 && errno == ENOTCONN;
}

int mount_examine(const char *site, int state_fd, struct mount_info *ret)
{
        cleanup_buf struct buf list = { 0 };
        struct mount_info info = { .state = MOUNT_NONE };
        struct mountinfo found;
        int r = mountinfo_load(&list);

        if (r == 0 && state_fd >= 0)
                r = read_lock(state_fd, &info);
        if (r < 0)
                return r;
        r = mountinfo_at(list.data, list.len, site, &found);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r == 0) {
                info.device = found.device;
                info.allow_other = found.allow_other;
                if (strcmp(found.type, MOUNTINFO_TYPE) != 0)
                        info.state = MOUNT_FOREIGN;
                else
                        info.state = !info.locked && is_dead(site) ? MOUNT_DEAD : MOUNT_LIVE;
        }
        *ret = info;
        return 0;
}

static int open_site(const struct target *t)
{
        int fd = openat(t->venv_fd, t->site_rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int mount_open_shown(const struct target *t, int *ret)
{
        for (int tries = 0; tries < OPEN_TRIES; tries++) {
                cleanup_close int fd = -1;
                struct mount_info info;
                struct stat st;
                int r = mount_examine(t->site, t->state_fd, &info);

                if (r < 0)
                        return r;
                if (info.state != MOUNT_LIVE)
                        return 0;
                fd = open_site(t);
                if (fd < 0)
                        return fd;
                if (fstat(fd, &st) < 0)
                        return -errno;
                if (st.st_dev == info.device) {
                        *ret = steal_fd(&fd);
                        return 1;
                }
        }
        return -EAGAIN;
}

/* A mount that came before it was opened is there still: it is in use. */
int mount_open_bare(const struct target *t, int *ret)
{
        cleanup_close int fd = open_site(t);
        struct mount_info info;
        int r = fd < 0 ? fd : mount_examine(t->site, t->state_fd, &info);

        if (r < 0)
                return r;
        if (info.state == MOUNT_LIVE)
                return 0;
        *ret = steal_fd(&fd);
        return 1;
}

/* A mount whose environment was deleted goes by itself, maybe at this moment. */
static bool is_gone(const char *site)
{
        struct mount_info info;

        return mount_examine(site, -1, &info) == 0 && info.state == MOUNT_NONE;
}

/* A mount point is <venv>/lib/pythonX.Y/site-packages. */
static bool cut_to_venv(char *site)
{
        for (int i = 0; i < 3; i++) {
                char *slash = strrchr(site, '/');

                if (!slash || slash == site)
                        return false;
                *slash = '\0';
        }
        return true;
}

int mounts_each(int (*fn)(const char *venv, void *user), void *user)
{
        FILE *list = setmntent("/proc/self/mounts", "re");
        const struct mntent *m;
        int r = 0;

        if (!list)
                return -errno;
        while (r == 0 && (m = getmntent(list)))
                if (strcmp(m->mnt_type, MOUNTINFO_TYPE) == 0 && cut_to_venv(m->mnt_dir))
                        r = fn(m->mnt_dir, user);
        endmntent(list);
        return r;
}

int mount_unmount(const char *site, bool lazy, struct errtext *err)
{
        const char *argv[] = { "fusermount3", "-u", lazy ? "-z" : "--", lazy ? "--" : site, lazy ? site : NULL, NULL };
        cleanup_buf struct buf words = { 0 };
        int r;

        /* Root, in a user namespace too, needs no helper; everybody else is told so by EPERM. */
        if (umount2(site, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
                return 0;
        if (errno == EINVAL && is_gone(site))
                return 0;
        if (errno != EPERM)
                return errtext_set(err, -errno, "cannot unmount %s: %s", site, errno_name(-errno, (char[128]){ 0 }));
        r = program_run(argv, &words);
        if (r == -ENOENT)
                return errtext_set(err, r, "cannot unmount %s: fusermount3 is not installed", site);
        if (r < 0)
                return errtext_set(err, r, "cannot run fusermount3: %s", errno_name(r, (char[128]){ 0 }));
        if (r == 0)
                return 0;
        /* It says EBUSY in words alone. */
        r = words.data && strstr(words.data, "busy") ? -EBUSY : -EPERM;
        if (r == -EPERM && is_gone(site))
                return 0;
        if (r == -EPERM && access(MOUNTS_MTAB, R_OK) < 0)
                return errtext_set(err, r, "cannot unmount %s: " MOUNTS_MTAB_MISSING, site);
        return errtext_set(err, r, "cannot unmount %s: %s", site,
                           words.len ? program_last_line(&words) : "fusermount3 failed");
}

int mount_detach(const char *site, struct errtext *err)
{
        for (int i = 0; i < DETACH_MAX; i++) {
                struct mount_info info;
                int r = mount_examine(site, -1, &info);

                if (r < 0)
                        return errtext_set(err, r, "cannot read the list of mounts: %s",
                                           errno_name(r, (char[128]){ 0 }));
                if (info.state != MOUNT_DEAD)
                        return 0;
                r = mount_unmount(site, true, err);
                if (r < 0)
                        return r;
        }
        return errtext_set(err, -EBUSY, "%s is covered by too many dead mounts", site);
}

static int reload(const char *site)
{
        cleanup_close int fd = open(site, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 || ioctl(fd, CONTROL_RELOAD) < 0 ? -errno : 0;
}

static int cannot_show(const struct target *t, int r, struct errtext *err)
{
        return errtext_set(err, r, "the mount at %s cannot show the change: %s (see %s/.fusepkg/log)", t->site,
                           errno_name(r, (char[128]){ 0 }), t->venv);
}

int mount_reload(const struct target *t, struct errtext *err)
{
        struct mount_info info;
        int r = mount_examine(t->site, t->state_fd, &info);

        if (r < 0)
                return errtext_set(err, r, "cannot read the list of mounts: %s", errno_name(r, (char[128]){ 0 }));
        if (info.state != MOUNT_LIVE)
                return 0;
        r = reload(t->site);
        return r < 0 ? cannot_show(t, r, err) : 0;
}

/* Who waits for the answer to a FUSE request can only be killed: so a child waits, whom its alarm kills. */
int mount_reload_within(const struct target *t, unsigned seconds, struct errtext *err)
{
        pid_t child = fork();
        int status;

        if (child == 0) {
                sigset_t alarms;

                sigemptyset(&alarms);
                sigaddset(&alarms, SIGALRM);
                signal(SIGALRM, SIG_DFL);
                sigprocmask(SIG_UNBLOCK, &alarms, NULL);
                alarm(seconds);
                _exit(-reload(t->site) & 0xff);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0)
                return cannot_show(t, -errno, err);
        if (!WIFEXITED(status))
                return cannot_show(t, -ETIMEDOUT, err);
        return WEXITSTATUS(status) ? cannot_show(t, -WEXITSTATUS(status), err) : 0;
}
