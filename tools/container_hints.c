#include "tools/container_hints.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>

enum {
        FILE_MAX = 64 << 10, /* bytes */
        SYS_ADMIN_BIT = 21,
};

/* "CapEff:\t00000000a80425fb": for us as root; what fusermount3 can get is bounded by CapBnd. */
static bool may_mount(void)
{
        const char *name = geteuid() == 0 ? "CapEff:" : "CapBnd:", *line;
        cleanup_close int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
        cleanup_buf struct buf text = { 0 };

        if (fd < 0 || file_read_all(fd, FILE_MAX, &text) < 0 || !(line = strstr(text.data, name)))
                return true;
        return strtoull(line + strlen(name), NULL, 16) >> SYS_ADMIN_BIT & 1;
}

static enum container_kind kind(void)
{
        if (getenv("KUBERNETES_SERVICE_HOST"))
                return CONTAINER_KUBERNETES;
        if (access("/run/.containerenv", F_OK) == 0)
                return CONTAINER_PODMAN;
        if (access("/.dockerenv", F_OK) == 0)
                return CONTAINER_DOCKER;
        /* A machine has not taken the right to mount from its root; bubblewrap leaves no other trace. */
        return getenv("container") || !may_mount() ? CONTAINER_OTHER : CONTAINER_NONE;
}

/* EACCES is about users and modes, and another check's business; a device that the cgroup refuses is EPERM. */
void container_look(struct container_facts *ret)
{
        cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        bool device = fd >= 0 || errno == EACCES;

        *ret = (struct container_facts){ .kind = kind(), .device = device, .may_mount = may_mount() };
}

int container_lacks(const struct container_facts *f, struct buf *ret)
{
        bool pod = f->kind == CONTAINER_KUBERNETES, other = f->kind == CONTAINER_OTHER;
        int r = 0;

        if (f->kind == CONTAINER_NONE)
                return 0;
        if (!f->device && pod)
                r = buf_add_str(ret, "this pod has no /dev/fuse: a device plugin must give it one (resources.limits of "
                                     "its resource, such as 'smarter-devices/fuse: 1'); a hostPath volume is not "
                                     "enough\n");
        else if (!f->device)
                r = buf_printf(ret, "this container has no usable /dev/fuse: add '--device /dev/fuse'%s to its command line\n",
                               other ? " (bubblewrap: '--dev-bind /dev/fuse /dev/fuse')" : "");
        if (r == 0 && !f->may_mount && pod)
                r = buf_add_str(ret, "this pod may not mount: add 'securityContext: {capabilities: {add: "
                                     "[SYS_ADMIN]}}' to its container\n");
        else if (r == 0 && !f->may_mount)
                r = buf_printf(ret, "this container may not mount: add '--cap-add SYS_ADMIN'%s to its command line\n",
                               other ? " (bubblewrap: '--uid 0 --cap-add CAP_SYS_ADMIN')" : "");
        return r;
}

int container_advice(const struct container_facts *f, struct buf *ret)
{
        if (f->kind == CONTAINER_NONE)
                return 0;
        return buf_add_str(
                ret,
                f->kind == CONTAINER_KUBERNETES ?
                        "if the node has AppArmor, add 'securityContext: {appArmorProfile: {type: Unconfined}}' to the pod; a seccomp "
                        "profile of its own (seccompProfile: Localhost) must allow mount(2)\n" :
                        "if the host has AppArmor, add '--security-opt apparmor=unconfined' to the container's command line; a seccomp "
                        "profile of one's own must allow mount(2), as does '--security-opt seccomp=unconfined'\n");
}

int container_ways_out(const struct container_facts *f, const char *venv, struct buf *ret)
{
        if (f->kind == CONTAINER_NONE)
                return 0;
        return buf_printf(
                ret,
                "without a mount: `fusepkg eject --venv '%s'` makes it an ordinary venv, and `fusepkg export --to DIR` writes plain files\n",
                venv);
}
