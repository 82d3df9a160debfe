/* generated.h: the files of a slot that differ from venv to venv: INSTALLER, REQUESTED, direct_url.json and RECORD.
 *
 * As pip writes them: INSTALLER is "fusepkg\n"; REQUESTED is empty, for wheels that the user named; direct_url.json
 * is there when he named a file; RECORD has, besides the image's rows, those of scripts, of data and headers, and of
 * these four. */
#ifndef FUSEPKG_GENERATED_H
#define FUSEPKG_GENERATED_H

#include "fs/image_pool.h"
#include "tools/target.h"

/* Fills SLOT->files; SLOT's url, requested and archive say which and what.  The bytes that the files' spans point at
 * are in STORAGE, which must live until environment_commit: one struct buf for each slot, all zero before. */
int generated_make(const struct target *t, struct image_pool *pool, const struct image *img, struct slot *slot,
                   struct buf *storage, struct errtext *err);

/* Appends "file:///home/a%20b/x.whl" for a path (made absolute and tidied as pip does). */
int generated_url(const char *path, struct buf *ret);
/* Appends the text of direct_url.json for an archive at URL. */
int generated_direct_url(const char *url, const uint8_t archive[SHA256_SIZE], struct buf *ret);

/* Rows of RECORD, collected in any order. */
struct generated_row {
        char *path; /* owned */
        bool has_hash;
        uint8_t sha256[SHA256_SIZE];
        uint64_t size;
};
struct generated_rows {
        struct generated_row *rows;
        size_t count;
};
/* PATH is copied.  SHA256 may be NULL. */
int generated_rows_add(struct generated_rows *rows, const char *path, const uint8_t sha256[SHA256_SIZE], uint64_t size);
/* Sorts by the bytes of the path and appends the text; of equal paths the one that was added first. */
int generated_rows_format(struct generated_rows *rows, struct buf *ret);
void generated_rows_release(struct generated_rows *rows);

#endif
