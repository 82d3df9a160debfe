/* image_layout.h: from a list of paths to the numbered tree of an image's index; a part of image_write.c.
 *
 * Directories are numbered breadth first, so that each one's children are consecutive and come after it; children are
 * sorted by cookie. */
#ifndef FUSEPKG_IMAGE_LAYOUT_H
#define FUSEPKG_IMAGE_LAYOUT_H

#include "store/buf.h"
#include "store/image_write.h"

struct layout_file {
        char *path;         /* owned */
        bool executable;
        uint64_t size;
        uint8_t sha256[SHA256_SIZE];
        uint32_t block;
        uint32_t block_offset;
        struct le64 *sums;  /* owned; NULL unless an object */
        uint32_t object;    /* its number, once built */
};

/* All zero is empty. */
struct image_layout {
        struct layout_file *files; /* sorted by path once built */
        size_t file_count;
        size_t file_cap;
        uint64_t content_size;
        struct buf entries; /* once built: the tables, as on disk */
        struct buf objects;
        struct buf sums;
        struct buf names;
};

int image_layout_add(struct image_layout *l, const struct image_file *f);
int image_layout_build(struct image_layout *l, struct errtext *err);
void image_layout_release(struct image_layout *l);

#endif
