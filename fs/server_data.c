/* server_data.c: the requests about bytes, each a thin shell over tree_data.c. */
#include "fs/server_private.h"
#include "store/format.h"

#include <sys/statvfs.h>

static void reply_count(fuse_req_t req, ssize_t n)
{
        if (n < 0)
                server_reply_error(req, (int)n);
        else
                fuse_reply_write(req, (size_t)n);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct server *s = server_of(req);
        struct errtext why = { "" };
        cleanup_free char *data = malloc(size ? size : 1);
        ssize_t n = data ? tree_read(s->tree, ino, data, size, (uint64_t)offset, &why) : -ENOMEM;

        (void)fi;
        if (n < 0) {
                log_line(&s->log, "read error: %s", *why.text ? why.text : strerror((int)-n));
                server_reply_error(req, n == -ENOMEM ? -ENOMEM : -EIO);
                return;
        }
        fuse_reply_buf(req, data, (size_t)n);
        prefetch_read(&s->prefetch, ino);
        if (size == (size_t)n && ino >> 32 != 0 && !edits_is_new(ino))
                prefetch_note(&s->prefetch, ino, (uint64_t)offset, data, (size_t)n);
}

/* Set-user-ID bits are the kernel's business: without HANDLE_KILLPRIV it sends a SETATTR first. */
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void)fi;
        reply_count(req, tree_write(server_of(req)->tree, ino, data, size, (uint64_t)offset));
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len, struct fuse_file_info *fi)
{
        (void)fi;
        server_reply_error(req, tree_fallocate(server_of(req)->tree, ino, mode, (uint64_t)offset, (uint64_t)len));
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
        int64_t r = tree_lseek(server_of(req)->tree, ino, (uint64_t)offset, whence);

        (void)fi;
        if (r < 0)
                server_reply_error(req, (int)r);
        else
                fuse_reply_lseek(req, r);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_fi,
                        fuse_ino_t to, off_t to_offset, struct fuse_file_info *to_fi, size_t len, int flags)
{
        struct tree *t = server_of(req)->tree;

        (void)from_fi;
        (void)to_fi;
        if (flags != 0)
                server_reply_error(req, -EINVAL);
        else
                reply_count(req, tree_copy_range(t, from, (uint64_t)from_offset, to, (uint64_t)to_offset, len));
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
        (void)fi;
        server_reply_error(req, tree_fsync(server_of(req)->tree, ino, data_only != 0));
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi)
{
        op_fsync(req, ino, data_only, fi);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
        struct server *s = server_of(req);
        struct statvfs st;
        int r = tree_statfs(s->tree, &st);

        (void)ino;
        if (r == -EROFS) {
                r = fstatvfs(base_fd(s->base), &st) < 0 ? -errno : 0;
                st.f_namemax = IMAGE_NAME_MAX;
        }
        if (r < 0)
                server_reply_error(req, r);
        else
                fuse_reply_statfs(req, &st);
}
