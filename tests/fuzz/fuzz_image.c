#include "fuzz.h"

#include "store/image.h"

#include <fcntl.h>
#include <xxhash.h>

/* Whatever was accepted: every accessor, and every content, of which nothing is right. */
static void touch_entry(const struct image *img, int fd, uint32_t number, uint8_t *block)
{
        cleanup_buf struct buf path = { 0 };
        cleanup_buf struct buf text = { 0 };
        struct image_entry e = image_entry(img, number);
        uint32_t found = 0;

        FUZZ_CHECK(image_path(img, number, &path) == 0);
        FUZZ_CHECK(image_find(img, path.data ? path.data : "", &found) == 0 && found == number);
        switch (e.type) {
        case IMAGE_DIR:
                FUZZ_CHECK(image_seek(img, number, 0) == e.first_child || e.children == 0);
                FUZZ_CHECK(image_seek(img, number, UINT64_MAX) == e.first_child + e.children);
                FUZZ_CHECK(e.subdirs <= e.children);
                break;
        case IMAGE_FILE:
                image_read_file(img, fd, number, &text);
                break;
        case IMAGE_OBJECT:
                FUZZ_CHECK(image_object(img, e.object).size == e.size);
                image_read_object(img, fd, e.object, block, 100, e.size / 2);
                break;
        default:
                FUZZ_CHECK(false);
        }
}

static void touch(const struct image *img)
{
        int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        uint8_t *block = malloc(BLOCK_MAX_SIZE);
        cleanup_buf struct buf record = { 0 };

        FUZZ_CHECK(image_time(img) >= 315619200 && image_time(img) < 1577836800);
        FUZZ_CHECK(strlen(image_meta(img)->name) > 0 && strchr(image_meta(img)->dist_info, '/') == NULL);
        for (uint32_t i = 0; i < image_entries(img); i++)
                touch_entry(img, fd, i, block);
        for (uint32_t i = 0; i < image_blocks(img); i++)
                image_read_block(img, fd, i, block);
        if (image_record_size(img) < 1 << 24)
                image_read_record(img, fd, &record);
        free(block);
        close(fd);
}

static void parse(const uint8_t *data, size_t size, uint64_t file_size)
{
        struct image *img = NULL;
        struct errtext err = { "" };

        if (image_parse(data, size, file_size, &img, &err) == 0)
                touch(img);
        else
                FUZZ_CHECK(err.text[0] != '\0' && img == NULL);
        image_close(img);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct image_header_disk h;
        uint8_t *copy;

        parse(data, size, size);
        if (size < sizeof(h))
                return 0;
        /* Once more with sums that fit, or nothing would ever get past them. */
        memcpy(&h, data, sizeof(h));
        h.index_size = le64_put(size - sizeof(h));
        h.index_sum = le64_put(XXH3_64bits(data + sizeof(h), size - sizeof(h)));
        h.header_sum = le64_put(XXH3_64bits(&h, offsetof(struct image_header_disk, header_sum)));
        copy = malloc(size);
        memcpy(copy, data, size);
        memcpy(copy, &h, sizeof(h));
        parse(copy, size, le64_get(h.file_size));
        free(copy);
        return 0;
}
