/* store.h: the folder that holds every wheel once.
 *
 *     store          identity: "fusepkg store 1\nid <32 hex digits>\n"
 *     lock           byte ranges of it are locked, see store_lock_key()
 *     index.db       SQLite, see index.h; can be rebuilt from the images
 *     objects/ab/…   large files, raw, named by the SHA-256 of their bytes (64 hex digits), 0444
 *     images/ab/…    wheels, named by the SHA-256 of their canonical tree, 0444
 *     staging/…      one folder for each running ingest, locked by it
 *
 * Folders are 0700.  Nothing is visible in objects/ or images/ before it is whole.  The store must belong to the
 * caller (root may use anybody's; a store of root may be read by all), and nothing in it is reached through a symlink.
 *
 * Threads: a struct store is immutable after store_open and may be shared. */
#ifndef FUSEPKG_STORE_H
#define FUSEPKG_STORE_H

#include "store/base.h"
#include "store/buf.h"

enum {
        STORE_ID_SIZE = 33, /* 32 hexadecimal digits and a NUL */
};

enum store_mode {
        STORE_READ,   /* must exist; never written to */
        STORE_WRITE,  /* must exist and be writable */
        STORE_CREATE, /* like STORE_WRITE, made where it is missing */
};

struct store {
        char *path; /* absolute */
        char id[STORE_ID_SIZE];
        int root_fd;
        int objects_fd;
        int images_fd;
        int staging_fd; /* -1 with STORE_READ */
        int lock_fd;    /* -1 with STORE_READ */
};

/* -ENOENT: no store there (STORE_READ, STORE_WRITE).  -EACCES, -EROFS: no rights.  -EPERM: wrong owner.  -EINVAL: it
 * is no store. -ENOTSUP: made by a newer fusepkg. */
int store_open(const char *path, enum store_mode mode, struct store **ret, struct errtext *err);
void store_close(struct store *s); /* NULL is fine */

/* Opens for reading; returns the descriptor or -errno. */
int store_open_object(const struct store *s, const uint8_t id[SHA256_SIZE]);
int store_open_image_file(const struct store *s, const uint8_t id[SHA256_SIZE]);

/* "objects/ab/ab12…": for messages; relative to the store. */
void store_object_name(const uint8_t id[SHA256_SIZE], char ret_name[80]);
void store_image_name(const uint8_t id[SHA256_SIZE], char ret_name[80]);

/* Calls FN for each file below objects/ or images/, in no order: NAME is relative to the store, ID is NULL for what is
 * not named like anything of ours.  Stops when FN returns non-zero, and returns that. */
int store_each_object(const struct store *s, int (*fn)(const char *name, const uint8_t *id, void *user), void *user);
int store_each_image(const struct store *s, int (*fn)(const char *name, const uint8_t *id, void *user), void *user);

/* What root makes in another user's store must become that user's, or it locks them out. */
void store_give_to_owner(const struct store *s, int fd);

/* The rest, in store/store_write.c, is for filling a store.
 *
 * An exclusive lock on a KEY (of a wheel), by an open-file-description lock on the byte of `lock` that the key's
 * first eight bytes name: nothing to clean up, gone with the process.  Each call opens its own description.
 * Returns a descriptor whose closing unlocks; -EAGAIN when WAIT is false and another holds it. */
int store_lock_key(const struct store *s, const uint8_t key[SHA256_SIZE], bool wait);

/* In store/store_use.c: who fills the store, or makes an environment of what is in it, uses it meanwhile; gc has it
 * alone. Shared and exclusive flock on the folder `images`; `objects` is the gate that a gc which waits closes behind
 * it. Both return a descriptor whose closing ends it. */
int store_use(const struct store *s);
/* The same for a mount, whose starter may be using the store and wait for it: past the gate. */
int store_use_ungated(const struct store *s);
/* Calls WAITING (may be NULL) once when it takes more than a moment.  -EBUSY: others have used it for a minute since
 * the gate was closed. */
int store_use_alone(const struct store *s, void (*waiting)(void *user), void *user, struct errtext *err);

/* In store/store_hold.c.  Who uses a store that cannot be written to (a read-only mount, as in containers; another
 * user's) has no lease in its index, so that gc would not know of them.  Their mounts and commands hold the images that
 * they have open instead, by read locks on the folder `images`: on the byte of it that an image's first eight bytes
 * name, or on all of it (the entry point of containers, for what it stacks a store on).  The kernel shows them to gc,
 * whichever container they are in; not across NFS or from another machine.
 *
 * A lock belongs to the open file of HOLD_FD, and goes with the last descriptor of that.  To be taken while store_use()
 * keeps gc away, and before the image is opened. */
bool store_is_read_only(const struct store *s); /* for this process, whatever it was opened for */
int store_hold_open(const struct store *s);     /* a descriptor, or -errno */
bool store_hold_is_of(const struct store *s, int hold_fd);
int store_hold_image(int hold_fd, const uint8_t id[SHA256_SIZE]);
bool store_is_held(const struct store *s, const uint8_t id[SHA256_SIZE]); /* also when it cannot be told */

/* The staging folder of one ingest: a folder of its own below staging/, with a lock (flock) on it that tells the
 * living from the dead.  store_staging_open first removes what the dead left. */
struct staging {
        int fd;
        char name[33];
};
int store_staging_open(const struct store *s, struct staging *ret, struct errtext *err);
void store_staging_close(const struct store *s, struct staging *g); /* removes it */
/* Removes what the dead left, for a run that has no need of a folder of its own. */
void store_staging_clear(const struct store *s);

/* Moves STAGING/NAME, which must be complete and 0444, to its place.  Taken for done when it is there already
 * with the same size; one of another size (a file that somebody truncated) is replaced. */
int store_publish_object(const struct store *s, const struct staging *g, const char *name,
                         const uint8_t id[SHA256_SIZE]);
int store_publish_image(const struct store *s, const struct staging *g, const char *name,
                        const uint8_t id[SHA256_SIZE]);

#endif
