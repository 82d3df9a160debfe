/* view_place.c: from an id back to where the view shows it.
 *
 * What stands in an image or in the base has one parent there.  That is also the directory that shows it, unless the
 * parent is merged (view_provided): then the name must have been given to it, and not to another. */
#include "fs/view_private.h"

#include <stdio.h>

/* Where a node would be, if nothing hides it: the directory that it is provided to, and its name. */
struct origin {
        uint64_t dir;
        struct span name;
};

static struct span last_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return span_of(slash ? slash + 1 : path);
}

static int base_origin(const struct view *v, uint64_t id, struct origin *ret)
{
        const char *path = v->base ? base_path(v->base, id) : NULL;
        const struct merged_dir *above;
        size_t len;
        uint64_t dir;
        int r;

        if (!path || !*path)
                return -ENOENT;
        len = (size_t)(last_name(path).data - path);
        len -= len > 0; /* the slash */
        above = view_provided_by_base(v, path, len);
        if (above) {
                *ret = (struct origin){ above->id, last_name(path) };
                return 0;
        }
        if (len == 0)
                return -ENOENT;
        r = base_number(v->base, path, len, &dir);
        if (r == 0)
                *ret = (struct origin){ dir, last_name(path) };
        return r;
}

static int generated_origin(const struct view *v, uint64_t id, struct origin *ret)
{
        const struct generated_file *g = view_generated(v, id);
        const struct view_slot *s = view_slot_of(v, id);
        const struct merged_dir *above = g && !s->retired ? view_provided(v, slot_id(s, s->dist_info)) : NULL;

        if (!above)
                return -ENOENT;
        *ret = (struct origin){ above->id, span_of(g->name) };
        return 0;
}

static int entry_origin(const struct view *v, uint64_t id, struct origin *ret)
{
        const struct merged_dir *above;
        const struct view_slot *s;
        struct image_entry e;
        int r = view_entry(v, id, &s, &e);

        if (r < 0 || s->retired || e.number == 0)
                return -ENOENT;
        ret->name = e.name;
        if (e.number == s->roots[ROOT_DATA] || e.number == s->roots[ROOT_HEADERS]) {
                ret->dir = NODE_DATA;
                return 0;
        }
        if (e.parent == 0)
                return -ENOENT; /* what is not shown at all: scripts */
        above = view_provided(v, slot_id(s, e.parent));
        ret->dir = above ? above->id : slot_id(s, e.parent);
        return 0;
}

static int origin_of(const struct view *v, uint64_t id, struct origin *ret)
{
        const struct merged_dir *d = view_merged(v, id);

        if (id == NODE_ROOT || (d && d->cut))
                return -ENOENT;
        if (id == NODE_MARKER || id == NODE_DATA) {
                *ret = (struct origin){ NODE_ROOT, span_of(id == NODE_DATA ? DATA_DIR : ENVIRONMENT_DIR) };
                return 0;
        }
        if (d) {
                *ret = (struct origin){ d->parent, last_name(d->path) };
                return 0;
        }
        if (view_is_base(id))
                return base_origin(v, id, ret);
        return id & ID_GENERATED ? generated_origin(v, id, ret) : entry_origin(v, id, ret);
}

int view_place(const struct view *v, uint64_t id, uint64_t *ret_dir, struct buf *ret_name)
{
        const struct merged_dir *above;
        struct origin o;
        struct node n;
        int r = origin_of(v, id, &o);

        if (r == 0 && view_is_base(id) && !view_merged(v, id))
                r = view_getattr(v, id, &n); /* it may be hidden, or gone */
        above = r == 0 && id != NODE_DATA ? view_merged(v, o.dir) : NULL;
        if (above) {
                const struct merged_entry *m = merged_find(above, o.name.data, o.name.len);

                r = m && m->id == id ? 0 : -ENOENT;
        }
        if (r == 0)
                r = buf_add(ret_name, o.name.data, o.name.len);
        if (r == 0)
                *ret_dir = o.dir;
        return r;
}

