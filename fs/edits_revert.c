#include "fs/edits_revert.h"

#include "fs/kept.h"

#include <fcntl.h>
#include <stdio.h>

/* Choosing ----------------------------------------------------------------------------------------------------- */

struct choice {
        struct edit_items *items;
        bool *chosen;
        char **paths;   /* what is reverted; grows */
        size_t count;
        size_t asked;   /* the first ones are the request's */
};

static bool is_within(const char *path, const char *top)
{
        size_t len = strlen(top);

        return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

static int add_path(struct choice *c, const char *path)
{
        char **more = reallocarray(c->paths, c->count + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        c->paths = more;
        c->paths[c->count] = strdup(path);
        return c->paths[c->count] ? (c->count++, 0) : -ENOMEM;
}

/* What was removed before a later package brought its folder again is not of the one that was moved from there
 * since. */
static bool is_asked_for(const struct choice *c, const struct edit_item *item, size_t from)
{
        bool two = item->kind == EDIT_MOVED || item->kind == EDIT_REMOVED;
        size_t until = item->part ? c->asked : c->count;

        for (size_t i = from; i < until; i++)
                if (is_within(item->path, c->paths[i]) || (two && is_within(item->origin, c->paths[i])))
                        return true;
        return false;
}

/* "pkg/__pycache__/a.cpython-312.pyc" comes from "pkg/a.py". */
static int source_of(const char *path, struct buf *ret)
{
        const char *last = strrchr(path, '/'), *dot;
        static const char cache[] = "__pycache__";
        size_t len;

        if (!last || !(dot = strchr(last, '.')))
                return -EINVAL;
        len = (size_t)(last - path);
        if (len < strlen(cache) || strncmp(last - strlen(cache), cache, strlen(cache)) != 0)
                return -EINVAL;
        len -= strlen(cache);
        if (len > 0 && path[len - 1] != '/')
                return -EINVAL;
        return buf_printf(ret, "%.*s%.*s.py", (int)len, path, (int)(dot - last - 1), last + 1);
}

static bool is_path_chosen(const struct choice *c, const char *path)
{
        size_t low = 0, high = c->items->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(c->items->list[mid].path, path) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        for (; low < c->items->count && strcmp(c->items->list[low].path, path) == 0; low++)
                if (c->chosen[low])
                        return true;
        return false;
}

static bool is_stale(const struct choice *c, const struct edit_item *item)
{
        cleanup_buf struct buf source = { 0 };

        return item->kind == EDIT_ADDED && edit_is_generated(item->path) && source_of(item->path, &source) == 0 &&
               is_path_chosen(c, source.data);
}

/* Until nothing is added any more: a moved directory adds paths. */
static int choose(struct choice *c)
{
        size_t from = 0, until;
        int r = 0;

        do {
                until = c->count;
                for (size_t i = 0; r == 0 && i < c->items->count; i++) {
                        struct edit_item *item = &c->items->list[i];

                        if (c->chosen[i] || !is_asked_for(c, item, from))
                                continue;
                        c->chosen[i] = true;
                        if (item->kind == EDIT_MOVED)
                                r = add_path(c, item->path);
                        if (r == 0 && item->kind == EDIT_MOVED)
                                r = add_path(c, item->origin);
                }
                from = until;
        } while (r == 0 && c->count > until);
        for (size_t i = 0; r == 0 && i < c->items->count; i++)
                c->chosen[i] = c->chosen[i] || is_stale(c, &c->items->list[i]);
        return r;
}

/* Of what was removed as a whole a part cannot come back. */
static int check_parts(const struct choice *c, struct errtext *err)
{
        for (size_t i = 0; i < c->items->count; i++) {
                const struct edit_item *item = &c->items->list[i];

                if (item->kind != EDIT_REMOVED || !S_ISDIR(item->mode) || c->chosen[i])
                        continue;
                for (size_t k = 0; k < c->asked; k++)
                        if (is_within(c->paths[k], item->origin))
                                return errtext_set(err, -EINVAL,
                                                   "'%.900s' cannot come back alone: '%.900s' was removed as a whole",
                                                   c->paths[k], item->origin);
        }
        return 0;
}

/* Keeping ------------------------------------------------------------------------------------------------------ */

static int keep_bytes(struct tree *t, int state_fd, uint64_t generation, const struct edit_item *item, struct buf *ret)
{
        struct edit_file *f;
        int r = edit_file_get(t->data, item->id, &f);

        if (r == -EIO)
                return 0; /* lost in a power cut: there is nothing to keep */
        if (r < 0)
                return r;
        r = kept_put_file(state_fd, generation, item->path, edit_file_fd(f), item->mode, ret);
        edit_file_put(t->data, f);
        return r;
}

static int keep_link(struct tree *t, int state_fd, uint64_t generation, const struct edit_item *item, struct buf *ret)
{
        cleanup_buf struct buf target = { 0 };
        int r = edits_target_get(t->edits, item->id, &target);

        return r < 0 ? r : kept_put_link(state_fd, generation, item->path, target.data ? target.data : "", ret);
}

static int keep(struct tree *t, int state_fd, const struct edit_item *item, struct tree_changes *changes,
                struct buf *lines)
{
        uint64_t generation = view_environment(tree_current(t))->generation;
        cleanup_buf struct buf got = { 0 };
        int r = 0;

        if ((item->kind != EDIT_MODIFIED && item->kind != EDIT_ADDED) || edit_is_generated(item->path))
                return 0;
        if (S_ISREG(item->mode) && item->data)
                r = keep_bytes(t, state_fd, generation, item, &got);
        else if (S_ISLNK(item->mode) && edits_is_new(item->id))
                r = keep_link(t, state_fd, generation, item, &got);
        if (r < 0 || got.len == 0)
                return r;
        changes->kept++;
        r = buf_printf(lines, "kept %llu ", (unsigned long long)generation);
        if (r == 0)
                r = buf_add_escaped(lines, got.data, got.len);
        return r < 0 ? r : buf_add_char(lines, '\n');
}

static int say_reverted(const struct choice *c, struct buf *lines)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < c->items->count; i++) {
                const struct edit_item *item = &c->items->list[i];
                const char *path = item->kind == EDIT_REMOVED ? item->origin : item->path;

                if (!c->chosen[i])
                        continue;
                r = buf_add_str(lines, "reverted ");
                if (r == 0)
                        r = buf_add_escaped(lines, path, strlen(path));
                if (r == 0)
                        r = buf_add_char(lines, '\n');
        }
        return r;
}

