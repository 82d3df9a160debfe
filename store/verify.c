#include "store/verify.h"

#include "store/verify_private.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* One image or object to check. */
struct item {
        uint8_t id[SHA256_SIZE];
        uint64_t bytes;    /* of the file, for the progress; 0 when it is missing */
        int64_t size;      /* objects: what an image says; -1 when none does */
        char *package;     /* images: "name==version", NULL while unknown */
        struct image *img; /* images: after the first phase, when they could be opened */
        const char *kind;  /* what is wrong, or NULL */
};

struct items {
        struct item *list;
        size_t count;
        size_t cap;
};

/* That the image refers to the object: both by their place in the lists. */
struct reference {
        uint8_t object[SHA256_SIZE];
        uint64_t size;
        size_t image;
};

struct verification {
        const struct store *store;
        const struct verify_options *options;
        struct items images;
        struct items objects;
        struct reference *references; /* sorted by object */
        size_t reference_count;
        int errors;

        /* of the phase that runs */
        struct items *items;
        atomic_size_t next;
        atomic_int result;
        pthread_mutex_t lock;         /* guards done; one callback at a time */
        uint64_t done;
        uint64_t total;
};

static void items_release(struct items *items)
{
        for (size_t i = 0; i < items->count; i++) {
                free(items->list[i].package);
                image_close(items->list[i].img);
        }
        free(items->list);
        *items = (struct items){ 0 };
}

static int items_add(struct items *items, const uint8_t id[SHA256_SIZE], uint64_t bytes)
{
        if (items->count == items->cap) {
                size_t cap = items->cap ? 2 * items->cap : 64;
                struct item *list = realloc(items->list, cap * sizeof *list);

                if (!list)
                        return -ENOMEM;
                items->list = list;
                items->cap = cap;
        }
        items->list[items->count] = (struct item){ .bytes = bytes, .size = -1 };
        memcpy(items->list[items->count++].id, id, SHA256_SIZE);
        return 0;
}

/* qsort() wants a list even where there is nothing to sort. */
static void sort(void *list, size_t n, size_t size, int (*compare)(const void *a, const void *b))
{
        if (n > 0)
                qsort(list, n, size, compare);
}

static int compare_items(const void *a, const void *b)
{
        return memcmp(((const struct item *)a)->id, ((const struct item *)b)->id, SHA256_SIZE);
}

static struct item *items_find(const struct items *items, size_t sorted, const uint8_t id[SHA256_SIZE])
{
        struct item key;

        memcpy(key.id, id, SHA256_SIZE);
        return sorted ? bsearch(&key, items->list, sorted, sizeof key, compare_items) : NULL;
}

static void report(struct verification *v, const char *path, const char *kind, const char *const *packages)
{
        static const char *const none[] = { NULL };
        struct verify_error e = { path, kind, packages ? packages : none };

        v->errors++;
        if (v->options->error)
                v->options->error(&e, v->options->user);
}

