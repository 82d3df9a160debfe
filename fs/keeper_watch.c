/* keeper_watch.c: requests that are not answered: storage that stalls, a worker that hangs, no worker at all.
 *
 * Whoever waits for a FUSE request cannot be killed once it was read.  So each ends: with EIO, if nothing else can be
 * said. */
#include "fs/keeper_private.h"
#include "fs/server_private.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/time.h>

enum {
        OPCODE_STATX = 52, /* not in older headers */
        DRAIN_MAX = 10000,
};

static struct fuse_in_header *header(struct server_cell *c)
{
        return (void *)c->bytes;
}

/* What was answered meanwhile is not there any more: ENOENT. */
static bool reply_error(uint64_t unique, int error)
{
        struct fuse_out_header out = { .len = sizeof(out), .error = error, .unique = unique };

        return write(HANDOVER_FD_FUSE, &out, sizeof(out)) == sizeof(out);
}

/* The number that follows WORD in a file of the thread's in /proc; 0: none. */
static uint64_t number_in(const struct keeper *k, pid_t tid, const char *file, const char *word)
{
        char path[64], text[4096];
        const char *p;
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)k->h->worker_pid, (int)tid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        text[n > 0 ? n : 0] = '\0';
        p = strstr(text, word);
        return p ? strtoull(p + strlen(word), NULL, 10) : 0;
}

static bool is_sync(const struct fuse_in_header *h)
{
        return h->opcode == FUSE_FSYNC || h->opcode == FUSE_FSYNCDIR;
}

/* What grows as long as a thread comes on: the bytes that it has moved (a large file that is being copied is no stall);
 * while the disk takes bytes in, how often it woke up for some. */
static uint64_t moved(const struct keeper *k, const struct server_cell *c, const struct fuse_in_header *h)
{
        const pid_t tid = atomic_load(&c->tid);
        uint64_t sum = number_in(k, tid, "io", "rchar: ") + number_in(k, tid, "io", "wchar: ");

        return is_sync(h) ? sum + number_in(k, tid, "status", "\nvoluntary_ctxt_switches:") : sum;
}

static int64_t limit_of(const struct keeper *k, const struct fuse_in_header *h)
{
        if (is_sync(h))
                return SYNC_LIMIT;
        return k->now < k->stalled_until ? STALL_LIMIT : CELL_LIMIT;
}

/* *PROGRESS: somebody has moved. */
static bool watch_cell(struct keeper *k, unsigned i, bool *progress)
{
        struct server_cell *c = handover_cell(k->h, i);
        struct keeper_watch *w = &k->watch[i];
        bool busy = atomic_load(&c->state) == CELL_BUSY;
        uint64_t unique = header(c)->unique, now;

        if (!busy || w->unique != unique) {
                *w = (struct keeper_watch){ .unique = busy ? unique : 0, .from = k->now, .read = w->read };
                return false;
        }
        if (w->refused)
                return false;
        now = moved(k, c, header(c));
        if (now != w->moved) {
                *progress = *progress || w->moved != 0;
                w->from = w->moved ? k->now : w->from;
                w->moved = now;
                return false;
        }
        if (k->now - w->from < limit_of(k, header(c)))
                return false;
        w->refused = true;
        return reply_error(unique, -EIO);
}

static bool has_read(struct keeper *k)
{
        bool read = false;

        for (unsigned i = 0; i < SERVER_THREADS; i++) {
                int64_t since = atomic_load(&handover_cell(k->h, i)->since);

                read = read || since != k->watch[i].read;
                k->watch[i].read = since;
        }
        return read;
}

void keeper_kill(struct keeper *k, const char *why)
{
        if (k->h->worker_state == WORKER_NONE || k->killed[0])
                return;
        snprintf(k->killed, sizeof(k->killed), "%s", why);
        pidfd_send_signal(HANDOVER_FD_PEER, SIGKILL, NULL, 0);
        if (k->down_since == 0)
                k->down_since = k->now;
}

/* No worker ----------------------------------------------------------------------------------------------------- */

void keeper_refuse_left(struct keeper *k)
{
        for (unsigned i = 0; i < HANDOVER_CELLS; i++) {
                struct fuse_in_header *h = header(handover_cell(k->h, i));

                if (h->len >= sizeof(*h) && h->unique)
                        reply_error(h->unique, -EIO);
        }
        for (unsigned i = 0; i < HANDOVER_PARKED; i++) {
                struct handover_parked *p = &k->h->parked[i];

                if (atomic_load(&p->size) >= sizeof(struct fuse_in_header))
                        reply_error(((struct fuse_in_header *)(void *)p->bytes)->unique, -EIO);
        }
}

/* Somebody else may take the request between poll and read: then a signal ends the read. */
static ssize_t read_soon(void *data, size_t size)
{
        const struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };
        ssize_t n;

        setitimer(ITIMER_REAL, &soon, NULL);
        n = read(HANDOVER_FD_FUSE, data, size);
        setitimer(ITIMER_REAL, &never, NULL);
        return n;
}

/* isatty() is to go on saying that a file is no terminal. */
static int error_for(const struct fuse_in_header *h)
{
        switch (h->opcode) {
        case FUSE_IOCTL:
                return h->nodeid == NODE_ROOT ? -EIO : -ENOTTY;
        case FUSE_OPEN:
        case FUSE_OPENDIR:
        case FUSE_FLUSH:
        case FUSE_GETXATTR:
        case FUSE_LISTXATTR:
        case FUSE_SETXATTR:
        case FUSE_ACCESS:
        case OPCODE_STATX:
                return -ENOSYS;
        default:
                return -EIO;
        }
}

