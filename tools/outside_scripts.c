/* The scripts of one image, as a venv gets them. */
#include "tools/outside.h"

#include "store/files.h"
#include "store/sha256.h"
#include "tools/scripts.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
        ENTRY_POINTS_MAX = 4 << 20, /* bytes */
        PIECE_SIZE = 256 * 1024,
};

void outside_scripts_release(struct outside_scripts *s)
{
        for (size_t i = 0; i < s->count; i++) {
                free(s->scripts[i].name);
                free(s->scripts[i].data);
        }
        free(s->scripts);
        *s = (struct outside_scripts){ 0 };
}

/* Takes TEXT over. */
static int add_script(struct outside_scripts *s, const char *name, size_t name_len, struct buf *text,
                      struct outside_script **ret)
{
        struct outside_script *scripts = realloc(s->scripts, (s->count + 1) * sizeof(*scripts));
        struct outside_script *n;

        if (!scripts)
                return -ENOMEM;
        s->scripts = scripts;
        n = &scripts[s->count];
        *n = (struct outside_script){ .name = strndup(name, name_len), .executable = true };
        if (!n->name)
                return -ENOMEM;
        s->count++;
        if (text) {
                n->len = text->len;
                n->data = buf_steal(text);
                if (!n->data)
                        return -ENOMEM;
        }
        *ret = n;
        return text ? sha256_bytes(n->data, n->len, n->sha256) : 0;
}

/* Appends a file of the image that is small enough to be held. */
static int read_entry(struct image_pool *pool, const struct image *img, uint32_t entry, struct buf *ret,
                      struct errtext *err)
{
        uint64_t size = image_entry(img, entry).size;
        ssize_t n;
        int r;

        if (size > ENTRY_POINTS_MAX)
                return errtext_set(err, -EFBIG, "a script or entry_points.txt of %s is too large",
                                   image_meta(img)->name);
        r = buf_reserve(ret, size + 1);
        if (r < 0)
                return errtext_set(err, r, "out of memory");
        n = image_pool_read(pool, img, entry, ret->data + ret->len, size, 0, err);
        if (n < 0)
                return (int)n;
        if ((uint64_t)n != size)
                return errtext_set(err, -EIO, "a file of %s is shorter than it should be", image_meta(img)->name);
        ret->len += size;
        ret->data[ret->len] = '\0';
        return 0;
}

/* The image's entry points, as they are installed. */
static int load_entry_points(const struct target *t, struct image_pool *pool, const struct image *img,
                             struct entry_points *ret, struct errtext *err)
{
        cleanup_buf struct buf path = { 0 }, text = { 0 };
        struct entry_points written = { 0 };
        uint32_t entry;
        int r = buf_printf(&path, "site/%s/entry_points.txt", image_meta(img)->dist_info);

        if (r < 0)
                return errtext_set(err, r, "out of memory");
        if (image_find(img, path.data, &entry) < 0 || image_entry(img, entry).type == IMAGE_DIR)
                return 0;
        r = read_entry(pool, img, entry, &text, err);
        if (r == 0)
                r = entry_points_parse(text.data ? text.data : "", text.len, &written, err);
        if (r == 0)
                r = scripts_expand(&written, t->python, ret);
        entry_points_release(&written);
        return r;
}

static int add_entry_points(const struct target *t, const struct entry_points *points, struct outside_scripts *ret)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < points->count; i++) {
                cleanup_buf struct buf text = { 0 };
                struct outside_script *script;

                r = scripts_add_entry_point(&text, t->interpreter, t->python, &points->points[i]);
                if (r == 0)
                        r = add_script(ret, points->points[i].name, strlen(points->points[i].name), &text, &script);
        }
        return r;
}

/* The SHA-256 of a file of the image: an object's name, else of the bytes read.  A script that must be rewritten is
 * small enough to be held: a large one that starts with "#!python" is refused by read_entry. */
