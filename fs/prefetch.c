#include "fs/prefetch.h"
#include "fs/server.h"

#include <time.h>

static struct prefetch_recent *recent_of(struct prefetch *p, uint64_t id)
{
        return &p->recent[(id * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (PREFETCH_RECENT - 1)];
}

void prefetch_note(struct prefetch *p, uint64_t id, uint64_t offset, const char *data, size_t len)
{
        bool loaded = offset == 0 && len >= 4 && len <= PREFETCH_ELF_READ && memcmp(data, "\177ELF", 4) == 0;
        struct prefetch_recent *r;
        bool wake = false;

        pthread_mutex_lock(&p->lock);
        r = recent_of(p, id);
        if (r->id != id) {
                *r = (struct prefetch_recent){ .id = id, .end = offset + len };
                /* Read from the middle at once: that is no copying either. */
                if (offset == 0 && !loaded)
                        goto out;
        } else if (offset == r->end) {
                r->end = offset + len;
                goto out;
        }
        r->end = offset + len;
        if (!r->stored && p->count < PREFETCH_QUEUE) {
                r->stored = true;
                p->queue[p->count++] = id;
                wake = true;
        }
out:
        pthread_mutex_unlock(&p->lock);
        if (wake)
                pthread_cond_signal(&p->cond);
}

void prefetch_wait(struct prefetch *p, uint64_t id)
{
        if (atomic_load(&p->current) != id)
                return;
        pthread_mutex_lock(&p->storing);
        pthread_mutex_unlock(&p->storing);
}

/* 0: there may be more; else the end. */
static int store_piece(struct server *s, uint64_t id, uint64_t copied, uint64_t at, char *data)
{
        ssize_t got = tree_read(s->tree, id, data, PREFETCH_PIECE, at, NULL);
        struct fuse_bufvec bufs = FUSE_BUFVEC_INIT(got > 0 ? (size_t)got : 0);
        int r;

        if (got <= 0 || (at == 0 && (got < 4 || memcmp(data, "\177ELF", 4) != 0)))
                return -EIO;
        if (tree_copied(s->tree, id) != copied)
                return -ESTALE;
        bufs.buf[0].mem = data;
        r = fuse_lowlevel_notify_store(s->se, id, (off_t)at, &bufs, 0);
        if (tree_copied(s->tree, id) == copied)
                return r;
        fuse_lowlevel_notify_inval_inode(s->se, id, (off_t)at, (off_t)got);
        return -ESTALE;
}

/* Stops at the first thing that goes wrong: an error will be seen, and said, by who reads there. */
static void store_file(struct server *s, uint64_t id)
{
        cleanup_free char *data = malloc(PREFETCH_PIECE);
        struct prefetch *p = &s->prefetch;
        uint64_t copied = tree_copied(s->tree, id);
        struct node n = { 0 };
        int r = data ? tree_getattr(s->tree, id, &n) : -ENOMEM;

        if (r == 0 && (n.st.st_size > PREFETCH_MAX || tree_has_data(s->tree, id)))
                r = -EFBIG;
        atomic_store(&p->current, id);
        for (uint64_t at = 0; r == 0 && at < (uint64_t)n.st.st_size; at += PREFETCH_PIECE) {
                pthread_mutex_lock(&p->storing);
                r = store_piece(s, id, copied, at, data);
                pthread_mutex_unlock(&p->storing);
        }
        atomic_store(&p->current, 0);
}

void *prefetch_thread(void *arg)
{
        struct server *s = arg;
        struct prefetch *p = &s->prefetch;

        for (;;) {
                uint64_t id;

                const struct timespec pause = { 0, PREFETCH_PAUSE_MS * 1000000L };
                bool waited = false;

                pthread_mutex_lock(&p->lock);
                while (p->count == 0) {
                        pthread_cond_wait(&p->cond, &p->lock);
                        waited = true;
                }
                if (waited) {
                        pthread_mutex_unlock(&p->lock);
                        nanosleep(&pause, NULL);
                        pthread_mutex_lock(&p->lock);
                }
                id = p->queue[0];
                memmove(p->queue, p->queue + 1, --p->count * sizeof(p->queue[0]));
                pthread_mutex_unlock(&p->lock);
                store_file(s, id);
        }
        return NULL;
}
