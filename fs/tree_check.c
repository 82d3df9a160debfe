/* tree_check.c: what must hold of the rows, said of each that it does not hold of. */
#include "fs/tree_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* Others wait for the lock while so many nodes or directories are looked at: some 20 ms. */
#define BATCH 256

struct check {
        struct tree *tree;
        int (*fn)(const char *sentence, void *user);
        void *user;
        uint64_t *dirs;   /* with rows of names, to be looked at after them */
        size_t dir_count;
        size_t dir_cap;
        struct id_set rooted; /* a path leads to them, as far as this batch has seen */
        unsigned batch;
};

__attribute__((format(printf, 2, 3)))
static int bad(const struct check *c, const char *format, ...)
{
        char sentence[ERRTEXT_SIZE];
        va_list args;

        va_start(args, format);
        vsnprintf(sentence, sizeof(sentence), format, args);
        va_end(args);
        return c->fn(sentence, c->user);
}

static unsigned long long number(uint64_t id)
{
        return (unsigned long long)id;
}

/* The lock -------------------------------------------------------------------------------------------------------

   A check of many edits takes longer than a request may wait (fs/README.md), so the lock is let go now and then.  What
   is said of a row is true of a moment between two changes, whatever other changes come before and after. */

static void take_lock(struct check *c)
{
        pthread_mutex_lock(&c->tree->lock);
        edits_read_begin(c->tree->edits);
}

static void give_lock(struct check *c)
{
        edits_read_end(c->tree->edits);
        pthread_mutex_unlock(&c->tree->lock);
        free(c->rooted.ids);
        c->rooted = (struct id_set){ 0 };
        c->batch = 0;
}

static void count_one(struct check *c)
{
        if (++c->batch < BATCH)
                return;
        give_lock(c);
        /* Who locks again at once is quicker than all who were woken up. */
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        take_lock(c);
}

/* Entries ------------------------------------------------------------------------------------------------------ */

static int note_dir(struct check *c, uint64_t dir)
{
        if (c->dir_count && c->dirs[c->dir_count - 1] == dir)
                return 0;
        if (c->dir_count == c->dir_cap) {
                size_t cap = c->dir_cap ? 2 * c->dir_cap : 64;
                uint64_t *more = realloc(c->dirs, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                c->dirs = more;
                c->dir_cap = cap;
        }
        c->dirs[c->dir_count++] = dir;
        return 0;
}

static int check_entry(const struct edit_entry *n, void *user)
{
        struct check *c = user;
        struct edit_node node;
        bool stored;
        int r;

        if (n->id) {
                r = tree_node(c->tree, n->id, &node, &stored);
                if (r == -ENOENT)
                        r = bad(c, "the name '%.*s' in %llx is of the node %llx, which is not there", (int)n->name.len,
                                n->name.data, number(n->dir), number(n->id));
                else if (r == 0 && (node.mode & S_IFMT) != n->type)
                        r = bad(c, "the name '%.*s' in %llx has another type than its node %llx", (int)n->name.len,
                                n->name.data, number(n->dir), number(n->id));
                else if (r == 0 && S_ISDIR(n->type) && node.parent != n->dir)
                        r = bad(c, "the directory %llx is in %llx, but says that it is in %llx", number(n->id),
                                number(n->dir), number(node.parent));
                if (r < 0)
                        return r;
        }
        return note_dir(c, n->dir);
}

/* Directories with rows of names ------------------------------------------------------------------------------- */

static int count_dir(const struct tree_dirent *d, void *user)
{
        *(uint32_t *)user += S_ISDIR(d->node.st.st_mode) ? 1 : 0;
        return 0;
}

static int found_one(const struct edit_entry *n, void *user)
{
        (void)n;
        *(bool *)user = true;
        return 0;
}

static int check_dir(struct check *c, uint64_t dir)
{
        struct edit_node n;
        struct node shown;
        uint32_t subdirs = 0;
        bool stored, has_names = false;
        int r = edits_entries(c->tree->edits, dir, 0, 1, found_one, &has_names);

        /* They may have gone since they were listed. */
        if (r < 0 || !has_names)
                return r;
        r = tree_node(c->tree, dir, &n, &stored);
        if (r == -ENOENT)
                return bad(c, "there are names in the directory %llx, which is not there", number(dir));
        if (r == 0 && !S_ISDIR(n.mode))
                return bad(c, "there are names in %llx, which is no directory", number(dir));
        if (r == 0 && n.links == 0)
                return bad(c, "there are names in the directory %llx, which was removed", number(dir));
        if (r == 0)
                r = tree_list(c->tree, dir, 0, false, count_dir, &subdirs);
        if (r == 0)
                r = tree_stat(c->tree, &n, stored, &shown);
        if (r == 0 && shown.st.st_nlink != 2 + (nlink_t)subdirs)
                r = bad(c, "the directory %llx has %u subdirectories, but %llu links", number(dir), subdirs,
                        (unsigned long long)shown.st.st_nlink);
        return r;
}

/* Nodes -------------------------------------------------------------------------------------------------------- */

static int count_name(const struct edit_entry *n, void *user)
{
        (void)n;
        ++*(uint32_t *)user;
        return 0;
}

static bool is_rooted(const struct check *c, uint64_t id)
{
        return id == NODE_ROOT || id == NODE_DATA || id_set_has(&c->rooted, id);
}

/* As tree_path_locked, but without the path, of which most have the first steps in common. */
static int leads_to_root(struct check *c, uint64_t id)
{
        uint64_t at = id;
        int r = 0;

        /* Noted on a second way up: what leads in a circle is not. */
        for (unsigned depth = 0; r == 0 && !is_rooted(c, at); depth++) {
                cleanup_buf struct buf name = { 0 };

                r = depth == TREE_DEPTH_MAX ? -ELOOP : tree_place(c->tree, at, &at, &name);
        }
        while (r == 0 && !is_rooted(c, id)) {
                cleanup_buf struct buf name = { 0 };

                r = id_set_add(&c->rooted, id);
                if (r == 0)
                        r = tree_place(c->tree, id, &id, &name);
        }
        return r;
}

/* Is it shown where the view has it? */
static int is_at_home(struct check *c, uint64_t id, bool *ret)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir, shown = 0;
        mode_t type;
        int r;

        *ret = false;
        if (edits_is_new(id))
                return 0;
        if (id == NODE_ROOT || id == NODE_DATA) {
                *ret = true;
                return 0;
        }
        r = view_place(tree_current(c->tree), id, &dir, &name);
        if (r == 0)
                r = tree_resolve(c->tree, tree_above_locked(c->tree, dir), name.data, name.len, &shown, &type);
        /* A directory above it may have been removed, and its row be gone. */
        if (r == 0 && shown == id)
                r = leads_to_root(c, tree_above_locked(c->tree, dir));
        *ret = r == 0 && shown == id;
        return r == -ENOENT ? 0 : r;
}

