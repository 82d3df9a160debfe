/* diff_files.h: how a venv differs from what was installed, file by file: what `diff` and `verify` show, and what
 * `revert` chooses from. */
#ifndef FUSEPKG_DIFF_FILES_H
#define FUSEPKG_DIFF_FILES_H

#include "tools/edit_filter.h"

enum diff_where {
        DIFF_NOWHERE,  /* there is nothing on this side */
        DIFF_VIEW,     /* in an image, or in the bare site-packages while it can be seen */
        DIFF_ORIGINAL, /* in the bare site-packages under a mount, copied for us */
        DIFF_DATA,     /* the user's */
        DIFF_UNKNOWN,
};

struct diff_side {
        enum diff_where where;
        uint64_t id;
        mode_t mode;   /* with the type; 0: not known */
        uint64_t size;
        const char *target; /* of a symlink of the user's, as far as it is known: the report's */
};

struct diff_file {
        enum edit_change_kind kind;
        char *path;      /* where it is, or was */
        char *from;      /* CHANGE_MOVED, CHANGE_LINKED, and what was changed in a moved folder: where the environment has it; else NULL */
        struct diff_side old;
        struct diff_side new;
        bool owned;      /* one of a distribution that was added or removed as a whole */
};

struct diff {
        struct target t;
        struct edit_report report;
        struct edit_dists dists;
        struct edit_owned owned;
        struct edit_filter filter;
        struct edit_view views;
        const struct view *view; /* the one of them that will do for the report; NULL: nothing in it asks for one */
        bool generated;          /* bytecode is wanted, too */
        struct diff_file *files; /* by path; those that are wanted */
        size_t count;
        uint64_t *own;           /* sorted: ids of what has a change of its own, whatever happens to the folder that it is in */
        size_t own_count;
};
#define DIFF_INIT { .t = TARGET_INIT }

enum {
        DIFF_GENERATED = 1, /* bytecode as well */
        DIFF_EACH_ONCE = 2, /* what is where something was is one file (diff_replaced.c); `revert` needs both */
};

/* Finds the venv, takes its lock, asks; MORE: further lines of the request ("check\n"), or "". */
int diff_open(const struct options *o, unsigned flags, const char *more, struct diff *ret, struct errtext *err);
void diff_close(struct diff *d);
/* Is a distribution one that was asked about? */
bool diff_wants_dist(const struct diff *d, const struct edit_dist *dist);
/* Is it to be named?  A new folder is only when nothing in it is, and what pip or uv brought or took as a whole never. */
bool diff_is_shown(const struct diff *d, size_t i);

/* A file of a folder that was moved. */
struct diff_moved {
        uint64_t id;
        const char *from; /* where the environment has it */
        const char *to;   /* where it is */
};
/* Calls FN for each file of a folder that was moved (F) whose change is not one of its own. */
int diff_moved_files(const struct diff *d, const struct diff_file *f,
                     int (*fn)(const struct diff_moved *m, void *user), void *user);
/* Makes one file of what was removed and what is at its path now, whatever that came by. */
int diff_replaced(struct diff *d);

/* The parts of diff_open() that diff_replaced() needs. */
struct diff_side diff_old_side(const struct diff *d, uint64_t id);
int diff_add(struct diff *d, struct diff_file f, const char *path, const char *from);
void diff_sort(struct diff *d);
int diff_own_load(struct diff *d);
int diff_own_add(struct diff *d, uint64_t id); /* counts after diff_own_sort() */
void diff_own_sort(struct diff *d);
bool diff_own_has(const struct diff *d, uint64_t id);
int diff_path_order(const char *a, const char *b);

/* A descriptor of the bytes of one side, to be read from the start; of a symlink its target. */
int diff_side_open(const struct diff *d, const struct diff_side *s);

bool diff_same_bytes(int a, int b);
/* Of CHANGE_MODIFIED: not its mode alone. */
static inline bool diff_is_other(const struct diff_file *f)
{
        return f->new.where == DIFF_DATA || f->new.id != f->old.id;
}
/* Its row says that it was changed, but its bytes and mode are what was installed.  Reads both. */
bool diff_is_same(const struct diff *d, const struct diff_file *f);

static inline void cleanup_diff_(struct diff *d)
{
        diff_close(d);
}
#define cleanup_diff __attribute__((cleanup(cleanup_diff_)))

#endif