int view_path(const struct view *v, uint64_t id, struct buf *ret)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir = NODE_ROOT;
        int r = view_place(v, id, &dir, &name);

        if (r == 0 && dir != NODE_ROOT) {
                r = view_path(v, dir, ret);
                if (r == 0)
                        r = buf_add_str(ret, "/");
        }
        return r < 0 ? r : buf_add(ret, name.data, name.len);
}

int view_place_before(const struct view *v, uint64_t id, uint64_t *ret_dir, struct buf *ret_name)
{
        const struct merged_dir *d = view_merged(v, id);
        struct origin o;
        struct node n;
        int r = view_place(v, id, ret_dir, ret_name);

        if (r != -ENOENT || id == NODE_ROOT || view_getattr(v, id, &n) < 0 || !S_ISDIR(n.st.st_mode))
                return r;
        if (d && d->provider_count == 0 && !d->in_base)
                return -ENOENT; /* pinned, and nothing is left of it */
        if (d)
                o = (struct origin){ d->parent, last_name(d->path) };
        else if (origin_of(v, id, &o) < 0)
                return -ENOENT;
        *ret_dir = o.dir;
        return buf_add(ret_name, o.name.data, o.name.len);
}

int view_path_before(const struct view *v, uint64_t id, struct buf *ret)
{
        cleanup_buf struct buf name = { 0 };
        uint64_t dir = NODE_ROOT;
        int r = id == NODE_ROOT ? 0 : view_place_before(v, id, &dir, &name);

        if (r < 0 || id == NODE_ROOT)
                return r;
        r = view_path_before(v, dir, ret);
        if (r == 0 && ret->len)
                r = buf_add_char(ret, '/');
        return r < 0 ? r : buf_add(ret, name.data, name.len);
}

uint64_t view_parent(const struct view *v, uint64_t dir)
{
        const struct merged_dir *d = view_merged(v, dir), *above;
        const struct view_slot *s;
        struct image_entry e;
        struct origin o;

        if (d)
                return d->parent;
        if (origin_of(v, dir, &o) == 0)
                return o.dir;
        /* Of a slot that left; somebody stands there. */
        if (view_entry(v, dir, &s, &e) < 0)
                return NODE_ROOT;
        above = view_provided(v, slot_id(s, e.parent));
        return above ? above->id : slot_id(s, e.parent);
}

int view_newest(const struct view *v, uint64_t id, uint32_t *ret)
{
        const struct merged_dir *d = view_merged(v, id);
        const struct view_slot *s = view_slot_of(v, id);
        struct node n;
        int r;

        if (d) {
                *ret = d->provider_count ? v->slots[d->providers[d->provider_count - 1].slot].number : 0;
                return 0;
        }
        r = view_getattr(v, id, &n);
        if (r == 0)
                *ret = s ? s->number : 0;
        return r;
}

/* The directory that shows what a provider has, whose own id this is. */
static uint64_t shown_by(const struct view *v, uint64_t id)
{
        const char *path = view_is_base(id) && v->base ? base_path(v->base, id) : NULL;
        const struct merged_dir *d = path ? view_provided_by_base(v, path, strlen(path)) : view_provided(v, id);

        return d ? d->id : id;
}

int view_successor(const struct view *v, uint64_t id, const struct view *next, uint64_t *ret)
{
        const struct merged_dir *d = view_merged(v, id);

        if (!view_is_retired(next, id)) {
                *ret = view_merged(next, id) ? id : shown_by(next, id);
                return 0;
        }
        for (size_t i = 0; d && i < d->provider_count; i++) {
                uint64_t own = slot_id(&v->slots[d->providers[i].slot], d->providers[i].entry);

                if (!view_is_retired(next, own)) {
                        *ret = shown_by(next, own);
                        return 0;
                }
        }
        return -ENOENT;
}

uint32_t view_horizon(const struct view *v)
{
        return v->environment->next_slot - 1;
}

bool view_is_retired(const struct view *v, uint64_t id)
{
        const struct view_slot *s = view_slot_of(v, id);
        struct node n;

        if (view_merged(v, id) || id < BASE_FIRST || id >> 62)
                return false;
        if (view_is_base(id))
                return view_getattr(v, id, &n) < 0;
        return !s || s->retired;
}
