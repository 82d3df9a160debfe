/* server_ops.c: the requests of the kernel, each a thin shell over the view. */
#include "fs/server.h"
#include "store/format.h"

#include <stdio.h>
#include <sys/statvfs.h>

/* Entries, absent names and attributes hold until the reloader takes them back: this is the only writer. */
static const double forever_s = 1e9;

/* The one place where a sign is flipped. */
static void reply_error(fuse_req_t req, int r)
{
        fuse_reply_err(req, -r);
}

static struct server *server_of(fuse_req_t req)
{
        return fuse_req_userdata(req);
}

static struct fuse_entry_param entry_of(const struct node *n)
{
        return (struct fuse_entry_param){
                .ino = n->id, .generation = 1, .attr = n->st, .attr_timeout = forever_s, .entry_timeout = forever_s,
        };
}

static void op_init(void *user, struct fuse_conn_info *conn)
{
        const unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS |
                              FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
                              FUSE_CAP_IOCTL_DIR;

        (void)user;
        /* Assigned, not added to: libfuse's defaults hold ATOMIC_O_TRUNC (with OPEN = ENOSYS, O_TRUNC would be lost),
         * AUTO_INVAL_DATA (drops cached pages), splice, and READDIRPLUS_AUTO. */
        conn->want = conn->capable & want;
        conn->max_background = 64;
        conn->congestion_threshold = 48;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
        struct server *s = server_of(req);
        struct view_ref *ref = server_view(s);
        struct node n;
        int r = view_lookup(ref->view, parent, name, strlen(name), &n);

        server_view_done(s, ref);
        if (r == -ENOENT) {
                struct fuse_entry_param absent = { .entry_timeout = forever_s };

                fuse_reply_entry(req, &absent);
        } else if (r < 0) {
                reply_error(req, r);
        } else {
                struct fuse_entry_param e = entry_of(&n);

                fuse_reply_entry(req, &e);
        }
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
        /* Ids need no memory: there is nothing to count. */
        (void)ino;
        (void)nlookup;
        fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
        (void)count;
        (void)forgets;
        fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        struct server *s = server_of(req);
        struct view_ref *ref = server_view(s);
        struct node n;
        int r = view_getattr(ref->view, ino, &n);

        (void)fi;
        server_view_done(s, ref);
        if (r < 0)
                reply_error(req, r);
        else
                fuse_reply_attr(req, &n.st, forever_s);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
        struct server *s = server_of(req);
        struct view_ref *ref = server_view(s);
        cleanup_buf struct buf target = { 0 };
        int r = view_readlink(ref->view, ino, &target);

        server_view_done(s, ref);
        if (r < 0)
                reply_error(req, r);
        else
                fuse_reply_readlink(req, target.data ? target.data : "");
}

