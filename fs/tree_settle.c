/* tree_settle.c: making the view that a switch needs; and a mount that finds the rows of another generation: as a
 * switch, from the history's environment of that generation. */
#include "fs/tree_private.h"

#include "store/files.h"

#include <stdio.h>

enum { TRIES = 100 };

/* What the rows cut depends on what directories show of the next view, which depends on what is cut: so it is made
 * again when the carrying finds that it needs another one, and also when rows changed meanwhile. */
int tree_advance(struct tree *t, const struct environment *e, struct image_pool *pool, struct base *base,
                 const struct view *previous, struct tree_changes *ret, struct view_ref **ret_old, struct errtext *err)
{
        char why[128];
        int r, state_fd;

        pthread_mutex_lock(&t->lock);
        state_fd = view_state_fd(tree_current(t));
        r = tree_cuts(t->edits, &ret->cuts, &ret->cut_count);
        pthread_mutex_unlock(&t->lock);
        if (r < 0)
                return errtext_set(err, r, "cannot read the edits: %s", errno_name(r, why));
        r = -EAGAIN;
        for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
                struct view *next = NULL;

                r = view_new_cut(e, pool, base, state_fd, previous, ret->cuts, ret->cut_count, &next, err);
                if (r == 0)
                        r = tree_switch(t, next, ret, ret_old, err);
                if (r < 0)
                        view_free(next);
        }
        return r;
}

static int load_history(int state_fd, uint64_t generation, struct environment **ret, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        char path[64], why[128];
        int r;

        snprintf(path, sizeof(path), "history/%llu", (unsigned long long)generation);
        r = file_read_at(state_fd, path, ENVIRONMENT_MAX, &text);
        if (r < 0)
                return errtext_set(err, r, "cannot read .fusepkg/%s: %s", path, errno_name(r, why));
        return environment_parse(text.data ? text.data : "", text.len, ret, err);
}

static int old_view(struct tree *t, uint64_t generation, struct image_pool *pool, struct base *base, struct view **ret,
                    struct errtext *note, struct errtext *err)
{
        const struct view *current = tree_current(t);
        struct environment *e = NULL;
        struct view_cut *cuts = NULL;
        char why[128];
        size_t n = 0;
        int state_fd = view_state_fd(current), r = tree_cuts(t->edits, &cuts, &n);

        if (r < 0)
                return errtext_set(err, r, "cannot read the edits: %s", errno_name(r, why));
        r = load_history(state_fd, generation, &e, note);
        if (r == 0)
                r = view_new_cut(e, pool, base, state_fd, NULL, cuts, n, ret, note);
        environment_free(e);
        /* What has a place in the current generation is judged by that; files in directories that it does not have
         * are kept under a made-up name. */
        if (r < 0)
                r = view_new_cut(view_environment(current), pool, base, state_fd, NULL, cuts, n, ret, err);
        tree_cuts_free(cuts, n);
        return r;
}

static int set_generation(struct edits *e, uint64_t generation)
{
        int r = edits_begin(e);

        if (r < 0)
                return r;
        r = edits_generation_set(e, generation);
        if (r == 0)
                return edits_commit(e);
        edits_rollback(e);
        return r;
}

int tree_settle(struct tree *t, struct image_pool *pool, struct base *base, size_t *ret_kept, struct errtext *ret_note,
                struct errtext *err)
{
        struct view *next = t->current->view, *old = NULL;
        struct tree_changes changes = { 0 };
        struct view_ref *ref = t->current;
        uint64_t generation, wanted = view_environment(next)->generation;
        char why[128];
        int r = tree_settle_bare(t, ret_kept);

        if (r == 0 && t->edits)
                r = edits_generation_get(t->edits, &generation);
        if (r == 0 && t->edits && generation == wanted)
                r = tree_cuts_settle(t);
        if (!t->edits || (r == 0 && generation == wanted))
                return 0;
        if (r == 0 && edits_is_empty(t->edits))
                r = set_generation(t->edits, wanted);
        else if (r == 0)
                r = old_view(t, generation, pool, base, &old, ret_note, err);
        if (r < 0 && !err->text[0])
                errtext_set(err, r, "cannot read the edits: %s", errno_name(r, why));
        if (r < 0 || !old)
                return r;
        ref->view = old;
        r = tree_advance(t, view_environment(next), pool, base, NULL, &changes, &ref, err);
        if (r < 0) {
                ref->view = next;
                view_free(old);
        } else {
                tree_view_done(t, ref);
                view_free(next);
                *ret_kept += changes.kept;
        }
        tree_changes_release(&changes);
        return r;
}
