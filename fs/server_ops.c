/* server_ops.c: the table of requests; what is no matter of names or bytes. */
#include "fs/server_private.h"

#include <stdio.h>

static void op_init(void *user, struct fuse_conn_info *conn)
{
        const unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                              FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_NO_OPEN_SUPPORT |
                              FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_IOCTL_DIR;

        (void)user;
        /* Assigned, not added to: libfuse's defaults hold ATOMIC_O_TRUNC (with OPEN = ENOSYS, O_TRUNC would be lost),
         * AUTO_INVAL_DATA (drops cached pages), splice, locks (the kernel's own are as good), and READDIRPLUS_AUTO. */
        conn->want = conn->capable & want;
        conn->max_write = SERVER_MAX_WRITE;
        conn->max_background = 64;
        conn->congestion_threshold = 48;
}

/* Ids need no memory, and there is nothing to count: but a removed node may be let go of. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
        struct server *s = server_of(req);

        (void)nlookup;
        fuse_reply_none(req);
        forget_note(s, ino);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        struct server *s = server_of(req);

        for (size_t i = 0; i < count; i++)
                forget_note(s, forgets[i].ino);
        fuse_reply_none(req);
}

/* ENOSYS once: from then on the kernel opens without asking, and keeps what it has cached. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        (void)ino;
        (void)fi;
        fuse_reply_err(req, ENOSYS);
}

static void reply_counts(struct server *s, fuse_req_t req, size_t out_size)
{
        struct control_requests counts;

        if (out_size < sizeof(counts)) {
                fuse_reply_err(req, EINVAL);
                return;
        }
        memset(&counts, 0, sizeof(counts));
        for (size_t i = 0; i < CONTROL_OPCODES; i++)
                counts.count[i] = atomic_load(&s->requests[i]);
        counts.generation = atomic_load(&s->announced);
        fuse_reply_ioctl(req, 0, &counts, sizeof(counts));
}

/* isatty() of Python's open() comes here for each file; control.h's come to the root. */
static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
                     const void *in, size_t in_size, size_t out_size)
{
        struct server *s = server_of(req);

        (void)arg;
        (void)fi;
        (void)flags;
        (void)in;
        (void)in_size;
        if (ino != NODE_ROOT || (cmd != CONTROL_RELOAD && cmd != CONTROL_REQUESTS && cmd != CONTROL_EDITS)) {
                fuse_reply_err(req, ENOTTY);
                return;
        }
        atomic_fetch_sub(&s->requests[39], 1); /* FUSE_IOCTL: our own are not counted */
        if (cmd == CONTROL_REQUESTS)
                reply_counts(s, req, out_size);
        else
                reload_request(s, req, cmd == CONTROL_EDITS);
}

/* What is missing here (FLUSH, GETXATTR, LISTXATTR, ACCESS, …) libfuse answers with ENOSYS, which the kernel
 * remembers. */
const struct fuse_lowlevel_ops server_ops = {
        .init = op_init,
        .lookup = op_lookup,
        .forget = op_forget,
        .forget_multi = op_forget_multi,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .mknod = op_mknod,
        .mkdir = op_mkdir,
        .unlink = op_unlink,
        .rmdir = op_rmdir,
        .symlink = op_symlink,
        .rename = op_rename,
        .link = op_link,
        .create = op_create,
        .open = op_open,
        .opendir = op_open,
        .read = op_read,
        .write = op_write,
        .fsync = op_fsync,
        .fsyncdir = op_fsyncdir,
        .readdir = op_readdir,
        .readdirplus = op_readdirplus,
        .fallocate = op_fallocate,
        .lseek = op_lseek,
        .copy_file_range = op_copy_file_range,
        .statfs = op_statfs,
        .ioctl = op_ioctl,
};
