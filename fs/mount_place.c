#include "fs/mount_place.h"
#include "fs/mountinfo.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>

dev_t mount_place_device(const char *site)
{
        cleanup_buf struct buf list = { 0 };
        struct mountinfo info;

        if (mountinfo_load(&list) < 0 || mountinfo_at(list.data, list.len, site, &info) < 0)
                return 0;
        return strcmp(info.type, MOUNTINFO_TYPE) == 0 ? info.device : 0;
}

/* Only its setuid bit lets an ordinary user unmount. */
static int run_fusermount(const char *point)
{
        const char *const argv[] = { "fusermount3", "-u", "-q", "-z", "--", point, NULL };
        pid_t child;
        int status, r = -posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ);

        if (r < 0)
                return r;
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int mount_place_detach(dev_t device, const char *site)
{
        cleanup_buf struct buf list = { 0 };
        cleanup_buf struct buf point = { 0 };
        int r;

        if (device && (r = mountinfo_load(&list)) == 0)
                r = mountinfo_point(list.data, list.len, device, &point);
        else
                r = buf_add_str(&point, site);
        if (r < 0)
                return r;
        if (umount2(point.data, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
                return 0;
        return errno == EPERM ? run_fusermount(point.data) : -errno;
}
