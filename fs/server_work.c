#include "fs/server_work.h"
#include "fs/server_private.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

enum { MAX_PAGES = 256 }; /* of a READ, as many as the kernel allows by itself */

/* INIT --------------------------------------------------------------------------------------------------------- */

/* libfuse derives the pages of a READ from max_write; reading wants more than a WRITE may have. */
static ssize_t reply(int fd, struct iovec *iov, int count, void *user)
{
        struct server *s = user;
        const struct fuse_out_header *h = iov[0].iov_base;

        if (h->error == 0 && h->unique != 0 && h->unique == s->init_unique && count == 2 &&
            iov[1].iov_len >= sizeof(struct fuse_init_out)) {
                struct fuse_init_out *out = iov[1].iov_base;

                if (out->flags & FUSE_MAX_PAGES)
                        out->max_pages = MAX_PAGES;
                s->init_unique = 0;
        }
        return writev(fd, iov, count);
}

static ssize_t receive(int fd, void *data, size_t len, void *user)
{
        (void)user;
        return read(fd, data, len);
}

int server_prepare(struct server *s)
{
        static const struct fuse_custom_io io = { .writev = reply, .read = receive };
        void *cells = mmap(NULL, SERVER_THREADS * sizeof(*s->cells), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

        if (cells == MAP_FAILED)
                return -errno;
        s->cells = cells;
        pthread_mutex_init(&s->turn, NULL);
        return fuse_session_custom_io(s->se, &io, fuse_session_fd(s->se));
}

/* Requests ----------------------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_waiting(const struct server *s)
{
        struct pollfd p = { fuse_session_fd(s->se), POLLIN, 0 };

        return poll(&p, 1, 0) != 0;
}

/* Until a request is there, or nobody expects one any more. */
static void spin(struct server *s)
{
        int64_t now = now_ns(), end = now + SPIN_US * 1000;

        if (s->crowded > 0) {
                s->crowded--;
                return;
        }
        while (now < end && !is_waiting(s)) {
                int64_t before = now_ns();

                sched_yield();
                now = now_ns();
                if (now - before > CROWDED_US * 1000) {
                        s->crowded = AWHILE;
                        return;
                }
        }
}

/* What copies or syncs may take seconds; the base is on a disk of its own. */
static bool is_brief(const struct fuse_in_header *h)
{
        if (h->nodeid >= BASE_FIRST && h->nodeid >> 32 == 0)
                return false;
        switch (h->opcode) {
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR:
        case FUSE_FALLOCATE:
        case FUSE_COPY_FILE_RANGE:
        case FUSE_STATFS:
                return false;
        case FUSE_SETATTR:
                return !(((const struct fuse_setattr_in *)(h + 1))->valid & FATTR_SIZE) || edits_is_new(h->nodeid);
        case FUSE_WRITE:
                return edits_is_new(h->nodeid);
        default:
                return true;
        }
}

/* 0: the mount is gone, or this session has ended. */
static int read_request(struct server *s, struct server_cell *c)
{
        for (;;) {
                ssize_t n = read(fuse_session_fd(s->se), c->bytes, sizeof(c->bytes));

                if (fuse_session_exited(s->se))
                        return 0;
                /* ENOENT: whoever asked has been killed meanwhile. */
                if (n < 0 && (errno == ENOENT || errno == EINTR || errno == EAGAIN))
                        continue;
                if (n < 0 && errno != ENODEV)
                        log_line(&s->log, "cannot read requests: %s", strerror(errno));
                if (n < (ssize_t)sizeof(struct fuse_in_header)) {
                        fuse_session_exit(s->se);
                        return 0;
                }
                c->size = (uint32_t)n;
                atomic_store(&c->since, now_ns());
                atomic_store(&c->state, CELL_BUSY);
                return 1;
        }
}

static void fill_entry(const struct node *n, struct fuse_entry_out *ret)
{
        *ret = (struct fuse_entry_out){
                .nodeid = n->id, .generation = 1, .entry_valid = (uint64_t)forever_s, .attr_valid = (uint64_t)forever_s,
                .attr = {
                        .ino = n->id, .size = (uint64_t)n->st.st_size, .blocks = (uint64_t)n->st.st_blocks,
                        .atime = (uint64_t)n->st.st_atim.tv_sec, .atimensec = (uint32_t)n->st.st_atim.tv_nsec,
                        .mtime = (uint64_t)n->st.st_mtim.tv_sec, .mtimensec = (uint32_t)n->st.st_mtim.tv_nsec,
                        .ctime = (uint64_t)n->st.st_ctim.tv_sec, .ctimensec = (uint32_t)n->st.st_ctim.tv_nsec,
                        .mode = n->st.st_mode, .nlink = (uint32_t)n->st.st_nlink, .uid = n->st.st_uid,
                        .gid = n->st.st_gid, .blksize = (uint32_t)n->st.st_blksize,
                },
        };
}

/* O_TMPFILE is not known to libfuse before 3.17. */
static void answer_tmpfile(struct server *s, const struct fuse_in_header *h)
{
        const struct fuse_create_in *in = (const void *)(h + 1);
        const struct tree_call call = { .uid = h->uid, .gid = h->gid, .cell = NO_CELL };
        struct {
                struct fuse_entry_out entry;
                struct fuse_open_out open;
        } body = { .open.open_flags = FOPEN_KEEP_CACHE };
        struct fuse_out_header out = { .len = sizeof(out), .unique = h->unique };
        struct iovec iov[2] = { { &out, sizeof(out) }, { &body, sizeof(body) } };
        struct node n;

        if (h->len < sizeof(*h) + sizeof(*in))
                out.error = -EINVAL;
        else
                out.error = tree_make_unnamed(s->tree, &call, h->nodeid, S_IFREG | (in->mode & 07777), &n);
        if (out.error == 0) {
                fill_entry(&n, &body.entry);
                out.len += (uint32_t)sizeof(body);
        }
        if (writev(fuse_session_fd(s->se), iov, out.error == 0 ? 2 : 1) < 0 && errno != ENOENT)
                log_line(&s->log, "cannot answer: %s", strerror(errno));
}

static void process(struct server *s, struct server_cell *c)
{
        struct fuse_in_header *h = (void *)c->bytes;
        struct fuse_buf buf = { .size = c->size, .mem = c->bytes };

        if (h->opcode < CONTROL_OPCODES)
                atomic_fetch_add(&s->requests[h->opcode], 1);
        if (h->opcode == FUSE_INIT)
                s->init_unique = h->unique;
        if (h->opcode == FUSE_TMPFILE)
                answer_tmpfile(s, h);
        else
                fuse_session_process_buf(s->se, &buf);
        h->len = 0;
        atomic_store(&c->state, CELL_IDLE);
}

/* Is the turn kept until this one is answered? */
static bool keeps_turn(struct server *s, const struct server_cell *c)
{
        const struct fuse_in_header *h = (const void *)c->bytes;

        if (s->slow > 0) {
                s->slow--;
                return false;
        }
        /* Readers of large files have several under way. */
        return is_brief(h) && !(h->opcode == FUSE_READ && is_waiting(s));
}

void *server_work(void *arg)
{
        struct server *s = arg;
        struct server_cell *cell = &s->cells[atomic_fetch_add(&s->workers, 1)];
        uint64_t one = 1;

        pthread_mutex_lock(&s->turn);
        while (read_request(s, cell)) {
                bool keep = keeps_turn(s, cell);

                if (!keep)
                        pthread_mutex_unlock(&s->turn);
                process(s, cell);
                if (!keep)
                        pthread_mutex_lock(&s->turn);
                else if (now_ns() - cell->since > SLOW_US * 1000)
                        s->slow = AWHILE;
                spin(s);
        }
        pthread_mutex_unlock(&s->turn);
        if (write(s->done_fd, &one, sizeof(one)) < 0)
                log_line(&s->log, "cannot wake the main thread: %s", strerror(errno));
        return NULL;
}
