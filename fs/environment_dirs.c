#include "fs/environment_dirs.h"

#include "fs/dir_providers.h"
#include "fs/view.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Where the image's folders are mounted; its scripts are not. */
static const struct tree trees[] = {
        { "site", "" },
        { "data", DATA_DIR "/data" },
        { "headers", DATA_DIR "/headers" },
};

/* What the row of the directory at u->path pins: the id it had, where its providers do not give that one any more. */
static uint64_t pinned_id(const struct update *u, const struct providers *old)
{
        const struct dir_row *row = environment_dir(u->old.e, u->path.data);
        const struct provider *lowest = old->list;

        if (row && row->id)
                return row->id;
        if (old->base || !old->count || environment_slot(u->next.e, lowest->slot))
                return 0;
        return (uint64_t)lowest->slot << 32 | lowest->entry;
}

static uint64_t slot_time(const struct environment *e, uint32_t number)
{
        const struct slot *slot = environment_slot(e, number);

        return slot ? slot->time : 0;
}

/* A generation, as far as the slots before one reach. */
struct state {
        const struct environment *e;
        const struct providers *p;
        size_t n;
};

/* Is any name of provider P's in the directory u->path shown otherwise in the state TO than in FROM? */
static bool brings(struct update *u, const struct provider *p, struct state from, struct state to)
{
        struct image_entry dir = image_entry(p->image, p->entry);

        for (uint32_t i = 0; i < dir.children; i++) {
                struct image_entry child = image_entry(p->image, dir.first_child + i);
                struct shown was = dir_shown_as(u, from.e, from.p, from.n, child.name);
                struct shown is = dir_shown_as(u, to.e, to.p, to.n, child.name);

                if (was.what != is.what || was.slot != is.slot)
                        return true;
        }
        return false;
}

/* Do slots that come with this commit change the entries of u->path? */
static bool gains(struct update *u, const struct providers *old, const struct providers *next)
{
        struct state from = { u->old.e, old, old->count }, to = { u->next.e, next, next->count };

        for (size_t k = 0; k < next->count; k++)
                if (!environment_slot(u->old.e, next->list[k].slot) && brings(u, &next->list[k], from, to))
                        return true;
        return false;
}

/* The time stamp that OLD shows for the directory at u->path; as view_merge.c finds it. */
static uint64_t old_time(struct update *u, const struct providers *old)
{
        const struct dir_row *row = environment_dir(u->old.e, u->path.data);
        uint64_t time = row ? row->time : 0, as_of = row ? row->as_of : 0;
        struct state from = { u->old.e, old, 0 }, to = from;
        struct stat st;

        for (size_t k = 0; k < old->count; k++) {
                uint64_t slot = slot_time(u->old.e, old->list[k].slot);

                /* What came with one commit came at once. */
                if (k == to.n) {
                        from.n = to.n;
                        while (to.n < old->count && slot_time(u->old.e, old->list[to.n].slot) == slot)
                                to.n++;
                }
                if (slot > as_of && slot > time && brings(u, &old->list[k], from, to))
                        time = slot;
        }
        if (time == 0 && old->base && fstatat(u->site->fd, u->path.len ? u->path.data : ".", &st, 0) == 0)
                time = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
        return time;
}

static bool provides(const struct providers *p, uint32_t slot)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->list[i].slot == slot)
                        return true;
        return false;
}

static int walk_leaving(struct update *u, const struct image *img, uint32_t number, uint32_t dir,
                        const struct providers *old, const struct providers *next);

/* The same one level below, at u->path, which both generations show as a folder. */
static int walk_below(struct update *u, const struct image *img, uint32_t number, const struct image_entry *child,
                      const struct providers *old, const struct providers *next)
{
        struct providers old_below = { 0 }, next_below = { 0 };
        int r = providers_below(u, &u->old, old, child->name, &old_below);

        r = r < 0 ? r : providers_below(u, &u->next, next, child->name, &next_below);
        if (r >= 0 && provides(&old_below, number))
                r = walk_leaving(u, img, number, child->number, &old_below, &next_below);
        providers_release(&old_below);
        providers_release(&next_below);
        return r;
}

