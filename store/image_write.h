/* image_write.h: making an image file.
 *
 * The caller gives the blocks that hold the small files, which go to the file as they come, and adds every file, in
 * any order, with its final path in the image ("site/six.py"); then image_writer_finish computes the tree and the id
 * and writes the RECORD body, the index and the header.  Until then the file is not an image.
 * Equal trees give equal ids whatever order they were added in.
 *
 * Threads: blocks may be given by several threads at once; the rest is for one thread, and after the last block. */
#ifndef FUSEPKG_IMAGE_WRITE_H
#define FUSEPKG_IMAGE_WRITE_H

#include "store/format.h"

struct image_writer;

struct image_file {
        const char *path;            /* from the image's root; copied */
        bool executable;
        uint64_t size;               /* bytes */
        uint8_t sha256[SHA256_SIZE]; /* of the content: for an object its name */
        uint32_t block;              /* small files: which block, and where in it */
        uint32_t block_offset;
        const uint64_t *sums;        /* objects: XXH3-64 of each OBJECT_SUM_SIZE bytes; copied */
};

struct image_info {
        const char *name;
        const char *version;
        const char *dist_info;
        const char *requires_python;
        bool record_matched;
        uint8_t archive[SHA256_SIZE];
        uint8_t key[SHA256_SIZE];    /* all zero: none */
};

/* FD is an empty file, open for writing; the caller keeps it. */
int image_writer_new(int fd, struct image_writer **ret);
void image_writer_free(struct image_writer *w);

/* A file of OBJECT_MIN_SIZE bytes or more is an object, a smaller one lies in a block.  -ENAMETOOLONG, -EINVAL: a path
 * that no image may hold (not below one of the four folders, empty components, "." or "..", too long). */
int image_writer_add(struct image_writer *w, const struct image_file *f);

/* One block, already stored (compressed, or raw when STORED == SIZE); it is in the
 * file on return.  Blocks may come in any order; all numbers from 0 up to the largest must be there at the end. */
int image_writer_block(struct image_writer *w, uint32_t number, const void *data, size_t stored, size_t size);

/* Compresses one block at level 3 and gives it to image_writer_block. */
int image_writer_compress(struct image_writer *w, uint32_t number, const void *data, size_t size);

/* Completes the file.  -EEXIST: two files of one path, a file where a directory is needed, or two names of one
 * directory with the same cookie. */
int image_writer_finish(struct image_writer *w, const struct image_info *info, uint8_t ret_id[SHA256_SIZE],
                        struct errtext *err);

#endif
