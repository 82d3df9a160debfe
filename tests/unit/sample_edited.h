/* sample_edited.h: a tree with edits above small views, and switches of it, for unit tests. */
#ifndef FUSEPKG_SAMPLE_EDITED_H
#define FUSEPKG_SAMPLE_EDITED_H

#include "sample_view.h"

#include "fs/tree_private.h"

struct edited {
        struct place *p;
        struct edits *edits;
        struct edit_data *data;
        struct tree *tree;
        struct tree_changes changes; /* of the last switch */
};

static const struct tree_call caller = { .cell = NO_CELL };

static inline struct view *view_of(struct edited *t, const struct view *previous)
{
        struct errtext err = { "" };
        struct view_cut *cuts = NULL;
        struct view *v = NULL;
        size_t n = 0;

        assert_int_equal(tree_cuts(t->edits, &cuts, &n), 0);
        if (view_new_cut(t->p->environment, t->p->pool, t->p->base, t->p->state_fd, previous, cuts, n, &v, &err) < 0)
                fail_msg("%s", err.text);
        tree_cuts_free(cuts, n);
        return v;
}

static inline void edited_close(struct edited *t)
{
        if (t->tree) {
                tree_view_done(t->tree, t->tree->current);
                free(t->tree->removed.ids);
                free(t->tree);
                t->tree = NULL;
        }
        tree_changes_release(&t->changes);
        edit_data_close(t->data);
        edits_close(t->edits);
        t->data = NULL;
        t->edits = NULL;
}

/* As a mount starts. */
static inline void edited_open(struct edited *t)
{
        struct errtext err = { "" }, note = { "" };
        size_t lost = 0, kept = 0;

        if (edits_open(t->p->state_fd, t->p->environment->id, &t->edits, &err) < 0 ||
            edit_data_open(t->p->state_fd, &t->data, &err) < 0)
                fail_msg("%s", err.text);
        assert_int_equal(tree_new(view_of(t, NULL), t->edits, t->data, &t->tree), 0);
        if (tree_settle(t->tree, t->p->pool, t->p->base, &kept, &note, &err) < 0)
                fail_msg("%s", err.text);
        assert_int_equal(tree_sweep(t->tree, &lost), 0);
        assert_int_equal(lost, 0);
}

static inline int say_bad(const char *sentence, void *user)
{
        (void)user;
        print_error("%s\n", sentence);
        return -EUCLEAN;
}

/* Every name: path, id, mode, links; those that it has for who has it open are none only where it has no name. */
struct listing_walk {
        struct tree *tree;
        struct buf path;
        struct buf *text;
};

static inline int list_node(const struct tree_dirent *d, void *user)
{
        struct listing_walk *w = user;
        size_t len = w->path.len;
        struct edit_node open;
        struct node n = { 0 };
        bool stored;
        int r = buf_printf(&w->path, "%s%.*s", len ? "/" : "", (int)d->name.len, d->name.data);

        if (r == 0)
                r = tree_stat_named(w->tree, d->node.id, &n);
        if (r < 0)
                fail_msg("'%s' (%llx) is listed, but: %s", w->path.data, (unsigned long long)d->node.id, strerror(-r));
        assert_int_equal(n.st.st_mode & S_IFMT, d->node.st.st_mode & S_IFMT);
        if (tree_node(w->tree, d->node.id, &open, &stored) < 0 || open.links == 0)
                fail_msg("'%s' (%llx) is listed, but has no name", w->path.data, (unsigned long long)d->node.id);
        buf_printf(w->text, "%s %llx %o %llu\n", w->path.data, (unsigned long long)n.id, n.st.st_mode, (unsigned long long)n.st.st_nlink);
        if (S_ISDIR(n.st.st_mode))
                r = tree_list(w->tree, n.id, 0, false, list_node, w);
        w->path.len = len;
        w->path.data[len] = 0;
        return r;
}

static inline void list_all(struct tree *t, struct buf *ret)
{
        struct listing_walk w = { .tree = t, .text = ret };

        assert_int_equal(tree_list(t, NODE_ROOT, 0, false, list_node, &w), 0);
        buf_release(&w.path);
}

/* What holds after every switch: the rows are sound, and who mounts now sees what who had it mounted sees. */
static inline void assert_sound(struct edited *t)
{
        cleanup_buf struct buf live = { 0 }, fresh = { 0 };
        struct view *v = view_of(t, NULL);
        struct view_ref ref = { v, 1 };
        struct tree anew = { .edits = t->edits, .data = t->data, .current = &ref };

        assert_int_equal(tree_check(t->tree, say_bad, NULL), 0);
        list_all(t->tree, &live);
        list_all(&anew, &fresh);
        assert_string_equal(live.data, fresh.data);
        view_free(v);
}

