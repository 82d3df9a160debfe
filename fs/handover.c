#include "fs/handover.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static size_t cells_offset(void)
{
        return (sizeof(struct handover) + CELL_HEADER - 1) / CELL_HEADER * CELL_HEADER;
}

static size_t whole_size(void)
{
        return cells_offset() + HANDOVER_CELLS * sizeof(struct server_cell);
}

/* The kernel copies into the cells while a SIGKILL is under way: only pages that this process has mapped take it in
 * then. */
static int map(struct handover **ret)
{
        void *p = mmap(NULL, whole_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, HANDOVER_FD_MEMORY, 0);

        if (p == MAP_FAILED)
                return -errno;
        for (size_t at = 0; at < whole_size(); at += CELL_HEADER)
                atomic_fetch_or((_Atomic char *)p + at, 0); /* writable, and others may write there */
        (void)mlock(p, whole_size());
        *ret = p;
        return 0;
}

int handover_new(struct handover **ret)
{
        int fd = memfd_create("fusepkg-mount", MFD_CLOEXEC), r;
        struct handover *h = NULL;

        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t)whole_size()) < 0 || dup3(fd, HANDOVER_FD_MEMORY, O_CLOEXEC) < 0)
                r = -errno;
        else
                r = map(&h);
        close(fd);
        if (r < 0)
                return r;
        memcpy(h->magic, HANDOVER_MAGIC, sizeof(h->magic));
        h->version = HANDOVER_VERSION;
        h->size = (uint32_t)whole_size();
        h->cells = HANDOVER_CELLS;
        h->cell_size = sizeof(struct server_cell);
        if (getrandom(&h->mount_id, sizeof(h->mount_id), 0) != sizeof(h->mount_id))
                return -EIO;
        h->mount_id >>= 1;
        *ret = h;
        return 0;
}

int handover_open(struct handover **ret)
{
        struct handover head;
        int flags;

        for (int fd = HANDOVER_FD_MEMORY; fd < HANDOVER_FDS_END; fd++)
                if ((flags = fcntl(fd, F_GETFD)) >= 0)
                        fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
        if (pread(HANDOVER_FD_MEMORY, &head, offsetof(struct handover, mount_id), 0) !=
            offsetof(struct handover, mount_id))
                return -EPROTO;
        if (memcmp(head.magic, HANDOVER_MAGIC, sizeof(head.magic)) != 0 || head.version != HANDOVER_VERSION ||
            head.size != whole_size() || head.cells != HANDOVER_CELLS || head.cell_size != sizeof(struct server_cell))
                return -EPROTO;
        return map(ret);
}

size_t handover_cell_offset(unsigned i)
{
        return cells_offset() + i * sizeof(struct server_cell);
}

struct server_cell *handover_cell(struct handover *h, unsigned i)
{
        return (struct server_cell *)((char *)h + handover_cell_offset(i));
}

int handover_execute(const struct handover *h, const char *mode)
{
        /* The last one is for who looks at the list of processes. */
        const char *argv[] = { "fusepkg-mount", mode, h->site, NULL };

        syscall(SYS_close_range, (unsigned)HANDOVER_FD_MEMORY, ~0U, CLOSE_RANGE_CLOEXEC);
        for (int fd = HANDOVER_FD_MEMORY; fd < HANDOVER_FDS_END; fd++)
                fcntl(fd, F_SETFD, 0);
        syscall(SYS_execveat, HANDOVER_FD_PROGRAM, "", argv, environ, AT_EMPTY_PATH);
        return -errno;
}

int handover_send(int fd, enum handover_message message, int passed)
{
        char letter = (char)message;
        struct iovec iov = { &letter, 1 };
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (passed >= 0) {
                control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                                                   .cmsg_level = SOL_SOCKET,
                                                   .cmsg_type = SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
                m.msg_control = &control;
                m.msg_controllen = sizeof(control.bytes);
        }
        return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int handover_receive(int fd, bool block, int *ret_passed)
{
        char letter;
        struct iovec iov = { &letter, 1 };
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)
        };
        int passed = -1;
        ssize_t n;

        do
                n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | (block ? 0 : MSG_DONTWAIT));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? 0 : -errno;
        if (n == 0)
                return 0;
        if (m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS)
                memcpy(&passed, CMSG_DATA(&control.header), sizeof(passed));
        if (ret_passed)
                *ret_passed = passed;
        else if (passed >= 0)
                close(passed);
        return letter;
}
