#include "tools/generated.h"

#include "store/record.h"
#include "store/sha256.h"
#include "tools/outside.h"

#include <stdio.h>

/* From site-packages to the venv; lib/pythonX.Y/site-packages is three deep. */
#define UP "../../../"

static const char installer[] = "fusepkg\n";

/* --- rows --- */

int generated_rows_add(struct generated_rows *rows, const char *path, const uint8_t sha256[SHA256_SIZE], uint64_t size)
{
        struct generated_row *list;
        struct generated_row row = { .has_hash = sha256 != NULL, .size = size };

        list = reallocarray(rows->rows, rows->count + 1, sizeof(*list));
        if (!list)
                return -ENOMEM;
        rows->rows = list;
        row.path = strdup(path);
        if (!row.path)
                return -ENOMEM;
        if (sha256)
                memcpy(row.sha256, sha256, SHA256_SIZE);
        list[rows->count++] = row;
        return 0;
}

void generated_rows_release(struct generated_rows *rows)
{
        for (size_t i = 0; i < rows->count; i++)
                free(rows->rows[i].path);
        free(rows->rows);
        *rows = (struct generated_rows){ 0 };
}

/* Rows of one path stay in the order in which they were added: they lie in one array. */
static int by_path(const void *a, const void *b)
{
        const struct generated_row *x = *(const struct generated_row *const *)a;
        const struct generated_row *y = *(const struct generated_row *const *)b;
        int order = strcmp(x->path, y->path);

        return order ? order : (x > y) - (x < y);
}

int generated_rows_format(struct generated_rows *rows, struct buf *ret)
{
        cleanup_free const struct generated_row **order = calloc(rows->count + 1, sizeof(*order));
        int r = 0;

        if (!order)
                return -ENOMEM;
        for (size_t i = 0; i < rows->count; i++)
                order[i] = &rows->rows[i];
        qsort(order, rows->count, sizeof(*order), by_path);
        for (size_t i = 0; r == 0 && i < rows->count; i++)
                if (i == 0 || strcmp(order[i]->path, order[i - 1]->path) != 0)
                        r = record_add_row(ret, order[i]->path, order[i]->has_hash ? order[i]->sha256 : NULL,
                                           order[i]->size);
        return r;
}

/* --- URL --- */

/* "/a/./b//../c" -> "/a/c", without looking at the disk, as os.path.normpath does. */
static int add_tidied(struct buf *b, const char *path)
{
        int r = 0;

        while (r == 0 && *path) {
                size_t n = strcspn(path, "/");

                if (n == 2 && path[0] == '.' && path[1] == '.') {
                        while (b->len && b->data[--b->len] != '/')
                                ;
                        if (b->data)
                                b->data[b->len] = '\0';
                } else if (n > 0 && !(n == 1 && path[0] == '.')) {
                        r = buf_add_char(b, '/');
                        if (r == 0)
                                r = buf_add(b, path, n);
                }
                path += n + (path[n] == '/');
        }
        return r;
}

int generated_url(const char *path, struct buf *ret)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/";
        cleanup_buf struct buf tidy = { 0 };
        int r = 0;

        if (path[0] != '/') {
                cleanup_free char *cwd = getcwd(NULL, 0);

                r = cwd ? add_tidied(&tidy, cwd) : -errno;
        }
        if (r == 0)
                r = add_tidied(&tidy, path);
        if (r == 0)
                r = buf_add_str(ret, "file://");
        for (size_t i = 0; r == 0 && i < tidy.len; i++) {
                char c = tidy.data[i];

                r = strchr(plain, c) ? buf_add_char(ret, c) : buf_printf(ret, "%%%02X", (unsigned char)c);
        }
        return r;
}

/* A URL of ours has nothing that JSON would escape. */
int generated_direct_url(const char *url, const uint8_t archive[SHA256_SIZE], struct buf *ret)
{
        char hex[SHA256_HEX_SIZE];

        hex_encode(archive, SHA256_SIZE, hex);
        return buf_printf(
                ret, "{\"archive_info\": {\"hash\": \"sha256=%s\", \"hashes\": {\"sha256\": \"%s\"}}, \"url\": \"%s\"}",
                hex, hex, url);
}

/* --- what lies outside --- */

static int add_scripts(const struct target *t, struct image_pool *pool, const struct image *img,
                       struct generated_rows *rows, struct errtext *err)
{
        struct outside_scripts scripts = { 0 };
        int r = outside_scripts_of(t, pool, img, &scripts, err);

        for (size_t i = 0; r == 0 && i < scripts.count; i++) {
                const struct outside_script *s = &scripts.scripts[i];
                cleanup_free char *path = NULL;

                if (asprintf(&path, UP "bin/%s", s->name) < 0)
                        path = NULL;
                r = path ? generated_rows_add(rows, path, s->sha256, s->len) : -ENOMEM;
        }
        outside_scripts_release(&scripts);
        return r;
}

/* An object's name is its hash; a small file is read. */
static int hash_entry(struct image_pool *pool, const struct image *img, const struct image_entry *e,
                      uint8_t ret[SHA256_SIZE], struct errtext *err)
{
        cleanup_free char *data = NULL;
        ssize_t n;

        if (e->type == IMAGE_OBJECT) {
                memcpy(ret, image_object(img, e->object).id, SHA256_SIZE);
                return 0;
        }
        data = malloc(e->size + 1);
        if (!data)
                return -ENOMEM;
        n = image_pool_read(pool, img, e->number, data, e->size, 0, err);
        if (n < 0)
                return (int)n;
        if ((uint64_t)n != e->size)
                return errtext_set(err, -EIO, "a file of %s is shorter than it should be", image_meta(img)->name);
        return sha256_bytes(data, e->size, ret);
}

