#include "fs/server_work.h"
#include "fs/cells.h"
#include "fs/server_private.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/uio.h>
#include <time.h>

enum {
        MAX_PAGES = 256, /* of a READ, as many as the kernel allows by itself */
        HAND_ON_MS = 1000,
        NOTIFY_RESEND = 7, /* FUSE_NOTIFY_RESEND, for older headers */
        TURN_FREE = -1,
        TURN_CLOSED = -2, /* what a process before this one left is answered first */
};

/* INIT --------------------------------------------------------------------------------------------------------- */

/* Kept for the processes that follow. */
static void keep_init(struct server *s, const struct iovec *iov)
{
        struct handover *h = s->handover;

        if (iov[1].iov_len > sizeof(h->init_reply))
                return;
        memcpy(h->init_reply, iov[1].iov_base, iov[1].iov_len);
        h->init_reply_size = (uint32_t)iov[1].iov_len;
}

/* The kernel goes by what it was told first.  Sizes may differ (a newer libfuse knows more), what they say may not. */
static bool is_same_init(const struct handover *h, const struct fuse_init_out *out, size_t len)
{
        struct fuse_init_out old = { 0 }, new = { 0 };

        if (h->init_reply_size < FUSE_COMPAT_22_INIT_OUT_SIZE)
                return false;
        memcpy(&old, h->init_reply, h->init_reply_size < sizeof(old) ? h->init_reply_size : sizeof(old));
        memcpy(&new, out, len < sizeof(new) ? len : sizeof(new));
        return old.major == new.major && old.flags == new.flags && old.flags2 == new.flags2 &&
               old.max_write == new.max_write && old.max_pages == new.max_pages && old.time_gran == new.time_gran &&
               old.max_readahead == new.max_readahead;
}

/* libfuse derives the pages of a READ from max_write; reading wants more than a WRITE may have. */
static ssize_t reply(int fd, struct iovec *iov, int count, void *user)
{
        struct server *s = user;
        const struct fuse_out_header *h = iov[0].iov_base;

        if (h->unique != 0 && h->unique == s->init_unique) {
                if (h->error == 0 && count == 2 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
                        struct fuse_init_out *out = iov[1].iov_base;

                        if (out->flags & FUSE_MAX_PAGES)
                                out->max_pages = MAX_PAGES;
                        if (s->took_over && is_same_init(s->handover, out, iov[1].iov_len))
                                s->init_unique = 0;
                        else if (!s->took_over)
                                keep_init(s, iov);
                }
                if (s->took_over)
                        return h->len; /* the kernel has had its answer */
                s->init_unique = 0;
        }
        return writev(fd, iov, count);
}

static ssize_t receive(int fd, void *data, size_t len, void *user)
{
        (void)user;
        return read(fd, data, len);
}

static void count_away(bool begins, void *user);

int server_prepare(struct server *s)
{
        static const struct fuse_custom_io io = { .writev = reply, .read = receive };

        pthread_mutex_init(&s->turn_lock, NULL);
        pthread_cond_init(&s->turn_cond, NULL);
        pthread_cond_init(&s->spare_cond, NULL);
        s->parked_again = HANDOVER_PARKED;
        s->turn = TURN_CLOSED;
        s->replaying = SERVER_THREADS;
        tree_on_long_copy(s->tree, count_away, s);
        return fuse_session_custom_io(s->se, &io, s->took_over ? HANDOVER_FD_FUSE : fuse_session_fd(s->se));
}

