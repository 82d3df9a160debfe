/* image_check.c: the part of image.h that believes nothing.  After it, every number in an index can be followed. */
#include "store/image_internal.h"

#include <xxhash.h>

static int bad(struct errtext *err, const char *what)
{
        return errtext_set(err, -EBADMSG, "the image is damaged: %s", what);
}

int image_check_header(const struct image_header_disk *h, uint64_t file_size, struct errtext *err)
{
        uint64_t index_size = le64_get(h->index_size);
        uint64_t tables;

        if (memcmp(h->magic, IMAGE_MAGIC, sizeof(h->magic)) != 0)
                return errtext_set(err, -EBADMSG, "the file is not an image");
        if (XXH3_64bits(h, offsetof(struct image_header_disk, header_sum)) != le64_get(h->header_sum))
                return bad(err, "its header has another checksum");
        if (le32_get(h->version) != IMAGE_VERSION || le32_get(h->incompat) != 0)
                return errtext_set(err, -ENOTSUP, "the image was made by a newer fusepkg");
        if (le32_get(h->header_size) != IMAGE_HEADER_SIZE)
                return bad(err, "its header has another size");
        if (le64_get(h->file_size) != file_size)
                return bad(err, "the file has another size than its header says");
        if (index_size > IMAGE_INDEX_MAX || file_size < IMAGE_HEADER_SIZE || index_size > file_size - IMAGE_HEADER_SIZE)
                return bad(err, "its index does not fit");
        if (le32_get(h->entries) < 1 || le32_get(h->entries) > IMAGE_ENTRIES_MAX)
                return bad(err, "it has too few or too many entries");
        tables = le32_get(h->entries) * (uint64_t)sizeof(struct image_entry_disk) +
                 le32_get(h->blocks) * (uint64_t)sizeof(struct image_block_disk) +
                 le32_get(h->objects) * (uint64_t)sizeof(struct image_object_disk) +
                 le32_get(h->sums) * (uint64_t)sizeof(struct le64) + le32_get(h->names_size) + le32_get(h->meta_size);
        if (tables != index_size)
                return bad(err, "its tables do not fill its index");
        return 0;
}

static bool is_name(const char *name, size_t len)
{
        if (len < 1 || len > IMAGE_NAME_MAX)
                return false;
        if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
                return false;
        return memchr(name, '/', len) == NULL && memchr(name, '\0', len) == NULL;
}

static int check_blocks(const struct image *img, struct errtext *err)
{
        uint64_t end = img->file_size - img->index_size;
        uint32_t first = le32_get(img->header.record_block);
        uint32_t count = le32_get(img->header.record_blocks);
        uint64_t record = 0;

        if (first > img->block_count || count > img->block_count - first)
                return bad(err, "its RECORD lies outside its blocks");
        for (uint32_t i = 0; i < img->block_count; i++) {
                const struct image_block_disk *b = &img->blocks[i];
                uint64_t offset = le64_get(b->offset);
                uint32_t stored = le32_get(b->stored);
                uint32_t size = le32_get(b->size);

                if (size < 1 || size > BLOCK_MAX_SIZE || stored < 1 || stored > size)
                        return bad(err, "a block has an impossible size");
                if (offset < IMAGE_HEADER_SIZE || offset > end || stored > end - offset)
                        return bad(err, "a block lies outside the file");
                if (i >= first && i - first < count)
                        record += size;
        }
        if (record != le64_get(img->header.record_size))
                return bad(err, "its RECORD has another size");
        return 0;
}

static int check_objects(const struct image *img, struct errtext *err)
{
        for (uint32_t i = 0; i < img->object_count; i++) {
                const struct image_object_disk *o = &img->objects[i];
                uint64_t size = le64_get(o->size);
                uint32_t first = le32_get(o->first_sum);
                uint64_t count;

                if (size > INT64_MAX - OBJECT_SUM_SIZE)
                        return bad(err, "an object has an impossible size");
                count = (size + OBJECT_SUM_SIZE - 1) / OBJECT_SUM_SIZE;
                if (first > img->sum_count || count > img->sum_count - first)
                        return bad(err, "an object's checksums lie outside their table");
        }
        return 0;
}

