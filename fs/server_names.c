/* server_names.c: the requests about names and attributes, each a thin shell over the tree. */
#include "fs/server_private.h"
#include "store/format.h"

#include <fcntl.h>
#include <stdio.h>

struct tree_call server_call(fuse_req_t req)
{
        const struct fuse_ctx *ctx = fuse_req_ctx(req);

        return server_call_of(server_of(req), ctx->uid, ctx->gid);
}

static struct fuse_entry_param entry_of(const struct node *n)
{
        return (struct fuse_entry_param){
                .ino = n->id, .generation = 1, .attr = n->st, .attr_timeout = forever_s, .entry_timeout = forever_s,
        };
}

static void reply_node(fuse_req_t req, int r, const struct node *n)
{
        struct fuse_entry_param e;

        if (r < 0) {
                server_reply_error(req, r);
                return;
        }
        e = entry_of(n);
        fuse_reply_entry(req, &e);
}

/* Names -------------------------------------------------------------------------------------------------------- */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct node n;
        int r = tree_lookup(server_of(req)->tree, parent, name, strlen(name), &n);

        if (r == -ENOENT) {
                struct fuse_entry_param absent = { .entry_timeout = forever_s };

                fuse_reply_entry(req, &absent);
        } else {
                reply_node(req, r, &n);
        }
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, const struct tree_new_node *from)
{
        const struct tree_call call = server_call(req);
        struct node n;
        int r = tree_make(server_of(req)->tree, &call, parent, name, from, &n);

        /* It is empty: what its time is is asked for again when it is written to. */
        if (r == 0 && S_ISREG(from->mode))
                (void)tree_named(server_of(req)->tree, parent, name);
        reply_node(req, r, &n);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
        make(req, parent, name, &(struct tree_new_node){ .mode = mode, .rdev = rdev });
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
        make(req, parent, name, &(struct tree_new_node){ .mode = S_IFDIR | (mode & 07777) });
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
        make(req, parent, name, &(struct tree_new_node){ .mode = S_IFLNK | 0777, .target = target });
}

/* ENOSYS once: from then on the kernel sends MKNOD, and opens without asking. */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
        (void)parent;
        (void)name;
        (void)mode;
        (void)fi;
        fuse_reply_err(req, ENOSYS);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
        const struct tree_call call = server_call(req);
        struct node n;
        struct tree *t = server_of(req)->tree;
        int r = tree_link(t, &call, ino, parent, name, &n);

        if (r == 0 && tree_named(t, parent, name))
                r = tree_getattr(t, ino, &n);
        reply_node(req, r, &n);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        const struct tree_call call = server_call(req);

        server_reply_error(req, tree_unlink(server_of(req)->tree, &call, parent, name));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        const struct tree_call call = server_call(req);

        server_reply_error(req, tree_rmdir(server_of(req)->tree, &call, parent, name));
}

/* Before the answer, after which somebody may look.  It takes no lock of the kernel's that the request holds: attributes
 * alone are dropped. */
static void tell_time(struct server *s, uint64_t id)
{
        if (id)
                fuse_lowlevel_notify_inval_inode(s->se, id, -1, 0);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent, const char *to_name,
               unsigned flags)
{
        const struct tree_call call = server_call(req);
        struct server *s = server_of(req);
        int r = tree_rename(s->tree, &call, parent, name, to_parent, to_name, flags);

        if (r == 0)
                tell_time(s, tree_named(s->tree, to_parent, to_name));
        if (r == 0 && (flags & RENAME_EXCHANGE))
                tell_time(s, tree_named(s->tree, parent, name));
        server_reply_error(req, r);
}

/* Attributes --------------------------------------------------------------------------------------------------- */

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct node n;
        int r = tree_getattr(server_of(req)->tree, ino, &n);

        (void)fi;
        if (r < 0)
                server_reply_error(req, r);
        else
                fuse_reply_attr(req, &n.st, forever_s);
}

