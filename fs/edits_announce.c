/* edits_announce.c: what the kernel has not been told yet. */
#include "fs/edits_private.h"

int edits_announce_put(struct edits *e, uint64_t dir, const char *name)
{
        sqlite3_stmt *s = edits_use(e, EDITS_ANNOUNCE_PUT);

        if (!s)
                return e->unusable;
        sqlite3_bind_int64(s, 1, (int64_t)dir);
        if (name)
                sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
        return edits_run(e, s);
}

int edits_announce_each(struct edits *e, int (*fn)(uint64_t dir, const char *name, void *user), void *user)
{
        sqlite3_stmt *s = edits_use(e, EDITS_ANNOUNCE_LIST);
        int code = SQLITE_DONE, r = s ? 0 : e->unusable;

        while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
                r = fn((uint64_t)sqlite3_column_int64(s, 0), (const char *)sqlite3_column_text(s, 1), user);
        if (r == 0)
                r = edits_errno(e, code);
        if (s)
                sqlite3_reset(s);
        return r;
}

int edits_announce_clear(struct edits *e)
{
        return edits_run(e, edits_use(e, EDITS_ANNOUNCE_CLEAR));
}
