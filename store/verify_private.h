/* verify_private.h: checking one file of a store (verify_content.c), for verify.c, which goes through all of it. */
#ifndef FUSEPKG_VERIFY_PRIVATE_H
#define FUSEPKG_VERIFY_PRIVATE_H

#include "store/image.h"
#include "store/sha256.h"
#include "store/store.h"

/* What one thread needs to read and hash. */
struct verify_worker {
        struct sha256 sha;
        char *data; /* VERIFY_DATA_SIZE bytes */
};

enum {
        VERIFY_DATA_SIZE = 1 << 20,
};
_Static_assert((int)VERIFY_DATA_SIZE >= (int)BLOCK_MAX_SIZE, "a block fits into a worker's buffer");

int verify_worker_init(struct verify_worker *w);
void verify_worker_release(struct verify_worker *w);

/* Both return 0 and say in RET_KIND what is wrong as verify.h names it (NULL: nothing), or -ENOMEM. */

/* RET_IMAGE is the opened image, also of one whose contents are damaged, or NULL when it cannot be opened; the caller
 * closes it. */
int verify_image_content(struct verify_worker *w, const struct store *s, const uint8_t id[SHA256_SIZE],
                         struct image **ret_image, const char **ret_kind);
/* SIZE: what an image says of it; -1 when none does. */
int verify_object_content(struct verify_worker *w, const struct store *s, const uint8_t id[SHA256_SIZE], int64_t size,
                          const char **ret_kind);

#endif
