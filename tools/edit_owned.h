/* edit_owned.h: which changes are whole distributions'. */
#ifndef FUSEPKG_EDIT_OWNED_H
#define FUSEPKG_EDIT_OWNED_H

#include "tools/edit_dists.h"
#include "tools/edit_paths.h"

struct edit_owned {
        const struct edit_dists *dists;
        struct edit_paths added;   /* sorted: what the RECORDs of those list that pip or uv brought */
        struct edit_paths removed; /* likewise of those of the bare site-packages that went */
};

int edit_owned_load(const struct edit_dists *d, struct edit_owned *ret, struct errtext *err);
void edit_owned_release(struct edit_owned *o);
/* Is this file or folder one of a distribution that was added, or that was removed?  ID and PATH: of the change, or of
 * something in a folder that was removed. */
bool edit_owned_has(const struct edit_owned *o, enum edit_change_kind kind, uint64_t id, const char *path, char type);

/* Adds the paths in site-packages of one that was added: what its RECORD lists. */
int edit_owned_list(const struct edit_dists *d, const struct edit_dist *dist, struct edit_paths *ret,
                    struct errtext *err);
/* Appends the RECORD of a distribution of the bare site-packages that was removed; nothing when it is not known. */
int edit_owned_record(const struct edit_dists *d, const char *dist_info, struct buf *ret);

#endif
