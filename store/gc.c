#include "store/gc.h"

#include "store/gc_private.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/stat.h>

enum { BLOCK = 512 }; /* of st_blocks, whatever the file system's own is */

static int compare_objects(const void *a, const void *b)
{
        return memcmp(((const struct gc_object *)a)->id, ((const struct gc_object *)b)->id, SHA256_SIZE);
}

static int compare_ids(const void *a, const void *b)
{
        return memcmp(((const struct gc_image *)a)->id, ((const struct gc_image *)b)->id, SHA256_SIZE);
}

static int compare_names(const void *a, const void *b)
{
        const struct gc_image *x = a, *y = b;
        int order = strcasecmp(x->name, y->name);

        if (order == 0)
                order = strcmp(x->version, y->version);
        return order ? order : compare_ids(a, b);
}

/* qsort() wants a list even where there is nothing to sort. */
static void sort_images(struct gc *g, int (*compare)(const void *a, const void *b))
{
        if (g->image_count)
                qsort(g->images, g->image_count, sizeof(*g->images), compare);
        g->by_id = compare == compare_ids;
}

static struct gc_image *find_image(const struct gc *g, const uint8_t id[SHA256_SIZE])
{
        struct gc_image key;

        memcpy(key.id, id, SHA256_SIZE);
        if (g->by_id)
                return g->image_count ? bsearch(&key, g->images, g->image_count, sizeof(key), compare_ids) : NULL;
        for (size_t i = 0; i < g->image_count; i++)
                if (memcmp(g->images[i].id, id, SHA256_SIZE) == 0)
                        return &g->images[i];
        return NULL;
}

static struct gc_object *find_object(const struct gc *g, const uint8_t id[SHA256_SIZE])
{
        struct gc_object key;

        memcpy(key.id, id, SHA256_SIZE);
        return g->object_count ? bsearch(&key, g->objects, g->object_count, sizeof(key), compare_objects) : NULL;
}

/* --- taking stock --- */

static int make_room(void *list, size_t count, size_t *cap, size_t size)
{
        void **p = list, *more;

        if (count < *cap)
                return 0;
        more = reallocarray(*p, *cap ? 2 * *cap : 64, size);
        if (!more)
                return -ENOMEM;
        *p = more;
        *cap = *cap ? 2 * *cap : 64;
        return 0;
}

static int add_image(struct gc *g, const uint8_t id[SHA256_SIZE])
{
        int r = make_room(&g->images, g->image_count, &g->image_cap, sizeof(*g->images));

        if (r < 0)
                return r;
        g->images[g->image_count] = (struct gc_image){ 0 };
        memcpy(g->images[g->image_count++].id, id, SHA256_SIZE);
        return 0;
}

struct stock {
        struct gc *gc;
        const struct store *store;
};

