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

int edit_owned_load(const struct edit_dists *d, struct edit_owned *ret, struct errtext *err)
{
        struct edit_owned o = { .dists = d };
        int r = 0;

        for (size_t i = 0; r == 0 && i < d->added_count; i++) {
                cleanup_buf struct buf text = { 0 };

                r = edit_dists_read(d, &d->added[i], "RECORD", &text, err);
                r = r == 0 ? edit_paths_add_record(d->target, &text, &o.added) : r == -ENOENT ? 0 : r;
        }
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