static const char *check_file(const struct image *img, const struct image_entry_disk *e)
{
        uint64_t size = le64_get(e->size);
        uint32_t a = le32_get(e->a);
        uint32_t b = le32_get(e->b);

        if ((e->flags & ~IMAGE_EXECUTABLE) != 0 || le32_get(e->c) != 0)
                return "a file has unknown attributes";
        if (e->type == IMAGE_OBJECT) {
                if (a >= img->object_count || b != 0)
                        return "a file names no object";
                return size == le64_get(img->objects[a].size) ? NULL : "a file has another size than its object";
        }
        if (size == 0)
                return a == 0 && b == 0 ? NULL : "an empty file lies in a block";
        if (a >= img->block_count)
                return "a file names no block";
        if (b > le32_get(img->blocks[a].size) || size > le32_get(img->blocks[a].size) - b)
                return "a file reaches beyond its block";
        return NULL;
}

static const char *check_dir(const struct image *img, const struct image_entry_disk *e, uint32_t number)
{
        uint32_t first = le32_get(e->a);
        uint32_t count = le32_get(e->b);

        if (e->flags != 0 || le64_get(e->size) != 0)
                return "a directory has unknown attributes";
        if (count == 0)
                return first == 0 ? NULL : "an empty directory has a first child";
        if (first <= number || first > img->entry_count || count > img->entry_count - first)
                return "a directory's children are no entries";
        return NULL;
}

/* PATH_LENGTHS[i] is the length of entry i's path with a final slash, for all entries before NUMBER. */
static const char *check_place(const struct image *img, const struct image_entry_disk *e, uint32_t number,
                               uint16_t *path_lengths)
{
        uint32_t name = le32_get(e->name);
        uint16_t len = le16_get(e->name_len);
        uint32_t parent = le32_get(e->parent);
        const struct image_entry_disk *p;
        uint64_t cookie = le64_get(e->cookie);
        uint32_t names_size = le32_get(img->header.names_size);

        if (name > names_size || len > names_size - name || !is_name(img->names + name, len))
                return "an entry has an impossible name";
        if (cookie != image_cookie(img->names + name, len))
                return "an entry's cookie is not its name's";
        if (parent >= number || img->entries[parent].type != IMAGE_DIR)
                return "an entry is in no directory";
        p = &img->entries[parent];
        if (number < le32_get(p->a) || number - le32_get(p->a) >= le32_get(p->b))
                return "an entry is not among its directory's children";
        if (number > le32_get(p->a) && le64_get(img->entries[number - 1].cookie) >= cookie)
                return "a directory is not sorted";
        if (path_lengths[parent] + len > IMAGE_PATH_MAX)
                return "a path is too long";
        path_lengths[number] = (uint16_t)(path_lengths[parent] + len + 1);
        if (parent == 0) {
                struct span s = { img->names + name, len };

                if (e->type != IMAGE_DIR ||
                    !(span_is(s, "site") || span_is(s, "data") || span_is(s, "headers") || span_is(s, "scripts")))
                        return "it has an unknown top-level entry";
        }
        return NULL;
}

/* Every entry but the root lies in the range of its own parent, parents come first, and the ranges have room for no
 * more than all entries: so the ranges cover them exactly, and each can be reached from the root. */
