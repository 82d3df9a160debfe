/* Which images are known to be on disk: the part of index.h about boots. */
#include "store/index_private.h"

#include <time.h>

/* Appends the ids that the statement gives: taken together first, as what is done with them changes the table. */
static int collect(struct index *x, enum index_statement which, int64_t until, struct buf *ret)
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, which, &st), rc = SQLITE_DONE;

        if (r < 0)
                return r;
        index_bind_text(st, 1, x->boot);
        if (which == INDEX_WAITING)
                sqlite3_bind_int64(st, 2, until);
        while (r == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
                const uint8_t *id = index_column_hash(st, 0);

                if (id)
                        r = buf_add(ret, id, SHA256_SIZE);
        }
        if (r == 0)
                r = index_failed(x, rc);
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return r;
}

int index_each_unsettled(struct index *x, int (*fn)(const uint8_t image[SHA256_SIZE], void *user), void *user)
{
        cleanup_buf struct buf ids = { 0 };
        int r = collect(x, INDEX_UNSETTLED, 0, &ids);

        for (size_t i = 0; r == 0 && i < ids.len; i += SHA256_SIZE)
                r = fn((const uint8_t *)ids.data + i, user);
        return r;
}

int index_is_settled(struct index *x, const uint8_t image[SHA256_SIZE])
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_IS_UNSETTLED, &st), rc;

        if (r < 0)
                return r;
        index_bind_hash(st, 1, image);
        index_bind_text(st, 2, x->boot);
        rc = sqlite3_step(st);
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return rc == SQLITE_DONE ? 1 : index_failed(x, rc);
}

static int settle_one(struct index *x, const uint8_t image[SHA256_SIZE])
{
        sqlite3_stmt *st = NULL;
        int r = index_prepare(x, INDEX_SETTLE, &st);

        if (r < 0)
                return r;
        index_bind_hash(st, 1, image);
        return index_run(x, st);
}

int index_settle(struct index *x, unsigned age_s)
{
        cleanup_buf struct buf ids = { 0 };
        int r;

        if (x->read_only)
                return 0;
        r = collect(x, INDEX_WAITING, time(NULL) - (int64_t)age_s, &ids);
        if (r < 0 || ids.len == 0)
                return r;
        if (syncfs(x->store->root_fd) < 0)
                return -errno;
        r = index_begin(x);
        if (r < 0)
                return r;
        for (size_t i = 0; r == 0 && i < ids.len; i += SHA256_SIZE)
                r = settle_one(x, (const uint8_t *)ids.data + i);
        return index_finish(x, r);
}

int index_mark_settled(struct index *x, const uint8_t image[SHA256_SIZE])
{
        return x->read_only ? -EROFS : settle_one(x, image);
}
