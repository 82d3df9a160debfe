#include "store/image_write.h"

#include "store/files.h"
#include "store/image.h"
#include "store/image_layout.h"
#include "store/record.h"
#include "store/tree_hash.h"

#include <pthread.h>
#include <xxhash.h>
#include <zstd.h>

/* DESIGN.md's measurements: level 3 packs Python's sources to a fifth; higher levels cost more time than they save. */
enum { LEVEL = 3 };

/* Compression contexts that nobody uses at the moment; there are never more than threads that compress at once. */
struct packer {
        ZSTD_CCtx *ctx;
        void *out;
        size_t out_size;
        struct packer *next;
};

struct image_writer {
        int fd;
        struct image_layout layout; /* owner's thread only */
        pthread_mutex_t lock;       /* guards what follows */
        struct image_block_disk *blocks;
        uint32_t block_count;       /* largest number + 1 */
        uint32_t block_cap;
        uint64_t end;               /* where the next block goes */
        struct packer *packers;
};

int image_writer_new(int fd, struct image_writer **ret)
{
        struct image_writer *w = calloc(1, sizeof(*w));

        if (w == NULL)
                return -ENOMEM;
        w->fd = fd;
        w->end = IMAGE_HEADER_SIZE;
        pthread_mutex_init(&w->lock, NULL);
        *ret = w;
        return 0;
}

static void packer_free(struct packer *p)
{
        if (p == NULL)
                return;
        ZSTD_freeCCtx(p->ctx);
        free(p->out);
        free(p);
}

void image_writer_free(struct image_writer *w)
{
        if (w == NULL)
                return;
        while (w->packers != NULL) {
                struct packer *p = w->packers;

                w->packers = p->next;
                packer_free(p);
        }
        image_layout_release(&w->layout);
        free(w->blocks);
        pthread_mutex_destroy(&w->lock);
        free(w);
}

int image_writer_add(struct image_writer *w, const struct image_file *f)
{
        return image_layout_add(&w->layout, f);
}

static int grow_blocks(struct image_writer *w, uint32_t number)
{
        struct image_block_disk *more;
        uint32_t cap = w->block_cap == 0 ? 64 : w->block_cap;

        if (number >= IMAGE_INDEX_MAX / sizeof(*more))
                return -EFBIG;
        while (cap <= number)
                cap *= 2;
        if (cap == w->block_cap)
                return 0;
        more = realloc(w->blocks, cap * sizeof(*more));
        if (more == NULL)
                return -ENOMEM;
        memset(more + w->block_cap, 0, (cap - w->block_cap) * sizeof(*more));
        w->blocks = more;
        w->block_cap = cap;
        return 0;
}

/* Enters the block into the table and says where it goes. */
static int place_block(struct image_writer *w, uint32_t number, const struct image_block_disk *b, uint64_t *ret_offset)
{
        int r;

        pthread_mutex_lock(&w->lock);
        r = grow_blocks(w, number);
        if (r == 0 && le32_get(w->blocks[number].size) != 0)
                r = -EEXIST;
        if (r == 0) {
                w->blocks[number] = *b;
                w->blocks[number].offset = le64_put(w->end);
                *ret_offset = w->end;
                w->end += le32_get(b->stored);
                if (number >= w->block_count)
                        w->block_count = number + 1;
        }
        pthread_mutex_unlock(&w->lock);
        return r;
}

