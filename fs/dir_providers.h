/* dir_providers.h: what stands in a directory, as a commit sees it: from images and site-packages, without a
 * view.  Agrees with view_merge.c.
 *
 * Threads: a struct update belongs to one thread. */
#ifndef FUSEPKG_DIR_PROVIDERS_H
#define FUSEPKG_DIR_PROVIDERS_H

#include "fs/dir_rows.h"

/* Where one of an image's folders is mounted. */
struct tree {
        const char *in_image;
        const char *path;
};

/* Who has one directory: slots, in the order of their numbers, and the base. */
struct provider {
        const struct image *image;
        uint32_t slot;
        uint32_t entry;
};
struct providers {
        struct provider *list;
        size_t count;
        bool base;
};

/* An environment with its images at hand. */
struct side {
        const struct environment *e;
        const struct image **images; /* of e->slots */
};

struct update {
        struct side old;
        struct side next;
        const struct site_now *site;
        bool mounted; /* site->fd is our own mount */
        struct dir_rows rows;
        struct buf path; /* of the directory that is looked at, as mounted */
};

/* What stands at one name of a directory. */
struct shown {
        enum { NOTHING, FOLDER, A_FILE } what;
        uint32_t slot; /* whose file */
};

void providers_release(struct providers *p);
int providers_of_tree(const struct side *s, const struct tree *t, struct providers *ret);
int providers_below(const struct update *u, const struct side *s, const struct providers *p, struct span name,
                    struct providers *ret);

bool dir_is_mounted(int site_fd);
bool dir_base_has(const struct update *u, const struct environment *e, const char *path);
struct shown dir_shown_as(struct update *u, const struct environment *e, const struct providers *p, size_t n,
                          struct span name);

int dir_path_enter(struct buf *path, struct span name);
void dir_path_leave(struct buf *path, size_t len);

#endif