static inline void switch_to(struct edited *t, struct environment *next)
{
        struct errtext err = { "" };
        struct view_ref *old = NULL;

        commit_environment(t->p, next);
        tree_changes_release(&t->changes);
        if (tree_advance(t->tree, t->p->environment, t->p->pool, t->p->base, tree_current(t->tree), &t->changes, &old, &err) < 0)
                fail_msg("%s", err.text);
        tree_view_done(t->tree, old);
        assert_sound(t);
}

static inline uint64_t tree_id(struct edited *t, const char *path)
{
        struct node n;

        if (tree_find(t->tree, path, &n) < 0)
                fail_msg("no '%s'", path);
        return n.id;
}

static inline bool tree_has(struct edited *t, const char *path)
{
        struct node n;

        return tree_find(t->tree, path, &n) == 0;
}

static inline uint64_t parent_of(struct edited *t, const char *path, const char **ret_name)
{
        cleanup_buf struct buf up = { 0 };
        const char *slash = strrchr(path, '/');

        *ret_name = slash ? slash + 1 : path;
        buf_add(&up, path, slash ? (size_t)(slash - path) : 0);
        return tree_id(t, up.data ? up.data : "");
}

static inline uint64_t make_at(struct edited *t, const char *path, mode_t mode)
{
        const struct tree_new_node new = { .mode = mode };
        const char *name;
        uint64_t dir = parent_of(t, path, &name);
        struct node n;

        assert_int_equal(tree_make(t->tree, &caller, dir, name, &new, &n), 0);
        return n.id;
}

/* Makes a file or overwrites one. */
static inline void write_at(struct edited *t, const char *path, const char *text)
{
        uint64_t id = tree_has(t, path) ? tree_id(t, path) : make_at(t, path, S_IFREG | 0644);

        assert_int_equal(tree_truncate(t->tree, id, 0), 0);
        assert_int_equal(tree_write(t->tree, id, text, strlen(text), 0), strlen(text));
}

static inline void rename_to(struct edited *t, const char *from, const char *to)
{
        const char *name, *to_name;
        uint64_t dir = parent_of(t, from, &name), to_dir = parent_of(t, to, &to_name);

        assert_int_equal(tree_rename(t->tree, &caller, dir, name, to_dir, to_name, 0), 0);
}

static inline void unlink_at(struct edited *t, const char *path)
{
        const char *name;
        uint64_t dir = parent_of(t, path, &name);

        assert_int_equal(tree_unlink(t->tree, &caller, dir, name), 0);
}

static inline void rmdir_at(struct edited *t, const char *path)
{
        const char *name;
        uint64_t dir = parent_of(t, path, &name);

        assert_int_equal(tree_rmdir(t->tree, &caller, dir, name), 0);
}

static inline void assert_reads(struct edited *t, const char *path, const char *want)
{
        struct errtext err = { "" };
        char data[4096];
        ssize_t n = tree_read(t->tree, tree_id(t, path), data, sizeof(data), 0, &err);

        assert_int_equal(n, strlen(want));
        assert_memory_equal(data, want, strlen(want));
}

static inline void assert_kept(struct edited *t, const char *path, const char *want)
{
        cleanup_buf struct buf text = { 0 };
        char whole[256];

        snprintf(whole, sizeof(whole), "kept/%llu/%s", (unsigned long long)t->p->environment->generation, path);
        if (file_read_at(t->p->state_fd, whole, 1 << 20, &text) < 0)
                fail_msg("no '%s'", whole);
        assert_string_equal(text.data ? text.data : "", want);
}

static inline bool is_kept(struct edited *t, const char *path)
{
        char whole[256];

        snprintf(whole, sizeof(whole), "kept/%llu/%s", (unsigned long long)t->p->environment->generation, path);
        return faccessat(t->p->state_fd, whole, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline bool is_changed(const struct edited *t, uint64_t dir, const char *name)
{
        for (size_t i = 0; i < t->changes.count; i++) {
                const struct tree_change *c = &t->changes.list[i];

                if (c->dir == dir && (name ? c->name && strcmp(c->name, name) == 0 : !c->name))
                        return true;
        }
        return false;
}

static inline int teardown_edited(void **state)
{
        struct edited *t = *state;

        edited_close(t);
        *state = t->p;
        free(t);
        return teardown(state);
}

/* A tree that start() opens, with its first environment. */
static inline int setup_unopened(void **state)
{
        struct edited *t = calloc(1, sizeof(*t));

        setup(state);
        t->p = *state;
        *state = t;
        return 0;
}

static inline void start(struct edited *t, struct environment *first)
{
        commit_environment(t->p, first);
        edited_open(t);
        assert_sound(t);
}

#endif
