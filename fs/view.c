#include "fs/view.h"
#include "fs/view_private.h"

#include <stdio.h>

/* Making ------------------------------------------------------------------------------------------------------- */

static int load_slot(struct view *v, const struct slot *slot, struct view_slot *s, struct errtext *err)
{
        static const char *const roots[ROOTS] = { "site", "data", "headers" };
        cleanup_buf struct buf path = { 0 };
        struct errtext detail = { "" };
        uint32_t entry;
        int r = image_pool_get(v->pool, slot->image, &s->image, &detail);

        if (r < 0)
                return errtext_set(err, r, "package %s %s: %s", slot->name, slot->version, detail.text);
        s->number = slot->number;
        s->time = slot->time;
        s->slot = slot;
        for (size_t i = 0; i < ROOTS; i++)
                s->roots[i] = image_find(s->image, roots[i], &entry) == 0 ? entry : NO_ENTRY;
        r = buf_printf(&path, "site/%s", image_meta(s->image)->dist_info);
        if (r < 0)
                return r;
        s->dist_info = image_find(s->image, path.data, &entry) == 0 ? entry : NO_ENTRY;
        return 0;
}

static int copy_slot(const struct slot *from, struct slot **ret)
{
        struct slot *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *s = *from;
        s->url = NULL;
        s->filename = NULL;
        s->name = strdup(from->name);
        s->version = strdup(from->version);
        s->files = calloc(from->file_count ? from->file_count : 1, sizeof(*s->files));
        s->file_count = 0;
        for (size_t i = 0; s->files && i < from->file_count; i++) {
                s->files[i] = from->files[i];
                s->files[i].data = (struct span){ NULL, 0 };
                s->files[i].name = strdup(from->files[i].name);
                if (!s->files[i].name)
                        break;
                s->file_count++;
        }
        if (!s->name || !s->version || !s->files || s->file_count != from->file_count) {
                slot_release(s);
                free(s);
                return -ENOMEM;
        }
        *ret = s;
        return 0;
}

static int compare_slots(const void *a, const void *b)
{
        const struct view_slot *x = a, *y = b;

        return (x->number > y->number) - (x->number < y->number);
}

static int load_slots(struct view *v, const struct view *previous, struct errtext *err)
{
        size_t n = v->environment->slot_count + (previous ? previous->slot_count : 0);
        int r = 0;

        v->slots = calloc(n ? n : 1, sizeof(*v->slots));
        if (!v->slots)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < v->environment->slot_count && r == 0; i++) {
                r = load_slot(v, &v->environment->slots[i], &v->slots[v->slot_count], err);
                v->slot_count += r == 0;
        }
        for (size_t i = 0; previous && i < previous->slot_count && r == 0; i++) {
                struct view_slot *s = &v->slots[v->slot_count];

                if (environment_slot(v->environment, previous->slots[i].number))
                        continue;
                *s = previous->slots[i];
                s->retired = true;
                s->kept = NULL;
                r = copy_slot(previous->slots[i].slot, &s->kept);
                s->slot = s->kept;
                v->slot_count += r == 0;
        }
        qsort(v->slots, v->slot_count, sizeof(*v->slots), compare_slots);
        return r;
}

static int stat_bare(struct view *v, struct errtext *err)
{
        struct stat st;

        if (!v->base) {
                /* Without the base the caller sees to owner and times by itself. */
                v->uid = geteuid();
                v->gid = getegid();
                return 0;
        }
        if (fstat(base_fd(v->base), &st) < 0)
                return errtext_set(err, -errno, "cannot look at the bare site-packages");
        v->uid = st.st_uid;
        v->gid = st.st_gid;
        v->base_time = st.st_mtim;
        return 0;
}

int view_new(const struct environment *e, struct image_pool *pool, struct base *base, int state_fd,
             const struct view *previous, struct view **ret, struct errtext *err)
{
        return view_new_cut(e, pool, base, state_fd, previous, NULL, 0, ret, err);
}

int view_new_cut(const struct environment *e, struct image_pool *pool, struct base *base, int state_fd,
                 const struct view *previous, const struct view_cut *cuts, size_t n, struct view **ret,
                 struct errtext *err)
{
        struct view *v = calloc(1, sizeof(*v));
        int r;

