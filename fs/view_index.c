/* view_index.c: finding merged directories by id and by provider, and names in them. */
#include "fs/view_private.h"

#include <xxhash.h>

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

static uint64_t spread(uint64_t key)
{
        return key * UINT64_C(0x9e3779b97f4a7c15) >> 20;
}

static int index_ids(struct view *v)
{
        size_t size = 16;

        while (size < 2 * v->dir_count + 2)
                size *= 2;
        v->by_id = calloc(size, sizeof(*v->by_id));
        if (!v->by_id)
                return -ENOMEM;
        v->by_id_size = size;
        for (size_t i = 0; i < v->dir_count; i++) {
                uint64_t at = spread(v->dirs[i]->id);

                while (v->by_id[at & (size - 1)])
                        at++;
                v->by_id[at & (size - 1)] = (uint32_t)i + 1;
        }
        return 0;
}

/* Slots' ids are above 2^32 and below 2^62, so a hash with the highest bit is none of them. */
static uint64_t base_key(const char *path, size_t len)
{
        return XXH3_64bits(path, len) | UINT64_C(1) << 63;
}

static void add_provided(struct view *v, uint64_t key, size_t dir)
{
        uint64_t at = spread(key);

        while (v->provided[at & (v->provided_size - 1)].dir)
                at++;
        v->provided[at & (v->provided_size - 1)] = (struct provided){ key, (uint32_t)dir + 1 };
}

static int index_providers(struct view *v)
{
        size_t size = 16, n = 0;

        for (size_t i = 0; i < v->dir_count; i++)
                n += v->dirs[i]->provider_count + v->dirs[i]->in_base;
        while (size < 2 * n + 2)
                size *= 2;
        v->provided = calloc(size, sizeof(*v->provided));
        if (!v->provided)
                return -ENOMEM;
        v->provided_size = size;
        for (size_t i = 0; i < v->dir_count; i++) {
                const struct merged_dir *d = v->dirs[i];

                if (d->id == NODE_DATA)
                        continue; /* it shows its providers themselves, not what is in them */
                for (size_t k = 0; k < d->provider_count; k++)
                        add_provided(v, slot_id(&v->slots[d->providers[k].slot], d->providers[k].entry), i);
                if (d->in_base)
                        add_provided(v, base_key(d->path, strlen(d->path)), i);
        }
        return 0;
}

int view_index(struct view *v)
{
        int r = index_ids(v);

        return r < 0 ? r : index_providers(v);
}

const struct merged_dir *view_merged(const struct view *v, uint64_t id)
{
        uint64_t at = spread(id);

        for (;; at++) {
                uint32_t n = v->by_id[at & (v->by_id_size - 1)];

                if (n == 0)
                        return NULL;
                if (v->dirs[n - 1]->id == id)
                        return v->dirs[n - 1];
        }
}

const struct merged_dir *view_provided(const struct view *v, uint64_t id)
{
        for (uint64_t at = spread(id);; at++) {
                const struct provided *p = &v->provided[at & (v->provided_size - 1)];

                if (p->dir == 0)
                        return NULL;
                if (p->key == id)
                        return v->dirs[p->dir - 1];
        }
}

const struct merged_dir *view_provided_by_base(const struct view *v, const char *path, size_t len)
{
        uint64_t key = base_key(path, len);

        for (uint64_t at = spread(key);; at++) {
                const struct provided *p = &v->provided[at & (v->provided_size - 1)];
                const struct merged_dir *d = p->dir ? v->dirs[p->dir - 1] : NULL;

                if (!d)
                        return NULL;
                if (p->key == key && d->in_base && strlen(d->path) == len && memcmp(d->path, path, len) == 0)
                        return d;
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
