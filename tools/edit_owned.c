#include "tools/edit_owned.h"

#include "store/files.h"
#include "store/wheel_name.h"

#include <limits.h>
#include <stdio.h>

enum { RECORD_MAX = 64 << 20 /* bytes */ };

/* Paths -------------------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int paths_add(struct edit_paths *p, const char *path, size_t len)
{
        char **more = reallocarray(p->list, p->count + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        p->list = more;
        more[p->count] = strndup(path, len);
        return more[p->count] ? (p->count++, 0) : -ENOMEM;
}

static void paths_sort(struct edit_paths *p)
{
        if (p->count)
                qsort(p->list, p->count, sizeof(*p->list), by_bytes);
}

static void paths_release(struct edit_paths *p)
{
        for (size_t i = 0; i < p->count; i++)
                free(p->list[i]);
        free(p->list);
        *p = (struct edit_paths){ 0 };
}

/* The first that is not before PATH. */
static size_t paths_seek(const struct edit_paths *p, const char *path)
{
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(p->list[mid], path) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

static bool paths_have(const struct edit_paths *p, const char *path, bool folder)
{
        cleanup_buf struct buf below = { 0 };
        size_t at = paths_seek(p, path);

        if (at < p->count && strcmp(p->list[at], path) == 0)
                return true;
        if (!folder || buf_printf(&below, "%s/", path) < 0)
                return false;
        at = paths_seek(p, below.data);
        return at < p->count && strncmp(p->list[at], below.data, below.len) == 0;
}

/* Adds what a RECORD lists in site-packages.  One that cannot be read lists nothing. */
static int add_record(const struct target *t, const struct buf *text, struct edit_paths *ret)
{
        struct record record = { 0 };
        struct errtext ignored;
        size_t site = strlen(t->site_rel);
        int r = 0;

        if (!text->data || record_parse(text->data, text->len, &record, &ignored) < 0)
                return 0;
        for (size_t i = 0; r == 0 && i < record.count; i++) {
                cleanup_buf struct buf path = { 0 };

                r = edit_dists_resolve(t, record.rows[i].path, &path);
                if (r == 0 && edit_path_is_within(path.data, t->site_rel) && path.len > site)
                        r = paths_add(ret, path.data + site + 1, path.len - site - 1);
                if (r == -EPERM)
                        r = 0;
        }
        record_release(&record);
        return r;
}

/* Distributions ------------------------------------------------------------------------------------------------ */

static int read_original(const struct edit_dists *d, const char *dist_info, struct buf *ret)
{
        cleanup_buf struct buf path = { 0 };
        int r = buf_printf(&path, "%s/RECORD", dist_info);

        for (size_t i = 0; r == 0 && i < d->report->original_count; i++) {
                const struct edit_original *o = &d->report->originals[i];

                if (strcmp(o->path, path.data) == 0) {
                        cleanup_close int fd = edits_ask_open_original(d->target, o->id);

                        return fd < 0 ? fd : file_read_all(fd, RECORD_MAX, ret);
                }
        }
        return r;
}

int edit_owned_load(const struct edit_dists *d, struct edit_owned *ret, struct errtext *err)
{
        struct edit_owned o = { .dists = d };
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->added_count; i++) {
                cleanup_buf struct buf text = { 0 };

                r = edit_dists_read(d, &d->added[i], "RECORD", &text, err);
                r = r == 0 ? add_record(d->target, &text, &o.added) : r == -ENOENT ? 0 : r;
        }
        for (size_t i = 0; r == 0 && i < d->removed_count; i++) {
                cleanup_buf struct buf text = { 0 };

                if (!d->removed[i].slot && read_original(d, d->removed[i].dist_info, &text) == 0)
                        r = add_record(d->target, &text, &o.removed);
        }
        paths_sort(&o.added);
        paths_sort(&o.removed);
        if (r < 0) {
                edit_owned_release(&o);
                return r == -ENOMEM ? errtext_set(err, r, "out of memory") : r;
        }
        *ret = o;
        return 0;
}

