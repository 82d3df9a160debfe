/* view_index.c: finding merged directories by id, and names in them. */
#include "fs/view_private.h"

void merged_dir_free(struct merged_dir *d)
{
        if (!d)
                return;
        for (size_t i = 0; i < d->name_count; i++)
                free(d->names[i]);
        free(d->names);
        free(d->path);
        free(d->providers);
        free(d->entries);
        free(d);
}

int view_index(struct view *v)
{
        size_t size = 16;

        while (size < 2 * v->dir_count + 2)
                size *= 2;
        v->by_id = calloc(size, sizeof(*v->by_id));
        if (!v->by_id)
                return -ENOMEM;
        v->by_id_size = size;
        for (size_t i = 0; i < v->dir_count; i++) {
                uint64_t at = v->dirs[i]->id * UINT64_C(0x9e3779b97f4a7c15) >> 20;

                while (v->by_id[at & (size - 1)])
                        at++;
                v->by_id[at & (size - 1)] = (uint32_t)i + 1;
        }
        return 0;
}

const struct merged_dir *view_merged(const struct view *v, uint64_t id)
{
        uint64_t at = id * UINT64_C(0x9e3779b97f4a7c15) >> 20;

        for (;; at++) {
                uint32_t n = v->by_id[at & (v->by_id_size - 1)];

                if (n == 0)
                        return NULL;
                if (v->dirs[n - 1]->id == id)
                        return v->dirs[n - 1];
        }
}

const struct merged_entry *merged_find(const struct merged_dir *d, const char *name, size_t len)
{
        uint64_t cookie = image_cookie(name, len);
        size_t low = 0, high = d->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (d->entries[mid].cookie < cookie)
                        low = mid + 1;
                else
                        high = mid;
        }
        for (; low < d->count && d->entries[low].cookie == cookie; low++)
                if (d->entries[low].name.len == len && memcmp(d->entries[low].name.data, name, len) == 0)
                        return &d->entries[low];
        return NULL;
}