static int write_at(int fd, const void *data, size_t len, uint64_t offset)
{
        const char *p = data;

        while (len > 0) {
                ssize_t n = pwrite(fd, p, len, (off_t)offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                p += n;
                len -= (size_t)n;
                offset += (uint64_t)n;
        }
        return 0;
}

int image_writer_block(struct image_writer *w, uint32_t number, const void *data, size_t stored, size_t size)
{
        struct image_block_disk b = { .stored = le32_put((uint32_t)stored), .size = le32_put((uint32_t)size) };
        uint64_t offset = 0;
        int r;

        if (size < 1 || size > BLOCK_MAX_SIZE || stored < 1 || stored > size)
                return -EINVAL;
        b.sum = le64_put(XXH3_64bits(data, stored));
        r = place_block(w, number, &b, &offset);
        return r == 0 ? write_at(w->fd, data, stored, offset) : r;
}

static struct packer *packer_take(struct image_writer *w)
{
        struct packer *p;

        pthread_mutex_lock(&w->lock);
        p = w->packers;
        if (p != NULL)
                w->packers = p->next;
        pthread_mutex_unlock(&w->lock);
        if (p != NULL)
                return p;
        p = calloc(1, sizeof(*p));
        if (p == NULL)
                return NULL;
        p->ctx = ZSTD_createCCtx();
        p->out_size = ZSTD_compressBound(BLOCK_MAX_SIZE);
        p->out = malloc(p->out_size);
        if (p->ctx == NULL || p->out == NULL) {
                packer_free(p);
                return NULL;
        }
        return p;
}

static void packer_give(struct image_writer *w, struct packer *p)
{
        pthread_mutex_lock(&w->lock);
        p->next = w->packers;
        w->packers = p;
        pthread_mutex_unlock(&w->lock);
}

int image_writer_compress(struct image_writer *w, uint32_t number, const void *data, size_t size)
{
        struct packer *p;
        size_t stored;
        int r;

        if (size < 1 || size > BLOCK_MAX_SIZE)
                return -EINVAL;
        p = packer_take(w);
        if (p == NULL)
                return -ENOMEM;
        stored = ZSTD_compressCCtx(p->ctx, p->out, p->out_size, data, size, LEVEL);
        if (ZSTD_isError(stored) || stored >= size)
                r = image_writer_block(w, number, data, size, size);
        else
                r = image_writer_block(w, number, p->out, stored, size);
        packer_give(w, p);
        return r;
}

/* The rows of the files below `site`, relative to it. */
static int build_record(const struct image_layout *l, struct buf *ret)
{
        static const char site[] = "site/";
        int r = 0;

        for (size_t i = 0; r == 0 && i < l->file_count; i++) {
                const struct layout_file *f = &l->files[i];

                if (strncmp(f->path, site, strlen(site)) == 0)
                        r = record_add_row(ret, f->path + strlen(site), f->sha256, f->size);
        }
        return r;
}

static int write_record(struct image_writer *w, struct image_header_disk *h, struct errtext *err)
{
        cleanup_buf struct buf record = { 0 };
        uint32_t first = w->block_count;
        uint32_t count = 0;
        int r = build_record(&w->layout, &record);

        for (size_t at = 0; r == 0 && at < record.len; at += BLOCK_TARGET_SIZE) {
                size_t left = record.len - at;

                r = image_writer_compress(w, first + count, record.data + at,
                                          left < BLOCK_TARGET_SIZE ? left : BLOCK_TARGET_SIZE);
                count++;
        }
        if (r < 0)
                return errtext_set(err, r, "cannot write the image's RECORD");
        h->record_block = le32_put(first);
        h->record_blocks = le32_put(count);
        h->record_size = le64_put(record.len);
        return 0;
}

static int check_blocks(const struct image_writer *w, struct errtext *err)
{
        for (uint32_t i = 0; i < w->block_count; i++)
                if (le32_get(w->blocks[i].size) == 0)
                        return errtext_set(err, -EINVAL, "block %u of the image is missing", i);
        for (size_t i = 0; i < w->layout.file_count; i++) {
                const struct layout_file *f = &w->layout.files[i];

                if (f->size == 0 || f->sums != NULL)
                        continue;
                if (f->block >= w->block_count || f->block_offset + f->size > le32_get(w->blocks[f->block].size))
                        return errtext_set(err, -EINVAL, "'%s' lies outside its block", f->path);
        }
        return 0;
}

static int compute_id(const struct image_layout *l, uint8_t ret_id[SHA256_SIZE])
{
        cleanup_free struct tree_file *files = calloc(l->file_count + 1, sizeof(*files));

        if (files == NULL)
                return -ENOMEM;
        for (size_t i = 0; i < l->file_count; i++) {
                const struct layout_file *f = &l->files[i];

                files[i] = (struct tree_file){ f->path, f->executable, f->size, f->sha256 };
        }
        return tree_hash(files, l->file_count, ret_id);
}

static int add_meta(struct buf *index, const struct image_info *info)
{
        const char *strings[] = { info->name, info->version, info->dist_info,
                                  info->requires_python ? info->requires_python : "" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_LEN(strings); i++)
                r = buf_add(index, strings[i], strlen(strings[i]) + 1);
        return r == 0 ? buf_add_char(index, info->record_matched ? 1 : 0) : r;
}

static int build_index(struct image_writer *w, const struct image_info *info, struct image_header_disk *h,
                       struct buf *index)
{
        const struct image_layout *l = &w->layout;
        size_t before;
        int r = buf_add(index, l->entries.data, l->entries.len);

        if (r == 0)
                r = buf_add(index, w->blocks, w->block_count * sizeof(*w->blocks));
        if (r == 0)
                r = buf_add(index, l->objects.data, l->objects.len);
        if (r == 0)
                r = buf_add(index, l->sums.data, l->sums.len);
        if (r == 0)
                r = buf_add(index, l->names.data, l->names.len);
        before = index->len;
        if (r == 0)
                r = add_meta(index, info);
        if (r < 0)
                return r;
        if (index->len > IMAGE_INDEX_MAX)
                return -EFBIG;
        h->entries = le32_put((uint32_t)(l->entries.len / sizeof(struct image_entry_disk)));
        h->blocks = le32_put(w->block_count);
        h->objects = le32_put((uint32_t)(l->objects.len / sizeof(struct image_object_disk)));
        h->sums = le32_put((uint32_t)(l->sums.len / sizeof(struct le64)));
        h->names_size = le32_put((uint32_t)l->names.len);
        h->meta_size = le32_put((uint32_t)(index->len - before));
        h->index_size = le64_put(index->len);
        h->index_sum = le64_put(XXH3_64bits(index->data, index->len));
        h->files = le32_put((uint32_t)l->file_count);
        h->content_size = le64_put(l->content_size);
        return 0;
}

static void seal_header(struct image_header_disk *h, const struct image_info *info, uint64_t file_size)
{
        memcpy(h->magic, IMAGE_MAGIC, sizeof(h->magic));
        h->version = le32_put(IMAGE_VERSION);
        h->header_size = le32_put(IMAGE_HEADER_SIZE);
        memcpy(h->archive, info->archive, SHA256_SIZE);
        memcpy(h->key, info->key, SHA256_SIZE);
        h->file_size = le64_put(file_size);
        h->header_sum = le64_put(XXH3_64bits(h, offsetof(struct image_header_disk, header_sum)));
}

int image_writer_finish(struct image_writer *w, const struct image_info *info, uint8_t ret_id[SHA256_SIZE],
                        struct errtext *err)
{
        cleanup_buf struct buf index = { 0 };
        struct image_header_disk h = { 0 };
        char name[128];
        int r = check_blocks(w, err);

        if (r == 0)
                r = image_layout_build(&w->layout, err);
        if (r == 0)
                r = write_record(w, &h, err);
        if (r < 0)
                return r;
        r = compute_id(&w->layout, h.id);
        if (r == 0)
                r = build_index(w, info, &h, &index);
        if (r == 0)
                r = write_at(w->fd, index.data, index.len, w->end);
        if (r == 0) {
                seal_header(&h, info, w->end + index.len);
                r = write_at(w->fd, &h, sizeof(h), 0);
        }
        if (r < 0)
                return errtext_set(err, r, "cannot write the image: %s", errno_name(r, name));
        memcpy(ret_id, h.id, SHA256_SIZE);
        return 0;
}
