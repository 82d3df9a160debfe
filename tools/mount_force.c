/* mount_force.c: taking a mount away from whoever uses it. */
#include "tools/mounts.h"

#include "store/buf.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <time.h>

enum {
        STEP_MS = 10,
        PATIENCE_MS = 5000, /* for each of the ways, from the gentle one on */
};

/* Ends every request with an error: root may, where fusectl is mounted.  Others have the signals below. */
static void abort_connection(dev_t device)
{
        char path[64];
        int fd;

        snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", minor(device));
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        if (write(fd, "1", 1) < 0)
                ui_warning("cannot abort the connection: %s", errno_name(-errno, (char[128]){ 0 }));
        close(fd);
}

/* Is nobody left who holds the environment? */
static bool wait_released(const struct target *t, int number, struct mount_info *info)
{
        for (long waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
                if (mount_examine(t->site, t->state_fd, info) < 0 || !info->locked)
                        return true;
                /* The keeper first: it would start another worker.  And again, for those that were started meanwhile.
                 * */
                if (number)
                        (void)mount_signal(t, info->pid, number);
                if (number == SIGKILL)
                        (void)mount_signal(t, info->worker, number);
                number = number == SIGKILL ? SIGKILL : 0;
                nanosleep(&(struct timespec){ 0, STEP_MS * 1000000L }, NULL);
        }
        return false;
}

/* What the lock names may be nobody whom we know: mount_process.c. */
static int cannot_end(const struct target *t, const struct mount_info *info, bool was_here, struct errtext *err)
{
        cleanup_close int keeper = mount_process(t, info->pid), worker = mount_process(t, info->worker);

        if (keeper >= 0 || worker >= 0) {
                ui_warning(
                        "process %d ends when the disk that it waits for does: until then '%s' cannot be mounted again",
                        worker >= 0 ? info->worker : info->pid, t->venv);
                return 0;
        }
        errtext_set(err, -EXDEV,
                    "'%s' is held by process %d on host '%s' (boot %s), of another machine, container or user: that is "
                    "where it can be ended",
                    t->venv, info->pid, info->host, info->boot);
        if (!was_here)
                return -EXDEV;
        ui_warning("%s", err->text);
        return 0;
}

int mount_force(const struct target *t, struct errtext *err)
{
        cleanup_buf struct buf users = { 0 };
        struct mount_info info;
        bool was_here;
        int r = mount_examine(t->site, t->state_fd, &info);

        if (r < 0)
                return errtext_set(err, r, "cannot read the list of mounts: %s", errno_name(r, (char[128]){ 0 }));
        if (info.state == MOUNT_FOREIGN)
                return errtext_set(err, -EBUSY, "something that is not fusepkg's is mounted at %s", t->site);
        if (info.state == MOUNT_NONE && !info.locked)
                return 0;
        if (info.state != MOUNT_NONE && mount_users(info.device, t->site, &users) == 0 && users.len)
                ui_warning("%s was in use by %s", t->site, users.data);
        if (info.state != MOUNT_NONE)
                r = mount_unmount(t->site, true, err);
        if (r < 0)
                return r;
        if (info.state != MOUNT_NONE)
                abort_connection(info.device);
        was_here = info.state != MOUNT_NONE;
        if (wait_released(t, SIGTERM, &info) || wait_released(t, SIGKILL, &info))
                return 0;
        return cannot_end(t, &info, was_here, err);
}
