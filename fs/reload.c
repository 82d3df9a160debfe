/* reload.c: from one generation to the next under a live mount.
 *
 * The new view is published first; then the kernel is told, from this thread and with no lock held: for each
 * directory that may have changed, each name whose id is another now (or that came or went), then the directory
 * itself, which drops its listing and attributes. The invalidation of a name waits for look-ups in flight in its
 * directory, so none of them can bring an old answer back. Directories that the kernel does not know (ENOENT) are
 * passed over with all below them: not before the look-ups in flight above them have ended, which would make them
 * known with what they were (wait_for_lookups).
 *
 * A directory that went, or came back, may still be held: by a working directory, with names below it that the
 * kernel believes in or believes absent. It is told of those as well.
 *
 * Where rows of the edits say what a name is, the view's change is none: to drop such a name would take a directory
 * that stays from under those who stand in it.  What became of rows is told last, from the tree's list. Moved
 * directories are reached by their ids: no name of the view leads to one that was cut off. */
#include "fs/edits_report.h"
#include "fs/handover.h"
#include "fs/server.h"

#include <stdio.h>

struct names {
        struct view_dirent *list; /* names are copies */
        size_t count;
        size_t cap;
};

static void names_release(struct names *n)
{
        for (size_t i = 0; i < n->count; i++)
                free((char *)n->list[i].name.data);
        free(n->list);
}

static int add_name(const struct view_dirent *d, void *user)
{
        struct names *n = user;
        char *copy = strndup(d->name.data, d->name.len);

        if (copy && n->count == n->cap) {
                size_t cap = n->cap ? 2 * n->cap : 32;
                struct view_dirent *more = realloc(n->list, cap * sizeof(*more));

                if (more) {
                        n->list = more;
                        n->cap = cap;
                }
        }
        if (!copy || n->count == n->cap) {
                free(copy);
                return -ENOMEM;
        }
        n->list[n->count] = *d;
        n->list[n->count++].name = (struct span){ copy, d->name.len };
        return 0;
}

static int compare_dirents(const struct view_dirent *a, const struct view_dirent *b)
{
        if (a->cookie != b->cookie)
                return a->cookie < b->cookie ? -1 : 1;
        return strcmp(a->name.data, b->name.data);
}

struct change {
        struct server *server;
        const struct view *old;
        const struct view *new;
};

static void change_dir(const struct change *c, uint64_t dir);

static void drop_name(const struct server *s, uint64_t dir, struct span name)
{
        fuse_lowlevel_notify_inval_entry(s->se, dir, name.data, name.len);
}

/* The view's names are not the tree's where a row says what is there: that row stands, or the list of changes has the
 * name. */
static void drop_view_name(const struct change *c, uint64_t dir, struct span name)
{
        if (!tree_has_row(c->server->tree, dir, name.data, name.len))
                drop_name(c->server, dir, name);
}

/* The kernel takes the directory's lock for any name, and those who look up or list in it hold that until their answer
 * has been taken in.  Nothing has this name. */
static void wait_for_lookups(const struct change *c, uint64_t dir)
{
        drop_name(c->server, dir, (struct span){ "\001", 1 });
}

static void change_entry(const struct change *c, const struct view_dirent *e)
{
        if (S_ISDIR(e->type))
                change_dir(c, e->id);
}

/* Both lists are sorted by cookie; DIR is the kernel's. */
static void change_names(const struct change *c, uint64_t dir, const struct names *a, const struct names *b)
{
        for (size_t i = 0, k = 0; i < a->count || k < b->count;) {
                int r = i == a->count ? 1 : k == b->count ? -1 : compare_dirents(&a->list[i], &b->list[k]);

                if (r == 0 && a->list[i].id == b->list[k].id) {
                        change_entry(c, &a->list[i]);
                } else {
                        drop_view_name(c, dir, r <= 0 ? a->list[i].name : b->list[k].name);
                        if (r <= 0)
                                change_entry(c, &a->list[i]);
                        if (r >= 0)
                                change_entry(c, &b->list[k]);
                }
                i += r <= 0;
                k += r >= 0;
        }
}