void edit_owned_release(struct edit_owned *o)
{
        paths_release(&o->added);
        paths_release(&o->removed);
}

bool edit_owned_has(const struct edit_owned *o, enum edit_change_kind kind, uint64_t id, const char *path, char type)
{
        const struct edit_dists *d = o->dists;

        if (kind == CHANGE_ADDED || kind == CHANGE_LINKED) {
                for (size_t i = 0; i < d->added_count; i++)
                        if (edit_path_is_within(path, d->added[i].dist_info))
                                return true;
                return paths_have(&o->added, path, type == 'd');
        }
        if (kind != CHANGE_REMOVED)
                return false;
        for (size_t i = 0; i < d->removed_count; i++)
                if ((d->removed[i].slot && d->removed[i].slot->number == id >> 32) ||
                    edit_path_is_within(path, d->removed[i].dist_info))
                        return true;
        return id >> 32 == 0 && paths_have(&o->removed, path, type == 'd');
}

/* Filters ------------------------------------------------------------------------------------------------------ */

static int tidy(const char *path, struct buf *ret)
{
        cleanup_free char *copy = strdup(path);
        int r = copy ? buf_add(ret, "", 0) : -ENOMEM;

        ret->len = 0;
        for (char *save = NULL, *part = r == 0 ? strtok_r(copy, "/", &save) : NULL; r == 0 && part;
             part = strtok_r(NULL, "/", &save)) {
                char *slash;

                if (strcmp(part, ".") == 0)
                        continue;
                if (strcmp(part, "..") != 0) {
                        r = buf_printf(ret, "/%s", part);
                        continue;
                }
                slash = ret->len ? strrchr(ret->data, '/') : NULL;
                ret->len = slash ? (size_t)(slash - ret->data) : 0;
                ret->data[ret->len] = '\0';
        }
        return r;
}

/* With the symlinks of what is there resolved, as the target's own path has them. */
static int absolute(const char *path, struct buf *ret)
{
        cleanup_buf struct buf whole = { 0 }, text = { 0 };
        cleanup_free char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
        int r = here ? buf_printf(&whole, "%s/%s", here, path) : -errno;

        if (r == 0)
                r = tidy(whole.data, &text);
        for (size_t len = text.len; r == 0; len--) {
                cleanup_free char *real = NULL;
                char end = text.data[len];

                if (len && end != '/' && end != '\0')
                        continue;
                text.data[len] = '\0';
                real = realpath(len ? text.data : "/", NULL);
                text.data[len] = end;
                if (real)
                        return buf_printf(ret, "%s%s", strcmp(real, "/") == 0 ? "" : real, text.data + len);
                if (len == 0)
                        return -ENOENT;
        }
        return r;
}

/* Is there a ".." with nothing before it to go back from? */
static bool leads_out(const char *path)
{
        long depth = 0;

        for (const char *p = path; *p && depth >= 0;) {
                size_t len = strcspn(p, "/");

                if (len == 2 && p[0] == '.' && p[1] == '.')
                        depth--;
                else if (len && !(len == 1 && p[0] == '.'))
                        depth++;
                p += len + (p[len] == '/');
        }
        return depth < 0;
}

int edit_filter_path(const struct target *t, const char *argument, struct buf *ret)
{
        cleanup_buf struct buf whole = { 0 }, text = { 0 };
        size_t site = strlen(t->site);
        int r = absolute(argument, &whole);

        if (r == -ENOMEM)
                return r;
        if (r == 0 && edit_path_is_within(whole.data, t->site))
                return buf_add_str(ret, whole.data[site] ? whole.data + site + 1 : "");
        if (argument[0] == '/')
                return -EPERM;
        r = tidy(argument, &text);
        /* "", "." and ".." of another folder are no way to say "all". */
        if (r == 0 && (text.len == 0 || leads_out(argument)))
                return -EPERM;
        return r < 0 ? r : buf_add_str(ret, text.data + 1);
}

