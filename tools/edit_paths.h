/* edit_paths.h: paths in site-packages. */
#ifndef FUSEPKG_EDIT_PATHS_H
#define FUSEPKG_EDIT_PATHS_H

#include "tools/target.h"

struct edit_paths {
        char **list;
        size_t count;
};

int edit_paths_add(struct edit_paths *p, const char *path, size_t len);
void edit_paths_release(struct edit_paths *p);

/* Adds what a RECORD lists in site-packages.  One that cannot be read lists nothing. */
int edit_paths_add_record(const struct target *t, const struct buf *text, struct edit_paths *ret);

/* Sorted, it can be asked: is a path in it, or (FOLDER) something below? */
void edit_paths_sort(struct edit_paths *p);
bool edit_paths_have(const struct edit_paths *p, const char *path, bool folder);

#endif
