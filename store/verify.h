/* verify.h: is every byte of the store what it is called?
 *
 * Each image's index, blocks and canonical tree are read and hashed (its SHA-256 must be its name), and each object
 * (likewise).  An image that refers to an object that is missing or wrong is named with it; images that the index
 * lists must be there.  Orphans, objects to which no image refers, need only be whole; staging litter is no error.
 * Reads only; uses all cores. */
#ifndef FUSEPKG_VERIFY_H
#define FUSEPKG_VERIFY_H

#include "store/index.h"
#include "store/store.h"

struct verify_error {
        const char *path;     /* relative to the store */
        const char *kind;     /* "missing", "truncated", "corrupt", "unreadable", "foreign" (nothing of ours) */
        const char *const *packages; /* "name==version" of all images hit, NULL-terminated */
};

struct verify_options {
        unsigned threads; /* 0: one for each core */
        void (*error)(const struct verify_error *e, void *user);        /* one call at a time */
        void (*progress)(uint64_t done, uint64_t total, void *user);    /* bytes; may be NULL */
        void *user;
};

/* Returns the number of errors reported, or -errno when it could not be done. */
int verify_store(const struct store *s, const struct verify_options *o, struct errtext *err);
/* One image and its objects; 0 when it is whole, -EBADMSG else. */
int verify_image(const struct store *s, const uint8_t id[SHA256_SIZE]);
/* The same for an image that index_is_settled() does not vouch for.  0: it is whole, and the index knows so now.
 * -EBADMSG: it was not; it has been removed, with those of its objects that are wrong, and the index has forgotten it.
 * */
int verify_unsettled(const struct store *s, struct index *x, const uint8_t id[SHA256_SIZE]);

#endif
