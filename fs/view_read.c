/* view_read.c: the bytes behind the ids. */
#include "fs/view_private.h"
#include "store/files.h"
#include "store/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <xxhash.h>

static size_t slice(const char *from, uint64_t size, void *data, size_t len, uint64_t offset)
{
        if (offset >= size)
                return 0;
        if (len > size - offset)
                len = (size_t)(size - offset);
        memcpy(data, from + offset, len);
        return len;
}

/* The run of bytes that `.fusepkg/generated.<n>` holds for a file, checked. */
static int read_run(const struct view *v, const struct generated_file *g, struct buf *ret, struct errtext *err)
{
        char name[64], why[128];
        cleanup_close int fd = -1;
        int r;

        snprintf(name, sizeof(name), "generated.%llu", (unsigned long long)g->generation);
        if (g->length == 0)
                return 0;
        fd = file_open_beneath(v->state_fd, name, O_RDONLY | O_NOFOLLOW, 0);
        if (fd < 0)
                return errtext_set(err, -EIO, "cannot open .fusepkg/%s: %s", name, errno_name(fd, why));
        r = buf_reserve(ret, g->length);
        if (r < 0)
                return errtext_set(err, r, "out of memory");
        r = file_pread_full(fd, ret->data + ret->len, g->length, (off_t)g->offset);
        if (r < 0 || XXH3_64bits(ret->data + ret->len, g->length) != g->sum)
                return errtext_set(err, -EIO, ".fusepkg/%s is damaged: it no longer holds %s", name, g->name);
        ret->len += g->length;
        return 0;
}

static int make_record(const struct view *v, const struct view_slot *s, const struct generated_file *g, struct buf *ret,
                       struct errtext *err)
{
        cleanup_buf struct buf body = { 0 };
        cleanup_buf struct buf rows = { 0 };
        int r = image_pool_record(v->pool, s->image, &body, err);

        if (r == 0)
                r = read_run(v, g, &rows, err);
        if (r < 0)
                return r;
        r = record_merge(body.data ? body.data : "", body.len, rows.data ? rows.data : "", rows.len, ret);
        if (r < 0 || ret->len != g->size)
                return errtext_set(err, -EIO, "the RECORD of %s has not the size that it was given", s->slot->name);
        return 0;
}

/* A RECORD may have megabytes and is read in pieces: the last one is kept until its end was read. */
static ssize_t read_record(struct view *v, uint64_t id, const struct view_slot *s, const struct generated_file *g,
                           void *data, size_t len, uint64_t offset, struct errtext *err)
{
        ssize_t n;
        int r = 0;

        pthread_mutex_lock(&v->record_lock);
        if (v->record_id != id) {
                v->record_id = 0;
                buf_clear(&v->record);
                r = make_record(v, s, g, &v->record, err);
                if (r == 0)
                        v->record_id = id;
        }
        n = r < 0 ? r : (ssize_t)slice(v->record.data ? v->record.data : "", v->record.len, data, len, offset);
        if (r < 0 || offset + len >= v->record.len) {
                v->record_id = 0;
                buf_release(&v->record);
        }
        pthread_mutex_unlock(&v->record_lock);
        return n;
}

static ssize_t read_generated(const struct view *v, uint64_t id, const struct generated_file *g, void *data, size_t len,
                              uint64_t offset, struct errtext *err)
{
        cleanup_buf struct buf run = { 0 };
        int r;

        if (g->kind == GENERATED_RECORD)
                return read_record((struct view *)v, id, view_slot_of(v, id), g, data, len, offset, err);
        r = read_run(v, g, &run, err);
        return r < 0 ? r : (ssize_t)slice(run.data ? run.data : "", run.len, data, len, offset);
}

