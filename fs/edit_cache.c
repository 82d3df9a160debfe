#include "fs/edit_cache.h"
#include "store/files.h"

void edit_cache_init(struct edit_cache *c)
{
        pthread_mutex_init(&c->lock, NULL);
}

static void file_free(struct edit_file *f)
{
        if (!f)
                return;
        close(f->fd);
        free(f);
}

void edit_cache_release(struct edit_cache *c)
{
        while (c->oldest) {
                struct edit_file *f = c->oldest;

                c->oldest = f->newer;
                file_free(f);
        }
        pthread_mutex_destroy(&c->lock);
}

/* The table, under the lock ------------------------------------------------------------------------------------ */

static struct edit_file **slot_of(struct edit_cache *c, uint64_t id)
{
        return &c->slots[id % EDIT_CACHE_SLOTS];
}

static struct edit_file *find(struct edit_cache *c, uint64_t id)
{
        struct edit_file *f = *slot_of(c, id);

        while (f && f->id != id)
                f = f->next;
        return f;
}

static void leave_order(struct edit_cache *c, struct edit_file *f)
{
        *(f->older ? &f->older->newer : &c->oldest) = f->newer;
        *(f->newer ? &f->newer->older : &c->newest) = f->older;
}

static void make_newest(struct edit_cache *c, struct edit_file *f)
{
        f->older = c->newest;
        f->newer = NULL;
        *(c->newest ? &c->newest->newer : &c->oldest) = f;
        c->newest = f;
}

static struct edit_file *hold(struct edit_cache *c, struct edit_file *f)
{
        if (!f)
                return NULL;
        f->users++;
        if (f->cached && f != c->newest) {
                leave_order(c, f);
                make_newest(c, f);
        }
        return f;
}

/* Takes it out of the table; returns what is to be freed, outside of the lock. */
static struct edit_file *drop(struct edit_cache *c, struct edit_file *f)
{
        struct edit_file **at = slot_of(c, f->id);

        while (*at != f)
                at = &(*at)->next;
        *at = f->next;
        leave_order(c, f);
        c->count--;
        f->cached = false;
        return f->users == 0 ? f : NULL;
}

/* Puts F into the table if there is room, or one that nobody uses; returns what is to be freed. */
static struct edit_file *keep(struct edit_cache *c, struct edit_file *f)
{
        struct edit_file *old = NULL;

        if (c->count == EDIT_DATA_OPEN) {
                old = c->oldest;
                while (old && old->users > 0)
                        old = old->newer;
                if (!old)
                        return NULL;
                drop(c, old);
        }
        f->cached = true;
        f->next = *slot_of(c, f->id);
        *slot_of(c, f->id) = f;
        make_newest(c, f);
        c->count++;
        return old;
}

/* -------------------------------------------------------------------------------------------------------------- */

struct edit_file *edit_cache_hold(struct edit_cache *c, uint64_t id, uint64_t *ret_seen)
{
        struct edit_file *f;

        pthread_mutex_lock(&c->lock);
        f = hold(c, find(c, id));
        if (ret_seen)
                *ret_seen = c->forgotten;
        pthread_mutex_unlock(&c->lock);
        return f;
}

static struct edit_file *file_new(uint64_t id, int fd)
{
        struct edit_file *f = calloc(1, sizeof(*f));

        if (!f) {
                close(fd);
                return NULL;
        }
        f->id = id;
        f->fd = fd;
        return f;
}

int edit_cache_publish(struct edit_cache *c, uint64_t id, int fd, uint64_t seen, struct edit_file **ret)
{
        struct edit_file *fresh = file_new(id, fd), *old = NULL, *f;

        if (!fresh)
                return -ENOMEM;
        pthread_mutex_lock(&c->lock);
        if (c->forgotten != seen) {
                pthread_mutex_unlock(&c->lock);
                file_free(fresh);
                return -EAGAIN;
        }
        f = find(c, id);
        if (f) {
                old = fresh;
        } else {
                f = fresh;
                old = keep(c, f);
        }
        hold(c, f);
        pthread_mutex_unlock(&c->lock);
        file_free(old);
        *ret = f;
        return 0;
}

int edit_cache_add(struct edit_cache *c, uint64_t id, int fd)
{
        struct edit_file *f = file_new(id, fd), *old;

        if (!f)
                return -ENOMEM;
        pthread_mutex_lock(&c->lock);
        old = keep(c, f);
        if (!f->cached)
                old = f;
        pthread_mutex_unlock(&c->lock);
        file_free(old);
        return 0;
}

void edit_cache_forget(struct edit_cache *c, uint64_t id)
{
        struct edit_file *f, *old = NULL;

        pthread_mutex_lock(&c->lock);
        c->forgotten++;
        f = find(c, id);
        if (f)
                old = drop(c, f);
        pthread_mutex_unlock(&c->lock);
        file_free(old);
}

void edit_cache_put(struct edit_cache *c, struct edit_file *f)
{
        bool last;

        pthread_mutex_lock(&c->lock);
        last = --f->users == 0 && !f->cached;
        pthread_mutex_unlock(&c->lock);
        if (last)
                file_free(f);
}
