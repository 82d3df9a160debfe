/* edit_owned.h: which changes are whole distributions', and which of them a command was asked about. */
#ifndef FUSEPKG_EDIT_OWNED_H
#define FUSEPKG_EDIT_OWNED_H

#include "fs/view.h"
#include "tools/edit_dists.h"

/* Paths in site-packages, sorted. */
struct edit_paths {
        char **list;
        size_t count;
};

struct edit_owned {
        const struct edit_dists *dists;
        struct edit_paths added;   /* what the RECORDs of those list that pip or uv brought */
        struct edit_paths removed; /* likewise of those of the bare site-packages that went */
};

int edit_owned_load(const struct edit_dists *d, struct edit_owned *ret, struct errtext *err);
void edit_owned_release(struct edit_owned *o);
/* Is this file or folder one of a distribution that was added, or that was removed?  ID and PATH: of the change, or of
 * something in a folder that was removed. */
bool edit_owned_has(const struct edit_owned *o, enum edit_change_kind kind, uint64_t id, const char *path, char type);

/* What a command was asked about: paths, and distributions by their names; all when there is none. */
struct edit_filter_item {
        char *path;                     /* NULL: a distribution */
        uint32_t slot;                  /* 0: none of ours */
        struct edit_paths paths;        /* top folders of ours; what the RECORD lists of another */
};
struct edit_filter {
        struct edit_filter_item *items;
        size_t count;
};

/* ARGUMENTS of a command.  V: the environment's view, to see which folders a distribution has. */
int edit_filter_load(const struct edit_dists *d, const struct view *v, const struct options *arguments,
                     struct edit_filter *ret, struct errtext *err);
void edit_filter_release(struct edit_filter *f);
/* ORIGIN may be NULL. */
bool edit_filter_wants(const struct edit_filter *f, uint64_t id, const char *path, const char *origin);
/* A path as the shell gives it, or relative to site-packages; appends it relative to site-packages, tidy.  -EPERM: it
 * is neither. */
int edit_filter_path(const struct target *t, const char *argument, struct buf *ret);

#endif
