/* tree_carry_cut.c: directories of the view at and below names that rows took directories from, or gave to others.
 *
 * A commit knows of paths alone (environment.h): its `dir` rows pin one id for each, that of the path's lowest
 * provider, and note one time.  Where edits made two directories of a path, these may be the other's.  So what would
 * get another id, or another time with all its names the same, gets a row that says what it had. */
#include "fs/tree_carry.h"

struct children {
        struct carry *c;
        uint64_t dir;
        int r;
};

static int note_dir(struct carry *c, uint64_t id);

/* One that a row names is noted for its own sake. */
static int note_child(const struct view_dirent *e, void *user)
{
        struct children *s = user;
        cleanup_free char *name = NULL;
        uint64_t shown;
        mode_t type;

        if (!S_ISDIR(e->type))
                return 0;
        name = strndup(e->name.data, e->name.len);
        s->r = name ? tree_resolve(s->c->t, s->dir, name, e->name.len, &shown, &type) : -ENOMEM;
        if (s->r == 0 && shown == e->id)
                s->r = note_dir(s->c, shown);
        if (s->r == -ENOENT)
                s->r = 0;
        return s->r;
}

/* Every name of ONE's in the same place of the other. */
struct comparison {
        const struct view *other;
        uint64_t other_dir;
        bool differs;
};

static int compare_name(const struct view_dirent *e, void *user)
{
        struct comparison *s = user;
        struct node there;

        s->differs = view_lookup(s->other, s->other_dir, e->name.data, e->name.len, &there) < 0 || there.id != e->id;
        return s->differs;
}

static bool has_same_names(const struct carry *c, uint64_t was, uint64_t is)
{
        struct comparison before = { c->next, is, false }, now = { c->old, was, false };

        return view_readdir(c->old, was, 0, compare_name, &before) == 0 && !before.differs &&
               view_readdir(c->next, is, 0, compare_name, &now) == 0 && !now.differs;
}

/* Does the time of a directory move that shows what it showed? */
static bool is_dated(const struct carry *c, uint64_t was, uint64_t is)
{
        struct node before, now;

        return was && is && view_getattr(c->old, was, &before) == 0 && view_getattr(c->next, is, &now) == 0 &&
               tree_ns(before.st.st_mtim) != tree_ns(now.st.st_mtim) && has_same_names(c, was, is);
}

/* With all that is below it. */
static int note_dir(struct carry *c, uint64_t id)
{
        struct children children = { c, id, 0 };
        struct carry_dir *d;
        uint64_t below = 0;
        int r = tree_below(c->t, id, &below);

        if (r < 0 || below == 0 || view_same_dir(c->old, c->next, below))
                return r;
        r = carry_dir(c, id, &d);
        if (r < 0 || d->split)
                return r;
        d->split = true;
        r = view_readdir(c->old, below, 0, note_child, &children);
        return r < 0 && r != -ENOENT ? r : children.r;
}

/* What a row's name shows, where that may be one of two directories of the path. */
static int note_entry(struct carry *c, const struct carry_entry *e)
{
        uint64_t below = 0, shown;
        mode_t type;
        int r;

        if (S_ISDIR(e->type))
                return note_dir(c, e->id);
        r = tree_below(c->t, e->dir, &below);
        if (r < 0 || e->id || below == 0 || !view_is_cut(c->old, below, e->name, strlen(e->name)))
                return r;
        r = tree_resolve(c->t, e->dir, e->name, strlen(e->name), &shown, &type);
        if (r < 0 || !S_ISDIR(type))
                return r == -ENOENT ? 0 : r;
        return note_dir(c, shown);
}

static int split_fate(struct carry *c, struct carry_dir *d)
{
        uint64_t below;
        int r = carry_fate(c, d);

        if (r == 0)
                r = tree_below(c->t, d->id, &below);
        if (r == 0)
                d->dated = !d->gone && is_dated(c, below, d->below);
        return r;
}

/* All are noted before the first fate, which is one of those above as well. */
int carry_plan_cuts(struct carry *c)
{
        cleanup_free struct carry_dir **list = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < c->entry_count && r == 0; i++)
                r = note_entry(c, &c->entries[i]);
        if (r < 0)
                return r;
        list = calloc(c->dir_count + 1, sizeof(struct carry_dir *));
        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < c->dir_size; i++) /* others are added to the table meanwhile */
                if (c->dirs[i] && c->dirs[i]->split)
                        list[n++] = c->dirs[i];
        for (size_t i = 0; i < n && r == 0; i++)
                r = split_fate(c, list[i]);
        return r;
}