/* Merged directories are looked at in every switch; what did not change in them stays cached. */
static bool is_unchanged(const struct change *c, uint64_t dir, const struct names *a, const struct names *b)
{
        struct node m, n;

        if (a->count != b->count)
                return false;
        if (view_getattr(c->old, dir, &m) < 0 || view_getattr(c->new, dir, &n) < 0)
                return false;
        if (m.st.st_mtim.tv_sec != n.st.st_mtim.tv_sec || m.st.st_mtim.tv_nsec != n.st.st_mtim.tv_nsec ||
            m.st.st_nlink != n.st.st_nlink)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (a->list[i].id != b->list[i].id || compare_dirents(&a->list[i], &b->list[i]) != 0)
                        return false;
        return true;
}

static void change_dir(const struct change *c, uint64_t dir)
{
        struct names a = { 0 }, b = { 0 };
        /* To compare those of the base, known or not, would be to read all of it from the disk. */
        bool base = dir >> 32 == 0 && dir >= BASE_FIRST, unchanged = false;
        struct fuse_session *se = c->server->se;
        uint64_t known;

        if (view_same_dir(c->old, c->new, dir))
                return;
        known = tree_above(c->server->tree, dir);
        if (!base) {
                view_readdir(c->old, dir, 0, add_name, &a);
                view_readdir(c->new, dir, 0, add_name, &b);
                unchanged = is_unchanged(c, dir, &a, &b);
        }
        /* Nobody holds the directory: then nobody holds what is in it. */
        if (!unchanged && known != NODE_ROOT && fuse_lowlevel_notify_inval_inode(se, known, -1, 0) == -ENOENT)
                goto out;
        wait_for_lookups(c, known);
        if (base) {
                view_readdir(c->old, dir, 0, add_name, &a);
                view_readdir(c->new, dir, 0, add_name, &b);
        }
        change_names(c, known, &a, &b);
        if (!unchanged)
                fuse_lowlevel_notify_inval_inode(se, known, 0, 0);
out:
        names_release(&a);
        names_release(&b);
}

/* What rows changed of: names first, since a look-up in flight may bring back the attributes of a directory. */
static void tell_changes(const struct server *s, const struct tree_changes *changes)
{
        for (size_t i = 0; i < changes->count; i++)
                if (changes->list[i].name)
                        drop_name(s, changes->list[i].dir, span_of(changes->list[i].name));
        for (size_t i = 0; i < changes->count; i++)
                if (!changes->list[i].name)
                        fuse_lowlevel_notify_inval_inode(s->se, changes->list[i].dir, 0, 0);
}

static void announce(struct server *s, uint64_t generation)
{
        atomic_store(&s->announced, generation);
        atomic_store(&s->handover->announced, generation);
}

/* From OLD to the current view.  What is noted as announced is never told again. */
static void tell_switch(struct server *s, const struct view *old, const struct tree_changes *changes)
{
        struct view_ref *next = tree_view(s->tree);
        struct change c = { s, old, next->view };

        change_dir(&c, NODE_ROOT);
        change_dir(&c, NODE_DATA);
        for (size_t i = 0; i < changes->moved_count; i++)
                change_dir(&c, changes->moved[i]);
        tell_changes(s, changes);
        if (changes->count)
                tree_told(s->tree);
        announce(s, view_environment(next->view)->generation);
        tree_view_done(s->tree, next);
}

/* The process before this one may have died between a switch and the end of telling of it. */
static void catch_up(struct server *s)
{
        struct tree_changes untold = { 0 };
        int r = tree_untold(s->tree, &untold);

        if (r < 0)
                log_line(&s->log, "cannot read what the kernel was not told: %s", strerror(-r));
        if (s->announced_view) {
                tell_switch(s, s->announced_view, &untold);
                view_free(s->announced_view);
                s->announced_view = NULL;
        } else if (untold.count) {
                tell_changes(s, &untold);
                tree_told(s->tree);
        }
        tree_changes_release(&untold);
}

