#include "tools/edit_dists.h"

#include "store/files.h"
#include "store/metadata.h"
#include "store/wheel_name.h"
#include "tools/dist_file.h"
#include "tools/outside.h"

#include <stdio.h>

/* "six-1.16.0.dist-info" itself, or its METADATA: what makes a distribution one.  *RET_LEN: of the folder's name. */
static bool is_mark(const char *path, char type, size_t *ret_len)
{
        static const char *const ends[] = { ".dist-info", ".egg-info" };
        const char *slash = strchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : strlen(path);

        if (path[0] == '~' || path[0] == '.' || (slash ? type != 'f' && type != 'l' : type != 'd'))
                return false;
        if (slash && strcmp(slash, "/METADATA") != 0 && strcmp(slash, "/PKG-INFO") != 0)
                return false;
        for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
                size_t n = strlen(ends[i]);

                if (len > n && strncmp(path + len - n, ends[i], n) == 0) {
                        *ret_len = len;
                        return true;
                }
        }
        return false;
}

/* What the folder's name says: "six-1.16.0.dist-info". */
static int split_name(const char *dist_info, char **ret_name, char **ret_version)
{
        const char *dot = strrchr(dist_info, '.'), *dash = memchr(dist_info, '-', (size_t)(dot - dist_info));

        *ret_name = strndup(dist_info, (size_t)((dash ? dash : dot) - dist_info));
        *ret_version = dash ? strndup(dash + 1, (size_t)(dot - dash - 1)) : strdup("");
        return *ret_name && *ret_version ? 0 : -ENOMEM;
}

static void dist_release(struct edit_dist *d)
{
        free(d->name);
        free(d->version);
        free(d->dist_info);
        free(d->installer);
}

void edit_dists_release(struct edit_dists *d)
{
        for (size_t i = 0; i < d->added_count; i++)
                dist_release(&d->added[i]);
        for (size_t i = 0; i < d->removed_count; i++)
                dist_release(&d->removed[i]);
        free(d->added);
        free(d->removed);
        *d = (struct edit_dists){ 0 };
}

static int append(struct edit_dist **list, size_t *count, struct edit_dist *d)
{
        struct edit_dist *more = reallocarray(*list, *count + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        *list = more;
        more[(*count)++] = *d;
        *d = (struct edit_dist){ 0 };
        return 0;
}

static bool has(const struct edit_dist *list, size_t count, const char *dist_info)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(list[i].dist_info, dist_info) == 0)
                        return true;
        return false;
}

int edit_dists_read(const struct edit_dists *d, const struct edit_dist *dist, const char *name, struct buf *ret,
                    struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        const struct edit_change *c;
        int r = buf_printf(&path, "%s/%s", dist->dist_info, name);

        if (r < 0)
                return errtext_set(err, r, "out of memory");
        c = edit_report_find(d->report, path.data, CHANGE_ADDED);
        if (!c || (c->type != 'f' && !c->target))
                return -ENOENT;
        if (c->target) {
                r = dist_file_follow(d->target, c->target, ret);
                if (r == -ENOENT)
                        return r;
        } else {
                cleanup_close int fd = edits_ask_open(d->target, c);

                r = fd < 0 ? fd : file_read_all(fd, DIST_FILE_MAX, ret);
        }
        if (r < 0)
                return errtext_set(err, r, "cannot read '%.900s': %s", path.data, errno_name(r, (char[128]){ 0 }));
        return buf_add(ret, "", 0);
}

/* Its METADATA, or else the folder's name. */
static int describe(const struct edit_dists *d, struct edit_dist *dist)
{
        static const char *const files[] = { "METADATA", "PKG-INFO" };
        cleanup_buf struct buf installer = { 0 };
        struct errtext ignored;

        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                cleanup_buf struct buf text = { 0 };
                struct metadata m = { 0 };

                if (edit_dists_read(d, dist, files[i], &text, &ignored) < 0)
                        continue;
                if (metadata_parse(text.data, text.len, &m, &ignored) < 0)
                        continue;
                free(dist->name);
                free(dist->version);
                dist->name = steal_ptr(m.name);
                dist->version = steal_ptr(m.version);
                metadata_release(&m);
                break;
        }
        if (edit_dists_read(d, dist, "INSTALLER", &installer, &ignored) == 0)
                installer.data[strcspn(installer.data, "\r\n")] = '\0';
        dist->installer = strdup(installer.data ? installer.data : "");
        return dist->name && dist->version && dist->installer ? 0 : -ENOMEM;
}

