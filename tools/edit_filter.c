#include "tools/edit_filter.h"

#include "store/wheel_name.h"
#include "tools/dist_file.h"
#include "tools/kept_list.h"

#include <fcntl.h>
#include <stdio.h>

/* Paths -------------------------------------------------------------------------------------------------------- */

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

/* With the symlinks of what is there resolved, as the target's own path has them; LAST: that of the last name, too. */
static int absolute(const char *path, bool last, struct buf *ret)
{
        cleanup_buf struct buf whole = { 0 }, text = { 0 };
        cleanup_free char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
        int r = here ? buf_printf(&whole, "%s/%s", here, path) : -errno;

        if (r == 0)
                r = tidy(whole.data, &text);
        for (size_t len = text.len; r == 0; len--) {
                cleanup_free char *real = NULL;
                char end = text.data[len];

                if (len && ((end != '/' && end != '\0') || (end == '\0' && !last)))
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

/* Where in site-packages the shell's path leads, appended.  A symlink is itself; one outside may lead in.  -EPERM:
 * not there. */
static int add_shells(const struct target *t, const char *argument, struct buf *ret)
{
        size_t site = strlen(t->site);

        for (int last = 0; last < 2; last++) {
                cleanup_buf struct buf whole = { 0 };
                int r = absolute(argument, last, &whole);

                if (r == -ENOMEM)
                        return r;
                if (r == 0 && edit_path_is_within(whole.data, t->site))
                        return buf_add_str(ret, whole.data[site] ? whole.data + site + 1 : "");
        }
        return -EPERM;
}

/* The same of a path that is relative to site-packages.  "", "." and ".." are no way to say "all". */
static int add_own(const char *argument, struct buf *ret)
{
        cleanup_buf struct buf text = { 0 };
        int r = argument[0] == '/' || leads_out(argument) ? -EPERM : tidy(argument, &text);

        if (r < 0 || text.len == 0)
                return r < 0 ? r : -EPERM;
        return buf_add_str(ret, text.data + 1);
}

/* Something is there, or the edits brought or took something there, or below. */
static bool is_seen(const struct edit_dists *d, const char *path)
{
        const struct edit_report *report = d->report;
        cleanup_buf struct buf whole = { 0 };
        struct stat st;

        if (buf_printf(&whole, "%s/%s", d->target->site_rel, path) == 0 &&
            fstatat(d->target->venv_fd, whole.data, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return true;
        for (size_t i = 0; i < report->change_count; i++) {
                const struct edit_change *c = &report->changes[i];

                if (edit_path_is_within(c->path, path) || (c->origin && edit_path_is_within(c->origin, path)))
                        return true;
        }
        for (size_t i = 0; i < report->original_count; i++)
                if (edit_path_is_within(report->originals[i].path, path))
                        return true;
        return false;
}

/* 1: something is or was there; 0. */
static int is_known(const struct edit_dists *d, struct edit_view *v, const char *path, struct errtext *err)
{
        struct node ignored;
        int r = is_seen(d, path) ? 1 : edit_view_open(v, err);

        if (r != 0)
                return r;
        for (size_t i = 0; i < d->report->change_count; i++) {
                const struct edit_change *c = &d->report->changes[i];
                cleanup_buf struct buf was = { 0 };

                if (c->kind != CHANGE_MOVED || !edit_path_is_within(path, c->path))
                        continue;
                if (buf_printf(&was, "%s%s", c->origin, path + strlen(c->path)) == 0 &&
                    view_find(v->all, was.data, &ignored) == 0)
                        return 1;
        }
        return view_find(v->all, path, &ignored) == 0;
}

/* Names -------------------------------------------------------------------------------------------------------- */

struct tops {
        uint32_t slot;
        struct edit_paths *ret;
        int r;
};

/* What lies at the top and is that slot's alone, or was first. */
static int add_top(const struct view_dirent *e, void *user)
{
        struct tops *t = user;

        if (e->id >> 32 == t->slot)
                t->r = edit_paths_add(t->ret, e->name.data, e->name.len);
        return t->r < 0;
}

static int take_slot(const struct slot *slot, struct edit_view *v, struct edit_filter_item *item, struct errtext *err)
{
        struct tops tops = { .slot = slot->number, .ret = &item->paths };
        int r = edit_view_open(v, err);

        item->slot = slot->number;
        if (r == 0)
                r = view_readdir(v->all, NODE_ROOT, 0, add_top, &tops);
        return r < 0 ? r : tops.r;
}

static int add_listed(const struct edit_dists *d, const char *dist_info, const struct buf *record,
                      struct edit_filter_item *item)
{
        int r = edit_paths_add_record(d->target, record, &item->paths);

        return r < 0 ? r : edit_paths_add(&item->paths, dist_info, strlen(dist_info));
}

static int take_added(const struct edit_dists *d, const struct edit_dist *dist, struct edit_filter_item *item,
                      struct errtext *err)
{
        int r = edit_owned_list(d, dist, &item->paths, err);

        return r < 0 ? r : edit_paths_add(&item->paths, dist->dist_info, strlen(dist->dist_info));
}

/* Packages of ours, and what pip or uv brought, or took from the bare site-packages. */
static int take_name(const struct edit_dists *d, struct edit_view *v, const char *name, struct edit_filter_item *item,
                     bool *ret_found, struct errtext *err)
{
        const struct edit_dist *added = edit_dists_find_added(d, name);
        const struct slot *slot = environment_find(d->target->environment, name);
        int r = slot ? take_slot(slot, v, item, err) : 0;

        *ret_found = added || slot;
        if (r == 0 && added)
                r = take_added(d, added, item, err);
        for (size_t i = 0; r == 0 && i < d->removed_count; i++) {
                cleanup_buf struct buf text = { 0 };

                if (d->removed[i].slot || !name_equal(d->removed[i].name, name))
                        continue;
                *ret_found = true;
                (void)edit_owned_record(d, d->removed[i].dist_info, &text);
                r = add_listed(d, d->removed[i].dist_info, &text, item);
        }
        return r;
}

struct search {
        const struct edit_dists *dists;
        const char *name;
        struct edit_filter_item *item;
        bool found;
};

static int take_bare(const char *dist_info, const char *name, const char *version, void *user)
{
        struct search *s = user;
        const struct target *t = s->dists->target;
        cleanup_buf struct buf path = { 0 }, text = { 0 };

        (void)version;
        if (!name_equal(name, s->name))
                return 0;
        s->found = true;
        if (buf_printf(&path, "%s/%s/RECORD", t->site_rel, dist_info) == 0)
                (void)dist_file_read(t, t->venv_fd, path.data, &text);
        return add_listed(s->dists, dist_info, &text, s->item);
}

/* Arguments ---------------------------------------------------------------------------------------------------- */

static int take_path(const struct edit_dists *d, struct edit_view *v, const char *argument,
                     struct edit_filter_item *item, bool *ret_inside, struct errtext *err)
{
        for (int own = 0; own < 2; own++) {
                cleanup_buf struct buf path = { 0 };
                int r = own ? add_own(argument, &path) : add_shells(d->target, argument, &path);

                if (r == -EPERM)
                        continue;
                *ret_inside = true;
                if (r == 0)
                        r = is_known(d, v, path.data, err);
                if (r > 0)
                        item->path = buf_steal(&path);
                if (r != 0)
                        return r > 0 && !item->path ? -ENOMEM : r;
        }
        return 0;
}

struct kept {
        const char *path;
        struct buf found;
};

static int find_kept(const char *path, void *user)
{
        struct kept *k = user;
        const char *slash = strchr(path, '/');

        return slash && edit_path_is_within(slash + 1, k->path) ? buf_add_str(&k->found, path) < 0 ? -ENOMEM : 1 : 0;
}

static int refuse(const struct edit_dists *d, const char *argument, bool inside, struct errtext *err)
{
        const struct target *t = d->target;
        cleanup_buf struct buf path = { 0 };
        struct kept kept = { 0 };
        int r = -ENOENT;

        if (strchr(argument, '/') && access(argument, F_OK) == 0 && add_shells(t, argument, &path) == -EPERM)
                inside = false;
        if (!inside)
                return errtext_set(err, -EPERM, "'%s' is not in '%s'", argument, t->site);
        buf_clear(&path);
        if (add_shells(t, argument, &path) == 0 || add_own(argument, &path) == 0)
                kept.path = path.data;
        if (kept.path && kept_list(t, find_kept, &kept) == 1)
                r = errtext_set(err, r,
                                "'%s' is not there any more; what was kept of it: '%s/" ENVIRONMENT_DIR "/kept/%s'",
                                argument, t->venv, kept.found.data);
        else
                r = errtext_set(err, r,
                                "'%s' is neither a package of '%s' (`fusepkg list` shows them) nor a path in its "
                                "site-packages",
                                argument, t->venv);
        buf_release(&kept.found);
        return r;
}

static int take_argument(const struct edit_dists *d, struct edit_view *v, const char *argument, struct edit_filter *f,
                         struct errtext *err)
{
        struct edit_filter_item *more = reallocarray(f->items, f->count + 1, sizeof(*more)), *item;
        struct search bare = { d, argument, NULL, false };
        bool name = !strchr(argument, '/'), found = false, inside = false;
        int r = 0;

        if (!more)
                return -ENOMEM;
        f->items = more;
        bare.item = item = &more[f->count++];
        *item = (struct edit_filter_item){ 0 };
        if (name)
                r = take_name(d, v, argument, item, &found, err);
        if (r == 0 && !found)
                r = take_path(d, v, argument, item, &inside, err);
        if (r != 0 || found)
                return r < 0 ? r : 0;
        if (name)
                r = target_each_bare(d->target, take_bare, &bare);
        return r < 0 || bare.found ? r : refuse(d, argument, inside, err);
}

int edit_filter_load(const struct edit_dists *d, struct edit_view *v, const struct options *arguments,
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
                edit_paths_release(&f->items[i].paths);
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
