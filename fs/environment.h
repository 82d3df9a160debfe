/* environment.h: the truth about one venv: <venv>/.fusepkg/environment.
 *
 * The file is small text, replaced atomically; each replacement is the next generation.  It lists slots, in the
 * order of their numbers: a slot is one image as installed here, with the files that differ from venv to venv (its
 * generated files).  Slot numbers are never used again.  Slot 0 is the base: the bare site-packages.
 *
 *     fusepkg environment 1
 *     id <32 hex>                        of this environment, random
 *     generation <n>
 *     time <ns since the epoch>          of the commit; strictly increasing, in steps of 1 ms or more
 *     store <id, 32 hex> <path>
 *     umask <octal>
 *     python <3.12>                      the X.Y of lib/pythonX.Y; 3.13t where threads are free
 *     site <lib/python3.12/site-packages>  relative to the venv
 *     next <slot number>
 *     slot <number> <image, 64 hex> <time> <flags> <name> <version> <archive, 64 hex> <wheel file name> <url or ->
 *     file <kind> <generation> <size> <offset> <length> <xxh3, 16 hex> <name>     of the slot above
 *     hide <dist-info folder of the base>
 *     dir <id, hex> <time> <as of, a time> <path>
 *     end <xxh3 of all before, 16 hex>
 *
 * Words are percent-encoded (buf.h), lines end in '\n', in the order above (`dir` rows sorted by path).
 *
 * Generated files are INSTALLER, REQUESTED, direct_url.json and RECORD in the slot's dist-info.  Their bytes lie in
 * `.fusepkg/generated.<generation>` at offset, length bytes with that XXH3.  Kind `b`: these bytes are the file.  Kind
 * `r`: they are rows, sorted by path, that are merged into the image's RECORD body (record_merge); `size` is the
 * result's.
 *
 * `dir` rows pin what a directory keeps when it loses a provider: its id (hexadecimal, 0: not pinned, the id is that
 * of the lowest provider) and its time stamp as of that commit, which is the commit's own when the directory lost or
 * changed an entry, and else what it was.  "" is site-packages itself and a path that begins with ".fusepkg-data/" the
 * data tree.  environment_commit computes them. A directory's time is that of its row, or later: of a slot newer than
 * the row (or of any, without a row) that brought it a file, or a folder that no lower provider has.
 *
 * History: `.fusepkg/history/<generation>` are the environment files as they were, the newest HISTORY_KEPT, and all
 * since the live mount began.
 *
 * A commit on kill -9 or a full disk: generated.<n> and history/<n> are written first, then the environment is
 * renamed: before that the old generation is the truth, and what was written is overwritten by the next commit.
 *
 * Threads: a struct environment belongs to one thread, or is not changed any more. */
#ifndef FUSEPKG_ENVIRONMENT_H
#define FUSEPKG_ENVIRONMENT_H

#include "store/buf.h"
#include "store/image.h"
#include "store/store.h"

#define ENVIRONMENT_DIR ".fusepkg"      /* in the venv; also the marker at the mounted root */
#define ENVIRONMENT_FILE "environment"
#define DATA_DIR ".fusepkg-data"        /* at the mounted root: reachable by name, not listed */

enum {
        ENVIRONMENT_MAX = 256 << 20, /* bytes of the file */
        HISTORY_KEPT = 20,
        HISTORY_KEPT_LIVE = 1000, /* of a mount that lives on through commits: older files that are held open do not outlive its process */
        ENVIRONMENT_SLOTS_MAX = 1 << 30, /* slot << 32 stays below the node ids kept for edits */
};

enum generated_kind {
        GENERATED_BYTES = 'b',
        GENERATED_RECORD = 'r',
};

struct generated_file {
        char *name; /* "INSTALLER" */
        enum generated_kind kind;
        uint64_t generation;
        uint64_t size;
        uint64_t offset;
        uint64_t length;
        uint64_t sum;
        struct span data; /* set by who makes a new slot: the bytes to be written by environment_commit; else empty */
};