static int add(struct edit_dists *d, const struct edit_change *c, size_t len)
{
        struct edit_dist dist = { .dist_info = strndup(c->path, len) };
        int r = dist.dist_info ? 0 : -ENOMEM;

        if (r == 0 && c->kind == CHANGE_ADDED && (c->type == 'd' || has(d->added, d->added_count, dist.dist_info))) {
                dist_release(&dist);
                return 0;
        }
        if (r == 0)
                r = split_name(dist.dist_info, &dist.name, &dist.version);
        if (r == 0 && c->kind == CHANGE_ADDED)
                r = describe(d, &dist);
        if (r == 0 && c->kind == CHANGE_ADDED)
                r = append(&d->added, &d->added_count, &dist);
        dist_release(&dist);
        return r;
}

static int take_away(struct edit_dists *d, const struct edit_change *c, const char *path, size_t len)
{
        struct edit_dist dist = { .dist_info = strndup(path, len) };
        int r = dist.dist_info ? 0 : -ENOMEM;

        if (r == 0 && has(d->removed, d->removed_count, dist.dist_info)) {
                dist_release(&dist);
                return 0;
        }
        if (r == 0)
                r = split_name(dist.dist_info, &dist.name, &dist.version);
        if (r == 0 && c->id >> 32) {
                dist.slot = environment_find(d->target->environment, dist.name);
                if (dist.slot) {
                        free(dist.name);
                        free(dist.version);
                        dist.name = strdup(dist.slot->name);
                        dist.version = strdup(dist.slot->version);
                        r = dist.name && dist.version ? 0 : -ENOMEM;
                }
        }
        if (r == 0)
                r = append(&d->removed, &d->removed_count, &dist);
        dist_release(&dist);
        return r;
}

int edit_dists_load(const struct target *t, const struct edit_report *r, struct edit_dists *ret, struct errtext *err)
{
        struct edit_dists d = { .target = t, .report = r };
        int e = 0;

        for (size_t i = 0; e == 0 && i < r->change_count; i++) {
                const struct edit_change *c = &r->changes[i];
                const char *was = c->kind == CHANGE_REMOVED ? c->path : c->kind == CHANGE_MOVED ? c->origin : NULL;
                size_t len;

                if (c->kind == CHANGE_ADDED && is_mark(c->path, c->type, &len))
                        e = add(&d, c, len);
                else if (was && t->environment && is_mark(was, c->type, &len))
                        e = take_away(&d, c, was, len);
        }
        if (e < 0) {
                edit_dists_release(&d);
                return errtext_set(err, e, "out of memory");
        }
        *ret = d;
        return 0;
}

const struct edit_dist *edit_dists_find_added(const struct edit_dists *d, const char *name)
{
        for (size_t i = 0; i < d->added_count; i++)
                if (name_equal(d->added[i].name, name))
                        return &d->added[i];
        return NULL;
}

bool edit_dists_is_removed(const struct edit_dists *d, const struct slot *slot)
{
        for (size_t i = 0; i < d->removed_count; i++)
                if (d->removed[i].slot && d->removed[i].slot->number == slot->number)
                        return true;
        return false;
}

bool edit_dists_is_removed_bare(const struct edit_dists *d, const char *dist_info)
{
        for (size_t i = 0; i < d->removed_count; i++)
                if (!d->removed[i].slot && strcmp(d->removed[i].dist_info, dist_info) == 0)
                        return true;
        return false;
}

/* PATH is used up. */
static int tidy(char *path, struct buf *ret)
{
        int r = 0;

        buf_clear(ret);
        for (char *save = NULL, *part = strtok_r(path, "/", &save); r == 0 && part; part = strtok_r(NULL, "/", &save)) {
                if (strcmp(part, ".") == 0)
                        continue;
                if (strcmp(part, "..") != 0) {
                        r = buf_printf(ret, "%s%s", ret->len ? "/" : "", part);
                        continue;
                }
                if (ret->len == 0)
                        return -EPERM;
                char *slash = strrchr(ret->data, '/');

                ret->len = slash ? (size_t)(slash - ret->data) : 0;
                ret->data[ret->len] = '\0';
        }
        return r < 0 ? r : ret->len ? 0 : -EPERM;
}

int edit_dists_resolve(const struct target *t, const char *path, struct buf *ret)
{
        cleanup_buf struct buf whole = { 0 }, led = { 0 };
        size_t venv = strlen(t->venv);
        int r;

        if (path[0] == '/') {
                if (strncmp(path, t->venv, venv) != 0 || path[venv] != '/')
                        return -EPERM;
                r = buf_add_str(&whole, path + venv + 1);
        } else {
                r = buf_printf(&whole, "%s/%s", t->site_rel, path);
        }
        if (r == 0)
                r = tidy(whole.data, ret);
        if (r < 0 || edit_path_is_within(ret->data, t->site_rel))
                return r;
        r = outside_follow(t, ret->data, &led);
        if (r < 0 || led.len == 0)
                return r;
        buf_clear(&whole);
        r = buf_printf(&whole, "%s/%s", t->site_rel, led.data);
        return r < 0 ? r : tidy(whole.data, ret); /* the link may be another's that looks like ours */
}
