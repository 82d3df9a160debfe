/* record.h: RECORD files: CSV with rows path, hash, size.
 * Source: packaging.python.org/specifications/recording-installed-packages; dialect: Python's csv module. */
#ifndef FUSEPKG_RECORD_H
#define FUSEPKG_RECORD_H

#include "store/base.h"
#include "store/buf.h"

struct record_row {
        char *path;                  /* unquoted, otherwise as written; belongs to the record */
        bool has_hash;
        bool has_sha256;             /* else it names another algorithm or none */
        uint8_t sha256[SHA256_SIZE];
        bool has_size;
        uint64_t size;
};

struct record {
        struct record_row *rows;     /* as written, in order */
        size_t count;
        char *text;                  /* storage of the paths */
};

/* Refuses (-EBADMSG) bytes that are not UTF-8, NUL, rows of more than three columns, broken quoting, broken hashes
 * and sizes. Rows of one or two columns are read as rows with the rest empty; empty lines are skipped. */
int record_parse(const char *text, size_t len, struct record *ret, struct errtext *err);
void record_release(struct record *r);

/* Appends "path,sha256=<urlsafe base64, no padding>,size\r\n" (pip ends rows so), quoting the path where CSV needs
 * it.  SHA256 may be NULL: both fields empty. */
int record_add_row(struct buf *b, const char *path, const uint8_t sha256[SHA256_SIZE], uint64_t size);

/* Merges two runs of rows, each sorted by unquoted path (bytes), into one; a row of B replaces an equal path of A.
 * -EBADMSG when one of them is no RECORD. */
int record_merge(const char *a, size_t a_len, const char *b, size_t b_len, struct buf *ret);

#endif