struct tops {
        const struct view *view;
        uint32_t slot;
        struct edit_paths *ret;
        int r;
};

/* What lies at the top and is that slot's alone, or was first. */
static int add_top(const struct view_dirent *e, void *user)
{
        struct tops *t = user;

        if (e->id >> 32 == t->slot)
                t->r = paths_add(t->ret, e->name.data, e->name.len);
        return t->r < 0;
}

static int take_name(const struct edit_dists *d, const struct view *v, const char *name, struct edit_filter_item *item,
                     bool *ret_found, struct errtext *err)
{
        const struct edit_dist *added = edit_dists_find_added(d, name);
        const struct slot *slot = d->target->environment ? environment_find(d->target->environment, name) : NULL;
        int r = 0;

        *ret_found = added || slot;
        if (slot && v) {
                struct tops tops = { .view = v, .slot = slot->number, .ret = &item->paths };

                item->slot = slot->number;
                r = view_readdir(v, NODE_ROOT, 0, add_top, &tops);
                if (r == 0)
                        r = tops.r;
        }
        if (r == 0 && added) {
                cleanup_buf struct buf text = { 0 };

                r = edit_dists_read(d, added, "RECORD", &text, err);
                r = r == 0 ? add_record(d->target, &text, &item->paths) : r == -ENOENT ? 0 : r;
                if (r == 0)
                        r = paths_add(&item->paths, added->dist_info, strlen(added->dist_info));
        }
        return r;
}

static int take_argument(const struct edit_dists *d, const struct view *v, const char *argument, struct edit_filter *f,
                         struct errtext *err)
{
        struct edit_filter_item *more = reallocarray(f->items, f->count + 1, sizeof(*more)), *item;
        cleanup_buf struct buf path = { 0 };
        bool found = false;
        int r = 0;

        if (!more)
                return -ENOMEM;
        f->items = more;
        item = &more[f->count++];
        *item = (struct edit_filter_item){ 0 };
        if (!strchr(argument, '/'))
                r = take_name(d, v, argument, item, &found, err);
        if (r < 0 || found)
                return r;
        r = edit_filter_path(d->target, argument, &path);
        if (r == -EPERM)
                return errtext_set(err, r, "'%s' is not in '%s'", argument, d->target->site);
        if (r == 0)
                item->path = path.len ? buf_steal(&path) : strdup("");
        return r == 0 && !item->path ? -ENOMEM : r;
}

int edit_filter_load(const struct edit_dists *d, const struct view *v, const struct options *arguments,
                     struct edit_filter *ret, struct errtext *err)
{
        struct edit_filter f = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < argument_count(arguments); i++)
                r = take_argument(d, v, argument_at(arguments, i), &f, err);
        if (r < 0) {
                edit_filter_release(&f);
                return r == -ENOMEM ? errtext_set(err, r, "out of memory") : r;
        }
        *ret = f;
        return 0;
}

void edit_filter_release(struct edit_filter *f)
{
        for (size_t i = 0; i < f->count; i++) {
                free(f->items[i].path);
                paths_release(&f->items[i].paths);
        }
        free(f->items);
        *f = (struct edit_filter){ 0 };
}

static bool item_wants(const struct edit_filter_item *item, uint64_t id, const char *path)
{
        if (item->path)
                return edit_path_is_within(path, item->path);
        if (item->slot && id >> 32 == item->slot)
                return true;
        for (size_t i = 0; i < item->paths.count; i++)
                if (edit_path_is_within(path, item->paths.list[i]))
                        return true;
        return false;
}

bool edit_filter_wants(const struct edit_filter *f, uint64_t id, const char *path, const char *origin)
{
        for (size_t i = 0; i < f->count; i++)
                if (item_wants(&f->items[i], id, path) || (origin && item_wants(&f->items[i], id, origin)))
                        return true;
        return f->count == 0;
}