/* One directory of the slot NUMBER that leaves, u->path, and those below it that stay. */
static int walk_leaving(struct update *u, const struct image *img, uint32_t number, uint32_t dir,
                        const struct providers *old, const struct providers *next)
{
        struct image_entry d = image_entry(img, dir);
        uint64_t now = u->next.e->time;
        size_t len = u->path.len;
        bool changed = gains(u, old, next);
        int r = 0;

        for (uint32_t i = 0; i < d.children && r >= 0; i++) {
                struct image_entry child = image_entry(img, d.first_child + i);
                struct shown was = dir_shown_as(u, u->old.e, old, old->count, child.name);
                struct shown is = dir_shown_as(u, u->next.e, next, next->count, child.name);

                changed = changed || was.what != is.what || was.slot != is.slot;
                if (child.type != IMAGE_DIR || was.what != FOLDER || is.what != FOLDER)
                        continue;
                r = dir_path_enter(&u->path, child.name);
                r = r < 0 ? r : walk_below(u, img, number, &child, old, next);
                dir_path_leave(&u->path, len);
        }
        if (r < 0)
                return r;
        return dir_rows_add(&u->rows, u->path.data, pinned_id(u, old), changed ? now : old_time(u, old), now);
}

static int tree_leaves(struct update *u, const struct image *img, uint32_t number, const struct tree *t)
{
        struct providers old = { 0 }, next = { 0 };
        uint32_t entry;
        int r;

        if (image_find(img, t->in_image, &entry) < 0 || image_entry(img, entry).type != IMAGE_DIR)
                return 0;
        buf_clear(&u->path);
        r = buf_add_str(&u->path, t->path);
        r = r < 0 ? r : providers_of_tree(&u->next, t, &next);
        if (!r && (next.count || next.base)) {
                r = providers_of_tree(&u->old, t, &old);
                r = r < 0 ? r : walk_leaving(u, img, number, entry, &old, &next);
        }
        /* The data folder is always there, and has just lost or kept this child. */
        if (!r && t->path[0])
                r = dir_rows_add(&u->rows, DATA_DIR, 0, u->next.e->time, u->next.e->time);
        providers_release(&old);
        providers_release(&next);
        return r;
}

/* Is any directory at PATH provided by NEXT?  The root and the data folder are always there. */
static int is_provided(struct update *u, const char *path)
{
        const struct tree *t = &trees[0];
        struct providers p = { 0 }, below;
        size_t len = 0;
        int r;

        for (size_t i = 1; i < ARRAY_LEN(trees); i++) {
                size_t n = strlen(trees[i].path);

                if (!strncmp(path, trees[i].path, n) && (!path[n] || path[n] == '/')) {
                        t = &trees[i];
                        len = n + (path[n] == '/');
                }
        }
        if (!path[0] || !strcmp(path, DATA_DIR))
                return 1;
        buf_clear(&u->path);
        r = buf_add_str(&u->path, t->path);
        r = r < 0 ? r : providers_of_tree(&u->next, t, &p);
        while (!r && path[len] && (p.count || p.base)) {
                struct span name = { path + len, strcspn(path + len, "/") };

                r = dir_path_enter(&u->path, name);
                r = r < 0 ? r : providers_below(u, &u->next, &p, name, &below);
                if (r < 0)
                        break;
                providers_release(&p);
                p = below;
                len += name.len + (name.data[name.len] == '/');
        }
        r = r < 0 ? r : p.count || p.base;
        providers_release(&p);
        return r;
}

static int add_if_provided(struct update *u, const char *path, uint64_t id, uint64_t time, uint64_t as_of)
{
        int r = is_provided(u, path);

        return r > 0 ? dir_rows_add(&u->rows, path, id, time, as_of) : r;
}

static int carry_rows(struct update *u)
{
        int r = 0;

        for (size_t i = 0; i < u->old.e->dir_count && r >= 0; i++) {
                const struct dir_row *row = &u->old.e->dirs[i];

                r = add_if_provided(u, row->path, row->id, row->time, row->as_of);
        }
        return r;
}

static int slots_leave(struct update *u)
{
        int r = 0;

        for (size_t i = 0; i < u->old.e->slot_count && r >= 0; i++) {
                if (environment_slot(u->next.e, u->old.e->slots[i].number))
                        continue;
                for (size_t t = 0; t < ARRAY_LEN(trees) && r >= 0; t++)
                        r = tree_leaves(u, u->old.images[i], u->old.e->slots[i].number, &trees[t]);
        }
        return r;
}

