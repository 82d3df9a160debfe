/* tree_carry.h: what the files of a switch share; README.md says what becomes of the rows.
 *
 * First it is worked out, from the old rows and both views, what becomes of each directory that has rows, and of each
 * row (tree_carry_dirs.c, tree_carry_cut.c, tree_carry_rows.c).  Then, in one transaction: names change, then nodes,
 * looked at as they are afterwards (tree_carry_nodes.c); what the user loses is put to kept (tree_carry_keep.c); then
 * the commit.  All under the tree's lock. */
#ifndef FUSEPKG_TREE_CARRY_H
#define FUSEPKG_TREE_CARRY_H

#include "fs/tree_private.h"

/* A directory with rows in it, or of its own, or above one of these. */
struct carry_dir {
        uint64_t id;
        char *path;          /* before the switch; NULL: not known yet */
        bool generated;      /* a __pycache__, or in one */
        bool needed;         /* the user has files in it */
        bool known;          /* as all that follows: carry_fate */
        bool busy;
        bool gone;           /* removed, with all rows in it */
        bool own;            /* the view has it no more: a directory of the edits from now on, at NAME of PARENT */
        bool elsewhere;      /* it was moved, and shows a directory of the view that is not the one at its name */
        bool was_elsewhere;  /* likewise of the old one */
        bool split;          /* at a name that rows cut, or below: what `dir` rows say of the path may be another's */
        bool dated;          /* its time would be the one of the path, though its names are what they were */
        bool home;           /* the view has it again where a row named it */
        uint64_t parent;
        char *name;
        uint32_t horizon;
        uint64_t below;      /* what it shows of the next view */
        uint64_t was_below;  /* and of the old one, of those with a row */
        int64_t time;        /* likewise: mtime, before the switch */
        bool touched;        /* its names changed */
};

struct carry_entry {
        uint64_t dir;
        uint64_t id;
        char *name;
        mode_t type;
        uint32_t horizon;
        char *source;        /* of a generated file: what it was made from, and the node that this was; else NULL */
        uint64_t source_dir;
        uint64_t source_id;
        bool dropped;
};

struct carry_loss {
        char *path;
        uint64_t id;
};
struct carry_losses {
        struct carry_loss *list;
        size_t count;
        size_t cap;
};

struct carry {
        struct tree *t;      /* with the old view */
        struct tree after;   /* the same rows, with the next one: for reading alone */
        const struct view *old;
        const struct view *next;
        int64_t now;
        struct carry_dir **dirs;
        size_t dir_count;
        size_t dir_size;     /* of the table: open addressing */
        struct carry_entry *entries;
        size_t entry_count;
        size_t entry_cap;
        struct tree_cuts cuts;      /* that are kept beside the rows: of the old view's directories */
        struct carry_losses homes;  /* where the view had files with bytes of the user's, by id */
        struct carry_losses losses; /* what goes to kept */
        struct id_set removed; /* nodes that have no name any more */
        uint64_t *forgotten;   /* nodes whose row went altogether: their data files go after the commit */
        size_t forgotten_count;
        struct tree_changes *changes;
};

/* tree_carry.c */
int carry_changed(struct carry *c, uint64_t dir, const char *name); /* NAME NULL: the node itself */
/* What the next view has at a name of its directory BELOW (0: none); -ENOENT. */
int carry_lookup(const struct carry *c, uint64_t below, const char *name, struct node *ret);
bool carry_is_newer(const struct carry *c, uint64_t id, uint32_t horizon);
/* Does the view have nothing any more that this id is of? */
bool carry_leaves(const struct carry *c, uint64_t id);

/* tree_carry_dirs.c: made when first asked for. */
int carry_dir(struct carry *c, uint64_t id, struct carry_dir **ret);
/* The same, with its path and whether it is generated. */
int carry_dir_path(struct carry *c, uint64_t id, struct carry_dir **ret);
/* Notes that the user has something in a directory. */
int carry_need(struct carry *c, uint64_t dir);
int carry_fate(struct carry *c, struct carry_dir *d);
void carry_dirs_release(struct carry *c);

/* tree_carry_rows.c */
int carry_load(struct carry *c);
int carry_plan(struct carry *c);
int carry_apply_entries(struct carry *c);
int carry_apply_generated(struct carry *c);

/* tree_carry_cut.c: before any other fate is asked for. */
int carry_plan_cuts(struct carry *c);

/* tree_carry_nodes.c */
int carry_plan_nodes(struct carry *c);
int carry_apply_below(struct carry *c); /* before carry_apply_generated */
int carry_apply_nodes(struct carry *c);

/* tree_carry_keep.c: notes a file; or the files in a directory as it was; then does it. */
enum carry_lost {
        LOST_ALL,
        LOST_USERS,   /* those with bytes of the user's, or of slots that leave */
        LOST_LEAVING, /* those of slots that leave */
};
int carry_add_loss(struct carry_losses *l, const char *path, uint64_t id);
void carry_losses_release(struct carry_losses *l);
int carry_lose(struct carry *c, const char *path, uint64_t id);
int carry_lose_tree(struct carry *c, const char *path, uint64_t dir, enum carry_lost which);
int carry_keep(struct carry *c);

bool carry_is_generated_name(const char *name);

#endif
