/* edits_items.h: what the rows of the edits come to: how the tree differs from the environment, thing by thing.
 *
 * Times alone are no difference, and neither is a directory that was only written to.  Each thing is named by the row
 * that makes it. The environment is compared without the edits' cuts (view.h): where some were made, a second view is,
 * too. All functions are called under the tree's lock. */
#ifndef FUSEPKG_EDITS_ITEMS_H
#define FUSEPKG_EDITS_ITEMS_H

#include "fs/tree_paths.h"

enum edit_kind {
        EDIT_REMOVED,  /* of the environment, no longer there; a folder: with all in it */
        EDIT_MODIFIED, /* bytes (DATA) or owner and mode */
        EDIT_MOVED,    /* of the environment, with all in it */
        EDIT_LINKED,   /* a further name of a file */
        EDIT_ADDED,    /* made here */
};

struct edit_item {
        enum edit_kind kind;
        uint64_t id;
        mode_t mode;         /* with the type */
        uint64_t size;
        bool data;           /* it has a data file */
        uint64_t shows;      /* EDIT_MOVED: the environment's node: ID, or of a directory what it shows below itself */
        bool part;           /* EDIT_REMOVED: of a directory that was removed and has come again with a later package */
        uint64_t dir;        /* the row: a directory and a name in it; of EDIT_MODIFIED there is none */
        char *name;          /* or NULL */
        char *path;          /* where it is; of EDIT_REMOVED: where it would be */
        char *origin;        /* EDIT_MOVED, EDIT_REMOVED: where the environment has it; EDIT_LINKED: that, or its first path; else NULL */
        uint64_t origin_dir; /* EDIT_MOVED: the row that hides it there */
        char *origin_name;
};

struct edit_items {
        struct tree *tree;
        struct edit_item *list; /* by path; at one path what is removed comes first */
        size_t count;
        size_t cap;
        const struct view *plain; /* the environment without cuts */
        struct view *owned;       /* when it is not the tree's own */
        struct tree_paths paths; /* while it is loaded */
};

int edit_items_load(struct tree *t, struct edit_items *ret, struct errtext *err);
void edit_items_release(struct edit_items *items);

/* What the environment has at a name of a directory, whatever the rows say; -ENOENT. */
int edit_items_below(const struct edit_items *items, uint64_t dir, const char *name, struct node *ret);
/* Bytecode, and what numba keeps: made by programs from what is there, and never kept. */
bool edit_is_generated(const char *path);

static inline void cleanup_edit_items_(struct edit_items *items)
{
        edit_items_release(items);
}
#define cleanup_edit_items __attribute__((cleanup(cleanup_edit_items_)))

#endif