static int add_file(const struct target *t, struct image_pool *pool, const struct image *img,
                    const struct image_entry *e, struct outside_scripts *ret, struct errtext *err)
{
        cleanup_buf struct buf text = { 0 }, rewritten = { 0 };
        struct outside_script *script;
        char head[8] = "";
        ssize_t n = image_pool_read(pool, img, e->number, head, sizeof(head), 0, err);
        int r;

        if (n < 0)
                return (int)n;
        if (e->type == IMAGE_OBJECT && !scripts_is_python(head, (size_t)n)) {
                r = add_script(ret, e->name.data, e->name.len, NULL, &script);
                if (r < 0)
                        return r;
                script->entry = e->number;
                script->len = e->size;
                memcpy(script->sha256, image_object(img, e->object).id, SHA256_SIZE);
                return 0;
        }
        r = read_entry(pool, img, e->number, &text, err);
        if (r < 0 || !scripts_is_python(text.data, text.len))
                return r < 0 ? r : add_script(ret, e->name.data, e->name.len, &text, &script);
        r = scripts_add_rewritten(&rewritten, t->interpreter, text.data, text.len);
        return r < 0 ? r : add_script(ret, e->name.data, e->name.len, &rewritten, &script);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct outside_script *)a)->name, ((const struct outside_script *)b)->name);
}

int outside_scripts_of(const struct target *t, struct image_pool *pool, const struct image *img,
                       struct outside_scripts *ret, struct errtext *err)
{
        struct outside_scripts s = { 0 };
        struct entry_points points = { 0 };
        uint32_t dir;
        int r;

        errtext_set(err, 0, "out of memory");
        r = load_entry_points(t, pool, img, &points, err);
        if (r == 0)
                r = add_entry_points(t, &points, &s);
        if (r == 0 && image_find(img, "scripts", &dir) == 0) {
                struct image_entry folder = image_entry(img, dir);

                for (uint32_t i = 0; r == 0 && i < folder.children; i++) {
                        struct image_entry e = image_entry(img, folder.first_child + i);

                        if (e.type != IMAGE_DIR && !scripts_is_wrapper(&points, e.name.data, e.name.len))
                                r = add_file(t, pool, img, &e, &s, err);
                }
        }
        entry_points_release(&points);
        if (r < 0) {
                outside_scripts_release(&s);
                return r;
        }
        if (s.count)
                qsort(s.scripts, s.count, sizeof(*s.scripts), by_name);
        *ret = s;
        return 0;
}

/* --- writing --- */

/* Shares the object's blocks where the file system can; never a hard link, which an edit would go through. */
static bool clone_object(struct image_pool *pool, const struct image *img, const struct image_entry *e, int fd)
{
        struct image_object object = image_object(img, e->object);
        cleanup_close int from = store_open_object(image_pool_store(pool), object.id);

        return from >= 0 && ioctl(fd, FICLONE, from) == 0;
}

/* Every byte is checked against the image's checksums, cloned or not. */
static int write_entry(struct image_pool *pool, const struct image *img, uint32_t number, int fd, struct errtext *err)
{
        struct image_entry e = image_entry(img, number);
        bool cloned = e.type == IMAGE_OBJECT && clone_object(pool, img, &e, fd);
        cleanup_free char *piece = malloc(PIECE_SIZE);
        int r = 0;

        if (!piece)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (uint64_t at = 0; r == 0 && at < e.size;) {
                ssize_t n = image_pool_read(pool, img, number, piece, PIECE_SIZE, at, err);

                if (n <= 0)
                        return n < 0 ? (int)n : errtext_set(err, -EIO, "a script of %s is shorter than it should be",
                                                            image_meta(img)->name);
                if (!cloned)
                        r = file_write_full(fd, piece, (size_t)n);
                at += (uint64_t)n;
        }
        return r < 0 ? errtext_set(err, r, "cannot write a script: %s", strerror(-r)) : 0;
}

int outside_script_write(struct image_pool *pool, const struct image *img, const struct outside_script *script,
                         int dirfd, const char *name, unsigned umask_, struct errtext *err)
{
        cleanup_close int fd = file_open_beneath(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        int r;

        if (fd < 0)
                return errtext_set(err, fd, "cannot write the script '%s': %s", script->name, strerror(-fd));
        if (script->data) {
                r = file_write_full(fd, script->data, script->len);
                if (r < 0)
                        return errtext_set(err, r, "cannot write the script '%s': %s", script->name, strerror(-r));
        } else {
                r = write_entry(pool, img, script->entry, fd, err);
        }
        if (r == 0 && fchmod(fd, 0777 & ~umask_) < 0)
                return errtext_set(err, -errno, "cannot make the script '%s' executable: %s", script->name,
                                   strerror(errno));
        return r;
}