struct slot {
        uint32_t number;
        uint8_t image[SHA256_SIZE];
        uint64_t time;          /* ns: of the commit that added it; set by environment_commit for new slots (time 0) */
        bool requested;         /* named by the user */
        char *name;             /* Name and Version of METADATA */
        char *version;
        uint8_t archive[SHA256_SIZE];
        char *filename;         /* of the wheel */
        char *url;              /* direct_url.json's, or NULL */
        struct generated_file *files;
        size_t file_count;
};

struct dir_row {
        char *path;
        uint64_t id;            /* 0: not pinned */
        uint64_t time;          /* ns: exact at as_of */
        uint64_t as_of;         /* ns: slots that are not newer have no more to say about the time */
};

struct environment {
        char id[33];
        uint64_t generation;
        uint64_t time;
        char store_id[STORE_ID_SIZE];
        char *store_path;
        unsigned umask;
        char *python;
        char *site;
        uint32_t next_slot;
        struct slot *slots;     /* by number */
        size_t slot_count;
        char **hidden;          /* dist-info folders of the base, sorted */
        size_t hidden_count;
        struct dir_row *dirs;   /* sorted by path */
        size_t dir_count;
};

/* A new environment of generation 0 with nothing in it; strings are copied. */
int environment_new(const char *site, const char *python, const struct store *s, unsigned umask_,
                    struct environment **ret);
/* -EBADMSG with a sentence when the text is not one; every field is checked, numbers are in order, names are sane. */
int environment_parse(const char *text, size_t len, struct environment **ret, struct errtext *err);
int environment_format(const struct environment *e, struct buf *ret);
/* Reads DIRFD/environment, DIRFD being the .fusepkg folder.  -ENOENT: there is none. */
int environment_load(int dirfd, struct environment **ret, struct errtext *err);
/* The same of an older generation, from the history. */
int environment_load_generation(int dirfd, uint64_t generation, struct environment **ret, struct errtext *err);
int environment_copy(const struct environment *e, struct environment **ret);
void environment_free(struct environment *e); /* NULL is fine */
/* How many of the `dir` rows are before PATH; and the one of PATH, or NULL. */
size_t environment_dirs_before(const struct environment *e, const char *path);
const struct dir_row *environment_dir(const struct environment *e, const char *path);

/* The slot of that number; NULL. */
const struct slot *environment_slot(const struct environment *e, uint32_t number);

/* Editing, before a commit. */
struct slot *environment_find(struct environment *e, const char *name); /* by normalised name; NULL */
/* Appends a slot with the number e->next_slot and time 0; the caller fills the rest in (strings on the heap). */
int environment_add_slot(struct environment *e, struct slot **ret);
int environment_remove_slot(struct environment *e, uint32_t number);
/* The same package as a new slot, the last one; -ENOENT: there is no such slot. */
int environment_renew_slot(struct environment *e, uint32_t number);
int environment_hide(struct environment *e, const char *dist_info);
void slot_release(struct slot *slot);

/* Finds images for environment_commit; what it gives stays valid until the commit returns. */
struct image_source {
        int (*get)(const uint8_t id[SHA256_SIZE], const struct image **ret, void *user);
        void *user;
};

/* Site-packages, for environment_commit: as it can be seen now, mounted or bare. */
struct site_now {
        int fd;
        char *const *taken; /* directories that the bare folder has, and that edits took from their names: sorted */
        size_t taken_count;
};

/* Makes NEXT the truth: sets its generation and time, the new slots' times and files, and the `dir` rows from what OLD
 * (NULL: none) lost; writes generated.<n>, history/<n> and the environment, synced, in this order; prunes the history.
 * DIRFD is the .fusepkg folder, whose lock the caller holds.  IMAGES must find every image of OLD and NEXT.  SITE is
 * asked which directories the base provides.  After a
 * failure the old generation is the truth, and NEXT is good for environment_free alone. */
int environment_commit(int dirfd, const struct environment *old, struct environment *next,
                       const struct image_source *images, const struct site_now *site, struct errtext *err);

/* Removes the temporary files that killed commits left in DIRFD, the .fusepkg folder, whose lock the caller holds. */
void environment_sweep(int dirfd);

#endif