static bool hides(const struct environment *e, const char *dist_info)
{
        for (size_t i = 0; i < e->hidden_count; i++)
                if (!strcmp(e->hidden[i], dist_info))
                        return true;
        return false;
}

/* The number that the mount shows for a directory of the base; unmounted, nobody knows it, and it need not be
 * pinned. */
static uint64_t base_id(const struct update *u, const char *path)
{
        struct stat st;

        if (!u->mounted || fstatat(u->site->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
            st.st_ino < BASE_FIRST || st.st_ino >> 32)
                return 0;
        return st.st_ino;
}

/* Distributions of the base that AFTER hides and BEFORE does not (or the other way round: then the base gains, and
 * has no times of its own).  A folder that holds nothing else leaves the base: it keeps its id where slots have it,
 * too. */
static int base_changes(struct update *u, const struct environment *before, const struct environment *after)
{
        int r = 0;

        for (size_t i = 0; i < after->hidden_count && r >= 0; i++) {
                struct dir_rows folders = { 0 };

                if (hides(before, after->hidden[i]))
                        continue;
                r = dir_rows_add(&u->rows, "", 0, u->next.e->time, u->next.e->time);
                r = r < 0 ? r : dir_rows_of_bare(&folders, u->site->fd, after->hidden[i]);
                for (size_t k = 0; k < folders.count && r >= 0; k++) {
                        const char *path = folders.list[k].path;

                        r = add_if_provided(u, path, base_id(u, path), u->next.e->time, u->next.e->time);
                }
                dir_rows_release(&folders);
        }
        return r;
}

static int load_images(struct side *s, const struct image_source *source, struct errtext *err)
{
        s->images = calloc(s->e->slot_count + 1, sizeof(*s->images));
        if (!s->images)
                return -ENOMEM;
        for (size_t i = 0; i < s->e->slot_count; i++) {
                const struct slot *slot = &s->e->slots[i];
                int r = source->get(slot->image, &s->images[i], source->user);

                if (r < 0)
                        return errtext_set(err, r, "the store lacks what %s==%s needs, or it is damaged", slot->name,
                                           slot->version);
        }
        return 0;
}

/* Only additions: every directory keeps its providers. */
static bool nothing_leaves(const struct environment *old, const struct environment *next)
{
        for (size_t i = 0; i < old->slot_count; i++)
                if (!environment_slot(next, old->slots[i].number))
                        return false;
        for (size_t i = 0; i < next->hidden_count; i++)
                if (!hides(old, next->hidden[i]))
                        return false;
        for (size_t i = 0; i < old->hidden_count; i++)
                if (!hides(next, old->hidden[i]))
                        return false;
        return true;
}

static int update_rows(struct update *u, const struct image_source *images, struct errtext *err)
{
        const struct environment *old = u->old.e, *next = u->next.e;
        int r = 0;

        if (nothing_leaves(old, next)) {
                for (size_t i = 0; i < old->dir_count && r >= 0; i++)
                        r = dir_rows_add(&u->rows, old->dirs[i].path, old->dirs[i].id, old->dirs[i].time,
                                         old->dirs[i].as_of);
                return r;
        }
        r = load_images(&u->old, images, err);
        r = r < 0 ? r : load_images(&u->next, images, err);
        r = r < 0 ? r : carry_rows(u);
        r = r < 0 ? r : slots_leave(u);
        r = r < 0 ? r : base_changes(u, old, next);
        r = r < 0 ? r : base_changes(u, next, old);
        return r;
}

int environment_dirs_update(const struct environment *old, struct environment *next,
                            const struct image_source *images, const struct site_now *site, struct errtext *err)
{
        static const struct environment none;
        struct update u = {
                .old = { .e = old ? old : &none },
                .next = { .e = next },
                .site = site,
                .mounted = dir_is_mounted(site->fd),
        };
        struct dir_rows before;
        int r = update_rows(&u, images, err);

        if (r >= 0) {
                dir_rows_settle(&u.rows);
                before = (struct dir_rows){ next->dirs, next->dir_count, 0 };
                next->dirs = u.rows.list;
                next->dir_count = u.rows.count;
                u.rows = before;
                r = 0;
        }
        dir_rows_release(&u.rows);
        buf_release(&u.path);
        free(u.old.images);
        free(u.next.images);
        return r;
}
