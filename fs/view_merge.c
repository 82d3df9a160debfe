/* view_merge.c: the directories that more than one provider shares, merged when a view is made.
 *
 * Starting at the root, the names that all providers of a directory give are collected as claims, sorted, and each
 * name's claims are resolved in the order of the slots: the later file wins, directories add up.  Only a directory
 * that several provide, that has a `dir` row, or that gets generated files is followed further; every other one is its
 * provider's own.
 *
 * Cuts (view.h) split a name's claims into sides, which are resolved apart: view_cut.c.  From there on each knows the
 * slots that it may be made of, and takes no pinned id of another's. */
#include "fs/view_private.h"

#include <stdio.h>

/* Resolving names ---------------------------------------------------------------------------------------------- */

static int add_conflict(struct view *v, const char *path, uint64_t loser, uint64_t winner)
{
        if (v->conflict_count == v->conflict_cap) {
                size_t cap = v->conflict_cap ? 2 * v->conflict_cap : 16;
                struct merged_conflict *more = realloc(v->conflicts, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                v->conflicts = more;
                v->conflict_cap = cap;
        }
        char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        v->conflicts[v->conflict_count++] = (struct merged_conflict){ loser, winner, copy };
        return 0;
}

static int add_entry(struct merged_dir *d, struct merged_entry e)
{
        if (d->count == d->cap) {
                size_t cap = d->cap ? 2 * d->cap : 8;
                struct merged_entry *more = realloc(d->entries, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                d->entries = more;
                d->cap = cap;
        }
        d->entries[d->count++] = e;
        if (S_ISDIR(e.type))
                d->subdirs++;
        return 0;
}

static int merge_dir(struct view *v, struct merged_dir *d);

/* What a name's claims come to: the winning file, or the providers of a directory: all of them, also those before a
 * file that a later directory hides, so that nothing in it moves when that file leaves. */
struct resolved {
        const struct claim *file;
        struct provider *providers;
        size_t count;
        bool in_base;
        bool cut;
        uint32_t first; /* slots */
        uint32_t last;
};

static int base_id(struct view *v, const char *path, uint64_t *ret)
{
        return base_number(v->base, path, strlen(path), ret);
}

/* A claim's id; the base's are numbered only now, when they are shown. */
static int claim_id(struct view *v, const struct claim *c, const char *path, uint64_t *ret)
{
        if (c->id) {
                *ret = c->id;
                return 0;
        }
        return base_id(v, path, ret);
}

static int note_conflict(struct view *v, const struct claim *loser, const struct claim *winner, const char *path)
{
        uint64_t a = 0, b = 0;
        int r;

        if (loser->order == winner->order)
                return 0;
        r = claim_id(v, loser, path, &a);
        if (r == 0)
                r = claim_id(v, winner, path, &b);
        return r < 0 ? r : add_conflict(v, path, a, b);
}

static uint64_t claim_time(const struct view *v, const struct claim *c)
{
        return c->order ? v->slots[c->order - 1].time : 0;
}

/* What came with one commit came at once: it changed the directory if the last of it is a file, or a folder where none
 * was to be seen before. */
static void note_times(const struct view *v, struct merged_dir *d, const struct claim *c, size_t n)
{
        bool folder = false;

        for (size_t i = 0, next; i < n; i = next) {
                uint64_t time = claim_time(v, &c[i]);

                for (next = i + 1; next < n && claim_time(v, &c[next]) == time;)
                        next++;
                if ((!S_ISDIR(c[next - 1].type) || !folder) && time > d->as_of && time > d->time)
                        d->time = time;
                folder = S_ISDIR(c[next - 1].type);
        }
}

static int resolve(struct view *v, struct merged_dir *d, const struct claim *c, size_t n, const char *path,
                   struct resolved *out)
{
        const struct claim *last_dir = NULL;
        int r = 0;

        note_times(v, d, c, n);
        for (size_t i = 0; i < n && r == 0; i++) {
                if (!S_ISDIR(c[i].type)) {
                        if (out->file || last_dir)
                                r = note_conflict(v, out->file ? out->file : last_dir, &c[i], path);
                        out->file = &c[i];
                        last_dir = NULL;
                        continue;
                }
                if (out->file)
                        r = note_conflict(v, out->file, &c[i], path);
                out->file = NULL;
                last_dir = &c[i];
                if (c[i].order == 0)
                        out->in_base = true;
                else
                        out->providers[out->count++] = (struct provider){ c[i].order - 1, c[i].entry };
        }
        return r;
}

static int add_dir(struct view *v, struct merged_dir *d)
{
        if (v->dir_count == v->dir_cap) {
                size_t cap = v->dir_cap ? 2 * v->dir_cap : 32;
                struct merged_dir **more = realloc(v->dirs, cap * sizeof(*more));

                if (!more)
                        return -ENOMEM;
                v->dirs = more;
                v->dir_cap = cap;
        }
        v->dirs[v->dir_count++] = d;
        return 0;
}

/* What is known of a directory's time before its entries are looked at; note_times() adds the slots that brought some.
 * */
static void first_time(struct merged_dir *d, const struct dir_row *row)
{
        if (row) {
                d->time = row->time;
                d->as_of = row->as_of;
        }
}

/* The base's own time counts where nothing else has one: it may lie in the future, and would hide every change. */
static void last_time(const struct view *v, struct merged_dir *d)
{
        struct stat st;

        if (d->time == 0 && d->in_base && base_stat(v->base, v->hidden, d->path, strlen(d->path), &st) == 0)
                d->time = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

/* The `dir` rows are of paths; of a path that cuts split only one side can have had the pinned id. */
bool view_is_pinned(const struct dir_row *row, uint32_t first, uint32_t last)
{
        uint64_t slot = row ? row->id >> ID_SLOT_SHIFT : 0;

        return row && row->id && slot >= first && slot <= last;
}

/* A merged directory of its own below PARENT; the providers are copied. */
static int merge_child(struct view *v, const struct merged_dir *parent, const char *path, const struct resolved *res,
                       const struct dir_row *row, uint64_t *ret_id)
{
        struct merged_dir *d = calloc(1, sizeof(*d));
        int r = 0;

        if (!d)
                return -ENOMEM;
        d->parent = parent->id;
        d->path = strdup(path);
        d->in_base = res->in_base;
        d->cut = res->cut;
        d->first = res->first;
        d->last = res->last;
        d->providers = calloc(res->count ? res->count : 1, sizeof(*d->providers));
        if (!d->path || !d->providers) {
                merged_dir_free(d);
                return -ENOMEM;
        }
        memcpy(d->providers, res->providers, res->count * sizeof(*d->providers));
        d->provider_count = res->count;
        if (view_is_pinned(row, d->first, d->last))
                d->id = row->id;
        else if (d->in_base)
                r = base_id(v, path, &d->id);
        else
                d->id = slot_id(&v->slots[d->providers[0].slot], d->providers[0].entry);
        if (r == 0)
                r = add_dir(v, d);
        if (r < 0) {
                merged_dir_free(d);
                return r;
        }
        first_time(d, row);
        *ret_id = d->id;
        r = merge_dir(v, d);
        last_time(v, d);
        return r;
}

static bool has_generated(const struct view *v, const struct resolved *res)
{
        for (size_t i = 0; i < res->count; i++)
                if (v->slots[res->providers[i].slot].dist_info == res->providers[i].entry)
                        return true;
        return false;
}

/* The claims that hold for a name, or some that a cut took from it: SIDE says which slots they may be of. */
static int merge_side(struct view *v, struct merged_dir *d, const struct claim *c, size_t n, const char *path,
                      struct cut_side side)
{
        cleanup_free struct provider *providers = calloc(n, sizeof(*providers));
        struct resolved res = { .providers = providers, .cut = side.cut, .first = side.first, .last = side.last };
        struct merged_entry entry = { c[0].cookie, c[0].name, 0, S_IFDIR, UINT32_MAX };
        const struct dir_row *row;
        int r;

        if (!providers)
                return -ENOMEM;
        r = resolve(v, d, c, n, path, &res);
        if (r < 0)
                return r;
        row = environment_dir(v->environment, path);
        if (res.file && !side.cut) {
                entry.type = res.file->type;
                entry.name = res.file->name;
                entry.slot = res.file->order ? res.file->order - 1 : UINT32_MAX;
                r = claim_id(v, res.file, path, &entry.id);
                return r < 0 ? r : add_entry(d, entry);
        }
        if (row || res.count + res.in_base > 1 || has_generated(v, &res))
                r = merge_child(v, d, path, &res, row, &entry.id);
        else if (res.in_base)
                r = base_id(v, path, &entry.id);
        else
                entry.id = slot_id(&v->slots[providers[0].slot], providers[0].entry);
        return r < 0 || side.cut ? r : add_entry(d, entry);
}

/* One name with all its claims. */
static int merge_name(struct view *v, struct merged_dir *d, const struct claim *c, size_t n)
{
        cleanup_buf struct buf path = { 0 };
        struct cut_walk walk;
        int r = buf_printf(&path, "%s%s%.*s", d->path, *d->path ? "/" : "", (int)c[0].name.len, c[0].name.data);

        if (r < 0)
                return r;
        view_cut_begin(v, d, c[0].name, path.data, &walk);
        for (size_t of_side; n > 0 && r == 0; c += of_side, n -= of_side) {
                struct cut_side side;

                of_side = view_cut_next(v, &walk, c, n, &side);
                if (side.cut || of_side == n)
                        r = merge_side(v, d, c, of_side, path.data, side);
        }
        return r;
}

static int merge_dir(struct view *v, struct merged_dir *d)
{
        struct claims c = { 0 };
        int r = view_claims(v, d, &c);

        for (size_t i = 0, n; i < c.count && r == 0; i += n) {
                n = view_claims_of_name(&c, i);
                r = merge_name(v, d, &c.list[i], n);
        }
        free(c.list);
        return r;
}

/* The two fixed directories ------------------------------------------------------------------------------------ */

static int fixed_dir(struct view *v, uint64_t id, const char *path, enum view_root first, enum view_root last)
{
        struct merged_dir *d = calloc(1, sizeof(*d));
        uint64_t base = (uint64_t)v->base_time.tv_sec * 1000000000u + (uint64_t)v->base_time.tv_nsec;
        int r;

        if (!d)
                return -ENOMEM;
        d->id = id;
        d->parent = NODE_ROOT;
        d->last = UINT32_MAX;
        d->path = strdup(path);
        d->in_base = id == NODE_ROOT && v->base;
        d->providers = calloc(2 * v->slot_count + 1, sizeof(*d->providers));
        r = d->path && d->providers ? add_dir(v, d) : -ENOMEM;
        if (r < 0) {
                merged_dir_free(d);
                return r;
        }
        for (uint32_t i = 0; i < v->slot_count; i++)
                for (enum view_root root = first; root <= last && !v->slots[i].retired; root++)
                        if (v->slots[i].roots[root] != NO_ENTRY)
                                d->providers[d->provider_count++] = (struct provider){ i, v->slots[i].roots[root] };
        first_time(d, environment_dir(v->environment, path));
        r = merge_dir(v, d);
        if (d->time == 0)
                d->time = base;
        /* Python compares the time of the folder before and after the mount, as a float: a millisecond shows. */
        if (d->time == base)
                d->time += 1000000;
        return r;
}

int view_merge(struct view *v, struct errtext *err)
{
        char why[128];
        int r = fixed_dir(v, NODE_ROOT, "", ROOT_SITE, ROOT_SITE);

        if (r == 0)
                r = fixed_dir(v, NODE_DATA, DATA_DIR, ROOT_DATA, ROOT_HEADERS);
        if (r == 0)
                r = view_index(v);
        if (r < 0)
                return errtext_set(err, r, "cannot merge the packages: %s", errno_name(r, why));
        return 0;
}
