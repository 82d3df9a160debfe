#include "store/image_layout.h"

#include "store/image.h"

/* A directory's child while it is being sorted: the files [low, high) lie at or below it. */
struct child {
        uint64_t cookie;
        const char *name;
        size_t len;
        size_t low;
        size_t high;
        bool is_dir;
};

/* An entry whose children are still to be found; the queue has one for each entry. */
struct pending {
        size_t low;
        size_t high;
        size_t prefix; /* bytes of the path up to and with the slash behind it */
        bool is_dir;
};

struct builder {
        struct image_layout *layout;
        struct pending *queue;
        uint32_t count;
        uint32_t cap;
        struct child *children; /* of one directory at a time */
        size_t child_count;
        size_t child_cap;
};

static bool is_top(const char *name, size_t len)
{
        struct span s = { name, len };

        return span_is(s, "site") || span_is(s, "data") || span_is(s, "headers") || span_is(s, "scripts");
}

static int check_path(const char *path)
{
        size_t top = strcspn(path, "/");
        const char *p = path;

        if (strlen(path) > IMAGE_PATH_MAX)
                return -ENAMETOOLONG;
        if (!is_top(path, top) || path[top] != '/')
                return -EINVAL;
        for (;;) {
                size_t len = strcspn(p, "/");

                if (len == 0 || (p[0] == '.' && (len == 1 || (len == 2 && p[1] == '.'))))
                        return -EINVAL;
                if (len > IMAGE_NAME_MAX)
                        return -ENAMETOOLONG;
                if (p[len] == '\0')
                        return 0;
                p += len + 1;
        }
}

int image_layout_add(struct image_layout *l, const struct image_file *f)
{
        size_t sums = f->size < OBJECT_MIN_SIZE ? 0 : (size_t)((f->size + OBJECT_SUM_SIZE - 1) / OBJECT_SUM_SIZE);
        struct layout_file added = { .executable = f->executable, .size = f->size };
        int r = check_path(f->path);

        if (r < 0)
                return r;
        if (l->file_count == IMAGE_ENTRIES_MAX || (sums > 0 && f->sums == NULL))
                return sums > 0 ? -EINVAL : -EFBIG;
        if (l->file_count == l->file_cap) {
                size_t cap = l->file_cap == 0 ? 64 : l->file_cap * 2;
                struct layout_file *more = realloc(l->files, cap * sizeof(*more));

                if (more == NULL)
                        return -ENOMEM;
                l->files = more;
                l->file_cap = cap;
        }
        added.path = strdup(f->path);
        added.sums = sums > 0 ? malloc(sums * sizeof(*added.sums)) : NULL;
        if (added.path == NULL || (sums > 0 && added.sums == NULL)) {
                free(added.path);
                free(added.sums);
                return -ENOMEM;
        }
        for (size_t i = 0; i < sums; i++)
                added.sums[i] = le64_put(f->sums[i]);
        memcpy(added.sha256, f->sha256, SHA256_SIZE);
        if (sums == 0 && f->size > 0) {
                added.block = f->block;
                added.block_offset = f->block_offset;
        }
        l->files[l->file_count++] = added;
        l->content_size += f->size;
        return 0;
}

void image_layout_release(struct image_layout *l)
{
        for (size_t i = 0; i < l->file_count; i++) {
                free(l->files[i].path);
                free(l->files[i].sums);
        }
        free(l->files);
        buf_release(&l->entries);
        buf_release(&l->objects);
        buf_release(&l->sums);
        buf_release(&l->names);
        *l = (struct image_layout){ 0 };
}

static int compare_paths(const void *a, const void *b)
{
        return strcmp(((const struct layout_file *)a)->path, ((const struct layout_file *)b)->path);
}

static int compare_objects(const void *a, const void *b)
{
        const struct layout_file *x = *(struct layout_file *const *)a;
        const struct layout_file *y = *(struct layout_file *const *)b;

        return memcmp(x->sha256, y->sha256, SHA256_SIZE);
}

static int add_object(struct image_layout *l, const struct layout_file *f)
{
        struct image_object_disk d = { .size = le64_put(f->size) };
        size_t count = (size_t)((f->size + OBJECT_SUM_SIZE - 1) / OBJECT_SUM_SIZE);
        int r;

        memcpy(d.id, f->sha256, SHA256_SIZE);
        d.first_sum = le32_put((uint32_t)(l->sums.len / sizeof(struct le64)));
        r = buf_add(&l->objects, &d, sizeof(d));
        return r == 0 ? buf_add(&l->sums, f->sums, count * sizeof(*f->sums)) : r;
}

/* Numbers the objects, equal files having one. */
static int build_objects(struct image_layout *l)
{
        cleanup_free struct layout_file **sorted = calloc(l->file_count + 1, sizeof(*sorted));
        size_t n = 0;
        uint32_t objects = 0;

        if (sorted == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < l->file_count; i++)
                if (l->files[i].sums != NULL)
                        sorted[n++] = &l->files[i];
        qsort(sorted, n, sizeof(struct layout_file *), compare_objects);
        for (size_t i = 0; i < n; i++) {
                if (i == 0 || memcmp(sorted[i]->sha256, sorted[i - 1]->sha256, SHA256_SIZE) != 0) {
                        int r = add_object(l, sorted[i]);

                        if (r < 0)
                                return r;
                        objects++;
                }
                sorted[i]->object = objects - 1;
        }
        return 0;
}

