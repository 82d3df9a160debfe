#include "store/image.h"

#include "store/files.h"
#include "store/image_internal.h"

#include <sys/stat.h>
#include <xxhash.h>

/* Time stamps lie in [1980-01-02, 2020-01-01): ZIP knows no earlier ones, and make and friends dislike the future. */
#define TIME_FIRST INT64_C(315619200)
#define TIME_END INT64_C(1577836800)
#define TIME_DAY INT64_C(86400)

static int image_new(const struct image_header_disk *h, uint64_t file_size, struct image **ret, struct errtext *err)
{
        size_t index_size = (size_t)le64_get(h->index_size);
        struct image *img = malloc(sizeof(*img) + index_size);

        if (img == NULL)
                return errtext_set(err, -ENOMEM, "out of memory");
        memset(img, 0, sizeof(*img));
        img->header = *h;
        img->file_size = file_size;
        img->index_size = index_size;
        *ret = img;
        return 0;
}

int image_open(int fd, struct image **ret, struct errtext *err)
{
        struct image_header_disk h;
        struct stat st;
        struct image *img = NULL;
        char name[128];
        int r;

        if (fstat(fd, &st) < 0)
                return errtext_set(err, -errno, "cannot read the image: %s", errno_name(-errno, name));
        if (st.st_size < IMAGE_HEADER_SIZE)
                return errtext_set(err, -EBADMSG, "the image is truncated");
        r = file_pread_full(fd, &h, sizeof(h), 0);
        if (r < 0)
                return errtext_set(err, r, "cannot read the image: %s", errno_name(r, name));
        r = image_check_header(&h, (uint64_t)st.st_size, err);
        if (r < 0)
                return r;
        r = image_new(&h, (uint64_t)st.st_size, &img, err);
        if (r < 0)
                return r;
        r = file_pread_full(fd, img->bytes, img->index_size, (off_t)(img->file_size - img->index_size));
        if (r < 0)
                errtext_set(err, r, "cannot read the image: %s", errno_name(r, name));
        else
                r = image_check_index(img, err);
        if (r < 0) {
                image_close(img);
                return r;
        }
        *ret = img;
        return 0;
}

int image_parse(const void *data, size_t size, uint64_t file_size, struct image **ret, struct errtext *err)
{
        struct image_header_disk h;
        struct image *img = NULL;
        int r;

        if (size < sizeof(h))
                return errtext_set(err, -EBADMSG, "the image is truncated");
        memcpy(&h, data, sizeof(h));
        r = image_check_header(&h, file_size, err);
        if (r < 0)
                return r;
        if (size - sizeof(h) != le64_get(h.index_size))
                return errtext_set(err, -EBADMSG, "the image's index has another size than its header says");
        r = image_new(&h, file_size, &img, err);
        if (r < 0)
                return r;
        memcpy(img->bytes, (const uint8_t *)data + sizeof(h), img->index_size);
        r = image_check_index(img, err);
        if (r < 0) {
                image_close(img);
                return r;
        }
        *ret = img;
        return 0;
}

void image_close(struct image *img)
{
        free(img);
}

const uint8_t *image_id(const struct image *img)
{
        return img->header.id;
}

const uint8_t *image_archive(const struct image *img)
{
        return img->header.archive;
}

const uint8_t *image_key(const struct image *img)
{
        return img->header.key;
}

const struct image_meta *image_meta(const struct image *img)
{
        return &img->meta;
}

uint32_t image_entries(const struct image *img)
{
        return img->entry_count;
}

uint32_t image_files(const struct image *img)
{
        return le32_get(img->header.files);
}

uint32_t image_blocks(const struct image *img)
{
        return img->block_count;
}

uint32_t image_objects(const struct image *img)
{
        return img->object_count;
}

uint64_t image_file_size(const struct image *img)
{
        return img->file_size;
}

uint64_t image_content_size(const struct image *img)
{
        return le64_get(img->header.content_size);
}

