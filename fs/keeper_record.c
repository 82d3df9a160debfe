/* keeper_record.c: what the keeper does on disks and paths, each by a child of a moment. */
#include "fs/keeper_private.h"
#include "fs/log.h"
#include "fs/mount_place.h"
#include "fs/owner.h"

#include <signal.h>
#include <stdio.h>

/* Nothing of ours is kept open by a child that a disk holds up, but what it writes to. */
static void become_child(const struct keeper *k)
{
        sigset_t none;

        close(HANDOVER_FD_FUSE);
        close(HANDOVER_FD_SOCKET);
        close(HANDOVER_FD_PEER);
        if (k->ready_fd >= 0)
                close(k->ready_fd);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

static void write_lock(const struct keeper *k)
{
        const struct handover *h = k->h;
        char more[700];

        snprintf(more, sizeof(more), "worker %d\nfirst %llu\nrestarts %u\nstate %s\nreason %s\nupgrades %u %s\n",
                 h->worker_state == WORKER_NONE ? 0 : (int)h->worker_pid, (unsigned long long)h->first, h->restarts,
                 h->degraded ? "degraded" : "serving", h->reason, h->upgrades, h->upgrade);
        owner_write(HANDOVER_FD_LOCK, (int)h->keeper_pid, h->since, more);
}

static void record(const struct keeper *k)
{
        struct log log;

        if (k->line[0]) {
                log_open(&log, HANDOVER_FD_STATE, k->h->foreground);
                log_line(&log, "%s", k->line);
        }
        write_lock(k);
}

void keeper_record(struct keeper *k, const char *line)
{
        if (line)
                snprintf(k->line, sizeof(k->line), "%s", line);
        k->record_due = true;
        if (k->recorder)
                return;
        k->recorder = fork();
        if (k->recorder == 0) {
                become_child(k);
                record(k);
                _exit(0);
        }
        if (k->recorder < 0) {
                k->recorder = 0;
                return;
        }
        k->record_due = false;
        k->line[0] = '\0';
}

void keeper_record_now(struct keeper *k)
{
        record(k);
        k->line[0] = '\0';
}

void keeper_detach(struct keeper *k)
{
        if (k->detacher)
                return;
        k->detacher = fork();
        if (k->detacher == 0) {
                become_child(k);
                _exit(mount_place_detach((dev_t)k->h->device, k->h->site) < 0 ? 1 : 0);
        }
        if (k->detacher < 0)
                k->detacher = 0;
}
