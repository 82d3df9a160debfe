/* edit_report.h: what the mount, or `fusepkg-mount --edits`, answers about the edits (fs/edits_report.h), read. */
#ifndef FUSEPKG_EDIT_REPORT_H
#define FUSEPKG_EDIT_REPORT_H

#include "store/buf.h"

enum edit_change_kind {
        CHANGE_REMOVED,
        CHANGE_MODIFIED,
        CHANGE_MOVED,
        CHANGE_LINKED,
        CHANGE_ADDED,
};

struct edit_change {
        enum edit_change_kind kind;
        uint64_t id;
        char type;      /* f d l p s c b */
        unsigned mode;  /* permissions; CHANGE_MODIFIED and CHANGE_ADDED */
        uint64_t size;  /* likewise */
        bool data;      /* the bytes are the user's: in edits.data/<id, %016x> */
        char *path;     /* where it is; CHANGE_REMOVED: was */
        char *target;   /* of an added symlink; NULL: the mount is one of a version that does not say */
        char *origin;   /* CHANGE_MOVED, CHANGE_LINKED: where the environment has it; else NULL */
        uint64_t newest; /* CHANGE_MOVED: later slots have nothing in it; UINT64_MAX: the mount is one that does not say */
};

/* A file of the bare site-packages as it was: in edits.originals/<id, %016x>. */
struct edit_original {
        uint64_t id;
        unsigned mode;  /* with the type */
        char *path;
};

/* Two packages have a file at one path. */
struct edit_conflict {
        char *path;
        char *loser;
        char *winner;   /* whose file is shown */
};

struct edit_words {
        char **list;
        size_t count;
};

struct edit_report {
        uint64_t generation;
        struct edit_change *changes; /* by path; of one path what was removed comes first */
        size_t change_count;
        struct edit_original *originals;
        size_t original_count;
        struct edit_conflict *conflicts;
        size_t conflict_count;
        struct edit_words kept;      /* "7/pkg/a.py": below .fusepkg/kept */
        struct edit_words reverted;
        struct edit_words bad;       /* sentences */
        struct edit_words base;      /* directories of the bare site-packages that are not to be seen there */
        uint32_t *blocked;           /* slots */
        size_t blocked_count;
};

/* WORD is taken over, whatever happens; NULL: -ENOMEM. */
int edit_words_add(struct edit_words *w, char *word);
/* Sorts them, and drops what is there twice. */
void edit_words_settle(struct edit_words *w);
void edit_words_release(struct edit_words *w);

/* -EBADMSG: it is none, or not complete. */
int edit_report_parse(const char *text, size_t len, struct edit_report *ret, struct errtext *err);
void edit_report_release(struct edit_report *r);

/* What was added at a path, or changed there; NULL. */
const struct edit_change *edit_report_find(const struct edit_report *r, const char *path, enum edit_change_kind kind);
/* Is PATH TOP itself, or below it?  "" is above all. */
bool edit_path_is_within(const char *path, const char *top);
/* Bytecode and numba's caches. */
bool edit_path_is_generated(const char *path);

static inline void cleanup_edit_report_(struct edit_report *r)
{
        edit_report_release(r);
}
#define cleanup_edit_report __attribute__((cleanup(cleanup_edit_report_)))

#endif
