/* gc_roots.h: what `store gc` must keep for the environments that use a store.
 *
 * Each lease of the index is looked at: is the venv there, and is the environment in it the one of the lease?  Then
 * what its current generation and its kept history name is needed, and what has left it since its mount was made: the
 * mount may still serve it (retired slots, fs/README.md).  If it cannot be looked at, all that it is known to have used
 * is needed.  A lease is given up only when the venv is known to have been deleted, or was not found for as long as the
 * grace period, on a file system that is there (store/place.h). */
#ifndef FUSEPKG_GC_ROOTS_H
#define FUSEPKG_GC_ROOTS_H

#include "store/gc.h"

enum gc_user_state {
        GC_USER_UNMOUNTED,
        GC_USER_MOUNTED,
        GC_USER_ABSENT,  /* its file system is not there */
        GC_USER_UNKNOWN, /* it cannot be looked at */
        GC_USER_MISSING, /* not found: deleted, or moved */
        GC_USER_MOVED,
        GC_USER_DELETED, /* the lease goes */
};

/* One environment that has a lease. */
struct gc_user {
        char *venv;
        char *environment;
        char *place;
        uint64_t device;
        uint64_t inode;
        int64_t missing;
        enum gc_user_state state;
        char *detail;     /* half a sentence, "its file system is not mounted here"; NULL where the state says it all */
        struct buf ended; /* images whose use has ended: hashes */
};

struct gc_roots {
        struct gc_user *list;
        size_t count;
};

struct gc_roots_options {
        int64_t now;      /* seconds since the epoch */
        int64_t grace_s;
        const char *forget; /* a venv whose lease is given up if it is not there; or NULL */
};

/* Looks at all leases of X and calls gc_need() for what they need. */
int gc_roots_find(const struct store *s, struct index *x, struct gc *g, const struct gc_roots_options *o,
                  struct gc_roots *ret, struct errtext *err);
/* Writes down what was found: leases and uses that are over, and since when a venv is missing. */
int gc_roots_note(const struct gc_roots *roots, struct index *x, const struct gc_roots_options *o, struct errtext *err);
void gc_roots_release(struct gc_roots *roots);
/* "mounted", "absent", …: for --json. */
const char *gc_user_state_name(enum gc_user_state s);

/* In tools/gc_environment.c: the environment that a venv holds, as text. */
struct gc_environment {
        char id[33];
        char store_id[STORE_ID_SIZE];
        uint64_t generation;
        bool damaged;
};
/* Calls FN for each image that the environment of STATE_FD (the .fusepkg folder) names, and for those of its history
 * (CURRENT false).  A damaged one says what it can, and so do all others: what cannot be read costs nobody a package.
 * -ENOENT: there is none.  RET_WHOLE: all of it could be read. */
int gc_environment_read(int state_fd,
                        int (*fn)(const uint8_t image[SHA256_SIZE], uint64_t generation, bool current, void *user),
                        void *user, struct gc_environment *ret, bool *ret_whole);

#endif
