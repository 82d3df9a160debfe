/* base_layer.h: slot 0: what the bare site-packages holds, seen through a descriptor that was opened before anything
 * was mounted on it, and never changed by us.
 *
 * Numbers.  A path of the base gets a number when it is first seen, from BASE_FIRST on, which is its node id for ever:
 * the numbers are the lines of an append-only file (`.fusepkg/base-nodes`: percent-encoded paths), each written before
 * its number is used.  A process that takes over a mount thus knows what the kernel holds.  A kill leaves at most an
 * unfinished last line, which is cut off.
 *
 * Hiding.  A distribution of the base that was upgraded or removed is hidden: every file of its RECORD, their
 * bytecode, its dist-info, and every folder that holds nothing else.  Hiding is a property of a generation, so the
 * functions take it as an argument.
 *
 * Paths are relative to site-packages, "" is itself.  Symlinks of the base are shown as they are and never followed.
 * Threads: everything but base_new and base_free may be called from any thread. */
#ifndef FUSEPKG_BASE_LAYER_H
#define FUSEPKG_BASE_LAYER_H

#include "store/buf.h"

#include <sys/stat.h>
#include <sys/types.h>

enum {
        BASE_FIRST = 16,
        BASE_NODES_MAX = 256 << 20, /* bytes of the file of numbers */
};

#define BASE_NODES_FILE "base-nodes"

/* What fusepkg itself has in the bare folder (tools/python_start.h), always hidden; the last name while one of them is
 * written. */
#define BASE_START_FILE "fusepkg.pth"
#define BASE_GUARD_FILE "fusepkg_is_not_mounted-run_fusepkg_mount.egg-info"
#define BASE_FILE_NEW "fusepkg.pth.new"

struct base;
struct hidden;

/* Takes SITE_FD over, and NUMBERS_FD, a file open for reading and appending, or -1 to keep the numbers in memory; when
 * it is open for reading alone, further ones are. */
int base_new(int site_fd, int numbers_fd, struct base **ret, struct errtext *err);
void base_free(struct base *b); /* NULL is fine */
int base_fd(const struct base *b);

/* The number of a path, given now if it had none. */
int base_number(struct base *b, const char *path, size_t len, uint64_t *ret);
/* The path of a number; valid as long as the base; NULL when nobody has it. */
const char *base_path(struct base *b, uint64_t number);

/* What the dist-info folders NAMES[0..N) of the base hide, and what is fusepkg's own there. */
int hidden_new(struct base *b, char *const *names, size_t n, struct hidden **ret, struct errtext *err);
void hidden_free(struct hidden *h); /* NULL is fine */
/* Whether a file of that name in the bare folder is fusepkg's own. */
bool base_is_own(const char *name);
bool hidden_has(const struct hidden *h, const char *path, size_t len);

/* lstat; -ENOENT also for what is hidden.  Links count 1 for files, 2 and the visible subfolders for folders. */
int base_stat(struct base *b, const struct hidden *h, const char *path, size_t len, struct stat *ret);
/* Calls FN for each visible name of a folder, in no order, with its type (S_IFDIR …). */
int base_list(struct base *b, const struct hidden *h, const char *path,
              int (*fn)(const char *name, mode_t type, void *user), void *user);
ssize_t base_read(struct base *b, const char *path, void *data, size_t len, uint64_t offset);
int base_readlink(struct base *b, const char *path, struct buf *ret);

#endif