static int list_file(struct verification *v, struct items *items, const char *name, const uint8_t *id)
{
        struct stat st;

        if (!id) {
                report(v, name, "foreign", NULL);
                return 0;
        }
        if (fstatat(v->store->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : items_add(items, id, 0);
        return items_add(items, id, (uint64_t)st.st_size);
}

static int list_image(const char *name, const uint8_t *id, void *user)
{
        struct verification *v = user;

        return list_file(v, &v->images, name, id);
}

static int list_object(const char *name, const uint8_t *id, void *user)
{
        struct verification *v = user;

        return list_file(v, &v->objects, name, id);
}

struct naming {
        struct verification *v;
        size_t sorted; /* this many images at the start of the list are sorted */
};

/* The index knows the names of images that cannot be read any more, and of those that are gone. */
static int name_image(const struct index_image *image, void *user)
{
        struct naming *n = user;
        struct item *item = items_find(&n->v->images, n->sorted, image->id);
        cleanup_buf struct buf b = { 0 };
        int r;

        if (!item) {
                r = items_add(&n->v->images, image->id, 0);
                if (r < 0)
                        return r;
                item = &n->v->images.list[n->v->images.count - 1];
        }
        r = buf_printf(&b, "%s==%s", image->name, image->version);
        if (r < 0)
                return r;
        item->package = buf_steal(&b);
        return 0;
}

static int ask_index(struct verification *v)
{
        struct store copy = *v->store; /* without its lock, it is a store opened for reading: verify changes nothing */
        struct naming n = { v, v->images.count };
        struct index *x;
        int r;

        copy.lock_fd = -1;
        r = index_open(&copy, &x, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0; /* names are all that is lost */
        r = index_each_image(x, name_image, &n);
        index_close(x);
        return r == -ENOMEM ? r : 0;
}

static int check_item(struct verification *v, struct verify_worker *w, struct item *item)
{
        cleanup_buf struct buf b = { 0 };
        int r;

        if (v->items == &v->objects)
                return verify_object_content(w, v->store, item->id, item->size, &item->kind);
        r = verify_image_content(w, v->store, item->id, &item->img, &item->kind);
        if (r < 0 || !item->img || item->package)
                return r;
        r = buf_printf(&b, "%s==%s", image_meta(item->img)->name, image_meta(item->img)->version);
        if (r == 0)
                item->package = buf_steal(&b);
        return r;
}

static void advance(struct verification *v, uint64_t bytes)
{
        if (!v->options->progress)
                return;
        pthread_mutex_lock(&v->lock);
        v->done += bytes;
        v->options->progress(v->done, v->total, v->options->user);
        pthread_mutex_unlock(&v->lock);
}

static void *work(void *user)
{
        struct verification *v = user;
        struct verify_worker w = { 0 };
        int r = verify_worker_init(&w);

        while (r == 0 && atomic_load(&v->result) == 0) {
                size_t i = atomic_fetch_add(&v->next, 1);

                if (i >= v->items->count)
                        break;
                r = check_item(v, &w, &v->items->list[i]);
                advance(v, v->items->list[i].bytes);
        }
        if (r < 0)
                atomic_store(&v->result, r);
        verify_worker_release(&w);
        return NULL;
}

static unsigned count_cores(void)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* Checks all ITEMS, with this thread and others beside it; with fewer where no more can be had. */
static int run_phase(struct verification *v, struct items *items)
{
        pthread_t threads[64];
        size_t wanted = v->options->threads ? v->options->threads : count_cores(), started = 0;

        v->items = items;
        atomic_store(&v->next, 0);
        while (started < ARRAY_LEN(threads) && started + 1 < wanted && started + 1 < items->count &&
               pthread_create(&threads[started], NULL, work, v) == 0)
                started++;
        work(v);
        for (size_t i = 0; i < started; i++)
                pthread_join(threads[i], NULL);
        return atomic_load(&v->result);
}

static int compare_references(const void *a, const void *b)
{
        const struct reference *x = a, *y = b;
        int c = memcmp(x->object, y->object, SHA256_SIZE);

        return c ? c : x->image < y->image ? -1 : x->image > y->image;
}

/* Adds the objects that images name to those that were found, and tells each its size. */
static int collect_references(struct verification *v)
{
        size_t n = 0, found = v->objects.count;
        int r = 0;

        for (size_t i = 0; i < v->images.count; i++)
                n += v->images.list[i].img ? image_objects(v->images.list[i].img) : 0;
        v->references = calloc(n + 1, sizeof *v->references);
        if (!v->references)
                return -ENOMEM;
        for (size_t i = 0; i < v->images.count; i++) {
                const struct image *img = v->images.list[i].img;

                for (uint32_t k = 0; img && k < image_objects(img); k++) {
                        struct image_object o = image_object(img, k);
                        struct reference *ref = &v->references[v->reference_count++];

                        *ref = (struct reference){ .size = o.size, .image = i };
                        memcpy(ref->object, o.id, SHA256_SIZE);
                }
        }
        sort(v->references, n, sizeof *v->references, compare_references);
        for (size_t i = 0; r == 0 && i < n; i++) {
                const struct reference *ref = &v->references[i];
                struct item *item = items_find(&v->objects, found, ref->object);

                if (i > 0 && memcmp(v->references[i - 1].object, ref->object, SHA256_SIZE) == 0)
                        continue;
                if (!item) {
                        r = items_add(&v->objects, ref->object, 0);
                        item = r < 0 ? NULL : &v->objects.list[v->objects.count - 1];
                }
                if (item)
                        item->size = (int64_t)ref->size;
        }
        return r;
}

static bool exists(const struct store *s, const char *name)
{
        return faccessat(s->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A gc that runs beside us takes the row from the index, then the image, then the objects that no image wants; and an
 * add may have brought them back since.  So whether a file is really missing is asked while no gc is at work. */
static bool is_image_missing(const struct verification *v, const struct item *item)
{
        cleanup_close int use = store_use(v->store);
        struct store copy = *v->store;
        struct index *x = NULL;
        bool missing;
        char name[80];

        (void)use; /* what cannot be locked is looked at all the same */
        copy.lock_fd = -1;
        store_image_name(item->id, name);
        if (exists(v->store, name))
                return false;
        if (index_open(&copy, &x, NULL) < 0)
                return true;
        missing = index_has_image(x, item->id) != 0;
        index_close(x);
        return missing;
}

static bool is_object_missing(const struct verification *v, const struct item *item)
{
        cleanup_close int use = store_use(v->store);
        char name[80];

        (void)use;
        store_object_name(item->id, name);
        if (exists(v->store, name))
                return false;
        for (size_t i = 0; i < v->reference_count; i++) {
                store_image_name(v->images.list[v->references[i].image].id, name);
                if (memcmp(v->references[i].object, item->id, SHA256_SIZE) == 0 && exists(v->store, name))
                        return true;
        }
        return false;
}

static bool is_missing(const struct item *item)
{
        return item->kind && strcmp(item->kind, "missing") == 0;
}

static int report_images(struct verification *v)
{
        for (size_t i = 0; i < v->images.count; i++) {
                const struct item *item = &v->images.list[i];
                const char *packages[] = { item->package, NULL };
                char name[80];

                if (!item->kind || (is_missing(item) && !is_image_missing(v, item)))
                        continue;
                store_image_name(item->id, name);
                report(v, name, item->kind, packages);
        }
        return 0;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int report_object(struct verification *v, const struct item *item)
{
        cleanup_free const char **packages = calloc(v->reference_count + 1, sizeof *packages);
        size_t n = 0, kept = 0;
        char name[80];

        if (!packages)
                return -ENOMEM;
        for (size_t i = 0; i < v->reference_count; i++)
                if (memcmp(v->references[i].object, item->id, SHA256_SIZE) == 0)
                        packages[n++] = v->images.list[v->references[i].image].package;
        sort(packages, n, sizeof *packages, compare_names);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || strcmp(packages[kept - 1], packages[i]) != 0)
                        packages[kept++] = packages[i];
        packages[kept] = NULL;
        store_object_name(item->id, name);
        report(v, name, item->kind, packages);
        return 0;
}

static int report_objects(struct verification *v)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < v->objects.count; i++)
                if (v->objects.list[i].kind &&
                    (!is_missing(&v->objects.list[i]) || is_object_missing(v, &v->objects.list[i])))
                        r = report_object(v, &v->objects.list[i]);
        return r;
}

static int verify_all(struct verification *v)
{
        int r = store_each_object(v->store, list_object, v);

        /* Objects first: an object that is published meanwhile is then only seen through an image that is. */
        if (r == 0)
                r = store_each_image(v->store, list_image, v);
        if (r < 0)
                return r;
        sort(v->objects.list, v->objects.count, sizeof *v->objects.list, compare_items);
        sort(v->images.list, v->images.count, sizeof *v->images.list, compare_items);
        r = ask_index(v);
        for (size_t i = 0; i < v->images.count; i++)
                v->total += v->images.list[i].bytes;
        for (size_t i = 0; i < v->objects.count; i++)
                v->total += v->objects.list[i].bytes;
        if (r == 0)
                r = run_phase(v, &v->images);
        if (r == 0)
                r = report_images(v);
        if (r == 0)
                r = collect_references(v);
        if (r == 0)
                r = run_phase(v, &v->objects);
        return r < 0 ? r : report_objects(v);
}

int verify_store(const struct store *s, const struct verify_options *o, struct errtext *err)
{
        struct verification v = { .store = s, .options = o };
        char text[128];
        int r;

        pthread_mutex_init(&v.lock, NULL);
        r = verify_all(&v);
        pthread_mutex_destroy(&v.lock);
        items_release(&v.images);
        items_release(&v.objects);
        free(v.references);
        if (r < 0)
                return errtext_set(err, r, "cannot verify the store '%s': %s", s->path, errno_name(r, text));
        return v.errors;
}

static int remove_named(const struct store *s, const char *name)
{
        return unlinkat(s->root_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* With DISCARD, what is wrong is removed. */
static int check_one(const struct store *s, const uint8_t id[SHA256_SIZE], bool discard)
{
        struct verify_worker w = { 0 };
        struct image *img = NULL;
        const char *kind = NULL, *bad = NULL;
        char name[80];
        int r = verify_worker_init(&w);

        if (r < 0)
                return r;
        r = verify_image_content(&w, s, id, &img, &kind);
        bad = kind;
        for (uint32_t i = 0; r == 0 && img && i < image_objects(img) && (discard || !bad); i++) {
                struct image_object o = image_object(img, i);

                r = verify_object_content(&w, s, o.id, (int64_t)o.size, &kind);
                bad = bad ? bad : kind;
                store_object_name(o.id, name);
                if (r == 0 && kind && discard)
                        r = remove_named(s, name);
        }
        store_image_name(id, name);
        if (r == 0 && bad && discard)
                r = remove_named(s, name);
        image_close(img);
        verify_worker_release(&w);
        return r < 0 ? r : bad ? -EBADMSG : 0;
}

int verify_image(const struct store *s, const uint8_t id[SHA256_SIZE])
{
        return check_one(s, id, false);
}

int verify_unsettled(const struct store *s, struct index *x, const uint8_t id[SHA256_SIZE])
{
        int r = check_one(s, id, true), q = 0;

        /* A store that cannot be written to is verified anew each time. */
        if (r == 0)
                r = q = index_mark_settled(x, id);
        else if (r == -EBADMSG)
                q = index_forget_image(x, id);
        if (q == -EROFS)
                return r == q ? 0 : r;
        return q < 0 ? q : r;
}
