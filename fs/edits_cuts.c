/* edits_cuts.c: the cuts of the view that outlive the rows that made them.
 *
 * A database of an earlier version has no table for them; neither has one in which no cut has had an effect yet. */
#include "fs/edits_private.h"

int edits_cut_put(struct edits *e, uint64_t dir, const char *name, uint32_t horizon, uint64_t generation)
{
        int r = edits_run(e, edits_use(e, EDITS_CUT_TABLE));
        sqlite3_stmt *s;

        if (r < 0)
                return r;
        s = edits_use(e, EDITS_CUT_PUT);
        if (!s)
                return e->unusable;
        sqlite3_bind_int64(s, 1, (int64_t)dir);
        sqlite3_bind_blob64(s, 2, name, strlen(name), SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, horizon);
        sqlite3_bind_int64(s, 4, (int64_t)generation);
        return edits_run(e, s);
}

int edits_cuts_each(struct edits *e, int (*fn)(uint64_t dir, struct span name, uint32_t horizon, void *user),
                    void *user)
{
        int code = SQLITE_DONE, r = edits_find_any(e, EDITS_CUT_ANY);
        sqlite3_stmt *s;

        if (r <= 0)
                return r;
        s = edits_use(e, EDITS_CUT_LIST);
        r = s ? 0 : e->unusable;
        while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW) {
                struct span name = { sqlite3_column_blob(s, 1), 0 };
                uint32_t horizon = (uint32_t)sqlite3_column_int64(s, 2);

                name.len = (size_t)sqlite3_column_bytes(s, 1);
                r = name.len ? fn((uint64_t)sqlite3_column_int64(s, 0), name, horizon, user) : -EUCLEAN;
        }
        if (r == 0)
                r = edits_errno(e, code);
        if (s)
                sqlite3_reset(s);
        return r;
}

int edits_cuts_clear(struct edits *e)
{
        int r = edits_find_any(e, EDITS_CUT_ANY);

        return r <= 0 ? r : edits_run(e, edits_use(e, EDITS_CUT_CLEAR));
}
