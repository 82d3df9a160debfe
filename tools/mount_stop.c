#include "tools/mounts.h"

#include "store/buf.h"
#include "tools/ui.h"

#include <poll.h>
#include <time.h>

enum {
        WAIT_STEP_MS = 5,
        BUSY_STEP_MS = 20,
        BUSY_TRIES = 10,
        WAIT_MAX_MS = 10 * 1000, /* for the mount's process to finish what it does and let go of its lock */
        EXIT_MAX_MS = 1000,      /* and then to close its files: until then the venv's own file system cannot be unmounted */
};

static void sleep_ms(long ms)
{
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static int say_busy(const struct target *t, dev_t device, struct errtext *err)
{
        cleanup_buf struct buf users = { 0 };

        if (mount_users(device, t->site, &users) < 0 || users.len == 0)
                return errtext_set(err, -EBUSY, "%s is in use by processes that cannot be seen from here", t->site);
        return errtext_set(err, -EBUSY, "%s is in use by %s", t->site, users.data);
}

/* An unmounted environment is one that can be mounted again at once: its lock must be free, of this PROCESS at least: a
 * Python may be mounting already.  It stays taken while another mount namespace (a container that was started
 * meanwhile) has a copy of the mount, over which we have no power. */
static int wait_until_released(const struct target *t, int pid, int process, struct errtext *err)
{
        struct mount_info info;

        for (long waited = 0;; waited += WAIT_STEP_MS) {
                int r = mount_examine(t->site, t->state_fd, &info);

                if (r < 0)
                        return errtext_set(err, r, "cannot tell whether the mount has ended: %s",
                                           errno_name(r, (char[128]){ 0 }));
                if (!info.locked || info.pid != pid || info.state == MOUNT_LIVE) {
                        if (process >= 0)
                                poll(&(struct pollfd){ .fd = process, .events = POLLIN }, 1, EXIT_MAX_MS);
                        return 0;
                }
                if (waited >= WAIT_MAX_MS)
                        break;
                sleep_ms(WAIT_STEP_MS);
        }
        ui_warning(
                "%s is unmounted here, but process %d has not ended: it serves it elsewhere, as to a container, or is stopped; "
                "it cannot be mounted again before that",
                t->site, info.pid);
        return 0;
}

int mount_stop(const struct target *t, bool lazy, struct errtext *err)
{
        struct mount_info info;
        int r = mount_examine(t->site, t->state_fd, &info);

        /* That of a Python that starts may just come. */
        if (r == 0 && info.state == MOUNT_NONE && info.locked) {
                (void)mount_came(t);
                r = mount_examine(t->site, t->state_fd, &info);
        }
        if (r < 0)
                return errtext_set(err, r, "cannot read the list of mounts: %s", errno_name(r, (char[128]){ 0 }));
        switch (info.state) {
        case MOUNT_NONE:
                if (!info.locked)
                        return 0;
                return errtext_set(err, -EXDEV,
                                   "%s is served by process %d on %s, and its mount cannot be seen from here (another "
                                   "mount namespace or machine, or what `umount --lazy` left)",
                                   t->venv, info.pid, info.host);
        case MOUNT_FOREIGN:
                return errtext_set(err, -EBUSY, "something that is not fusepkg's is mounted at %s", t->site);
        case MOUNT_DEAD:
                return mount_detach(t->site, err);
        case MOUNT_LIVE:
                break;
        }
        cleanup_close int process = info.locked ? mount_process(t, info.pid) : -1;

        /* Our own prefetcher may be reading for a moment (fs/prefetch.h). */
        for (int tries = 0; (r = mount_unmount(t->site, lazy, err)) == -EBUSY && tries < BUSY_TRIES; tries++)
                sleep_ms(BUSY_STEP_MS);
        if (r == -EBUSY)
                return say_busy(t, info.device, err);
        /* After a lazy one the process stays for those who still use it. */
        return r < 0 || lazy ? r : wait_until_released(t, info.pid, process, err);
}