static int reload(struct server *s)
{
        struct environment *e = NULL;
        struct view_ref *current = tree_view(s->tree), *old = NULL;
        struct tree_changes changes = { 0 };
        struct errtext why = { "" };
        int r = environment_load(s->state_fd, &e, &why);

        if (r == 0 && e->generation == view_environment(current->view)->generation)
                goto out;
        if (r == 0 && strcmp(e->store_id, s->store->id) != 0)
                r = errtext_set(&why, -ESTALE, "the environment was given another store; unmount and mount it again");
        if (r == 0)
                r = tree_advance(s->tree, e, s->pool, s->base, current->view, &changes, &old, &why);
        if (r < 0) {
                log_line(&s->log, "cannot switch to the new generation: %s", *why.text ? why.text : strerror(-r));
                goto out;
        }

        if (changes.kept)
                log_line(&s->log,
                         "%zu changed files of packages that are gone or hidden were put to .fusepkg/kept/%llu",
                         changes.kept, (unsigned long long)e->generation);
        tell_switch(s, old->view, &changes);
        tree_view_done(s->tree, old);
out:
        tree_changes_release(&changes);
        environment_free(e);
        tree_view_done(s->tree, current);
        return r;
}

static int serve_edits(struct server *s)
{
        struct tree_changes changes = { 0 };
        struct errtext why = { "" };
        int r = edits_serve_request(s->tree, s->state_fd, &changes, &why);

        if (r < 0)
                log_line(&s->log, "cannot do what a command asks of the edits: %s",
                         *why.text ? why.text : strerror(-r));
        tell_changes(s, &changes);
        if (changes.count)
                tree_told(s->tree);
        tree_changes_release(&changes);
        return r;
}

/* A request that waits for this thread leaves its cell to the next one; so it is copied for whoever has to begin again
 * (under reload_lock). */
static unsigned park(struct server *s)
{
        struct handover_parked *list = s->handover->parked;
        const struct server_cell *c;
        uint32_t index;
        bool replayed;

        c = server_own_cell(s, &index, &replayed);
        if (!c)
                return s->parked_again;
        for (unsigned i = 0; c->size <= PARKED_BYTES && i < HANDOVER_PARKED; i++) {
                if (atomic_load(&list[i].size) != 0)
                        continue;
                memcpy(list[i].bytes, c->bytes, c->size);
                atomic_store(&list[i].size, c->size);
                return i;
        }
        return HANDOVER_PARKED;
}

static void answer_waiting(struct server *s, const struct reload_waiting *w, int r)
{
        if (r < 0)
                fuse_reply_err(w->req, -r);
        else
                fuse_reply_ioctl(w->req, 0, NULL, 0);
        if (w->parked < HANDOVER_PARKED)
                atomic_store(&s->handover->parked[w->parked].size, 0);
}

void *reload_thread(void *arg)
{
        struct server *s = arg;

        if (s->took_over)
                catch_up(s);
        for (;;) {
                struct reload_waiting waiting[RELOADS_MAX];
                bool edits;
                size_t n;
                int r;

                pthread_mutex_lock(&s->reload_lock);
                while (s->reload_count == 0 && !s->reload_wanted)
                        pthread_cond_wait(&s->reload_cond, &s->reload_lock);
                n = s->reload_count;
                memcpy(waiting, s->reload_waiting, n * sizeof(waiting[0]));
                s->reload_count = 0;
                edits = s->edits_wanted;
                s->reload_wanted = s->edits_wanted = false;
                pthread_mutex_unlock(&s->reload_lock);
                r = reload(s);
                if (r == 0 && edits)
                        r = serve_edits(s);
                for (size_t i = 0; i < n; i++)
                        answer_waiting(s, &waiting[i], r);
        }
        return NULL;
}

void reload_request(struct server *s, fuse_req_t req, bool edits)
{
        bool full;

        pthread_mutex_lock(&s->reload_lock);
        full = req && s->reload_count == RELOADS_MAX;
        if (req && !full)
                s->reload_waiting[s->reload_count++] = (struct reload_waiting){ req, park(s) };
        s->reload_wanted = true;
        s->edits_wanted = s->edits_wanted || (edits && !full);
        pthread_cond_signal(&s->reload_cond);
        pthread_mutex_unlock(&s->reload_lock);
        if (full)
                fuse_reply_err(req, EAGAIN);
}