/* All files below the image's folder TREE, as they are seen below PREFIX (from site-packages). */
static int add_tree(struct image_pool *pool, const struct image *img, const char *tree, const char *prefix,
                    struct generated_rows *rows, struct errtext *err)
{
        size_t skip = strlen(tree);
        uint32_t top;
        int r = 0;

        if (image_find(img, tree, &top) < 0)
                return 0;
        for (uint32_t i = top + 1; r == 0 && i < image_entries(img); i++) {
                struct image_entry e = image_entry(img, i);
                cleanup_buf struct buf path = { 0 }, row = { 0 };
                uint8_t sha256[SHA256_SIZE];

                if (e.type == IMAGE_DIR)
                        continue;
                r = image_path(img, i, &path);
                if (r < 0 || strncmp(path.data, tree, skip) != 0 || path.data[skip] != '/')
                        continue;
                r = buf_printf(&row, "%s%s", prefix, path.data + skip + 1);
                if (r == 0)
                        r = hash_entry(pool, img, &e, sha256, err);
                if (r == 0)
                        r = generated_rows_add(rows, row.data, sha256, e.size);
        }
        return r;
}

static int add_outside(const struct target *t, struct image_pool *pool, const struct image *img,
                       struct generated_rows *rows, struct errtext *err)
{
        char include[64];
        int r = add_scripts(t, pool, img, rows, err);

        snprintf(include, sizeof(include), UP "include/site/python%.*s/", (int)strspn(t->python, "0123456789."),
                 t->python);
        if (r == 0)
                r = add_tree(pool, img, "data", UP, rows, err);
        return r < 0 ? r : add_tree(pool, img, "headers", include, rows, err);
}

/* --- the files --- */

/* Appends TEXT to STORAGE and a file of it to SLOT; the spans are set when STORAGE no longer moves. */
static int add_file(struct slot *slot, const char *name, enum generated_kind kind, const char *text, size_t len,
                    struct buf *storage)
{
        struct generated_file *f = &slot->files[slot->file_count];
        size_t at = storage->len;
        int r = buf_add(storage, text, len);

        if (r < 0)
                return r;
        *f = (struct generated_file){ .kind = kind, .size = len, .data = { NULL, len }, .offset = at };
        f->name = strdup(name);
        if (!f->name)
                return -ENOMEM;
        slot->file_count++;
        return 0;
}

static int add_row(struct generated_rows *rows, const struct image *img, const char *name, const struct buf *text)
{
        cleanup_buf struct buf path = { 0 };
        uint8_t sha256[SHA256_SIZE];
        int r = buf_printf(&path, "%s/%s", image_meta(img)->dist_info, name);

        if (r == 0 && text)
                r = sha256_bytes(text->data ? text->data : "", text->len, sha256);
        return r < 0 ? r : generated_rows_add(rows, path.data, text ? sha256 : NULL, text ? text->len : 0);
}

/* One of the small files and its row. */
static int add_small(struct slot *slot, const struct image *img, const char *name, const struct buf *text,
                     struct generated_rows *rows, struct buf *storage)
{
        int r = add_row(rows, img, name, text);

        return r < 0 ? r : add_file(slot, name, GENERATED_BYTES, text->data ? text->data : "", text->len, storage);
}

static int make_files(const struct image *img, struct slot *slot, struct generated_rows *rows, struct buf *storage)
{
        cleanup_buf struct buf text = { 0 }, record = { 0 };
        int r = buf_add_str(&text, installer);

        if (r == 0)
                r = add_small(slot, img, "INSTALLER", &text, rows, storage);
        buf_clear(&text);
        if (r == 0)
                r = add_row(rows, img, "RECORD", NULL);
        if (r == 0 && slot->requested)
                r = add_small(slot, img, "REQUESTED", &text, rows, storage);
        if (r == 0 && slot->url) {
                r = generated_direct_url(slot->url, slot->archive, &text);
                if (r == 0)
                        r = add_small(slot, img, "direct_url.json", &text, rows, storage);
        }
        if (r == 0)
                r = generated_rows_format(rows, &record);
        if (r == 0)
                r = add_file(slot, "RECORD", GENERATED_RECORD, record.data, record.len, storage);
        if (r == 0) /* no row of ours is one of the image's: ingest leaves these files out */
                slot->files[slot->file_count - 1].size += image_record_size(img);
        return r;
}

int generated_make(const struct target *t, struct image_pool *pool, const struct image *img, struct slot *slot,
                   struct buf *storage, struct errtext *err)
{
        struct generated_rows rows = { 0 };
        int r;

        errtext_set(err, 0, "out of memory");
        slot->files = calloc(4, sizeof(*slot->files));
        if (!slot->files)
                return -ENOMEM;
        r = add_outside(t, pool, img, &rows, err);
        if (r == 0)
                r = make_files(img, slot, &rows, storage);
        for (size_t i = 0; r == 0 && i < slot->file_count; i++) {
                slot->files[i].data.data = storage->data + slot->files[i].offset;
                slot->files[i].offset = 0;
        }
        generated_rows_release(&rows);
        return r;
}