void keeper_refuse_next(struct keeper *k)
{
        struct server_cell *c = handover_cell(k->h, HANDOVER_KEEPER_CELL);
        struct fuse_in_header *h = header(c);
        ssize_t n = read_soon(c->bytes, sizeof(c->bytes));

        if (n >= (ssize_t)sizeof(*h) && h->opcode != FUSE_FORGET && h->opcode != FUSE_BATCH_FORGET &&
            h->opcode != FUSE_INTERRUPT)
                reply_error(h->unique, h->opcode == FUSE_DESTROY ? 0 : error_for(h));
        h->len = 0;
}

int keeper_timeout(const struct keeper *k)
{
        const struct handover *h = k->h;
        bool busy = k->down_since || k->kill_at || k->unread_since;

        if (h->worker_state == WORKER_NONE)
                return k->start_at > k->now && k->start_at - k->now < KEEPER_TICK ? (int)(k->start_at - k->now)
                                                                                  : KEEPER_TICK;
        for (unsigned i = 0; i < HANDOVER_CELLS; i++)
                busy = busy || k->watch[i].unique;
        if (!busy && k->resting)
                return -1;
        return busy ? KEEPER_TICK : KEEPER_IDLE;
}

/* The tick ------------------------------------------------------------------------------------------------------ */

/* Those who wait to be read have waited as long as the others: the next worker would be stuck as soon as it had read
 * three of them. */
static void replace_stuck(struct keeper *k)
{
        struct pollfd p = { HANDOVER_FD_FUSE, POLLIN, 0 };

        keeper_kill(k, "it did not read requests");
        for (int i = 0; i < DRAIN_MAX && poll(&p, 1, 0) > 0 && (p.revents & POLLIN); i++)
                keeper_refuse_next(k);
}

/* By SIGSTOP: the storage has no part in it, and the next one answers what waits. */
static bool is_stopped(const struct keeper *k)
{
        char path[32], text[512];
        const char *end;
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)k->h->worker_pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        text[n > 0 ? n : 0] = '\0';
        end = strrchr(text, ')');
        return end && strncmp(end, ") T", 3) == 0;
}

static void watch_stopped(struct keeper *k)
{
        if (!is_stopped(k))
                k->stopped_since = 0;
        else if (!k->stopped_since)
                k->stopped_since = k->now;
        else if (k->now - k->stopped_since >= STOPPED_LIMIT)
                keeper_kill(k, "it was stopped");
}

/* Rest ---------------------------------------------------------------------------------------------------------- */

void keeper_awake(struct keeper *k)
{
        k->resting = false;
        k->quiet_since = 0;
        atomic_store(&k->h->resting, 0);
}

/* Two hundred mounts that nobody uses should cost nothing.  Who takes a request says so from now on, if it sees that we
 * rest; what was taken before that is seen here.  What nobody takes wakes us by the connection. */
static void rest(struct keeper *k)
{
        if (!k->quiet_since)
                k->quiet_since = k->now;
        if (k->resting || k->now - k->quiet_since < KEEPER_IDLE || k->down_since || k->kill_at || k->upgrading)
                return;
        atomic_store(&k->h->resting, 1);
        for (unsigned i = 0; i < HANDOVER_CELLS; i++)
                if (atomic_load(&handover_cell(k->h, i)->state) == CELL_BUSY)
                        return keeper_awake(k);
        if (has_read(k))
                return keeper_awake(k);
        k->resting = true;
        handover_send(HANDOVER_FD_SOCKET, MESSAGE_REST, -1);
}

/* The tick ------------------------------------------------------------------------------------------------------ */

static void watch_cells(struct keeper *k, bool *progress)
{
        unsigned refused = 0;
        char line[128];

        for (unsigned i = 0; i < HANDOVER_CELLS; i++)
                refused += watch_cell(k, i, progress);
        if (refused == 0)
                return;
        if (k->now >= k->stalled_until) {
                snprintf(line, sizeof(line),
                         "no answer to %u requests for %d s: they end with an error; the storage stalls", refused,
                         CELL_LIMIT / 1000);
                keeper_record(k, line);
        }
        k->stalled_until = k->now + STALL_MEMORY;
}

void keeper_watch(struct keeper *k)
{
        struct pollfd p = { HANDOVER_FD_FUSE, POLLIN, 0 };
        bool progress = false, read, waits;

        if (k->h->worker_state != WORKER_SERVING)
                return;
        watch_stopped(k);
        watch_cells(k, &progress);
        read = has_read(k);
        waits = poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
        if (read || progress || waits)
                keeper_awake(k);
        else
                rest(k);
        /* While some are copied, the others wait. */
        if (read || progress || !waits) {
                k->unread_since = 0;
                return;
        }
        if (!k->unread_since)
                k->unread_since = k->now;
        else if (k->now - k->unread_since >= (k->now < k->stalled_until ? STALL_LIMIT : UNREAD_LIMIT))
                replace_stuck(k);
        else if (k->now - k->unread_since >= UNREAD_HAND_ON)
                handover_send(HANDOVER_FD_SOCKET, MESSAGE_HAND_ON, -1);
}
