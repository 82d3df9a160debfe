#include "fs/forget.h"
#include "fs/server.h"

#include <time.h>

void forget_note(struct server *s, uint64_t id)
{
        struct forget *f = &s->forget;

        if (!tree_is_removed(s->tree, id))
                return;
        pthread_mutex_lock(&f->lock);
        if (f->count == f->cap) {
                size_t cap = f->cap ? 2 * f->cap : 64;
                uint64_t *more = realloc(f->ids, cap * sizeof(*more));

                if (more) {
                        f->ids = more;
                        f->cap = cap;
                }
        }
        if (f->count < f->cap)
                f->ids[f->count++] = id;
        pthread_mutex_unlock(&f->lock);
        pthread_cond_signal(&f->cond);
}

/* Drops those that the kernel no longer has.  That syncs: who removes many files should not wait for the disk after
 * each of them. */
static void drop(struct server *s, uint64_t *ids, size_t n)
{
        const struct timespec pause = { 0, FORGET_PAUSE_MS * 1000000L };
        size_t gone = 0;
        int r;

        for (size_t i = 0; i < n; i++)
                if (fuse_lowlevel_notify_inval_inode(s->se, ids[i], -1, 0) == -ENOENT)
                        ids[gone++] = ids[i];
        r = gone ? tree_drop_removed(s->tree, ids, gone) : 0;
        if (r < 0)
                log_line(&s->log, "cannot drop %zu removed files now: %s", gone, strerror(-r));
        if (gone)
                nanosleep(&pause, NULL);
}

void *forget_thread(void *arg)
{
        struct server *s = arg;
        struct forget *f = &s->forget;

        for (;;) {
                uint64_t *ids;
                size_t n;

                pthread_mutex_lock(&f->lock);
                while (f->count == 0)
                        pthread_cond_wait(&f->cond, &f->lock);
                ids = f->ids;
                n = f->count;
                f->ids = NULL;
                f->count = f->cap = 0;
                pthread_mutex_unlock(&f->lock);
                drop(s, ids, n);
                free(ids);
        }
        return NULL;
}
