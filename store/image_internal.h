/* image_internal.h: what the image*.c files share: an image in memory.
 *
 * The index stays as it is on disk; accessors decode what they return.  Nothing but image_check() may look at an
 * index that image_check() has not passed. */
#ifndef FUSEPKG_IMAGE_INTERNAL_H
#define FUSEPKG_IMAGE_INTERNAL_H

#include "store/image.h"

struct image {
        struct image_header_disk header;
        /* The tables, all within bytes; set by image_check. */
        const struct image_entry_disk *entries;
        const struct image_block_disk *blocks;
        const struct image_object_disk *objects;
        const struct le64 *sums;
        const char *names;
        uint32_t entry_count; /* the header's counts, decoded */
        uint32_t block_count;
        uint32_t object_count;
        uint32_t sum_count;
        uint64_t file_size;
        uint64_t index_size;
        struct image_meta meta;
        uint8_t bytes[];      /* the index, index_size bytes */
};

/* The header alone; FILE_SIZE is the file's. */
int image_check_header(const struct image_header_disk *h, uint64_t file_size, struct errtext *err);
/* The index, once header, file_size, index_size and bytes are there; sets all the rest. */
int image_check_index(struct image *img, struct errtext *err);

#endif