/* ENOSYS once: from then on the kernel opens without asking, and keeps what it has cached. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
        (void)ino;
        (void)fi;
        fuse_reply_err(req, ENOSYS);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        struct server *s = server_of(req);
        struct view_ref *ref = server_view(s);
        struct errtext why = { "" };
        cleanup_free char *data = malloc(size ? size : 1);
        ssize_t n = data ? view_read(ref->view, ino, data, size, (uint64_t)offset, &why) : -ENOMEM;

        (void)fi;
        server_view_done(s, ref);
        if (n < 0) {
                log_line(&s->log, "read error: %s", *why.text ? why.text : strerror((int)-n));
                reply_error(req, n == -ENOMEM ? -ENOMEM : -EIO);
        } else {
                fuse_reply_buf(req, data, (size_t)n);
                if (size > (size_t)n || ino >> 32 == 0)
                        return;
                prefetch_note(&s->prefetch, ino, (uint64_t)offset, data, (size_t)n);
        }
}

/* Directories: "." and ".." have the cookies 1 and 2, all names larger ones (IMAGE_COOKIE_MIN). */
struct listing {
        fuse_req_t req;
        const struct view *view;
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

static int list_dirent(const struct view_dirent *d, void *user)
{
        struct listing *l = user;
        struct fuse_entry_param e = { .attr = { .st_ino = d->id, .st_mode = d->type } };
        char name[IMAGE_NAME_MAX + 1];
        struct node n;

        if (d->name.len > IMAGE_NAME_MAX)
                return 0;
        memcpy(name, d->name.data, d->name.len);
        name[d->name.len] = '\0';
        if (l->plus && view_getattr(l->view, d->id, &n) == 0)
                e = entry_of(&n);
        return list_name(l, name, &e, d->cookie);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
        struct server *s = server_of(req);
        struct view_ref *ref = server_view(s);
        cleanup_free char *data = malloc(size ? size : 1);
        struct listing l = { req, ref->view, data, size, 0, plus, false };
        int r = data ? 0 : -ENOMEM;

        if (r == 0 && offset < 1)
                list_dot(&l, ".", ino, 1);
        if (r == 0 && offset < 2 && !l.full)
                list_dot(&l, "..", view_parent(ref->view, ino), 2);
        if (r == 0 && !l.full)
                r = view_readdir(ref->view, ino, offset < 2 ? 2 : (uint64_t)offset, list_dirent, &l);
        server_view_done(s, ref);
        if (r < 0)
                reply_error(req, r);
        else
                fuse_reply_buf(req, data, l.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void)fi;
        list(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
        (void)fi;
        list(req, ino, size, offset, true);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
        struct server *s = server_of(req);
        struct statvfs st;

        (void)ino;
        if (fstatvfs(base_fd(s->base), &st) < 0) {
                reply_error(req, -errno);
                return;
        }
        st.f_namemax = IMAGE_NAME_MAX;
        fuse_reply_statfs(req, &st);
}

/* isatty() of Python's open() comes here for each file; control.h's two come to the root. */
static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
                     const void *in, size_t in_size, size_t out_size)
{
        struct server *s = server_of(req);
        struct control_requests counts;

        (void)arg;
        (void)fi;
        (void)flags;
        (void)in;
        (void)in_size;
        if (ino != NODE_ROOT || (cmd != CONTROL_RELOAD && cmd != CONTROL_REQUESTS)) {
                fuse_reply_err(req, ENOTTY);
                return;
        }
        atomic_fetch_sub(&s->requests[39], 1); /* FUSE_IOCTL: our own are not counted */
        if (cmd == CONTROL_RELOAD) {
                reload_request(s, req);
                return;
        }
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

/* What is missing here (FLUSH, GETXATTR, LISTXATTR, ACCESS, LSEEK, …) libfuse answers with ENOSYS, which the kernel remembers. */
const struct fuse_lowlevel_ops server_ops = {
        .init = op_init,
        .lookup = op_lookup,
        .forget = op_forget,
        .forget_multi = op_forget_multi,
        .getattr = op_getattr,
        .readlink = op_readlink,
        .open = op_open,
        .opendir = op_open,
        .read = op_read,
        .readdir = op_readdir,
        .readdirplus = op_readdirplus,
        .statfs = op_statfs,
        .ioctl = op_ioctl,
};

struct view_ref *server_view(struct server *s)
{
        struct view_ref *ref;

        pthread_mutex_lock(&s->lock);
        ref = s->current;
        ref->refs++;
        pthread_mutex_unlock(&s->lock);
        return ref;
}

void server_view_done(struct server *s, struct view_ref *ref)
{
        unsigned left;

        pthread_mutex_lock(&s->lock);
        left = --ref->refs;
        pthread_mutex_unlock(&s->lock);
        if (left == 0) {
                view_free(ref->view);
                free(ref);
        }
}

struct view_ref *server_swap(struct server *s, struct view_ref *next)
{
        struct view_ref *old;

        pthread_mutex_lock(&s->lock);
        old = s->current;
        s->current = next;
        pthread_mutex_unlock(&s->lock);
        return old;
}

void *server_work(void *arg)
{
        struct server *s = arg;
        struct fuse_buf buf = { 0 };
        uint64_t one = 1;

        while (!fuse_session_exited(s->se)) {
                uint32_t opcode;
                int n = fuse_session_receive_buf(s->se, &buf);

                if (n == -EINTR || n == -EAGAIN)
                        continue;
                if (n <= 0)
                        break;
                memcpy(&opcode, (const char *)buf.mem + 4, sizeof(opcode)); /* struct fuse_in_header: len, opcode */
                if (opcode < CONTROL_OPCODES)
                        atomic_fetch_add(&s->requests[opcode], 1);
                fuse_session_process_buf(s->se, &buf);
        }
        free(buf.mem);
        if (write(s->done_fd, &one, sizeof(one)) < 0)
                log_line(&s->log, "cannot wake the main thread: %s", strerror(errno));
        return NULL;
}
