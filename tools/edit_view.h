/* edit_view.h: the environment that edits are compared with.
 *
 * A view of all of it needs the image of every package, to know who shares which folder.  What files were needs only
 * those of the packages that they are of; and without edits nothing is needed at all. */
#ifndef FUSEPKG_EDIT_VIEW_H
#define FUSEPKG_EDIT_VIEW_H

#include "fs/view.h"
#include "tools/edit_report.h"
#include "tools/target.h"

struct edit_view {
        const struct target *target;
        struct store *store;
        struct image_pool *pool;
        struct base *base;  /* NULL while the bare folder cannot be seen, and until a view is opened */
        struct view *files; /* of some packages: right for files; of folders it may know less */
        struct view *all;
};

/* Makes V->all, once. */
int edit_view_open(struct edit_view *v, struct errtext *err);
/* The view that will do for a report: NULL when nothing in it is of the environment. */
int edit_view_for(struct edit_view *v, const struct edit_report *report, const struct view **ret, struct errtext *err);
void edit_view_release(struct edit_view *v);

#endif