static int check_entries(const struct image *img, struct errtext *err)
{
        cleanup_free uint16_t *path_lengths = malloc(img->entry_count * sizeof(*path_lengths));
        uint64_t children = 0;
        uint64_t content = 0;
        uint32_t files = 0;

        if (path_lengths == NULL)
                return errtext_set(err, -ENOMEM, "out of memory");
        path_lengths[0] = 0;
        for (uint32_t i = 0; i < img->entry_count; i++) {
                const struct image_entry_disk *e = &img->entries[i];
                const char *what = i == 0 ? NULL : check_place(img, e, i, path_lengths);

                if (what != NULL)
                        return bad(err, what);
                if (e->type == IMAGE_DIR) {
                        what = check_dir(img, e, i);
                        children += le32_get(e->b);
                } else if (e->type == IMAGE_FILE || e->type == IMAGE_OBJECT) {
                        what = check_file(img, e);
                        content += le64_get(e->size);
                        files++;
                } else {
                        what = "an entry has an unknown type";
                }
                if (what != NULL)
                        return bad(err, what);
        }
        if (children != img->entry_count - 1U)
                return bad(err, "its directories do not hold its entries");
        if (files != le32_get(img->header.files) || content != le64_get(img->header.content_size))
                return bad(err, "its totals are wrong");
        return 0;
}

/* After check_entries: no child is counted twice. */
static int check_subdirs(const struct image *img, struct errtext *err)
{
        for (uint32_t i = 0; i < img->entry_count; i++) {
                const struct image_entry_disk *e = &img->entries[i];
                uint32_t subdirs = 0;

                if (e->type != IMAGE_DIR)
                        continue;
                for (uint32_t k = 0; k < le32_get(e->b); k++)
                        subdirs += img->entries[le32_get(e->a) + k].type == IMAGE_DIR;
                if (subdirs != le32_get(e->c))
                        return bad(err, "a directory has another number of folders");
        }
        return 0;
}

static int check_root(const struct image *img, struct errtext *err)
{
        const struct image_entry_disk *e = &img->entries[0];

        if (e->type != IMAGE_DIR || le32_get(e->parent) != 0 || le16_get(e->name_len) != 0 || le32_get(e->name) != 0 ||
            le64_get(e->cookie) != 0)
                return bad(err, "it has no root");
        return 0;
}

static int check_meta(struct image *img, const char *p, size_t len, struct errtext *err)
{
        const char **strings[] = { &img->meta.name, &img->meta.version, &img->meta.dist_info,
                                   &img->meta.requires_python };

        for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
                const char *end = memchr(p, '\0', len);

                if (end == NULL)
                        return bad(err, "its metadata is cut off");
                *strings[i] = p;
                len -= (size_t)(end - p) + 1;
                p = end + 1;
        }
        if (len != 1 || (*p != 0 && *p != 1))
                return bad(err, "its metadata has another size");
        img->meta.record_matched = *p == 1;
        if (img->meta.name[0] == '\0' || img->meta.version[0] == '\0' ||
            !is_name(img->meta.dist_info, strlen(img->meta.dist_info)))
                return bad(err, "its metadata lacks a name");
        return 0;
}

int image_check_index(struct image *img, struct errtext *err)
{
        const struct image_header_disk *h = &img->header;
        const uint8_t *p = img->bytes;
        int r;

        if (XXH3_64bits(img->bytes, img->index_size) != le64_get(h->index_sum))
                return bad(err, "its index has another checksum");
        img->entry_count = le32_get(h->entries);
        img->block_count = le32_get(h->blocks);
        img->object_count = le32_get(h->objects);
        img->sum_count = le32_get(h->sums);
        /* The header's check has made sure that all this adds up to index_size. */
        img->entries = (const struct image_entry_disk *)p;
        p += img->entry_count * sizeof(*img->entries);
        img->blocks = (const struct image_block_disk *)p;
        p += img->block_count * sizeof(*img->blocks);
        img->objects = (const struct image_object_disk *)p;
        p += img->object_count * sizeof(*img->objects);
        img->sums = (const struct le64 *)p;
        p += img->sum_count * sizeof(*img->sums);
        img->names = (const char *)p;
        p += le32_get(h->names_size);
        r = check_meta(img, (const char *)p, le32_get(h->meta_size), err);
        if (r == 0)
                r = check_root(img, err);
        if (r == 0)
                r = check_blocks(img, err);
        if (r == 0)
                r = check_objects(img, err);
        if (r == 0)
                r = check_entries(img, err);
        return r == 0 ? check_subdirs(img, err) : r;
}
