/* ingest.h: taking wheels into the store.
 *
 * Known wheels.  A wheel's key is the SHA-256 of its central directory, end records and RECORD: adding a wheel whose
 * key the index knows reads those alone.  Only a wheel whose every file matched its RECORD has a key; one that lies
 * is known by the SHA-256 of the archive alone.
 *
 * Work.  All wheels of one call are opened and their directories checked first; then all cores inflate, hash, check
 * and write, member by member; memory is bounded by the number of threads.  A wheel is locked (store_lock_key)
 * while it is worked on: of several processes that add it one does the work, the others wait at the end and find it.
 * Objects and the image leave the staging folder only when the whole wheel has passed every check: a refused wheel
 * leaves nothing, a killed ingest leaves a staging folder that the next one removes. */
#ifndef FUSEPKG_INGEST_H
#define FUSEPKG_INGEST_H

#include "store/index.h"
#include "store/store.h"

struct ingest_options {
        bool strict;           /* a RECORD that disagrees refuses the wheel, else it is healed with a warning */
        bool verify;           /* a known wheel's image is verified byte for byte, and made again when it is damaged */
        uint64_t max_unpacked; /* bytes of one wheel; 0: only the rule of archive_check_size() */
        unsigned threads;      /* 0: one for each core that the process may use */
        /* Called from any thread, one call at a time; DONE and TOTAL are unpacked bytes of wheels that had to be worked
         * on. */
        void (*progress)(uint64_t done, uint64_t total, void *user);
        void *user;
};

struct ingest_wheel {
        const char *path; /* in: the wheel's file */

        /* out, whatever happens */
        int result;       /* 0, or why this wheel was refused, with the sentence in err */
        struct errtext err;
        struct buf warnings; /* lines, each one sentence and '\n' */

        /* out, when result is 0 */
        bool prepared;    /* this call unpacked it: neither the store nor another process had done it */
        uint8_t image[SHA256_SIZE];
        uint8_t archive[SHA256_SIZE];
};

/* Takes in WHEELS, all of which must be initialised to zero but for path.  Returns 0 when every one is in the store,
 * else the first failed wheel's result (good wheels stay in the store), or an error that concerns none of them (with
 * ERR). */
int ingest_wheels(const struct store *s, struct index *x, struct ingest_wheel *wheels, size_t n,
                  const struct ingest_options *o, struct errtext *err);
void ingest_wheel_release(struct ingest_wheel *w);

#endif