int server_replay_init(struct server *s)
{
        struct fuse_buf buf = { .size = s->handover->init_size, .mem = s->handover->init };

        if (buf.size < sizeof(struct fuse_in_header))
                return -EPROTO;
        s->init_unique = ((const struct fuse_in_header *)buf.mem)->unique;
        fuse_session_process_buf(s->se, &buf);
        return s->init_unique == 0 ? 0 : -EPROTO;
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

static void prepare(struct server *s, int64_t now)
{
        atomic_store(&s->preparing, now);
        tree_prepare(s->tree);
        atomic_store(&s->preparing, 0);
}

/* Until a request is there, or nobody expects one any more. */
static void spin(struct server *s)
{
        int64_t now = now_ns(), end = now + SPIN_US * 1000, quiet = now + QUIET_US * 1000;

        if (s->crowded > 0) {
                s->crowded--;
                return;
        }
        while (now < end && !is_waiting(s)) {
                int64_t before;

                if (now >= quiet) {
                        prepare(s, now);
                        quiet = INT64_MAX;
                }
                before = now_ns();
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
                atomic_store(&c->begun, atomic_load(&c->since));
                atomic_store(&c->state, CELL_BUSY);
                if (atomic_load(&s->handover->resting) && atomic_exchange(&s->handover->resting, 0))
                        handover_send(HANDOVER_FD_SOCKET, MESSAGE_AWAKE, -1);
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
        const struct tree_call call = server_call_of(s, h->uid, h->gid);
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

/* H is in no cell when it was parked. */
static void answer(struct server *s, struct fuse_in_header *h, size_t size)
{
        struct fuse_buf buf = { .size = size, .mem = h };

        if (h->opcode == FUSE_TMPFILE)
                answer_tmpfile(s, h);
        else
                fuse_session_process_buf(s->se, &buf);
}

static void process(struct server *s, struct server_cell *c)
{
        struct fuse_in_header *h = (void *)c->bytes;

        if (h->opcode < CONTROL_OPCODES)
                atomic_fetch_add(&s->requests[h->opcode], 1);
        if (h->opcode == FUSE_INIT) {
                s->init_unique = h->unique;
                s->handover->init_size = h->len < HANDOVER_INIT ? h->len : HANDOVER_INIT;
                memcpy(s->handover->init, h, s->handover->init_size);
        }
        answer(s, h, c->size);
        cell_drop(c);
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

/* The turn ----------------------------------------------------------------------------------------------------- */

static bool is_spare(const struct server *s, int worker)
{
        return worker >= SERVER_READERS + s->away;
}

static void take_turn(struct server *s, int worker)
{
        pthread_mutex_lock(&s->turn_lock);
        while (s->turn != worker && (s->turn != TURN_FREE || is_spare(s, worker)))
                pthread_cond_wait(is_spare(s, worker) ? &s->spare_cond : &s->turn_cond, &s->turn_lock);
        s->turn = worker;
        pthread_mutex_unlock(&s->turn_lock);
}

/* Whoever waits may be a spare one from now on, or no longer: each looks where to wait. */
static void count_away(bool begins, void *user)
{
        struct server *s = user;

        pthread_mutex_lock(&s->turn_lock);
        s->away += begins ? 1 : -1;
        pthread_mutex_unlock(&s->turn_lock);
        pthread_cond_broadcast(&s->spare_cond);
        pthread_cond_broadcast(&s->turn_cond);
}

/* The conditions of the barrier below are others: all are woken until it is over. */
static void give_turn(struct server *s, int worker)
{
        pthread_mutex_lock(&s->turn_lock);
        if (s->turn == worker)
                s->turn = TURN_FREE;
        pthread_mutex_unlock(&s->turn_lock);
        pthread_cond_signal(&s->turn_cond);
}

void server_hand_on(struct server *s)
{
        pthread_mutex_lock(&s->turn_lock);
        if (s->turn >= 0) {
                const struct server_cell *c = handover_cell(s->handover, (unsigned)s->turn);
                bool busy = atomic_load(&c->state) == CELL_BUSY;
                int64_t since = atomic_load(busy ? &c->since : &s->preparing);

                if (since && now_ns() - since > HAND_ON_MS * 1000000LL)
                        s->turn = TURN_FREE;
        }
        pthread_mutex_unlock(&s->turn_lock);
        pthread_cond_broadcast(&s->turn_cond);
}

/* What the process before this one left ------------------------------------------------------------------------ */

/* A request may have been read whole when its process died before it could say how long it is: its own header does. */
static void replay(struct server *s, struct server_thread *t, unsigned index)
{
        struct server_cell *c = handover_cell(s->handover, index);
        const struct fuse_in_header *h = (const void *)c->bytes;

        if (h->len == 0)
                return;
        c->size = h->len;
        atomic_store(&c->since, now_ns());
        atomic_store(&c->state, CELL_BUSY);
        atomic_store(&c->tid, gettid());
        t->cell = index;
        t->replayed = true;
        process(s, c);
        t->replayed = false;
}

/* Has the kernel repeat what it waits for and what no cell has: nothing, if all is well.  Linux 6.9 and later. */
static bool resend(const struct server *s)
{
        struct fuse_out_header h = { .len = sizeof(h), .error = NOTIFY_RESEND };
        const char *said = getenv("FUSEPKG_RESEND");

        if (said && strcmp(said, "0") == 0)
                return false;
        return write(fuse_session_fd(s->se), &h, sizeof(h)) == sizeof(h);
}

static void replay_parked(struct server *s, bool again)
{
        for (unsigned i = 0; i < HANDOVER_PARKED; i++) {
                struct handover_parked *p = &s->handover->parked[i];
                struct fuse_in_header *h = (void *)p->bytes;
                uint32_t size = atomic_load(&p->size);

                if (size < sizeof(*h))
                        continue;
                s->parked_again = i;
                if (again || !cell_is_pending(fuse_session_fd(s->se), h->unique))
                        atomic_store(&p->size, 0);
                else
                        answer(s, h, size);
        }
        s->parked_again = HANDOVER_PARKED;
}

void server_open_turn(struct server *s)
{
        struct timespec limit;
        int r = 0;

        if (s->took_over) {
                clock_gettime(CLOCK_REALTIME, &limit);
                limit.tv_sec += REPLAY_WAIT_MS / 1000;
                pthread_mutex_lock(&s->turn_lock);
                while (s->replaying > 0 && r == 0)
                        r = pthread_cond_timedwait(&s->turn_cond, &s->turn_lock, &limit);
                pthread_mutex_unlock(&s->turn_lock);
                /* While one is being answered, asking again would have it done twice. */
                replay_parked(s, r == 0 && resend(s));
        }
        pthread_mutex_lock(&s->turn_lock);
        s->turn = TURN_FREE;
        pthread_mutex_unlock(&s->turn_lock);
        pthread_cond_broadcast(&s->turn_cond);
}

/* Workers ------------------------------------------------------------------------------------------------------ */

struct server_cell *server_own_cell(struct server *s, uint32_t *ret_index, bool *ret_replayed)
{
        for (unsigned i = 0; i < SERVER_THREADS; i++) {
                const struct server_thread *t = &s->threads[i];

                if (!t->running || !pthread_equal(t->thread, pthread_self()))
                        continue;
                struct server_cell *c = handover_cell(s->handover, t->cell);

                *ret_index = t->cell;
                *ret_replayed = t->replayed ||
                                ((const struct fuse_in_header *)(const void *)c->bytes)->unique & SERVER_RESENT;
                return c;
        }
        return NULL;
}

struct tree_call server_call_of(struct server *s, uid_t uid, gid_t gid)
{
        struct tree_call call = { .uid = uid, .gid = gid, .cell = NO_CELL, .connection = s->handover->mount_id };
        const struct server_cell *c = server_own_cell(s, &call.cell, &call.replayed);

        if (c)
                call.request = ((const struct fuse_in_header *)(const void *)c->bytes)->unique & ~SERVER_RESENT;
        return call;
}

static void begin(struct server *s, unsigned worker)
{
        struct server_thread *t = &s->threads[worker];

        t->thread = pthread_self();
        t->running = true;
        for (unsigned i = worker; s->took_over && i < HANDOVER_CELLS; i += SERVER_THREADS)
                replay(s, t, i);
        t->cell = worker;
        atomic_store(&handover_cell(s->handover, worker)->tid, gettid());
        pthread_mutex_lock(&s->turn_lock);
        s->replaying--;
        pthread_mutex_unlock(&s->turn_lock);
        pthread_cond_broadcast(&s->turn_cond);
}

/* A request that took long may have waited for a disk that is slow, or for a processor: which of them, the next ones
 * tell. */
static void note_time(struct server *s, bool slow)
{
        if (!slow)
                s->slow_for = 0;
        else if (s->slow_for < AWHILE)
                s->slow_for = s->slow_for ? 2 * s->slow_for : SLOW_FIRST;
        if (slow)
                s->slow = s->slow_for;
}

void *server_work(void *arg)
{
        struct server *s = arg;
        int worker = (int)atomic_fetch_add(&s->workers, 1);
        struct server_cell *cell = handover_cell(s->handover, (unsigned)worker);
        uint64_t one = 1;

        begin(s, (unsigned)worker);
        take_turn(s, worker);
        while (read_request(s, cell)) {
                bool keep = keeps_turn(s, cell);

                if (!keep)
                        give_turn(s, worker);
                process(s, cell);
                if (keep)
                        note_time(s, now_ns() - cell->since > SLOW_US * 1000);
                take_turn(s, worker); /* it may have been taken from us */
                spin(s);
        }
        give_turn(s, worker);
        if (write(s->done_fd, &one, sizeof(one)) < 0)
                log_line(&s->log, "cannot wake the main thread: %s", strerror(errno));
        return NULL;
}