static struct timespec wanted_time(int what, int set, int now, struct timespec time)
{
        if (what & now)
                return (struct timespec){ 0, UTIME_NOW };
        return what & set ? time : (struct timespec){ 0, UTIME_OMIT };
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int what, struct fuse_file_info *fi)
{
        const struct tree_attr a = {
                .set_mode = what & FUSE_SET_ATTR_MODE, .mode = attr->st_mode, .set_uid = what & FUSE_SET_ATTR_UID,
                .uid = attr->st_uid, .set_gid = what & FUSE_SET_ATTR_GID, .gid = attr->st_gid,
                .atime = wanted_time(what, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, attr->st_atim),
                .mtime = wanted_time(what, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, attr->st_mtim),
        };
        const int rows = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_ATIME |
                         FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
        struct server *s = server_of(req);
        struct node n;
        int r = 0;

        (void)fi;
        if (what & FUSE_SET_ATTR_SIZE)
                r = tree_truncate(s->tree, ino, (uint64_t)attr->st_size);
        if (r == 0)
                r = what & rows || !(what & FUSE_SET_ATTR_SIZE) ? tree_setattr(s->tree, ino, &a, &n)
                                                                : tree_getattr(s->tree, ino, &n);
        if (r < 0)
                server_reply_error(req, r);
        else
                fuse_reply_attr(req, &n.st, forever_s);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
        cleanup_buf struct buf target = { 0 };
        int r = tree_readlink(server_of(req)->tree, ino, &target);

        if (r < 0)
                server_reply_error(req, r);
        else
                fuse_reply_readlink(req, target.data ? target.data : "");
}

/* Directories: "." and ".." have the cookies 1 and 2, all names larger ones (IMAGE_COOKIE_MIN). ---------------- */

struct listing {
        fuse_req_t req;
        char *data;
        size_t size;
        size_t used;
        bool plus;
        bool full;
};

static int list_name(struct listing *l, const char *name, struct fuse_entry_param *e, uint64_t cookie)
{
        size_t left = l->size - l->used, n;

        if (l->plus)
                n = fuse_add_direntry_plus(l->req, l->data + l->used, left, name, e, (off_t)cookie);
        else
                n = fuse_add_direntry(l->req, l->data + l->used, left, name, &e->attr, (off_t)cookie);
        if (n > left) {
                l->full = true;
                return 1;
        }
        l->used += n;
        return 0;
}

static int list_dot(struct listing *l, const char *name, uint64_t id, uint64_t cookie)
{
        /* Entry 0: the kernel looks nothing up for the dots. */
        struct fuse_entry_param e = { .attr = { .st_ino = id, .st_mode = S_IFDIR } };

        return list_name(l, name, &e, cookie);
}

static int list_dirent(const struct tree_dirent *d, void *user)
{
        struct listing *l = user;
        struct fuse_entry_param e = { .attr = { .st_ino = d->node.id, .st_mode = d->node.st.st_mode } };
        char name[IMAGE_NAME_MAX + 1];

        if (d->name.len > IMAGE_NAME_MAX)
                return 0;
        memcpy(name, d->name.data, d->name.len);
        name[d->name.len] = '\0';
        if (l->plus && d->node.st.st_nlink)
                e = entry_of(&d->node);
        return list_name(l, name, &e, d->cookie);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
        struct server *s = server_of(req);
        cleanup_free char *data = malloc(size ? size : 1);
        struct listing l = { req, data, size, 0, plus, false };
        int r = data ? 0 : -ENOMEM;

        if (r == 0 && offset < 1)
                list_dot(&l, ".", ino, 1);
        if (r == 0 && offset < 2 && !l.full)
                list_dot(&l, "..", tree_parent(s->tree, ino), 2);
        if (r == 0 && !l.full)
                r = tree_readdir(s->tree, ino, offset < 2 ? 2 : (uint64_t)offset, plus, list_dirent, &l);
        if (r < 0)
                server_reply_error(req, r);
        else
                fuse_reply_buf(req, data, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void)fi;
        list(req, ino, size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void)fi;
        list(req, ino, size, offset, true);
}
