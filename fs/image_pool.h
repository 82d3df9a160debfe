/* image_pool.h: the images that a process works with, and reading what they hold.
 *
 * An image is loaded once and stays until the pool goes; one that was damaged and is made again is found when a read
 * has failed.  Descriptors and unpacked blocks are bounded caches: a tree has more files than RLIMIT_NOFILE (1,024 for
 * most users) allows.
 *
 * Threads: everything may be called from any thread; one mutex guards the tables and is never held while a file is
 * read. */
#ifndef FUSEPKG_IMAGE_POOL_H
#define FUSEPKG_IMAGE_POOL_H

#include "store/image.h"
#include "store/store.h"

#include <sys/types.h>

enum {
        POOL_FDS = 96,    /* open files of the store, at most (and one more for each thread that reads) */
        POOL_BLOCKS = 16, /* unpacked blocks kept, of at most BLOCK_MAX_SIZE bytes */
};

struct image_pool;

/* The store must outlive the pool.  Where that cannot be written to, the pool holds the images that it loads, so that
 * gc lets them be; store_use() keeps it away until they are loaded. */
int image_pool_new(const struct store *s, struct image_pool **ret);
/* The same with a copy of HOLD_FD, of store_hold_open(), for holds that outlive the process; -1: none are needed. */
int image_pool_new_holding(const struct store *s, int hold_fd, struct image_pool **ret);
void image_pool_free(struct image_pool *p); /* NULL is fine */
const struct store *image_pool_store(const struct image_pool *p);

/* -ENOENT: the store has no such image.  -EBADMSG: damaged. */
int image_pool_get(struct image_pool *p, const uint8_t id[SHA256_SIZE], const struct image **ret, struct errtext *err);
/* The same in the form of struct image_source; USER is the pool. */
int image_pool_source(const uint8_t id[SHA256_SIZE], const struct image **ret, void *user);

/* Reads LEN bytes at OFFSET of a file or object of an image of this pool; returns less only at its end.  -EIO:
 * missing, short or changed bytes, with a sentence. */
ssize_t image_pool_read(struct image_pool *p, const struct image *img, uint32_t entry, void *data, size_t len,
                        uint64_t offset, struct errtext *err);
/* Nobody has read for a while: drops the unpacked blocks, the kernel has what came of them. */
void image_pool_rest(struct image_pool *p);
/* Appends the RECORD body. */
int image_pool_record(struct image_pool *p, const struct image *img, struct buf *ret, struct errtext *err);

#endif
