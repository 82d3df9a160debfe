/* index_private.h: what index.c (asking and changing) and index_open.c (opening, making, rebuilding) share. */
#ifndef FUSEPKG_INDEX_PRIVATE_H
#define FUSEPKG_INDEX_PRIVATE_H

#include "store/index.h"

#include <sqlite3.h>

enum index_statement {
        INDEX_BEGIN,
        INDEX_COMMIT,
        INDEX_ROLLBACK,
        INDEX_PUT_IMAGE,
        INDEX_PUT_OBJECT,
        INDEX_PUT_ARCHIVE,
        INDEX_PUT_KEY,
        INDEX_FIND_KEY,
        INDEX_FIND_ARCHIVE,
        INDEX_FIND_FILENAME,
        INDEX_DROP_IMAGE,
        INDEX_DROP_OBJECTS,
        INDEX_DROP_ARCHIVES,
        INDEX_DROP_KEYS,
        INDEX_TOUCH,
        INDEX_EACH_IMAGE,
        INDEX_HAS_IMAGE,
        INDEX_EACH_OBJECT,
        INDEX_TRUST,
        INDEX_SAME_LEASE,
        INDEX_PUT_LEASE,
        INDEX_MISS_LEASE,
        INDEX_DROP_LEASE,
        INDEX_EACH_LEASE,
        INDEX_HAS_USE,
        INDEX_PUT_USE,
        INDEX_END_USE,
        INDEX_DROP_USE,
        INDEX_DROP_USES,
        INDEX_EACH_USE,
        INDEX_UNSETTLED,
        INDEX_WAITING,
        INDEX_IS_UNSETTLED,
        INDEX_SETTLE,
        INDEX_STATEMENTS
};

enum {
        INDEX_BOOT_SIZE = 40,
};

struct index {
        const struct store *store; /* borrowed */
        sqlite3 *db;
        bool read_only;
        int use_fd;                /* store_use(), -1 when the index is only read */
        bool damaged;              /* found so while in use: set aside when closed */
        char boot[INDEX_BOOT_SIZE];
        sqlite3_stmt *statements[INDEX_STATEMENTS]; /* prepared when first needed */
};

/* -errno for a result of SQLite; notes damage. */
int index_failed(struct index *x, int rc);
/* Runs SQL without results. */
int index_execute(struct index *x, const char *sql);
/* The statement, prepared, without bindings. */
int index_prepare(struct index *x, enum index_statement which, sqlite3_stmt **ret);
/* Runs a statement that gives no rows, and makes it ready for the next use. */
int index_run(struct index *x, sqlite3_stmt *st);
/* -EROFS when the index is only read. */
int index_begin(struct index *x);
/* Ends a transaction as the result R of its work says. */
int index_finish(struct index *x, int r);

static inline void index_bind_hash(sqlite3_stmt *st, int i, const uint8_t hash[SHA256_SIZE])
{
        sqlite3_bind_blob(st, i, hash, SHA256_SIZE, SQLITE_STATIC);
}

static inline void index_bind_text(sqlite3_stmt *st, int i, const char *text)
{
        sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

/* A column that holds a hash, or NULL when the row is not what we wrote. */
static inline const uint8_t *index_column_hash(sqlite3_stmt *st, int column)
{
        const void *blob = sqlite3_column_blob(st, column);

        return sqlite3_column_bytes(st, column) == SHA256_SIZE ? blob : NULL;
}

static inline const char *index_column_text(sqlite3_stmt *st, int column)
{
        const unsigned char *text = sqlite3_column_text(st, column);

        return text ? (const char *)text : "";
}

/* The rows of one image, in a transaction of the caller's.  BOOT as in index.h. */
int index_put_image(struct index *x, const struct image *img, const char *filename, const char *boot);

#endif
