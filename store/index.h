/* index.h: what the store holds, for finding it: a SQLite database beside the images.
 *
 * It is a cache of the truth, which is the images: a missing or damaged one is set aside and rebuilt from them.
 *
 *     images(id, name, version, bytes, content, files, matched, added, used, boot, doubted)
 *     objects(image, id, size)                 which objects an image refers to
 *     archives(sha256, image, filename)        wheels by the hash of the archive
 *     keys(key, image, sha256)                 wheels by their fast-path key (see ingest.h)
 *     leases(environment, venv, device, inode, place, seen, missing)    which venvs use this store
 *     uses(environment, venv, image, ended)    and what of it; not 0: when the image left the environment
 *
 * WAL, synchronous=NORMAL: a killed process loses nothing.  `boot` is the boot in which an image was written and not
 * yet known to be on disk, else NULL: after a power cut index_unsettled() tells which images to verify before they are
 * believed.  Leases and uses are no cache: images do not know who uses them.  So when the index had to be rebuilt, the
 * images that were there then are `doubted`: somebody may use them of whom it knows no more (gc.h).
 *
 * Whoever has it open for writing uses the store (store_use(): gc waits for them), and must not wait for a venv's lock
 * before they have opened it.
 *
 * Threads: one struct index belongs to one thread at a time; the caller locks. */
#ifndef FUSEPKG_INDEX_H
#define FUSEPKG_INDEX_H

#include "store/image.h"
#include "store/store.h"

struct index;

/* With a store opened STORE_READ the database is only read; a missing or damaged one is then rebuilt in memory.
 * The store is borrowed.  -ENOTSUP: made by a newer fusepkg. */
int index_open(const struct store *s, struct index **ret, struct errtext *err);
/* The same while nobody else has it open for writing: see store_use_alone(). */
int index_open_alone(const struct store *s, void (*waiting)(void *user), void *user, struct index **ret,
                     struct errtext *err);
void index_close(struct index *x);

/* Records a published image, its objects, and the archive and key it was made from, in one transaction. */
int index_add_image(struct index *x, const struct image *img, const char *filename);
/* One more archive that unpacks to a known image; KEY may be NULL. */
int index_add_archive(struct index *x, const uint8_t image[SHA256_SIZE], const uint8_t sha256[SHA256_SIZE],
                      const uint8_t key[SHA256_SIZE], const char *filename);

/* -ENOENT: unknown.  The image's file exists in the store, else the row is taken for stale and removed (-ENOENT). */
int index_find_key(struct index *x, const uint8_t key[SHA256_SIZE], uint8_t ret_image[SHA256_SIZE],
                   uint8_t ret_archive[SHA256_SIZE]);
int index_find_archive(struct index *x, const uint8_t sha256[SHA256_SIZE], uint8_t ret_image[SHA256_SIZE]);
/* Was a wheel of that file name ever taken in?  1 or 0: a cheap reason to hash a wheel that has no key. */
int index_has_filename(struct index *x, const char *filename);

int index_has_image(struct index *x, const uint8_t image[SHA256_SIZE]); /* 1, 0 */
int index_forget_image(struct index *x, const uint8_t image[SHA256_SIZE]);
/* Sets the time of last use to now for these images, in one transaction; NO_ERROR on a read-only store. */
int index_touch(struct index *x, const uint8_t (*images)[SHA256_SIZE], size_t n);

struct index_image {
        uint8_t id[SHA256_SIZE];
        const char *name;
        const char *version;
        uint64_t bytes;   /* on disk: the image and its objects */
        uint64_t content; /* as unpacked */
        uint32_t files;
        bool doubted;     /* it was there when the index was rebuilt: who uses it is not known for sure */
};
/* Calls FN for each image, by name and version; stops when it returns non-zero, and returns that. */
int index_each_image(struct index *x, int (*fn)(const struct index_image *image, void *user), void *user);

/* Calls FN for each object that the image is known to refer to. */
int index_each_object(struct index *x, const uint8_t image[SHA256_SIZE],
                      int (*fn)(const uint8_t object[SHA256_SIZE], void *user), void *user);
/* The leases are all there are: no image is doubted any more. */
int index_trust(struct index *x);

/* A lease says that a venv uses this store.  The rest is in store/index_lease.c. */
struct index_lease {
        const char *venv; /* absolute */
        uint64_t device;
        uint64_t inode;   /* of the venv's folder */
        const char *environment;
        const char *place; /* of the venv's folder, see place.h; "" when it could not be told */
        int64_t missing;   /* since when gc has not found it, seconds since the epoch; 0: it was there */
};
/* Before a commit: the venv uses the store, and these images.  What is known already costs no write; what is new is on
 * disk when this returns, as the environment will be: a power cut must not leave one of which the store knows nothing.
 * */
int index_put_lease(struct index *x, const struct index_lease *lease, const uint8_t (*images)[SHA256_SIZE], size_t n);
/* After a commit: these are all that the environment has now; the others have left it. */
int index_end_uses(struct index *x, const struct index_lease *lease, const uint8_t (*images)[SHA256_SIZE], size_t n);
int index_miss_lease(struct index *x, const struct index_lease *lease, int64_t since);
int index_drop_lease(struct index *x, const struct index_lease *lease); /* with its uses */
int index_drop_use(struct index *x, const struct index_lease *lease, const uint8_t image[SHA256_SIZE]);
/* These take all rows together before they call FN, which may change the tables. */
int index_each_lease(struct index *x, int (*fn)(const struct index_lease *lease, void *user), void *user);
int index_each_use(struct index *x, const struct index_lease *lease,
                   int (*fn)(const uint8_t image[SHA256_SIZE], int64_t ended, void *user), void *user);

/* Images written in an earlier boot that were never settled, and the settling: see above.  index_settle syncs the file
 * system of the store when images of this boot older than AGE_S seconds wait for it, and marks them. */
int index_each_unsettled(struct index *x, int (*fn)(const uint8_t image[SHA256_SIZE], void *user), void *user);
int index_is_settled(struct index *x, const uint8_t image[SHA256_SIZE]); /* 0, 1; 1 also for an unknown one */
int index_settle(struct index *x, unsigned age_s);
int index_mark_settled(struct index *x, const uint8_t image[SHA256_SIZE]);

#endif
