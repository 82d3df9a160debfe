/* export_tree.h: writing the trees of an environment as plain files.
 *
 * What a slot provides is read through the view, which checks every byte; a large file is a reflink of the store's
 * object where the file systems allow it, and is checked all the same.  What programs have changed, and what the base
 * provides, is read from site-packages as it can be seen: bare, or through the mount, which then is also asked for the
 * listings, as a view of a mounted environment has no base. */
#ifndef FUSEPKG_EXPORT_TREE_H
#define FUSEPKG_EXPORT_TREE_H

#include "fs/image_pool.h"
#include "tools/edit_report.h"
#include "tools/target.h"

struct export_tree {
        const struct target *target;
        const struct store *store;
        struct image_pool *pool;
        const struct view *view;
        int site_fd;      /* site-packages as it can be seen */
        bool mounted;
        const struct edit_report *edits; /* what they change is read through the mount */
        void *piece;      /* EXPORT_PIECE_SIZE bytes */
        uint64_t files;   /* written so far */
        uint64_t bytes;
};

enum { EXPORT_PIECE_SIZE = 1 << 20 };

/* Writes what site-packages shows, but for the marker and the data folder, into the folder OUT_FD, and gives it its
 * mode and time. */
int export_tree_site(struct export_tree *x, int out_fd, struct errtext *err);
/* Writes what the data folder's directory DIR, called NAME there, shows; what OUT_FD holds already stays. */
int export_tree_data(struct export_tree *x, uint64_t dir, const char *name, int out_fd, struct errtext *err);

/* export_file.c: makes OUT_FD/NAME. */
int export_file_of_slot(struct export_tree *x, uint64_t id, int out_fd, const char *name, struct errtext *err);
int export_file_of_base(struct export_tree *x, const char *path, int out_fd, const char *name, struct errtext *err);

#endif
