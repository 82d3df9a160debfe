/* tree_attr.c: modes, owners and times: rows alone, but the times of a file whose bytes are here. */
#include "fs/tree_private.h"

#include <fcntl.h>

/* What is not "now" and not "leave" is taken as it is. */
static void set_time(const struct timespec *wanted, int64_t now, int64_t *time)
{
        if (wanted->tv_nsec == UTIME_NOW)
                *time = now;
        else if (wanted->tv_nsec != UTIME_OMIT)
                *time = tree_ns(*wanted);
}

static bool sets_times(const struct tree_attr *a)
{
        return a->atime.tv_nsec != UTIME_OMIT || a->mtime.tv_nsec != UTIME_OMIT;
}

/* "Now" is that of the file system below, as tree_date's. */
static int set_data_times(struct tree *t, uint64_t id, const struct timespec times[2])
{
        struct edit_file *f;
        int r;

        r = edit_file_get(t->data, id, &f);
        if (r < 0)
                return r;
        r = futimens(edit_file_fd(f), times) < 0 ? -errno : 0;
        edit_file_put(t->data, f);
        return r;
}

static int set(struct tree *t, uint64_t id, const struct tree_attr *a, struct edit_node *n)
{
        const struct timespec times[2] = { a->atime, a->mtime };
        int64_t now = tree_now(t);
        bool stored;
        int r = tree_node(t, id, n, &stored);

        if (r < 0)
                return r;
        if (id == NODE_MARKER)
                return -EPERM;
        if (a->set_mode)
                n->mode = (n->mode & S_IFMT) | (a->mode & 07777);
        if (a->set_uid)
                n->uid = a->uid;
        if (a->set_gid)
                n->gid = a->gid;
        set_time(&a->atime, now, &n->atime);
        set_time(&a->mtime, now, &n->mtime);
        tree_date(t, n, now);
        r = edits_node_put(t->edits, n);
        if (r == 0 && n->links == 0)
                r = id_set_add(&t->removed, id);
        return r < 0 || !n->data || !sets_times(a) ? r : set_data_times(t, id, times);
}

int tree_setattr(struct tree *t, uint64_t id, const struct tree_attr *a, struct node *ret)
{
        struct edit_node n;
        struct edit_done done;
        unsigned tries = 0;
        int r;

        pthread_mutex_lock(&t->lock);
        do {
                r = tree_begin(t, NULL, &done);
                if (r == 0)
                        r = tree_end(t, NULL, set(t, id, a, &n), 0);
                /* Truncating by O_TRUNC sets the times, too, and makes room. */
        } while ((r == -ENOSPC || r == -EDQUOT) && edits_reserve_give(t->edits, tries++));
        if (r == 0)
                r = tree_stat(t, &n, true, ret);
        pthread_mutex_unlock(&t->lock);
        return r;
}