uint64_t image_record_size(const struct image *img)
{
        return le64_get(img->header.record_size);
}

int64_t image_time(const struct image *img)
{
        struct le64 v;

        memcpy(&v, img->header.id, sizeof(v));
        return TIME_FIRST + (int64_t)(le64_get(v) % (uint64_t)(TIME_END - TIME_FIRST - TIME_DAY));
}

struct image_entry image_entry(const struct image *img, uint32_t number)
{
        const struct image_entry_disk *d = &img->entries[number];
        struct image_entry e = {
                .number = number,
                .type = (enum image_entry_type)d->type,
                .executable = (d->flags & IMAGE_EXECUTABLE) != 0,
                .parent = le32_get(d->parent),
                .cookie = le64_get(d->cookie),
                .name = { img->names + le32_get(d->name), le16_get(d->name_len) },
                .size = le64_get(d->size),
        };

        switch (e.type) {
        case IMAGE_DIR:
                e.first_child = le32_get(d->a);
                e.children = le32_get(d->b);
                e.subdirs = le32_get(d->c);
                break;
        case IMAGE_FILE:
                e.block = le32_get(d->a);
                e.block_offset = le32_get(d->b);
                break;
        case IMAGE_OBJECT:
                e.object = le32_get(d->a);
                break;
        }
        return e;
}

struct image_object image_object(const struct image *img, uint32_t number)
{
        const struct image_object_disk *d = &img->objects[number];
        struct image_object o = { .size = le64_get(d->size) };

        memcpy(o.id, d->id, SHA256_SIZE);
        return o;
}

uint64_t image_cookie(const char *name, size_t len)
{
        uint64_t cookie = XXH3_64bits(name, len) >> 1;

        return cookie < IMAGE_COOKIE_MIN ? cookie + IMAGE_COOKIE_MIN : cookie;
}

uint32_t image_seek(const struct image *img, uint32_t dir, uint64_t cookie)
{
        struct image_entry d = image_entry(img, dir);
        uint32_t low = d.first_child;
        uint32_t high = d.first_child + d.children;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (le64_get(img->entries[middle].cookie) < cookie)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

int image_lookup(const struct image *img, uint32_t dir, const char *name, size_t len, uint32_t *ret)
{
        struct image_entry d = image_entry(img, dir);
        uint64_t cookie = image_cookie(name, len);
        uint32_t number = image_seek(img, dir, cookie);
        struct image_entry e;

        if (number == d.first_child + d.children)
                return -ENOENT;
        e = image_entry(img, number);
        if (e.cookie != cookie || e.name.len != len || memcmp(e.name.data, name, len) != 0)
                return -ENOENT;
        *ret = number;
        return 0;
}

int image_find(const struct image *img, const char *path, uint32_t *ret)
{
        uint32_t number = 0;

        while (*path != '\0') {
                size_t len = strcspn(path, "/");
                int r = image_lookup(img, number, path, len, &number);

                if (r < 0)
                        return r;
                path += len;
                path += *path == '/';
        }
        *ret = number;
        return 0;
}

int image_path(const struct image *img, uint32_t number, struct buf *ret)
{
        size_t len = 0;
        char *end;
        int r;

        for (uint32_t n = number; n != 0; n = le32_get(img->entries[n].parent))
                len += le16_get(img->entries[n].name_len) + 1U;
        if (len == 0)
                return 0;
        len--; /* no slash at the end */
        r = buf_reserve(ret, len + 1);
        if (r < 0)
                return r;
        end = ret->data + ret->len + len;
        *end = '\0';
        for (uint32_t n = number; n != 0; n = le32_get(img->entries[n].parent)) {
                struct span name = image_entry(img, n).name;

                end -= name.len;
                memcpy(end, name.data, name.len);
                if (end > ret->data + ret->len)
                        *--end = '/';
        }
        ret->len += len;
        return 0;
}
