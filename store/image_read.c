/* image_read.c: the part of image.h that reads contents; every byte that it returns has been checked. */
#include "store/image.h"

#include "store/files.h"
#include "store/image_internal.h"

#include <xxhash.h>
#include <zstd.h>

/* A file that ends too early was damaged too: file_pread_full says -EIO. */
int image_read_block(const struct image *img, int fd, uint32_t block, void *data)
{
        cleanup_free void *packed = NULL;
        const struct image_block_disk *b;
        uint32_t stored;
        uint32_t size;
        void *target = data;
        int r;

        if (block >= img->block_count)
                return -EINVAL;
        b = &img->blocks[block];
        stored = le32_get(b->stored);
        size = le32_get(b->size);
        if (stored != size) {
                packed = malloc(stored);
                if (packed == NULL)
                        return -ENOMEM;
                target = packed;
        }
        r = file_pread_full(fd, target, stored, (off_t)le64_get(b->offset));
        if (r < 0)
                return r;
        if (XXH3_64bits(target, stored) != le64_get(b->sum))
                return -EIO;
        if (stored != size && ZSTD_decompress(data, size, packed, stored) != size)
                return -EIO;
        return (int)size;
}

/* One piece that one checksum guards, whole, into DATA. */
static int read_piece(const struct image *img, int fd, const struct image_object_disk *o, uint64_t piece, void *data)
{
        uint64_t offset = piece * OBJECT_SUM_SIZE;
        uint64_t left = le64_get(o->size) - offset;
        size_t len = left < OBJECT_SUM_SIZE ? (size_t)left : OBJECT_SUM_SIZE;
        int r = file_pread_full(fd, data, len, (off_t)offset);

        if (r < 0)
                return r;
        return XXH3_64bits(data, len) == le64_get(img->sums[le32_get(o->first_sum) + piece]) ? 0 : -EIO;
}

ssize_t image_read_object(const struct image *img, int fd, uint32_t object, void *data, size_t len, uint64_t offset)
{
        const struct image_object_disk *o = &img->objects[object];
        uint64_t size = le64_get(o->size);
        cleanup_free uint8_t *part = NULL;
        size_t done = 0;

        if (offset >= size)
                return 0;
        if (len > size - offset)
                len = (size_t)(size - offset);
        while (done < len) {
                uint64_t at = offset + done;
                uint64_t piece = at / OBJECT_SUM_SIZE;
                size_t skip = (size_t)(at % OBJECT_SUM_SIZE);
                uint64_t left = size - piece * OBJECT_SUM_SIZE;
                size_t piece_len = left < OBJECT_SUM_SIZE ? (size_t)left : OBJECT_SUM_SIZE;
                size_t wanted = piece_len - skip < len - done ? piece_len - skip : len - done;
                uint8_t *target = (uint8_t *)data + done;
                int r;

                if (wanted != piece_len) {
                        if (part == NULL)
                                part = malloc(OBJECT_SUM_SIZE);
                        if (part == NULL)
                                return -ENOMEM;
                        target = part;
                }
                r = read_piece(img, fd, o, piece, target);
                if (r < 0)
                        return r;
                if (target == part)
                        memcpy((uint8_t *)data + done, part + skip, wanted);
                done += wanted;
        }
        return (ssize_t)done;
}

int image_read_record(const struct image *img, int fd, struct buf *ret)
{
        uint32_t first = le32_get(img->header.record_block);
        uint32_t count = le32_get(img->header.record_blocks);
        size_t before = ret->len;

        for (uint32_t i = 0; i < count; i++) {
                int r = buf_reserve(ret, BLOCK_MAX_SIZE + 1);

                if (r == 0)
                        r = image_read_block(img, fd, first + i, ret->data + ret->len);
                if (r < 0) {
                        ret->len = before;
                        if (ret->data != NULL)
                                ret->data[before] = '\0';
                        return r;
                }
                ret->len += (size_t)r;
                ret->data[ret->len] = '\0';
        }
        return 0;
}

int image_read_file(const struct image *img, int fd, uint32_t number, struct buf *ret)
{
        struct image_entry e = image_entry(img, number);
        cleanup_free char *block = NULL;
        int r;

        if (e.type != IMAGE_FILE)
                return -EINVAL;
        if (e.size == 0)
                return 0;
        block = malloc(BLOCK_MAX_SIZE);
        if (block == NULL)
                return -ENOMEM;
        r = image_read_block(img, fd, e.block, block);
        if (r < 0)
                return r;
        return buf_add(ret, block + e.block_offset, (size_t)e.size);
}
