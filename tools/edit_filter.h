/* edit_filter.h: which changes a command was asked about: paths, and distributions by their names. */
#ifndef FUSEPKG_EDIT_FILTER_H
#define FUSEPKG_EDIT_FILTER_H

#include "tools/edit_owned.h"
#include "tools/edit_view.h"

struct edit_filter_item {
        char *path;                     /* NULL: a distribution */
        uint32_t slot;                  /* 0: none of ours */
        struct edit_paths paths;        /* top folders of ours; what the RECORD lists of another */
};
/* All when there is none. */
struct edit_filter {
        struct edit_filter_item *items;
        size_t count;
};

/* ARGUMENTS of a command, each the name of a distribution that is or was installed, or a path in site-packages, of the
 * shell or relative to it, where something is or was.  -ENOENT, -EPERM with a sentence: one is neither.
 *
 * What a name stands for is known to the view of all alone (which folders are its own), and so is a path that neither
 * the file system nor the report knows. */
int edit_filter_load(const struct edit_dists *d, struct edit_view *v, const struct options *arguments,
                     struct edit_filter *ret, struct errtext *err);
void edit_filter_release(struct edit_filter *f);
/* ORIGIN may be NULL. */
bool edit_filter_wants(const struct edit_filter *f, uint64_t id, const char *path, const char *origin);

#endif