ssize_t view_read(const struct view *v, uint64_t id, void *data, size_t len, uint64_t offset, struct errtext *err)
{
        const struct generated_file *g = view_generated(v, id);
        const struct view_slot *s = view_slot_of(v, id);
        const char *path;

        if (id == NODE_MARKER)
                return (ssize_t)slice(MARKER_TEXT, sizeof(MARKER_TEXT) - 1, data, len, offset);
        if (g)
                return read_generated(v, id, g, data, len, offset, err);
        if (s && !(id & ID_GENERATED) && (id & UINT32_MAX) < image_entries(s->image))
                return image_pool_read(v->pool, s->image, (uint32_t)(id & UINT32_MAX), data, len, offset, err);
        path = v->base && !s ? base_path(v->base, id) : NULL;
        if (path)
                return base_read(v->base, path, data, len, offset);
        return errtext_set(err, -ENOENT, "no such file");
}

int view_readlink(const struct view *v, uint64_t id, struct buf *ret)
{
        const char *path = v->base ? base_path(v->base, id) : NULL;

        return path ? base_readlink(v->base, path, ret) : -EINVAL;
}

void view_totals(const struct view *v, uint64_t *ret_files, uint64_t *ret_bytes)
{
        uint64_t files = 0, bytes = 0;

        for (size_t i = 0; i < v->slot_count; i++) {
                const struct view_slot *s = &v->slots[i];

                if (s->retired)
                        continue;
                files += image_files(s->image) + s->slot->file_count;
                bytes += image_content_size(s->image);
                for (size_t k = 0; k < s->slot->file_count; k++)
                        bytes += s->slot->files[k].size;
        }
        *ret_files = files;
        *ret_bytes = bytes;
}

/* Conflicts ---------------------------------------------------------------------------------------------------- */

/* Reads both and compares; what cannot be read counts as different. */
static bool same_bytes(const struct view *v, uint64_t a, uint64_t b)
{
        enum { PIECE = 64 * 1024 };
        cleanup_free char *data = malloc(2 * PIECE);
        struct node x, y;
        const struct view_slot *s = view_slot_of(v, a), *t = view_slot_of(v, b);

        if (!data || view_getattr(v, a, &x) < 0 || view_getattr(v, b, &y) < 0)
                return false;
        if (!S_ISREG(x.st.st_mode) || !S_ISREG(y.st.st_mode) || x.st.st_size != y.st.st_size)
                return false;
        if (s && t && !(a & ID_GENERATED) && !(b & ID_GENERATED)) {
                struct image_entry e = image_entry(s->image, (uint32_t)a), f = image_entry(t->image, (uint32_t)b);

                if (e.type == IMAGE_OBJECT && f.type == IMAGE_OBJECT) {
                        struct image_object o = image_object(s->image, e.object), p = image_object(t->image, f.object);

                        return memcmp(o.id, p.id, SHA256_SIZE) == 0;
                }
        }
        for (uint64_t at = 0; at < (uint64_t)x.st.st_size;) {
                ssize_t n = view_read(v, a, data, PIECE, at, NULL), m = view_read(v, b, data + PIECE, PIECE, at, NULL);

                if (n <= 0 || n != m || memcmp(data, data + PIECE, (size_t)n) != 0)
                        return false;
                at += (uint64_t)n;
        }
        return true;
}

static const char *owner_name(const struct view *v, uint64_t id)
{
        const struct view_slot *s = view_slot_of(v, id);

        return s ? s->slot->name : "site-packages";
}

int view_conflicts(const struct view *v, uint32_t first_new,
                   int (*fn)(const char *path, const char *loser, const char *winner, void *user), void *user)
{
        for (size_t i = 0; i < v->conflict_count; i++) {
                const struct merged_conflict *c = &v->conflicts[i];
                int r;

                if (c->loser >> ID_SLOT_SHIFT < first_new && c->winner >> ID_SLOT_SHIFT < first_new)
                        continue;
                if (same_bytes(v, c->loser, c->winner))
                        continue;
                r = fn(c->path, owner_name(v, c->loser), owner_name(v, c->winner), user);
                if (r)
                        return r;
        }
        return 0;
}
