#include "tools/edit_owned.h"

#include "store/files.h"

enum { RECORD_MAX = 64 << 20 /* bytes */ };

int edit_owned_record(const struct edit_dists *d, const char *dist_info, struct buf *ret)
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

/* "/cache/archive-v0/7JId", where the wheel of a distribution lies whose files are symlinks into uv's cache; its
 * METADATA tells.  NULL: they are none. */
static char *unpacked_wheel(const struct edit_dists *d, const struct edit_dist *dist)
{
        cleanup_buf struct buf path = { 0 };
        const struct edit_change *c;
        size_t len;

        if (buf_printf(&path, "%s/METADATA", dist->dist_info) < 0)
                return NULL;
        c = edit_report_find(d->report, path.data, CHANGE_ADDED);
        len = c && c->target ? strlen(c->target) : 0;
        if (len < path.len + 2 || c->target[0] != '/' || c->target[len - path.len - 1] != '/' ||
            strcmp(c->target + len - path.len, path.data) != 0)
                return NULL;
        return strndup(c->target, len - path.len - 1);
}

/* Is IN_WHEEL, in the unpacked wheel, what has come to PATH?  What lay in NAME-1.0.data/data lies in our data folder,
 * if anywhere in site-packages. */
static bool is_from(const char *in_wheel, const char *path, const char *dist_info)
{
        static const char data[] = DATA_DIR "/";
        const char *dot = strrchr(dist_info, '.');
        size_t stem = (size_t)(dot - dist_info);

        if (strcmp(in_wheel, path) == 0)
                return true;
        return strncmp(in_wheel, dist_info, stem) == 0 && strncmp(in_wheel + stem, ".data/", 6) == 0 &&
               strncmp(path, data, strlen(data)) == 0 && strcmp(in_wheel + stem + 6, path + strlen(data)) == 0;
}

/* Without a RECORD that can be read (uv's cache was pruned, or is not ours to read) the symlinks themselves tell. */
static int list_symlinks(const struct edit_dists *d, const struct edit_dist *dist, struct edit_paths *ret)
{
        cleanup_free char *wheel = unpacked_wheel(d, dist);
        size_t len = wheel ? strlen(wheel) : 0;
        int r = 0;

        for (size_t i = 0; wheel && r == 0 && i < d->report->change_count; i++) {
                const struct edit_change *c = &d->report->changes[i];

                if (c->kind == CHANGE_ADDED && c->target && edit_path_is_within(c->target, wheel) &&
                    c->target[len] == '/' && is_from(c->target + len + 1, c->path, dist->dist_info))
                        r = edit_paths_add(ret, c->path, strlen(c->path));
        }
        return r;
}

int edit_owned_list(const struct edit_dists *d, const struct edit_dist *dist, struct edit_paths *ret,
                    struct errtext *err)
{
        cleanup_buf struct buf text = { 0 };
        int r = edit_dists_read(d, dist, "RECORD", &text, err);

        if (r == -ENOENT)
                return list_symlinks(d, dist, ret);
        return r < 0 ? r : edit_paths_add_record(d->target, &text, ret);
}

int edit_owned_load(const struct edit_dists *d, struct edit_owned *ret, struct errtext *err)
{
        struct edit_owned o = { .dists = d };
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->added_count; i++)
                r = edit_owned_list(d, &d->added[i], &o.added, err);
        for (size_t i = 0; r == 0 && i < d->removed_count; i++) {
                cleanup_buf struct buf text = { 0 };

                if (!d->removed[i].slot && edit_owned_record(d, d->removed[i].dist_info, &text) == 0)
                        r = edit_paths_add_record(d->target, &text, &o.removed);
        }
        edit_paths_sort(&o.added);
        edit_paths_sort(&o.removed);
        if (r < 0) {
                edit_owned_release(&o);
                return r == -ENOMEM ? errtext_set(err, r, "out of memory") : r;
        }
        *ret = o;
        return 0;
}

void edit_owned_release(struct edit_owned *o)
{
        edit_paths_release(&o->added);
        edit_paths_release(&o->removed);
}

bool edit_owned_has(const struct edit_owned *o, enum edit_change_kind kind, uint64_t id, const char *path, char type)
{
        const struct edit_dists *d = o->dists;

        if (kind == CHANGE_ADDED || kind == CHANGE_LINKED) {
                for (size_t i = 0; i < d->added_count; i++)
                        if (edit_path_is_within(path, d->added[i].dist_info))
                                return true;
                return edit_paths_have(&o->added, path, type == 'd');
        }
        if (kind != CHANGE_REMOVED)
                return false;
        for (size_t i = 0; i < d->removed_count; i++)
                if ((d->removed[i].slot && d->removed[i].slot->number == id >> 32) ||
                    edit_path_is_within(path, d->removed[i].dist_info))
                        return true;
        return id >> 32 == 0 && edit_paths_have(&o->removed, path, type == 'd');
}
