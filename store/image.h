/* image.h: one wheel, unpacked once, immutable: reading it.
 *
 * An image is a tree of directories and files.  The root has up to four children, the places that a wheel installs
 * into: `site` (site-packages), `data` (relative to the venv), `headers` (one folder named after the distribution)
 * and `scripts` (as the wheel has them, before `#!python` is rewritten).  RECORD is no file of the tree: an
 * environment generates it from image_read_record() and its own rows.
 *
 * Entries are numbered from 0, the root.  A directory's children have consecutive numbers, sorted by their cookie
 * (then by name; two equal cookies in one directory are refused when the image is made), and numbers larger than
 * the directory's own.
 *
 * Everything in the index is checked by image_open: an accessor cannot fail or leave the memory, whatever the file
 * held.  The index lives on the heap; contents are read with pread and checked against their XXH3 every time.
 *
 * Threads: a struct image is immutable and may be shared.  It holds no descriptor: reading functions take one. */
#ifndef FUSEPKG_IMAGE_H
#define FUSEPKG_IMAGE_H

#include "store/format.h"
#include "store/buf.h"

struct image;

struct image_entry {
        uint32_t number;
        enum image_entry_type type;
        bool executable;
        uint32_t parent;
        uint64_t cookie;
        struct span name;       /* belongs to the image; empty for the root */
        uint64_t size;          /* bytes; 0 for a directory */
        uint32_t first_child;   /* directories */
        uint32_t children;
        uint32_t subdirs;
        uint32_t block;         /* IMAGE_FILE */
        uint32_t block_offset;
        uint32_t object;        /* IMAGE_OBJECT */
};

struct image_object {
        uint8_t id[SHA256_SIZE];
        uint64_t size;
};

/* What the wheel says of itself; strings belong to the image. */
struct image_meta {
        const char *name;            /* Name of METADATA */
        const char *version;         /* Version of METADATA */
        const char *dist_info;       /* "six-1.17.0.dist-info" */
        const char *requires_python; /* "" when absent */
        bool record_matched;         /* every file matched the wheel's RECORD */
};

/* Loads and checks the index of the file FD (which the caller keeps).  -EBADMSG: damaged; -ENOTSUP: made by a newer
 * fusepkg. */
int image_open(int fd, struct image **ret, struct errtext *err);
/* The same for bytes in memory, DATA being the header with the index behind it, of a file of FILE_SIZE bytes; the
 * fuzz driver's way in. */
int image_parse(const void *data, size_t size, uint64_t file_size, struct image **ret, struct errtext *err);
void image_close(struct image *img); /* NULL is fine */

const uint8_t *image_id(const struct image *img);
const uint8_t *image_archive(const struct image *img); /* SHA-256 of the wheel */
const uint8_t *image_key(const struct image *img);     /* all zero: none */
const struct image_meta *image_meta(const struct image *img);
uint32_t image_entries(const struct image *img);
uint32_t image_files(const struct image *img);         /* entries that are not directories */
uint32_t image_blocks(const struct image *img);
uint32_t image_objects(const struct image *img);
uint64_t image_file_size(const struct image *img);     /* of the image file, bytes */
uint64_t image_content_size(const struct image *img);  /* of all files as unpacked, bytes */
uint64_t image_record_size(const struct image *img);   /* of the RECORD body, bytes */

/* The one time stamp of all its files: whole seconds since the epoch, from 1980-01-02 to 2020, derived from the id. */
int64_t image_time(const struct image *img);

/* NUMBER must be below image_entries(). */
struct image_entry image_entry(const struct image *img, uint32_t number);
struct image_object image_object(const struct image *img, uint32_t number);

/* The 63-bit directory offset of a name, never below IMAGE_COOKIE_MIN (small ones are for "." and ".."). */
enum { IMAGE_COOKIE_MIN = 16 };
uint64_t image_cookie(const char *name, size_t len);

/* Finds NAME in the directory DIR; -ENOENT. */
int image_lookup(const struct image *img, uint32_t dir, const char *name, size_t len, uint32_t *ret);
/* Finds a path such as "site/six.py"; "" is the root. */
int image_find(const struct image *img, const char *path, uint32_t *ret);
/* The path of an entry from the root, without a leading slash. */
int image_path(const struct image *img, uint32_t number, struct buf *ret);
/* The first child of DIR whose cookie is at least COOKIE, as an entry number; first_child + children when none. */
uint32_t image_seek(const struct image *img, uint32_t dir, uint64_t cookie);

/* Empty files have block 0 and offset 0 and need no reading; an image without other files has no blocks at all.
 *
 * Reads one whole block into DATA (at least BLOCK_MAX_SIZE bytes), from the image's file; returns its size.
 * -EIO: the bytes are not those that were written. */
int image_read_block(const struct image *img, int fd, uint32_t block, void *data);

/* Reads LEN bytes at OFFSET of an object from its file FD, checked against the image's checksums; less at the end of
 * the object.  Returns the number of bytes, -EIO when the file is not what was written. */
ssize_t image_read_object(const struct image *img, int fd, uint32_t object, void *data, size_t len, uint64_t offset);

/* Appends the RECORD body: rows "path,sha256=<base64>,size\r\n" for all files below `site`, relative to it, sorted by
 * path (bytes), without RECORD itself. */
int image_read_record(const struct image *img, int fd, struct buf *ret);

/* Appends the contents of a small file (IMAGE_FILE), through a block of its own: for tools, not for serving. */
int image_read_file(const struct image *img, int fd, uint32_t number, struct buf *ret);

#endif
