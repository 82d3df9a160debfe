/* dir_rows.h: a growing set of `dir` rows (environment.h), while a commit works out the next ones. */
#ifndef FUSEPKG_DIR_ROWS_H
#define FUSEPKG_DIR_ROWS_H

#include "fs/environment.h"

/* All zero is empty. */
struct dir_rows {
        struct dir_row *list;
        size_t count;
        size_t room;
};

int dir_rows_add(struct dir_rows *rows, const char *path, uint64_t id, uint64_t time, uint64_t as_of);
/* Sorts by path and makes one row of several with one path: the id that any of them pins, and the latest times. */
void dir_rows_settle(struct dir_rows *rows);
void dir_rows_release(struct dir_rows *rows);

/* Adds the folders that hold files of DIST_INFO, a distribution that lies in SITE_FD, as its RECORD says: with id
 * and times 0, settled.  One whose RECORD cannot be read has none. */
int dir_rows_of_bare(struct dir_rows *rows, int site_fd, const char *dist_info);

#endif