/* Files that are not named like ours are left alone: `store verify` names them. */
static int list_object(const char *name, const uint8_t *id, void *user)
{
        struct stock *k = user;
        struct gc *g = k->gc;
        struct stat st;
        int r;

        if (!id || fstatat(k->store->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
                return 0;
        r = make_room(&g->objects, g->object_count, &g->object_cap, sizeof(*g->objects));
        if (r < 0)
                return r;
        g->objects[g->object_count] = (struct gc_object){ .bytes = (uint64_t)st.st_blocks * BLOCK };
        memcpy(g->objects[g->object_count++].id, id, SHA256_SIZE);
        return 0;
}

static int list_image(const char *name, const uint8_t *id, void *user)
{
        struct stock *k = user;
        struct stat st;
        int r;

        if (!id || fstatat(k->store->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
                return 0;
        r = add_image(k->gc, id);
        if (r < 0)
                return r;
        k->gc->images[k->gc->image_count - 1].there = true;
        k->gc->images[k->gc->image_count - 1].bytes = (uint64_t)st.st_blocks * BLOCK;
        return 0;
}

static int set_name(struct gc_image *image, const char *name, const char *version)
{
        free(image->name);
        free(image->version);
        image->name = strdup(name);
        image->version = strdup(version);
        return image->name && image->version ? 0 : -ENOMEM;
}

static int list_row(const struct index_image *row, void *user)
{
        static const struct gc_reason doubt = { .why = GC_DOUBT };
        struct stock *k = user;
        struct gc_image *image = find_image(k->gc, row->id);
        int r = image ? 0 : add_image(k->gc, row->id);

        if (r < 0)
                return r;
        if (!image) {
                image = &k->gc->images[k->gc->image_count - 1];
                k->gc->by_id = false; /* it stands at the end */
        }
        image->indexed = true;
        r = set_name(image, row->name, row->version);
        return r == 0 && row->doubted ? gc_need(k->gc, row->id, &doubt) : r;
}

static int refer(struct gc *g, struct gc_image *image, const uint8_t id[SHA256_SIZE])
{
        struct gc_object *o = find_object(g, id);
        size_t *objects;

        if (!o) {
                image->lacks = true;
                return 0;
        }
        objects = reallocarray(image->objects, image->object_count + 1, sizeof(*objects));
        if (!objects)
                return -ENOMEM;
        image->objects = objects;
        objects[image->object_count++] = (size_t)(o - g->objects);
        o->referrers++;
        return 0;
}

struct rows {
        struct gc *gc;
        struct gc_image *image;
        size_t count;
};

static int refer_row(const uint8_t object[SHA256_SIZE], void *user)
{
        struct rows *rows = user;

        rows->count++;
        return refer(rows->gc, rows->image, object);
}

static int read_image(struct gc *g, const struct store *s, struct gc_image *image)
{
        cleanup_close int fd = store_open_image_file(s, image->id);
        struct image *img = NULL;
        int r = fd < 0 ? fd : image_open(fd, &img, NULL);

        if (r == 0 && memcmp(image_id(img), image->id, SHA256_SIZE) != 0)
                r = -EBADMSG;
        image->readable = r == 0;
        for (uint32_t i = 0; r == 0 && i < image_objects(img); i++)
                r = refer(g, image, image_object(img, i).id);
        if (r == 0 && !image->name)
                r = set_name(image, image_meta(img)->name, image_meta(img)->version);
        image_close(img);
        return r;
}

/* From the stock that was taken before. */
static int copy_image(struct gc *g, const struct gc *previous, const struct gc_image *from, struct gc_image *image)
{
        int r = image->name ? 0 : set_name(image, from->name, from->version);

        image->readable = true;
        for (size_t i = 0; r == 0 && i < from->object_count; i++)
                r = refer(g, image, previous->objects[from->objects[i]].id);
        return r;
}

/* What an image refers to: it says so itself, or else the index does. */
static int look_at(struct gc *g, const struct store *s, struct index *x, const struct gc *previous,
                   struct gc_image *image)
{
        const struct gc_image *known = previous ? find_image(previous, image->id) : NULL;
        struct rows rows = { g, image, 0 };
        int r;

        /* Objects are listed before images: of one that was published in between the earlier stock knows too little. */
        if (known && known->readable && !known->lacks && image->there)
                r = copy_image(g, previous, known, image);
        else
                r = image->there ? read_image(g, s, image) : -ENOENT;
        if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
                return r;
        if (r < 0)
                r = index_each_object(x, image->id, refer_row, &rows);
        if (r == 0 && !image->name)
                r = set_name(image, "", "");
        return r;
}

static int take_stock(struct gc *g, const struct store *s, struct index *x, const struct gc *previous,
                      void (*progress)(uint64_t done, uint64_t total))
{
        struct stock k = { g, s };
        int r = store_each_object(s, list_object, &k);

        if (r == 0)
                r = store_each_image(s, list_image, &k);
        if (r < 0)
                return r;
        if (g->object_count)
                qsort(g->objects, g->object_count, sizeof(*g->objects), compare_objects);
        sort_images(g, compare_ids);
        r = index_each_image(x, list_row, &k);
        sort_images(g, compare_ids);
        for (size_t i = 0; r == 0 && i < g->image_count; i++) {
                r = look_at(g, s, x, previous, &g->images[i]);
                if (progress)
                        progress(i + 1, g->image_count);
        }
        return r;
}

int gc_new(const struct store *s, struct index *x, const struct gc *previous,
           void (*progress)(uint64_t done, uint64_t total), struct gc **ret, struct errtext *err)
{
        struct gc *g = calloc(1, sizeof(*g));
        char text[128];
        int r = g ? take_stock(g, s, x, previous, progress) : -ENOMEM;

        if (r < 0) {
                gc_free(g);
                return errtext_set(err, r, "cannot look through the store '%s': %s", s->path, errno_name(r, text));
        }
        *ret = g;
        return 0;
}

void gc_free(struct gc *g)
{
        if (!g)
                return;
        for (size_t i = 0; i < g->image_count; i++) {
                free(g->images[i].name);
                free(g->images[i].version);
                free(g->images[i].objects);
                free(g->images[i].reasons);
        }
        free(g->images);
        free(g->objects);
        free(g);
}

/* --- who needs what --- */

int gc_need(struct gc *g, const uint8_t image[SHA256_SIZE], const struct gc_reason *reason)
{
        struct gc_image *found = find_image(g, image);
        struct gc_reason *reasons;

        if (!found)
                return 0;
        reasons = reallocarray(found->reasons, found->reason_count + 1, sizeof(*reasons));
        if (!reasons)
                return -ENOMEM;
        found->reasons = reasons;
        reasons[found->reason_count++] = *reason;
        return 0;
}

void gc_trust(struct gc *g)
{
        for (size_t i = 0; i < g->image_count; i++) {
                struct gc_image *image = &g->images[i];
                size_t kept = 0;

                for (size_t k = 0; k < image->reason_count; k++)
                        if (image->reasons[k].why != GC_DOUBT)
                                image->reasons[kept++] = image->reasons[k];
                image->reason_count = kept;
        }
}

int gc_hold(struct gc *g, const struct store *s)
{
        static const struct gc_reason held = { .why = GC_HELD };
        int r = 0;

        for (size_t i = 0; r == 0 && i < g->image_count; i++)
                if (g->images[i].reason_count == 0 && g->images[i].there && store_is_held(s, g->images[i].id))
                        r = gc_need(g, g->images[i].id, &held);
        return r;
}

void gc_settle(struct gc *g)
{
        for (size_t i = 0; i < g->image_count; i++) {
                struct gc_image *image = &g->images[i];

                image->frees = image->bytes;
                for (size_t k = 0; k < image->object_count; k++) {
                        struct gc_object *o = &g->objects[image->objects[k]];

                        if (o->referrers == 1)
                                image->frees += o->bytes;
                        o->needed = o->needed || image->reason_count > 0;
                }
                if (image->reason_count > 0 && image->there && !image->readable && image->object_count == 0)
                        g->keep_objects = true;
        }
        sort_images(g, compare_names);
}

size_t gc_image_count(const struct gc *g)
{
        return g->image_count;
}

const struct gc_image *gc_image(const struct gc *g, size_t i)
{
        return &g->images[i];
}

void gc_totals(const struct gc *g, struct gc_totals *ret)
{
        struct gc_totals t = { 0 };

        for (size_t i = 0; i < g->image_count; i++) {
                bool kept = g->images[i].reason_count > 0;

                t.images += !kept;
                t.kept += kept;
                t.bytes += kept ? 0 : g->images[i].bytes;
                t.kept_bytes += kept ? g->images[i].bytes : 0;
        }
        for (size_t i = 0; i < g->object_count; i++) {
                bool kept = g->objects[i].needed || g->keep_objects;

                t.objects += !kept;
                t.bytes += kept ? 0 : g->objects[i].bytes;
                t.kept_bytes += kept ? g->objects[i].bytes : 0;
        }
        *ret = t;
}
