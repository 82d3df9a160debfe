/* edits_private.h: what the files of the edits' rows share. */
#ifndef FUSEPKG_EDITS_PRIVATE_H
#define FUSEPKG_EDITS_PRIVATE_H

#include "fs/edits.h"

#include <sqlite3.h>

/* Each is prepared when it is first used. */
enum edits_statement {
        EDITS_BEGIN,
        EDITS_READ_BEGIN,
        EDITS_COMMIT,
        EDITS_ROLLBACK,
        EDITS_NODE_GET,
        EDITS_NODE_PUT,
        EDITS_NODE_DROP,
        EDITS_NODE_LIST,
        EDITS_NODE_ANY,
        EDITS_NODE_ABOVE,
        EDITS_TARGET_GET,
        EDITS_TARGET_SET,
        EDITS_ENTRY_GET,
        EDITS_ENTRY_PUT,
        EDITS_ENTRY_DROP,
        EDITS_ENTRY_LIST,
        EDITS_ENTRY_ALL,
        EDITS_ENTRY_OF,
        EDITS_ENTRY_DROP_DIR,
        EDITS_ENTRY_ANY,
        EDITS_ENTRY_ANY_DIR,
        EDITS_META_GET,
        EDITS_META_PUT,
        EDITS_DONE_GET,
        EDITS_DONE_PUT,
        EDITS_DONE_OF,
        EDITS_ANNOUNCE_PUT,
        EDITS_ANNOUNCE_LIST,
        EDITS_ANNOUNCE_CLEAR,
        EDITS_CUT_ANY,
        EDITS_CUT_TABLE,
        EDITS_CUT_PUT,
        EDITS_CUT_LIST,
        EDITS_CUT_CLEAR,
        EDITS_SIZE,
        EDITS_STATEMENTS,
};

struct edits {
        sqlite3 *db;
        sqlite3_stmt *statements[EDITS_STATEMENTS];
        uint64_t next_id;     /* of a new node */
        uint64_t reserved_id; /* ids below this are promised to us by meta */
        int unusable;         /* why the last statement could not be prepared */
        bool empty;           /* no rows, for sure */
        bool in_transaction;
        bool changed;         /* since edits_sync */
        int dirfd;            /* .fusepkg, borrowed */
        bool reserved;        /* space, for removals on a full disk */
        bool reserve_tried;   /* and there was none */
        bool wal_reserved;    /* the same, within the WAL */
        bool grown;           /* the database was given its size */
        int grown_at;         /* when: SQLite's count of changes */
};

/* The statement, reset and ready to be bound; NULL when it cannot be prepared, and `unusable` says why. */
sqlite3_stmt *edits_use(struct edits *e, enum edits_statement which);
/* -errno of what SQLite said last. */
int edits_errno(struct edits *e, int code);
/* Runs a statement that gives no rows. */
int edits_run(struct edits *e, sqlite3_stmt *s);
/* Does a statement without parameters give a row?  1, 0 or -errno. */
int edits_find_any(struct edits *e, enum edits_statement which);

/* edits_reserve.c.  A file of its own, which may be empty; what root makes in somebody's venv is the owner's, and
 * SQLite's further files follow it. */
int edits_touch(int dirfd);
/* Once it is open, MADE just now or not. */
int edits_reserve_open(struct edits *e, bool made);
/* After a commit: the database has blocks for all of its pages, wherever these are at the moment. */
void edits_reserve_grow(struct edits *e);

int edits_meta_get(struct edits *e, const char *key, int64_t *ret); /* -ENOENT */
int edits_meta_put(struct edits *e, const char *key, int64_t value);

#endif
