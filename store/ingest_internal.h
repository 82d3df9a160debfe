/* ingest_internal.h: what the ingest*.c files share.
 *
 * The life of a wheel:
 *
 *     ingest.c        looks it up by its key                          found: done
 *     ingest_prepare  locks the key, looks again, checks the wheel    held by another: put at the end
 *                     and cuts it into items
 *     ingest_work     one item: a large file, a block of small ones, or the archive's hash
 *     ingest_finish   compares with RECORD, writes the index, publishes objects and image, unlocks
 *
 * At most one wheel for each thread is in flight: a thread opens another one only when there is no item left to do.
 *
 * Locks: none is taken while another is held, but for store_lock_key(), which is held while a wheel is in flight. It is
 * waited for only while this process works on no other wheel. */
#ifndef FUSEPKG_INGEST_INTERNAL_H
#define FUSEPKG_INGEST_INTERNAL_H

#include "store/image_write.h"
#include "store/ingest.h"
#include "store/sha256.h"
#include "store/wheel.h"

#include <pthread.h>
#include <stdatomic.h>

enum ingest_kind {
        INGEST_OBJECT,
        INGEST_HASH, /* of the archive */
        INGEST_BLOCK,
};

struct ingest_item {
        enum ingest_kind kind;
        uint32_t block;     /* INGEST_BLOCK: its number */
        size_t first;       /* targets: the object; the block's files are the small ones in [first, last) */
        size_t last;
        uint64_t cost;      /* about proportional to the time that it takes */
};

/* What became of a target; written by the one thread that works on it. */
struct ingest_file {
        uint8_t sha256[SHA256_SIZE];
        uint64_t *sums;        /* objects; owned */
        uint32_t block;
        uint32_t block_offset;
        bool staged;           /* an object's file lies in the staging folder */
};

struct ingest_job {
        struct ingest_wheel *wheel; /* the caller's */
        const char *base;           /* last component of its path */
        size_t number;              /* immutable */
        uint64_t size;              /* unpacked */
        _Atomic uint64_t reported;  /* of these, to progress() */
        bool done;                  /* wheel->result is final, nothing is held */

        /* while in flight; immutable but for the files while items are worked on */
        struct wheel *opened;
        int lock_fd;
        int image_fd;               /* in the staging folder */
        struct image_writer *writer;
        struct ingest_file *files;  /* for each target */
        struct ingest_item *items;
        size_t item_count;
        bool hashed;                /* wheel->archive was known before unpacking */
        atomic_bool failed;

        /* guarded by ingest.lock */
        size_t next_item;
        size_t items_left;          /* not yet finished */
        struct ingest_job *next_ready;
};

struct ingest {
        const struct store *store;
        const struct ingest_options *options;
        struct staging staging;
        unsigned threads;
        bool uncached;              /* large files bypass the page cache; immutable while items are worked on */
        bool wait;                  /* for locks; then one wheel is in flight at a time */
        struct ingest_job *jobs;
        size_t job_count;
        _Atomic size_t looked_up;   /* jobs[looked_up] is the next to be looked up */

        pthread_mutex_t index_lock;
        struct index *index;        /* guarded by index_lock */

        pthread_mutex_t progress_lock;
        uint64_t progress_done;     /* guarded by progress_lock */
        uint64_t progress_total;    /* immutable while items are worked on */

        pthread_mutex_t lock;       /* guards what follows */
        pthread_cond_t changed;
        struct ingest_job **pending; /* to be prepared; [next_pending, pending_count) are left */
        size_t pending_count;
        size_t next_pending;
        struct ingest_job **deferred; /* locked by others */
        size_t deferred_count;
        struct ingest_job *ready;   /* jobs with items that nobody works on yet, oldest first */
        size_t in_flight;
};

/* What one thread needs to work. */
struct ingest_worker {
        struct sha256 sha;
        uint8_t *block;  /* BLOCK_MAX_SIZE */
};

/* BYTES more of the wheel are done. */
void ingest_report(struct ingest *g, struct ingest_job *j, uint64_t bytes);
/* "the store is full: …" where that is the reason, else WHAT and the reason; returns R. */
int ingest_store_error(const struct ingest *g, int r, const char *what, struct errtext *err);

/* 0: the store has this wheel, and wheel->image and wheel->archive are set; -ENOENT: it has not; else an error. */
int ingest_known_key(struct ingest *g, struct ingest_job *j, const uint8_t key[SHA256_SIZE], struct errtext *err);
int ingest_known_archive(struct ingest *g, struct ingest_job *j, const uint8_t sha256[SHA256_SIZE],
                         struct errtext *err);
/* Is every object that IMG refers to there, with its size? */
bool ingest_known_whole(const struct store *s, const struct image *img);

/* 0: in flight, with items; 1: the store has it meanwhile; -EAGAIN: locked by another; else refused. */
int ingest_prepare(struct ingest *g, struct ingest_job *j, struct ingest_worker *worker, struct errtext *err);

int ingest_work(struct ingest *g, struct ingest_job *j, const struct ingest_item *item, struct ingest_worker *worker,
                struct errtext *err);
int ingest_work_hash(struct ingest_job *j, struct ingest_worker *worker, struct errtext *err);
/* The name of an object's file in the staging folder. */
void ingest_work_name(const struct ingest_job *j, size_t target, char ret_name[64]);

int ingest_finish(struct ingest *g, struct ingest_job *j, struct errtext *err);

#endif
