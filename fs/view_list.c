/* view_list.c: the names in a directory, in the order of their cookies, whoever provides it. */
#include "fs/view_private.h"

#include <stdio.h>

struct base_names {
        const struct view *v;
        const char *folder;
        struct view_dirent *list;
        size_t count;
        size_t cap;
};

static int add_base_name(const char *name, mode_t type, void *user)
{
        struct base_names *b = user;
        cleanup_buf struct buf path = { 0 };
        uint64_t id;
        int r = buf_printf(&path, "%s/%s", b->folder, name);

        if (r == 0)
                r = base_number(b->v->base, path.data, path.len, &id);
        if (r < 0)
                return r;
        if (b->count == b->cap) {
                size_t cap = b->cap ? 2 * b->cap : 32;
                struct view_dirent *more = realloc(b->list, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                b->list = more;
                b->cap = cap;
        }
        char *copy = strdup(name);

        if (!copy)
                return -ENOMEM;
        b->list[b->count++] = (struct view_dirent){ span_of(copy), id, image_cookie(copy, strlen(copy)), type };
        return 0;
}

static int compare_dirents(const void *a, const void *b)
{
        const struct view_dirent *x = a, *y = b;

        return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static int list_base(const struct view *v, uint64_t dir, uint64_t after,
                     int (*fn)(const struct view_dirent *d, void *user), void *user)
{
        struct base_names b = { .v = v, .folder = v->base ? base_path(v->base, dir) : NULL };
        int r;

        if (!b.folder)
                return -ENOENT;
        r = base_list(v->base, v->hidden, b.folder, add_base_name, &b);
        if (r == 0 && b.count)
                qsort(b.list, b.count, sizeof(*b.list), compare_dirents);
        for (size_t i = 0; r == 0 && i < b.count; i++)
                if (b.list[i].cookie > after && fn(&b.list[i], user))
                        break;
        for (size_t i = 0; i < b.count; i++)
                free((char *)b.list[i].name.data);
        free(b.list);
        return r;
}

static int list_merged(const struct merged_dir *d, uint64_t after,
                       int (*fn)(const struct view_dirent *d, void *user), void *user)
{
        size_t low = 0, high = d->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (d->entries[mid].cookie <= after)
                        low = mid + 1;
                else
                        high = mid;
        }
        for (; low < d->count; low++) {
                const struct merged_entry *e = &d->entries[low];
                struct view_dirent dirent = { e->name, e->id, e->cookie, e->type };

                if (fn(&dirent, user))
                        break;
        }
        return 0;
}

int view_readdir(const struct view *v, uint64_t dir, uint64_t after,
                 int (*fn)(const struct view_dirent *d, void *user), void *user)
{
        const struct merged_dir *d = view_merged(v, dir);
        const struct view_slot *s;
        struct image_entry e;
        int r;

        if (d)
                return list_merged(d, after, fn, user);
        if (view_is_base(dir))
                return list_base(v, dir, after, fn, user);
        r = view_entry(v, dir, &s, &e);
        if (r < 0)
                return r;
        if (e.type != IMAGE_DIR)
                return -ENOTDIR;
        if (s->retired)
                return 0;
        for (uint32_t i = image_seek(s->image, e.number, after + 1); i < e.first_child + e.children; i++) {
                struct image_entry c = image_entry(s->image, i);
                struct view_dirent dirent = { c.name, slot_id(s, i), c.cookie,
                                              c.type == IMAGE_DIR ? S_IFDIR : S_IFREG };

                if (fn(&dirent, user))
                        break;
        }
        return 0;
}