static int check_links(struct check *c, const struct edit_node *n)
{
        uint32_t names = 0;
        bool home;
        int r = edits_entries_of(c->tree->edits, n->id, count_name, &names);

        if (r == 0)
                r = is_at_home(c, n->id, &home);
        if (r < 0)
                return r;
        names += home;
        if (names != n->links)
                return bad(c, "the node %llx has %u names, but %u links", number(n->id), names, n->links);
        return 0;
}

static int check_node(const struct edit_node *n, void *user)
{
        struct check *c = user;
        struct stat st;
        int r = check_links(c, n);

        if (r < 0)
                return r;
        if (n->data && (!S_ISREG(n->mode) || edit_file_stat(c->tree->data, n->id, &st) < 0))
                return bad(c, "the bytes of the node %llx are not there", number(n->id));
        if (edits_is_new(n->id) && S_ISREG(n->mode) && !n->data)
                return bad(c, "the file %llx has no bytes", number(n->id));
        if (n->links && leads_to_root(c, n->id) < 0)
                return bad(c, "no path leads to the node %llx", number(n->id));
        return 0;
}

static int check_next(const struct edit_node *n, void *user)
{
        struct check *c = user;
        int r = check_node(n, c);

        count_one(c);
        return r;
}

int tree_check(struct tree *t, int (*fn)(const char *sentence, void *user), void *user)
{
        struct check c = { .tree = t, .fn = fn, .user = user };
        struct errtext why = { "" };
        int r;

        if (!t->edits)
                return 0;
        take_lock(&c);
        r = edits_integrity(t->edits, &why);
        if (r < 0)
                r = fn(why.text, user);
        if (r == 0)
                r = edits_all_entries(t->edits, check_entry, &c);
        for (size_t i = 0; i < c.dir_count && r == 0; i++) {
                r = check_dir(&c, c.dirs[i]);
                count_one(&c);
        }
        if (r == 0)
                r = edits_nodes(t->edits, check_next, &c);
        give_lock(&c);
        free(c.dirs);
        return r;
}
