/* gc.h: what of a store is needed, why, and removing the rest.
 *
 * The caller knows who needs what (tools/gc_roots.h); here is what follows from it: an image that somebody needs stays,
 * with the objects that it refers to; all others go.
 *
 *     gc_new       takes stock: the images and objects that are there, and what the index says of them
 *     gc_need      for each image that somebody needs, as often as there are reasons
 *     gc_hold      the same for what has no lease
 *     gc_settle    which objects are needed, and what each image alone keeps
 *     gc_sweep     removes; the index must have been opened with index_open_alone(), and before gc_new and the roots
 *
 * Without the last step nothing is changed, and it works on a store that is only read.
 *
 * What cannot be read is no reason to remove: an image that is needed and cannot be opened keeps the objects that the
 * index knows of, and if it knows of none, all objects.
 *
 * Threads: one at a time. */
#ifndef FUSEPKG_GC_H
#define FUSEPKG_GC_H

#include "store/index.h"

struct gc;

enum gc_why {
        GC_CURRENT, /* the environment has it */
        GC_HISTORY, /* a generation of it that is kept has it */
        GC_MOUNT,   /* the environment had it after its mount was made: files may still be open */
        GC_ABSENT,  /* the environment cannot be looked at; it had it when it was last seen */
        GC_DOUBT,   /* the list of environments was lost: nobody knows */
        GC_HELD,    /* something that has no lease has it open (store_hold_image()) */
};

struct gc_reason {
        enum gc_why why;
        size_t user;         /* the caller's number of the environment; not with GC_DOUBT and GC_HELD */
        uint64_t generation; /* GC_CURRENT, GC_HISTORY */
};

struct gc_image {
        uint8_t id[SHA256_SIZE];
        char *name;    /* "" when neither index nor image can tell */
        char *version;
        bool there;    /* else the index alone speaks of it */
        bool indexed;
        bool readable;
        bool lacks;     /* it refers to objects that were not seen */
        uint64_t bytes; /* of its file, on disk */
        uint64_t frees; /* after gc_settle: with the objects that no other image refers to */
        size_t *objects; /* numbers of those that are there */
        size_t object_count;
        struct gc_reason *reasons;
        size_t reason_count; /* 0: not needed */
};

struct gc_totals {
        size_t images;  /* removed, or to be removed */
        size_t objects;
        uint64_t bytes;
        size_t kept;    /* images that stay */
        uint64_t kept_bytes;
};

/* PROGRESS (may be NULL) is told of each image looked at.  PREVIOUS (may be NULL) is an earlier stock of the same
 * store, which spares reading its images again: what an image refers to never changes. */
int gc_new(const struct store *s, struct index *x, const struct gc *previous,
           void (*progress)(uint64_t done, uint64_t total), struct gc **ret, struct errtext *err);
void gc_free(struct gc *g); /* NULL is fine */

/* An image that the store does not have is no error: `store verify` is there for that. */
int gc_need(struct gc *g, const uint8_t image[SHA256_SIZE], const struct gc_reason *reason);
/* Doubt (index_trust()) is no reason. */
void gc_trust(struct gc *g);
/* What nobody else needs is needed by whoever holds it now. */
int gc_hold(struct gc *g, const struct store *s);
void gc_settle(struct gc *g);

size_t gc_image_count(const struct gc *g);
const struct gc_image *gc_image(const struct gc *g, size_t i); /* by name and version */
void gc_totals(const struct gc *g, struct gc_totals *ret);     /* after gc_settle */

/* In store/gc_sweep.c.  Killed between any two steps it leaves a store that is whole: rows of the index go first, then
 * images, then objects.  A second run does what is left. */
int gc_sweep(struct gc *g, const struct store *s, struct index *x, void (*progress)(uint64_t done, uint64_t total),
             struct errtext *err);

#endif
