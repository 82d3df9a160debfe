/* format.h: the bytes of an image file, as store/FORMAT.md describes them.  Both change together. */
#ifndef FUSEPKG_FORMAT_H
#define FUSEPKG_FORMAT_H

#include "store/base.h"

#define IMAGE_MAGIC "FPKGIMG\n"

enum {
        IMAGE_VERSION = 1,
        IMAGE_HEADER_SIZE = 256,

        /* Files of this size or more are objects of their own: raw, so that the kernel can map them, and shared
         * by every image that refers to them.  Smaller ones are packed into the image's blocks. */
        OBJECT_MIN_SIZE = 128 * 1024,

        BLOCK_TARGET_SIZE = 64 * 1024,  /* a block is closed once it holds this much */
        BLOCK_MAX_SIZE = 192 * 1024,    /* and a file below OBJECT_MIN_SIZE always fits into one */
        OBJECT_SUM_SIZE = 64 * 1024,    /* bytes of an object that one checksum guards */

        IMAGE_NAME_MAX = 255,           /* bytes of one path component */
        IMAGE_PATH_MAX = 1024,          /* bytes of a path */
        IMAGE_ENTRIES_MAX = 1 << 20,
        IMAGE_INDEX_MAX = 256 << 20,    /* bytes; a larger index is not an image of ours */
};

enum image_entry_type {
        IMAGE_DIR = 1,
        IMAGE_FILE = 2,   /* in a block */
        IMAGE_OBJECT = 3, /* an object */
};

enum {
        IMAGE_EXECUTABLE = 1, /* flag of a file */
};

struct image_header_disk {
        uint8_t magic[8];
        struct le32 version;
        struct le32 compat;   /* unknown bits may be ignored */
        struct le32 incompat; /* unknown bits: refuse */
        struct le32 header_size;
        uint8_t id[SHA256_SIZE];      /* SHA-256 of the canonical tree: the image's name */
        uint8_t archive[SHA256_SIZE]; /* SHA-256 of the wheel it came from; informative */
        uint8_t key[SHA256_SIZE];     /* the wheel's fast-path key, all zero when it has none; informative */
        struct le64 file_size;        /* of this file */
        struct le64 index_size;       /* the index ends the file: it starts at file_size - index_size */
        struct le64 index_sum;        /* XXH3-64 of the index */
        struct le32 entries;
        struct le32 blocks;
        struct le32 objects;
        struct le32 sums;
        struct le32 names_size;
        struct le32 meta_size;
        struct le32 record_block;     /* the first block of the RECORD body */
        struct le32 record_blocks;
        struct le64 record_size;      /* bytes of the RECORD body */
        struct le64 content_size;     /* bytes of all files, as unpacked */
        struct le32 files;            /* number of entries that are no directories */
        uint8_t reserved[52];
        struct le64 header_sum;       /* XXH3-64 of the 248 bytes before it */
};
_Static_assert(sizeof(struct image_header_disk) == IMAGE_HEADER_SIZE, "the image header is 256 bytes");

/* The index: entries, blocks, objects, sums, names, meta, in this order, without gaps.  It comes last, because the
 * blocks are written while the wheel is being unpacked. */
struct image_entry_disk {
        struct le64 cookie;   /* directory offset: XXH3-64 of the name, see image_cookie() */
        struct le32 name;     /* offset in the names */
        struct le16 name_len;
        uint8_t type;
        uint8_t flags;
        struct le32 parent;   /* entry number; the root is its own parent */
        struct le32 a;        /* directory: first child.  file: block.  object: object number */
        struct le32 b;        /* directory: number of children.  file: offset in the block */
        struct le32 c;        /* directory: number of children that are directories */
        struct le64 size;     /* file, object: bytes */
};
_Static_assert(sizeof(struct image_entry_disk) == 40, "an image entry is 40 bytes");

struct image_block_disk {
        struct le64 offset; /* in the file */
        struct le32 stored; /* bytes there; equal to size when the block is not compressed */
        struct le32 size;   /* bytes of content, at most BLOCK_MAX_SIZE */
        struct le64 sum;    /* XXH3-64 of the stored bytes */
};
_Static_assert(sizeof(struct image_block_disk) == 24, "an image block is 24 bytes");

struct image_object_disk {
        uint8_t id[SHA256_SIZE];
        struct le64 size;
        struct le32 first_sum; /* its ceil(size / OBJECT_SUM_SIZE) checksums start here */
        struct le32 reserved;
};
_Static_assert(sizeof(struct image_object_disk) == 48, "an image object is 48 bytes");

#endif
