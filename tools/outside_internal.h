/* outside_internal.h: what the files of outside.h share. */
#ifndef FUSEPKG_OUTSIDE_INTERNAL_H
#define FUSEPKG_OUTSIDE_INTERNAL_H

#include "tools/edit_report.h"
#include "tools/outside.h"
#include "tools/outside_list.h"

#define OUTSIDE_KEPT_DIR "kept"
#define OUTSIDE_NEW_DIR "outside.new"
#define OUTSIDE_BARE_DIR "bare"

/* One run of outside_apply. */
struct outside_run {
        const struct target *t;
        const struct environment *now;
        struct image_pool *pool;
        struct edit_report edits;
        bool asked;               /* the edits are known */
        struct outside_list old;  /* what is there */
        struct outside_list next; /* what will be */
        int bin_fd;
        int new_fd;               /* .fusepkg/outside.new: where files and links are made before they are renamed */
        struct errtext *err;
};

/* Opens the folder that holds VENV/PATH, without following a symlink: when root works for another user, a folder that
 * was looked at may be one the next moment.  *RET_NAME is the last component. */
int outside_open_parent(const struct target *t, const char *path, const char **ret_name);
/* Is DIRFD/NAME a symlink into the data folder? */
bool outside_is_link(const struct target *t, int dirfd, const char *name);
/* Moves VENV/PATH to .fusepkg/kept/<generation>/PATH, and says so. */
int outside_keep(const struct target *t, uint64_t generation, const char *path, struct errtext *err);
/* When root works for another user: gives him DIRFD/NAME, a symlink itself. */
void outside_give(const struct target *t, int dirfd, const char *name);
/* Are the bytes of bin/NAME those of a script that LIST knows by that name? */
bool outside_is_claimed(int bin_fd, const char *name, const struct outside_list *list);

/* The parts of outside_apply, in this order. */
int outside_apply_bare(struct outside_run *run);
int outside_apply_scripts(struct outside_run *run);
int outside_apply_links(struct outside_run *run);

#endif
