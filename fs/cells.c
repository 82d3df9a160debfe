#include "fs/cells.h"

#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { WATCHES_FAULTS = 0 };
#else
enum { WATCHES_FAULTS = 1 };
#endif

/* The answer to an interruption of a request says nothing (error 0): but the kernel must find the request first. */
bool cell_is_pending(int fuse_fd, uint64_t unique)
{
        struct fuse_out_header h = { .len = sizeof(h), .unique = unique | 1 };

        return write(fuse_fd, &h, sizeof(h)) == sizeof(h);
}

void cell_drop(struct server_cell *c)
{
        ((struct fuse_in_header *)(void *)c->bytes)->len = 0;
        atomic_store(&c->replays, 0);
        atomic_store(&c->faults, 0);
        atomic_store(&c->begun, 0);
        atomic_store(&c->state, CELL_IDLE);
}

static void refuse(int fuse_fd, uint64_t unique)
{
        struct fuse_out_header h = { .len = sizeof(h), .error = -EIO, .unique = unique };

        if (write(fuse_fd, &h, sizeof(h)) < 0)
                return;
}

/* Counts this process, too. */
static bool is_poison(struct server_cell *c, int64_t now)
{
        uint32_t replays = atomic_fetch_add(&c->replays, 1);
        int64_t begun = atomic_load(&c->begun);

        if (begun == 0)
                atomic_store(&c->begun, now);
        if (atomic_load(&c->faults) >= REPLAYS_MAX)
                return true;
        return replays >= REPLAYS_MAX && begun != 0 && now - begun > REPLAY_LIMIT_S * INT64_C(1000000000);
}

/* Nobody waits for a FORGET; who takes over asks the kernel about all removed nodes. */
void cells_sort(struct handover *h, int fuse_fd, struct log *log)
{
        struct timespec t;
        int64_t now;

        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        for (unsigned i = 0; i < HANDOVER_CELLS; i++) {
                struct server_cell *c = handover_cell(h, i);
                const struct fuse_in_header *in = (const void *)c->bytes;

                if (in->len == 0)
                        continue;
                if (in->len < sizeof(*in) || in->len > sizeof(c->bytes) || in->unique == 0 ||
                    !cell_is_pending(fuse_fd, in->unique)) {
                        cell_drop(c);
                } else if (is_poison(c, now)) {
                        log_line(log,
                                 "a request (opcode %u, node %llx) with which this mount has ended %u times is refused",
                                 in->opcode, (unsigned long long)in->nodeid, atomic_load(&c->replays));
                        refuse(fuse_fd, in->unique);
                        cell_drop(c);
                }
        }
}

void cells_blame(void)
{
        const uint32_t yes = 1;
        const pid_t self = gettid();

        if (pwrite(HANDOVER_FD_MEMORY, &yes, sizeof(yes), offsetof(struct handover, faulted)) < 0)
                return;
        for (unsigned i = 0; i < HANDOVER_CELLS; i++) {
                const off_t at = (off_t)handover_cell_offset(i),
                            faults_at = at + (off_t)offsetof(struct server_cell, faults);
                struct { /* as struct server_cell begins */
                        uint32_t state, size;
                        int64_t since;
                        uint32_t replays;
                        int32_t tid;
                } c;
                uint32_t faults;

                if (pread(HANDOVER_FD_MEMORY, &c, sizeof(c), at) != sizeof(c) || c.state != CELL_BUSY || c.tid != self)
                        continue;
                if (pread(HANDOVER_FD_MEMORY, &faults, sizeof(faults), faults_at) != sizeof(faults))
                        continue;
                faults++;
                if (pwrite(HANDOVER_FD_MEMORY, &faults, sizeof(faults), faults_at) < 0)
                        return;
        }
}

/* Somebody else's kill is no fault of ours.  Raised again, the signal ends the process as if we had not looked. */
static void at_fault(int number, siginfo_t *info, void *context)
{
        (void)context;
        if (info->si_code > 0 || info->si_pid == getpid())
                cells_blame();
        raise(number);
}

void cells_watch_faults(void)
{
        static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
        struct sigaction act = { .sa_sigaction = at_fault, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND };

        for (size_t i = 0; WATCHES_FAULTS && i < ARRAY_LEN(numbers); i++)
                sigaction(numbers[i], &act, NULL);
}
