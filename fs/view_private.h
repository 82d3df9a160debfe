/* view_private.h: what the files of the view share; nobody else includes it. */
#ifndef FUSEPKG_VIEW_PRIVATE_H
#define FUSEPKG_VIEW_PRIVATE_H

#include "fs/view.h"

#include <pthread.h>

enum {
        ID_SLOT_SHIFT = 32,
        NO_ENTRY = UINT32_MAX,
};

#define MARKER_TEXT "This folder is a mount of fusepkg. `fusepkg status` tells more, `fusepkg umount` ends it.\n"

#define ID_GENERATED UINT64_C(0x80000000)

/* Which part of an image a mounted directory shows. */
enum view_root {
        ROOT_SITE,
        ROOT_DATA,
        ROOT_HEADERS,
        ROOTS,
};

/* A slot as this view works with it.  Those that left are kept (retired) for who still holds their files open. */
struct view_slot {
        uint32_t number;
        bool retired;
        uint64_t time;
        const struct image *image;
        const struct slot *slot;   /* of the view's environment, or `kept` */
        struct slot *kept;         /* owned copy, retired slots only */
        uint32_t roots[ROOTS];     /* entries of the image, NO_ENTRY when absent */
        uint32_t dist_info;        /* entry of site/<dist-info> */
};

/* One name of a merged directory. */
struct merged_entry {
        uint64_t cookie;
        struct span name;  /* of an image, a slot's generated file, or the directory's own `names` */
        uint64_t id;
        mode_t type;
        uint32_t slot;     /* index into view->slots of who shows it; UINT32_MAX: the base or the view itself */
};

/* Two slots claim one name, and the later shows it. */
struct merged_conflict {
        uint64_t loser;    /* ids */
        uint64_t winner;
        char *path;
};

struct provider {
        uint32_t slot;     /* index into view->slots */
        uint32_t entry;
};

/* A directory with more than one provider, with generated files, or with a pinned id. */
struct merged_dir {
        uint64_t id;
        uint64_t parent;
        uint64_t time;     /* ns: of the last change of its own entries, see environment.h */
        uint64_t as_of;    /* of its `dir` row, 0 without one */
        char *path;        /* as mounted; "" is the root */
        bool in_base;
        bool cut;          /* the edits took it away from its name: it has an id alone */
        uint32_t first;    /* numbers of the slots that it can have, where a cut above it left it not all of them */
        uint32_t last;
        struct provider *providers; /* by slot, lowest first */
        size_t provider_count;
        struct merged_entry *entries; /* by cookie, then name */
        size_t count;
        size_t cap;
        uint32_t subdirs;  /* listed ones */
        char **names;      /* of the base's entries */
        size_t name_count;
};

/* Which merged directory shows what a provider has. */
struct provided {
        uint64_t key;      /* the provider's own id for it; of the base a hash of the path */
        uint32_t dir;      /* index + 1; 0: empty */
};

struct view {
        struct environment *environment;
        struct image_pool *pool;
        struct base *base;
        struct hidden *hidden;
        int state_fd;
        uid_t uid;
        gid_t gid;
        int64_t marker_time;        /* seconds */
        struct timespec base_time;  /* the bare folder's */
        struct view_slot *slots;    /* by number, retired ones among them */
        size_t slot_count;
        struct merged_dir **dirs;   /* the root first */
        size_t dir_count;
        size_t dir_cap;
        uint32_t *by_id;            /* open addressing; index + 1 */
        size_t by_id_size;
        struct provided *provided;  /* open addressing */
        size_t provided_size;
        struct view_cut *cuts;      /* by directory, name, horizon */
        size_t cut_count;
        struct merged_conflict *conflicts;
        size_t conflict_count;
        size_t conflict_cap;

        /* The RECORD that was read last, as it is read in pieces. */
        pthread_mutex_t record_lock;
        uint64_t record_id;         /* guarded by record_lock, as the next */
        struct buf record;
};

static inline uint64_t slot_id(const struct view_slot *s, uint32_t entry)
{
        return (uint64_t)s->number << ID_SLOT_SHIFT | entry;
}

static inline bool view_is_base(uint64_t id)
{
        return id >= BASE_FIRST && id >> ID_SLOT_SHIFT == 0;
}

/* view_index.c: by id after view_index, which view_merge calls; NULL when the directory is one provider's own. */
int view_index(struct view *v);
const struct merged_dir *view_merged(const struct view *v, uint64_t id);
/* The merged directory that shows the directory ID of an image; or a folder of the base.  NULL: nobody but itself, or
 * it is hidden. */
const struct merged_dir *view_provided(const struct view *v, uint64_t id);
const struct merged_dir *view_provided_by_base(const struct view *v, const char *path, size_t len);
const struct merged_entry *merged_find(const struct merged_dir *d, const char *name, size_t len);
/* NULL when no slot has that number. */
const struct view_slot *view_slot_of(const struct view *v, uint64_t id);
/* The entry of a slot's image; -ENOENT when the id names none. */
int view_entry(const struct view *v, uint64_t id, const struct view_slot **ret_slot, struct image_entry *ret);
const struct generated_file *view_generated(const struct view *v, uint64_t id);

/* What one provider has for one name. */
struct claim {
        uint64_t cookie;
        struct span name;
        uint32_t order;   /* 0: the base or the view itself; else 1 + index of the slot */
        uint32_t entry;   /* of the slot's image */
        uint64_t id;
        mode_t type;
};

struct claims {
        struct claim *list;
        size_t count;
        size_t cap;
};

/* All claims to names of a directory, sorted: by cookie, name, and the order of the slots; view_claims.c.  The list is
 * on the heap. */
int view_claims(const struct view *v, struct merged_dir *d, struct claims *ret);
/* How many of them, from FIRST on, are to one name. */
size_t view_claims_of_name(const struct claims *c, size_t first);

/* Does ROW, if there is one, pin an id of the slots FIRST to LAST? */
bool view_is_pinned(const struct dir_row *row, uint32_t first, uint32_t last);

/* The sides of a name's cuts, from the oldest on; view_cut.c.  view_cut_next returns how many of the claims that are left
 * are of the next one (of directories that were taken away, if RET->cut), and which slots it may be made of: all, when
 * it is the one that has the name.  A side without claims is passed over; cuts that keep something apart are marked:
 * pinned ids as well, of the name's PATH and of those below it, which are of one side alone, and may be all that is left
 * of it. */
struct cut_walk {
        struct view_cut *cuts;
        size_t count;
        uint32_t first;
        uint32_t last;
        const struct dir_row *rows; /* that begin with the path */
        size_t row_count;
        size_t path_len;
};
struct cut_side {
        bool cut;
        uint32_t first;
        uint32_t last;
};
void view_cut_begin(const struct view *v, const struct merged_dir *d, struct span name, const char *path,
                    struct cut_walk *ret);
size_t view_cut_next(const struct view *v, struct cut_walk *w, const struct claim *c, size_t n, struct cut_side *ret);
int view_cut_copy(struct view *v, const struct view_cut *cuts, size_t n);
void view_cut_release(struct view *v);

/* Builds all merged directories; view_merge.c. */
int view_merge(struct view *v, struct errtext *err);
void merged_dir_free(struct merged_dir *d);

#endif
