/* edit_data.h: the bytes of the edits: one file per node in `.fusepkg/edits.data/`, named by the node id in 16
 * hexadecimal digits.
 *
 * A data file has the size, mtime and atime of its node, and the bytes; its own mode is 0600 and its owner the
 * mount's.  ctime: the later of its own and the row's. A node row with `data` has its file: files are made before
 * their row is committed, and removed after the row is gone; one without a row is litter, swept when the mount starts.
 * New files are made empty under their name at once; a copied-up file is written as `<id>.new`, synced, and renamed,
 * so that a power cut never leaves half a copy under a name that a row refers to (a file that is truncated to nothing
 * needs no sync).
 *
 * One more may lie ready for a node to come, made while nobody waited for it (edit_data_prepare): it is empty, no row
 * names it, and it is litter like any other when the mount is killed.
 *
 * Descriptors are a bounded cache (EDIT_DATA_OPEN), by node id.
 *
 * Threads: all functions may be called from any thread; the cache has a lock of its own, a leaf. */
#ifndef FUSEPKG_EDIT_DATA_H
#define FUSEPKG_EDIT_DATA_H

#include "store/buf.h"

#include <sys/stat.h>

#define EDIT_DATA_DIR "edits.data"

enum { EDIT_DATA_OPEN = 128 };

struct edit_data;

int edit_data_open(int dirfd, struct edit_data **ret, struct errtext *err); /* DIRFD: .fusepkg; the folder is made */
void edit_data_close(struct edit_data *d);
/* The folder, borrowed. */
int edit_data_fd(const struct edit_data *d);

/* A file that stays open until it is given back, whatever the cache does. */
struct edit_file;
/* -EIO (with the id in the log's words of the caller): there is no such file. */
int edit_file_get(struct edit_data *d, uint64_t id, struct edit_file **ret);
/* Only when it is open already: NULL otherwise.  The way past the tree's lock for READ and WRITE: an open file is
 * known to have its row. */
struct edit_file *edit_file_cached(struct edit_data *d, uint64_t id);
void edit_file_put(struct edit_data *d, struct edit_file *f);
int edit_file_fd(const struct edit_file *f);

/* An empty file for a new node, put into the cache; -EEXIST is overwritten: it was litter. */
int edit_file_create(struct edit_data *d, uint64_t id);
/* Files are being made, and none lies ready.  Without any lock. */
bool edit_data_wants_spare(const struct edit_data *d);
/* Makes the file that a node to come will have: ID was taken for it, and is nobody else's.  This, the two
 * that follow, and edit_file_create: one at a time. */
void edit_data_prepare(struct edit_data *d, uint64_t id);
/* The id of the file that lies ready, for edit_file_create; 0: there is none. */
uint64_t edit_data_spare(const struct edit_data *d);
void edit_data_drop_spare(struct edit_data *d);
/* Removes it, and forgets its descriptor (who holds it keeps it). */
int edit_file_remove(struct edit_data *d, uint64_t id);
/* Its ctime is now, by the clock of the file system below. */
int edit_file_date(struct edit_data *d, uint64_t id);
int edit_file_stat(struct edit_data *d, uint64_t id, struct stat *ret);
/* False: there is none, for sure. */
bool edit_file_is_there(struct edit_data *d, uint64_t id);

/* Copy-up: FILL writes the bytes to the descriptor (of an empty file); then it is given TIMES (atime, mtime; see
 * utimensat), synced if SYNC, and renamed. */
int edit_file_copy(struct edit_data *d, uint64_t id, int (*fill)(int fd, void *user), void *user,
                   const struct timespec times[2], bool sync);

/* The folder's own entries are on the disk. */
int edit_data_sync(struct edit_data *d);
/* Removes every file that KEEP does not want. */
int edit_data_sweep(struct edit_data *d, bool (*keep)(uint64_t id, void *user), void *user);

#endif
