/* view_claims.c: the names that all providers of a directory give. */
#include "fs/view_private.h"

static int add_claim(struct claims *c, struct claim claim)
{
        if (c->count == c->cap) {
                size_t cap = c->cap ? 2 * c->cap : 32;
                struct claim *more = realloc(c->list, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                c->list = more;
                c->cap = cap;
        }
        c->list[c->count++] = claim;
        return 0;
}

static int compare_names(struct span a, struct span b)
{
        size_t n = a.len < b.len ? a.len : b.len;
        int r = memcmp(a.data, b.data, n);

        return r ? r : (a.len > b.len) - (a.len < b.len);
}

static int compare_claims(const void *x, const void *y)
{
        const struct claim *a = x, *b = y;
        int r;

        if (a->cookie != b->cookie)
                return a->cookie < b->cookie ? -1 : 1;
        r = compare_names(a->name, b->name);
        if (r)
                return r;
        if (a->order != b->order)
                return a->order < b->order ? -1 : 1;
        /* A generated file hides one of the same slot's image. */
        return (a->id > b->id) - (a->id < b->id);
}

struct base_claims {
        struct merged_dir *dir;
        struct claims *claims;
};

static int claim_base_name(const char *name, mode_t type, void *user)
{
        struct base_claims *b = user;
        struct merged_dir *d = b->dir;
        char **more, *copy;

        if (d->id == NODE_ROOT && (strcmp(name, ENVIRONMENT_DIR) == 0 || strcmp(name, DATA_DIR) == 0))
                return 0;
        more = realloc(d->names, (d->name_count + 1) * sizeof(*more));
        if (!more)
                return -ENOMEM;
        d->names = more;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        d->names[d->name_count++] = copy;
        return add_claim(b->claims,
                         (struct claim){ image_cookie(copy, strlen(copy)), span_of(copy), 0, NO_ENTRY, 0, type });
}

static int claim_generated(const struct view_slot *s, uint32_t order, struct claims *c)
{
        int r = 0;

        for (size_t i = 0; i < s->slot->file_count && r == 0; i++) {
                const char *name = s->slot->files[i].name;

                r = add_claim(c, (struct claim){ image_cookie(name, strlen(name)), span_of(name), order, NO_ENTRY,
                                                 slot_id(s, 0) | ID_GENERATED | i, S_IFREG });
        }
        return r;
}

static int claim_provider(const struct view *v, struct provider p, struct claims *c)
{
        const struct view_slot *s = &v->slots[p.slot];
        struct image_entry dir = image_entry(s->image, p.entry);
        int r = 0;

        for (uint32_t i = 0; i < dir.children && r == 0; i++) {
                struct image_entry e = image_entry(s->image, dir.first_child + i);

                r = add_claim(c, (struct claim){ e.cookie, e.name, p.slot + 1, e.number, slot_id(s, e.number),
                                                 e.type == IMAGE_DIR ? S_IFDIR : S_IFREG });
        }
        if (r == 0 && p.entry == s->dist_info)
                r = claim_generated(s, p.slot + 1, c);
        return r;
}

static int collect(const struct view *v, struct merged_dir *d, struct claims *c)
{
        struct base_claims b = { d, c };
        int r = 0;

        if (d->id == NODE_DATA) {
                for (size_t i = 0; i < d->provider_count && r == 0; i++) {
                        const struct view_slot *s = &v->slots[d->providers[i].slot];
                        uint32_t entry = d->providers[i].entry;
                        const char *name = entry == s->roots[ROOT_DATA] ? "data" : "headers";

                        r = add_claim(c, (struct claim){ image_cookie(name, strlen(name)), span_of(name),
                                                         d->providers[i].slot + 1, entry, slot_id(s, entry), S_IFDIR });
                }
                return r;
        }
        if (d->in_base)
                r = base_list(v->base, v->hidden, d->path, claim_base_name, &b);
        for (size_t i = 0; i < d->provider_count && r == 0; i++)
                r = claim_provider(v, d->providers[i], c);
        if (r == 0 && d->id == NODE_ROOT)
                r = add_claim(c, (struct claim){ image_cookie(ENVIRONMENT_DIR, strlen(ENVIRONMENT_DIR)),
                                                 span_of(ENVIRONMENT_DIR), 0, NO_ENTRY, NODE_MARKER, S_IFREG });
        return r;
}

int view_claims(const struct view *v, struct merged_dir *d, struct claims *ret)
{
        int r = collect(v, d, ret);

        if (r == 0 && ret->count)
                qsort(ret->list, ret->count, sizeof(*ret->list), compare_claims);
        return r;
}

size_t view_claims_of_name(const struct claims *c, size_t first)
{
        size_t n = 1;

        while (first + n < c->count && c->list[first + n].cookie == c->list[first].cookie &&
               compare_names(c->list[first + n].name, c->list[first].name) == 0)
                n++;
        return n;
}