/* Is there a way back for what was moved: is it, or is one above it, of a directory that went from its name, to which a
 * later package has brought another since?  The two would have to become one under those who stand in them.  In one
 * that is somewhere else now it can be where it was. */
static bool is_homeless(struct tree *t, uint64_t id)
{
        for (bool own = true; id != NODE_ROOT; own = false) {
                cleanup_buf struct buf name = { 0 }, path = { 0 };
                uint64_t dir;

                if (view_place(tree_current(t), id, &dir, &name) == -ENOENT)
                        return own || tree_path_locked(t, tree_above_locked(t, id), &path) < 0;
                id = dir;
        }
        return false;
}

static bool is_blocked(const struct choice *c, size_t i)
{
        const struct edit_item *item = &c->items->list[i];

        if (!c->chosen[i] || item->part)
                return c->chosen[i];
        return item->kind == EDIT_MOVED && is_homeless(c->items->tree, item->shows);
}

static int check_cuts(const struct choice *c, struct errtext *err)
{
        for (size_t i = 0; i < c->items->count; i++) {
                const struct edit_item *item = &c->items->list[i];

                if (is_blocked(c, i))
                        return errtext_set(err, -EBUSY,
                                           "'%.900s' cannot be reverted alone: it was %s, and a later package has "
                                           "brought its folder again; %s",
                                           item->origin, item->part ? "removed" : "moved",
                                           item->id >> 32 ? "revert the package that it is of as a whole" :
                                                            "it is of the bare site-packages");
        }
        return 0;
}