        if (!v)
                return errtext_set(err, -ENOMEM, "out of memory");
        pthread_mutex_init(&v->record_lock, NULL);
        v->pool = pool;
        v->base = base;
        v->state_fd = state_fd;
        v->marker_time = 315619200; /* 1980-01-02, as the oldest image may have */
        r = environment_copy(e, &v->environment);
        if (r == 0)
                r = view_cut_copy(v, cuts, n);
        if (r < 0)
                errtext_set(err, r, "out of memory");
        if (r == 0)
                r = stat_bare(v, err);
        if (r == 0 && base)
                r = hidden_new(base, v->environment->hidden, v->environment->hidden_count, &v->hidden, err);
        if (r == 0)
                r = load_slots(v, previous, err);
        if (r == 0)
                r = view_merge(v, err);
        if (r < 0) {
                view_free(v);
                return r;
        }
        *ret = v;
        return 0;
}

void view_free(struct view *v)
{
        if (!v)
                return;
        for (size_t i = 0; i < v->dir_count; i++)
                merged_dir_free(v->dirs[i]);
        for (size_t i = 0; i < v->conflict_count; i++)
                free(v->conflicts[i].path);
        for (size_t i = 0; i < v->slot_count; i++)
                if (v->slots[i].kept) {
                        slot_release(v->slots[i].kept);
                        free(v->slots[i].kept);
                }
        free(v->dirs);
        free(v->by_id);
        free(v->provided);
        free(v->conflicts);
        free(v->slots);
        buf_release(&v->record);
        view_cut_release(v);
        hidden_free(v->hidden);
        environment_free(v->environment);
        pthread_mutex_destroy(&v->record_lock);
        free(v);
}

int view_state_fd(const struct view *v)
{
        return v->state_fd;
}

const struct environment *view_environment(const struct view *v)
{
        return v->environment;
}

/* Ids ---------------------------------------------------------------------------------------------------------- */

const struct view_slot *view_slot_of(const struct view *v, uint64_t id)
{
        uint64_t number = id >> ID_SLOT_SHIFT;
        size_t low = 0, high = v->slot_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (v->slots[mid].number < number)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < v->slot_count && v->slots[low].number == number ? &v->slots[low] : NULL;
}

const struct generated_file *view_generated(const struct view *v, uint64_t id)
{
        const struct view_slot *s = view_slot_of(v, id);
        uint64_t n = id & (ID_GENERATED - 1);

        return s && (id & ID_GENERATED) && n < s->slot->file_count ? &s->slot->files[n] : NULL;
}

int view_entry(const struct view *v, uint64_t id, const struct view_slot **ret_slot, struct image_entry *ret)
{
        const struct view_slot *s = view_slot_of(v, id);
        uint64_t number = id & UINT32_MAX;

        if (!s || (id & ID_GENERATED) || number >= image_entries(s->image))
                return -ENOENT;
        *ret_slot = s;
        *ret = image_entry(s->image, (uint32_t)number);
        return 0;
}

/* Attributes --------------------------------------------------------------------------------------------------- */

static void fill(const struct view *v, uint64_t id, mode_t mode, uint64_t size, struct node *ret)
{
        *ret = (struct node){ .id = id };
        ret->st.st_ino = id;
        ret->st.st_mode = mode & ~(mode_t)(v->environment->umask & 0777);
        ret->st.st_nlink = 1;
        ret->st.st_uid = v->uid;
        ret->st.st_gid = v->gid;
        ret->st.st_size = (off_t)size;
        ret->st.st_blksize = 4096;
        ret->st.st_blocks = (blkcnt_t)((size + 511) / 512);
}