static int add_child(struct builder *b, const struct child *c)
{
        if (b->child_count == b->child_cap) {
                size_t cap = b->child_cap == 0 ? 64 : b->child_cap * 2;
                struct child *more = realloc(b->children, cap * sizeof(*more));

                if (more == NULL)
                        return -ENOMEM;
                b->children = more;
                b->child_cap = cap;
        }
        b->children[b->child_count++] = *c;
        return 0;
}

static int compare_children(const void *a, const void *b)
{
        const struct child *x = a;
        const struct child *y = b;

        return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Files of one folder are neighbours, as they are sorted by path. */
static int gather_children(struct builder *b, const struct pending *dir)
{
        const struct layout_file *files = b->layout->files;
        size_t i = dir->low;

        b->child_count = 0;
        while (i < dir->high) {
                const char *name = files[i].path + dir->prefix;
                struct child c = { .name = name, .len = strcspn(name, "/"), .low = i };
                int r;

                c.is_dir = name[c.len] == '/';
                c.cookie = image_cookie(name, c.len);
                do
                        i++;
                while (c.is_dir && i < dir->high && strncmp(files[i].path + dir->prefix, name, c.len + 1) == 0);
                c.high = i;
                r = add_child(b, &c);
                if (r < 0)
                        return r;
        }
        if (b->child_count > 1)
                qsort(b->children, b->child_count, sizeof(*b->children), compare_children);
        return 0;
}

static int check_children(const struct builder *b, struct errtext *err)
{
        for (size_t i = 1; i < b->child_count; i++) {
                const struct child *x = &b->children[i - 1];
                const struct child *y = &b->children[i];
                const char *path = b->layout->files[y->low].path;

                if (x->cookie != y->cookie)
                        continue;
                if (x->len != y->len || memcmp(x->name, y->name, x->len) != 0)
                        return errtext_set(err, -EEXIST, "'%s' and '%s' have the same directory offset",
                                           b->layout->files[x->low].path, path);
                return errtext_set(err, -EEXIST, "there are two files '%s', or a file and a folder of one name", path);
        }
        return 0;
}

static int push(struct builder *b, const struct pending *p, const struct image_entry_disk *e)
{
        if (b->count == IMAGE_ENTRIES_MAX)
                return -EFBIG;
        if (b->count == b->cap) {
                uint32_t cap = b->cap == 0 ? 256 : b->cap * 2;
                struct pending *more = realloc(b->queue, cap * sizeof(*more));

                if (more == NULL)
                        return -ENOMEM;
                b->queue = more;
                b->cap = cap;
        }
        b->queue[b->count++] = *p;
        return buf_add(&b->layout->entries, e, sizeof(*e));
}

static int push_child(struct builder *b, const struct child *c, uint32_t parent, size_t prefix)
{
        const struct layout_file *f = &b->layout->files[c->low];
        struct pending p = { c->low, c->high, prefix + c->len + 1, c->is_dir };
        struct image_entry_disk e = {
                .cookie = le64_put(c->cookie),
                .name = le32_put((uint32_t)b->layout->names.len),
                .name_len = le16_put((uint16_t)c->len),
                .type = IMAGE_DIR,
                .parent = le32_put(parent),
        };
        int r;

        if (!c->is_dir) {
                e.type = f->sums != NULL ? IMAGE_OBJECT : IMAGE_FILE;
                e.flags = f->executable ? IMAGE_EXECUTABLE : 0;
                e.a = le32_put(f->sums != NULL ? f->object : f->block);
                e.b = le32_put(f->sums != NULL ? 0 : f->block_offset);
                e.size = le64_put(f->size);
        }
        r = buf_add(&b->layout->names, c->name, c->len);
        return r == 0 ? push(b, &p, &e) : r;
}

static int build_dir(struct builder *b, uint32_t number, struct errtext *err)
{
        struct pending dir = b->queue[number];
        struct image_entry_disk *e;
        uint32_t first = b->count;
        uint32_t subdirs = 0;
        int r = gather_children(b, &dir);

        if (r == 0)
                r = check_children(b, err);
        for (size_t i = 0; r == 0 && i < b->child_count; i++) {
                r = push_child(b, &b->children[i], number, dir.prefix);
                subdirs += b->children[i].is_dir;
        }
        if (r < 0)
                return r;
        e = (struct image_entry_disk *)b->layout->entries.data + number;
        e->a = le32_put(b->child_count > 0 ? first : 0);
        e->b = le32_put((uint32_t)b->child_count);
        e->c = le32_put(subdirs);
        return 0;
}

int image_layout_build(struct image_layout *l, struct errtext *err)
{
        struct builder b = { .layout = l };
        struct pending all = { .high = l->file_count, .is_dir = true };
        struct image_entry_disk root = { .type = IMAGE_DIR };
        int r;

        if (err != NULL)
                err->text[0] = '\0';
        if (l->file_count > 0)
                qsort(l->files, l->file_count, sizeof(*l->files), compare_paths);
        r = build_objects(l);
        if (r == 0)
                r = push(&b, &all, &root);
        for (uint32_t i = 0; r == 0 && i < b.count; i++)
                if (b.queue[i].is_dir)
                        r = build_dir(&b, i, err);
        free(b.queue);
        free(b.children);
        if (r < 0 && err != NULL && err->text[0] == '\0')
                return errtext_set(err, r, "%s", r == -EFBIG ? "an image cannot hold so many files" : "out of memory");
        return r;
}
