/* tree_carry.c: from one generation to the next, with everything that programs have changed. */
#include "fs/tree_carry.h"

#include <unistd.h>

/* The list of changes -------------------------------------------------------------------------------------------- */

void tree_changes_release(struct tree_changes *ch)
{
        for (size_t i = 0; i < ch->count; i++)
                free(ch->list[i].name);
        free(ch->list);
        free(ch->moved);
        tree_cuts_free(ch->cuts, ch->cut_count);
        *ch = (struct tree_changes){ 0 };
}

int tree_changes_add(struct tree_changes *c, uint64_t dir, const char *name)
{
        char *copy = NULL;

        if (c->count == c->cap) {
                size_t cap = c->cap ? 2 * c->cap : 32;
                struct tree_change *more = reallocarray(c->list, cap, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                c->list = more;
                c->cap = cap;
        }
        if (name && !(copy = strdup(name)))
                return -ENOMEM;
        c->list[c->count++] = (struct tree_change){ dir, copy };
        return 0;
}

int carry_changed(struct carry *c, uint64_t dir, const char *name)
{
        return tree_changes_add(c->changes, dir, name);
}

/* What the next view has ----------------------------------------------------------------------------------------- */

int carry_lookup(const struct carry *c, uint64_t below, const char *name, struct node *ret)
{
        int r = below ? view_lookup(c->next, below, name, strlen(name), ret) : -ENOENT;

        return r == -ENOTDIR ? -ENOENT : r;
}

bool carry_is_newer(const struct carry *c, uint64_t id, uint32_t horizon)
{
        uint32_t newest;

        return view_newest(c->next, id, &newest) == 0 && newest > horizon;
}

bool carry_leaves(const struct carry *c, uint64_t id)
{
        return view_is_retired(c->next, id);
}

bool tree_has_row(struct tree *t, uint64_t dir, const char *name, size_t len)
{
        struct edit_entry row;
        struct node below;
        bool has = false;

        pthread_mutex_lock(&t->lock);
        if (t->edits && edits_entry_get(t->edits, dir, name, len, &row) == 0)
                has = tree_lookup_below(t, dir, name, len, &below) < 0 ||
                      tree_row_hides(t, &row, below.id, below.st.st_mode);
        pthread_mutex_unlock(&t->lock);
        return has;
}

/* Cuts ----------------------------------------------------------------------------------------------------------- */

/* The cuts that the rows come to with the next view: what a directory shows of it may be another than of the old
 * one. */
static int planned_cuts(struct carry *c, struct tree_cuts *ret)
{
        int r = 0;

        for (size_t i = 0; i < c->entry_count && r == 0; i++) {
                const struct carry_entry *e = &c->entries[i];
                struct carry_dir *d;

                r = carry_dir(c, e->dir, &d);
                if (r == 0 && !d->gone && d->below)
                        r = tree_cuts_add(ret, d->below, span_of(e->name), e->horizon);
        }
        for (size_t i = 0; i < c->cuts.count && r == 0; i++) {
                const struct view_cut *cut = &c->cuts.list[i];
                uint64_t dir;

                if (view_successor(c->old, cut->dir, c->next, &dir) == 0)
                        r = tree_cuts_add(ret, dir, span_of(cut->name), cut->horizon);
        }
        return r;
}

/* Does the next view cut what it must?  It was made with what the rows came to with the old one, and they may have
 * changed since. */
static int check_cuts(struct carry *c)
{
        struct tree_cuts cuts = { 0 };
        int r = planned_cuts(c, &cuts);

        for (size_t i = 0; i < cuts.count && r == 0; i++) {
                const struct view_cut *cut = &cuts.list[i];
                struct node there;

                if (view_has_cut(c->next, cut))
                        continue;
                if (carry_lookup(c, cut->dir, cut->name, &there) == 0 && carry_is_newer(c, there.id, cut->horizon))
                        r = -EAGAIN;
        }
        if (r != -EAGAIN) {
                tree_cuts_free(cuts.list, cuts.count);
                return r;
        }
        tree_cuts_free(c->changes->cuts, c->changes->cut_count);
        c->changes->cuts = cuts.list;
        c->changes->cut_count = cuts.count;
        return r;
}

/* The switch ----------------------------------------------------------------------------------------------------- */

static void carry_release(struct carry *c)
{
        for (size_t i = 0; i < c->entry_count; i++) {
                free(c->entries[i].name);
                free(c->entries[i].source);
        }
        free(c->entries);
        tree_cuts_free(c->cuts.list, c->cuts.count);
        carry_losses_release(&c->homes);
        carry_losses_release(&c->losses);
        carry_dirs_release(c);
        free(c->removed.ids);
        free(c->forgotten);
}

static int note_moved(struct carry *c)
{
        c->changes->moved = calloc(c->entry_count + 1, sizeof(*c->changes->moved));
        if (!c->changes->moved)
                return -ENOMEM;
        for (size_t i = 0; i < c->entry_count; i++)
                if (S_ISDIR(c->entries[i].type) && !edits_is_new(c->entries[i].id))
                        c->changes->moved[c->changes->moved_count++] = c->entries[i].id;
        return 0;
}

static int carry_rows(struct carry *c)
{
        int r = carry_load(c);

        if (r == 0)
                r = carry_plan(c);
        if (r == 0)
                r = check_cuts(c);
        if (r == 0)
                r = carry_plan_nodes(c);
        if (r == 0)
                r = carry_apply_entries(c);
        if (r == 0)
                r = carry_apply_below(c);
        if (r == 0)
                r = carry_apply_generated(c);
        if (r == 0)
                r = carry_apply_nodes(c);
        if (r == 0)
                r = edits_cuts_clear(c->t->edits);
        if (r == 0)
                r = tree_cuts_keep(&c->after);
        if (r == 0)
                r = note_moved(c);
        if (r == 0)
                r = carry_keep(c);
        /* Rows that say that something is gone must not be on the disk before what was kept of it. */
        if (r == 0 && c->changes->kept && syncfs(view_state_fd(c->next)) < 0)
                r = -errno;
        return r;
}

/* The commit is the point of no return: until then the old rows are the truth, and copies in kept that nobody
 * misses. */
static int carry_transaction(struct carry *c)
{
        struct edits *e = c->t->edits;
        int r = edits_begin(e);

        if (r < 0)
                return r;
        if (!edits_is_empty(e))
                r = carry_rows(c);
        if (r == 0)
                r = tree_announce(c->t, c->changes);
        if (r == 0)
                r = edits_generation_set(e, view_environment(c->next)->generation);
        if (r < 0) {
                edits_rollback(e);
                return r;
        }
        return edits_commit(e);
}

static void carry_finish(struct carry *c)
{
        /* After a power cut rows that are not on the disk are the old ones, and want their files: then those are
         * litter of the next start. */
        bool synced = c->forgotten_count == 0 || edits_sync(c->t->edits) == 0;

        for (size_t i = 0; i < c->removed.size; i++)
                if (c->removed.ids[i])
                        /* else the next start of a mount drops it */
                        (void)id_set_add(&c->t->removed, c->removed.ids[i]);
        for (size_t i = 0; i < c->forgotten_count; i++) {
                id_set_remove(&c->t->removed, c->forgotten[i]);
                if (synced)
                        (void)edit_file_remove(c->t->data, c->forgotten[i]);
        }
}

int tree_switch(struct tree *t, struct view *next, struct tree_changes *ret, struct view_ref **ret_old,
                struct errtext *err)
{
        struct view_ref *ref = calloc(1, sizeof(*ref)), after = { next, 1 };
        struct carry c = { .t = t, .next = next, .changes = ret };
        char why[128];
        int r = ref ? 0 : -ENOMEM;

        pthread_mutex_lock(&t->lock);
        c.old = tree_current(t);
        c.after.current = &after;
        c.after.edits = t->edits;
        c.after.data = t->data;
        c.after.last_time = t->last_time;
        c.now = tree_now(&c.after);
        if (r == 0 && t->edits)
                r = carry_transaction(&c);
        if (r == 0) {
                carry_finish(&c);
                t->last_time = c.after.last_time;
                *ref = (struct view_ref){ next, 1 };
                pthread_mutex_lock(&t->refs_lock);
                *ret_old = t->current;
                t->current = ref;
                pthread_mutex_unlock(&t->refs_lock);
        }
        pthread_mutex_unlock(&t->lock);
        carry_release(&c);
        if (r < 0) {
                struct tree_changes wanted = { .cuts = ret->cuts, .cut_count = ret->cut_count };

                free(ref);
                ret->cuts = NULL;
                ret->cut_count = 0;
                tree_changes_release(ret);
                *ret = wanted;
                errtext_set(err, r, "cannot carry over what programs changed: %s", errno_name(r, why));
        }
        return r;
}
