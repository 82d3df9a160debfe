/* edits_items_private.h: what the files of edits_items.h share. */
#ifndef FUSEPKG_EDITS_ITEMS_PRIVATE_H
#define FUSEPKG_EDITS_ITEMS_PRIVATE_H

#include "fs/edits_items.h"

struct row {
        uint64_t dir;
        uint64_t id;
        uint32_t horizon;
        mode_t type;
        char *name;
};

struct rows {
        struct row *list;
        size_t count;
        size_t cap;
};

/* ITEM's strings are taken over, whatever happens. */
int edit_items_add(struct edit_items *items, struct edit_item *item);
void edit_item_release(struct edit_item *i);
/* The path of a name in a directory; -ENOENT: the directory is gone. */
int edit_items_path_in(struct edit_items *items, uint64_t dir, const char *name, char **ret);
/* The environment's path; of a directory that has none without the cuts, since what was taken before it had that, the
 * one where it would be seen, or was. */
int edit_items_env_path(const struct edit_items *items, uint64_t id, char **ret);
/* Has the node a name by a row? */
bool edit_items_shown(struct edit_items *items, uint64_t id);

/* edits_items_hidden.c: what that row hides. */
int edit_items_add_hidden(struct edit_items *items, const struct row *row);
/* When all rows were looked at: what was removed of a directory that came again and was moved is one thing, though the name that it
 * was moved from lacks it as well. */
int edit_items_drop_twice(struct edit_items *items);

#endif