static int revert(struct choice *c, int state_fd, struct tree_changes *changes, struct buf *lines, struct errtext *err)
{
        struct tree *t = c->items->tree;
        size_t n = 0;
        int r = choose(c);

        if (r == 0)
                r = check_parts(c, err);
        if (r == 0)
                r = check_cuts(c, err);
        for (size_t i = 0; r == 0 && i < c->items->count; i++) {
                if (!c->chosen[i])
                        continue;
                n++;
                r = keep(t, state_fd, &c->items->list[i], changes, lines);
                if (r < 0)
                        return errtext_set(err, r, "cannot keep '%.900s': %s", c->items->list[i].path,
                                           errno_name(r, (char[128]){ 0 }));
        }
        if (r == 0 && n)
                r = edits_restore(c->items, c->chosen, changes);
        if (r == 0)
                r = say_reverted(c, lines);
        if (r < 0 && !err->text[0])
                errtext_set(err, r, "cannot change the edits: %s", errno_name(r, (char[128]){ 0 }));
        return r;
}

static void choice_release(struct choice *c)
{
        for (size_t i = 0; i < c->count; i++)
                free(c->paths[i]);
        free(c->paths);
        free(c->chosen);
}

static int choice_init(struct tree *t, char *const *paths, size_t n, struct choice *c, struct errtext *err)
{
        int r = edit_items_load(t, c->items, err);

        if (r < 0)
                return r;
        c->asked = n;
        c->chosen = calloc(c->items->count + 1, sizeof(*c->chosen));
        r = c->chosen ? 0 : -ENOMEM;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_path(c, paths[i]);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}

int edits_revert(struct tree *t, int state_fd, char *const *paths, size_t n, struct tree_changes *changes,
                 struct buf *lines, struct errtext *err)
{
        cleanup_edit_items struct edit_items items = { 0 };
        struct choice c = { .items = &items };
        int r;

        if (!t->edits)
                return errtext_set(err, -EROFS, "the edits cannot be changed: Read-only file system");
        r = choice_init(t, paths, n, &c, err);
        if (r == 0)
                r = revert(&c, state_fd, changes, lines, err);
        choice_release(&c);
        return r;
}

/* What is in the way ------------------------------------------------------------------------------------------- */

struct slots {
        const struct view *view;
        uint32_t *list;
        size_t count;
        int r;
};

static int add_slot(struct slots *s, uint64_t id)
{
        uint32_t number = (uint32_t)(id >> 32);
        uint32_t *more;

        if (number == 0) /* the base is no package */
                return 0;
        for (size_t i = 0; i < s->count; i++)
                if (s->list[i] == number)
                        return 0;
        more = reallocarray(s->list, s->count + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        s->list = more;
        more[s->count++] = number;
        return 0;
}

static int add_slots_below(const struct view_dirent *d, void *user)
{
        struct slots *s = user;

        s->r = S_ISDIR(d->type) ? view_readdir(s->view, d->id, 0, add_slots_below, s) : add_slot(s, d->id);
        return s->r < 0;
}

/* A directory's id is that of one of those that have something in it. */
static int add_slots(const struct edit_items *items, const struct edit_item *item, struct slots *s)
{
        int r;

        if (!S_ISDIR(item->mode))
                return add_slot(s, item->id);
        s->view = item->part ? items->plain : tree_current(items->tree);
        r = view_readdir(s->view, item->part ? item->id : item->shows, 0, add_slots_below, s);
        return r < 0 ? r : s->r;
}

int edits_blocked(struct tree *t, char *const *paths, size_t n, struct buf *lines, struct errtext *err)
{
        cleanup_edit_items struct edit_items items = { 0 };
        struct choice c = { .items = &items };
        struct slots slots = { 0 };
        int r = choice_init(t, paths, n, &c, err);

        if (r == 0)
                r = choose(&c);
        for (size_t i = 0; r == 0 && i < items.count; i++)
                if (is_blocked(&c, i))
                        r = add_slots(&items, &items.list[i], &slots);
        for (size_t i = 0; r == 0 && i < slots.count; i++)
                r = buf_printf(lines, "blocked %u\n", slots.list[i]);
        free(slots.list);
        choice_release(&c);
        return r < 0 && !err->text[0] ? errtext_set(err, r, "cannot read the edits: %s",
                                                    errno_name(r, (char[128]){ 0 })) : r;
}