static struct timespec from_ns(uint64_t ns)
{
        return (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
}

static void fill_times(struct node *n, struct timespec mtime, struct timespec ctime)
{
        n->st.st_mtim = n->st.st_atim = mtime;
        n->st.st_ctim = ctime;
}

static void fill_dir(const struct view *v, uint64_t id, uint32_t subdirs, uint64_t time, struct node *ret)
{
        fill(v, id, S_IFDIR | 0777, 4096, ret);
        ret->st.st_nlink = 2 + (nlink_t)subdirs;
        fill_times(ret, from_ns(time), from_ns(time));
}

static int base_attr(const struct view *v, uint64_t id, struct node *ret)
{
        const char *path = v->base ? base_path(v->base, id) : NULL;
        struct stat st;
        int r;

        if (!path)
                return -ENOENT;
        r = base_stat(v->base, v->hidden, path, strlen(path), &st);
        if (r < 0)
                return r;
        ret->id = id;
        ret->st = st;
        ret->st.st_ino = id;
        ret->st.st_dev = 0;
        return 0;
}

int view_getattr(const struct view *v, uint64_t id, struct node *ret)
{
        const struct merged_dir *d = view_merged(v, id);
        const struct generated_file *g;
        const struct view_slot *s;
        struct image_entry e;
        int r;

        if (d) {
                fill_dir(v, id, d->subdirs, d->time, ret);
                return 0;
        }
        if (id == NODE_MARKER) {
                fill(v, id, S_IFREG | 0444, sizeof(MARKER_TEXT) - 1, ret);
                fill_times(ret, (struct timespec){ v->marker_time, 0 }, (struct timespec){ v->marker_time, 0 });
                return 0;
        }
        if (view_is_base(id))
                return base_attr(v, id, ret);
        g = view_generated(v, id);
        s = view_slot_of(v, id);
        if (g) {
                fill(v, id, S_IFREG | 0666, g->size, ret);
                fill_times(ret, (struct timespec){ image_time(s->image), 0 }, from_ns(s->time));
                return 0;
        }
        r = view_entry(v, id, &s, &e);
        if (r < 0)
                return r;
        if (e.type == IMAGE_DIR) {
                fill_dir(v, id, e.subdirs, s->time, ret);
                return 0;
        }
        fill(v, id, S_IFREG | (e.executable ? 0777 : 0666), e.size, ret);
        fill_times(ret, (struct timespec){ image_time(s->image), 0 }, from_ns(s->time));
        return 0;
}

/* Names -------------------------------------------------------------------------------------------------------- */

static int base_child_path(const struct view *v, uint64_t dir, const char *name, size_t len, struct buf *ret)
{
        const char *path = v->base ? base_path(v->base, dir) : NULL;

        if (!path)
                return -ENOENT;
        return buf_printf(ret, "%s/%.*s", path, (int)len, name);
}

static int base_child(const struct view *v, uint64_t dir, const char *name, size_t len, struct node *ret)
{
        cleanup_buf struct buf path = { 0 };
        struct stat st;
        uint64_t id;
        int r = base_child_path(v, dir, name, len, &path);

        if (r == 0)
                r = base_stat(v->base, v->hidden, path.data, path.len, &st);
        if (r == 0)
                r = base_number(v->base, path.data, path.len, &id);
        if (r < 0)
                return r;
        ret->id = id;
        ret->st = st;
        ret->st.st_ino = id;
        return 0;
}

int view_lookup(const struct view *v, uint64_t dir, const char *name, size_t len, struct node *ret)
{
        const struct merged_dir *d = view_merged(v, dir);
        const struct merged_entry *m;
        const struct view_slot *s;
        struct image_entry e;
        uint32_t child;
        int r;

        if (len > IMAGE_NAME_MAX)
                return -ENAMETOOLONG;
        if (d) {
                if (dir == NODE_ROOT && len == strlen(DATA_DIR) && memcmp(name, DATA_DIR, len) == 0)
                        return view_getattr(v, NODE_DATA, ret);
                m = merged_find(d, name, len);
                return m ? view_getattr(v, m->id, ret) : -ENOENT;
        }
        if (view_is_base(dir))
                return base_child(v, dir, name, len, ret);
        r = view_entry(v, dir, &s, &e);
        if (r < 0)
                return r;
        if (e.type != IMAGE_DIR)
                return -ENOTDIR;
        if (s->retired)
                return -ENOENT;
        r = image_lookup(s->image, e.number, name, len, &child);
        return r < 0 ? r : view_getattr(v, slot_id(s, child), ret);
}

int view_find(const struct view *v, const char *path, struct node *ret)
{
        struct node n;
        int r = view_getattr(v, NODE_ROOT, &n);

        while (r == 0 && *path) {
                size_t len = strcspn(path, "/");

                if (len)
                        r = view_lookup(v, n.id, path, len, &n);
                path += len;
                path += *path == '/';
        }
        if (r == 0)
                *ret = n;
        return r;
}

/* Do both hide the same of the base? */
static bool same_hidden(const struct environment *a, const struct environment *b)
{
        if (a->hidden_count != b->hidden_count)
                return false;
        for (size_t i = 0; i < a->hidden_count; i++)
                if (strcmp(a->hidden[i], b->hidden[i]) != 0)
                        return false;
        return true;
}

bool view_same_dir(const struct view *a, const struct view *b, uint64_t dir)
{
        const struct view_slot *s, *t;

        if (view_merged(a, dir) || view_merged(b, dir))
                return false;
        if (view_is_base(dir))
                return same_hidden(a->environment, b->environment);
        s = view_slot_of(a, dir);
        t = view_slot_of(b, dir);
        return s && t && s->retired == t->retired;
}
