/* edits_adopt.c: the database of a copied venv is given to the new environment that the copy becomes. */
#include "fs/edits_private.h"

#include <fcntl.h>
#include <stdio.h>

int edits_adopt(int dirfd, const char *environment, struct errtext *err)
{
        sqlite3_stmt *s = NULL;
        sqlite3 *db = NULL;
        char path[64];
        struct stat st;
        int code;

        if (fstatat(dirfd, EDITS_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : errtext_set(err, -errno, "cannot examine '.fusepkg/" EDITS_FILE "'");
        if (!S_ISREG(st.st_mode))
                return errtext_set(err, -ELOOP, "'.fusepkg/" EDITS_FILE "' is not a file");
        snprintf(path, sizeof(path), "/proc/self/fd/%d/" EDITS_FILE, dirfd);
        code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        if (code == SQLITE_OK)
                code = sqlite3_prepare_v2(db, "UPDATE meta SET value = ?1 WHERE key = 'environment'", -1, &s, NULL);
        if (code == SQLITE_OK)
                code = sqlite3_bind_text(s, 1, environment, -1, SQLITE_STATIC);
        if (code == SQLITE_OK)
                code = sqlite3_step(s);
        sqlite3_finalize(s);
        if (code != SQLITE_DONE)
                errtext_set(err, -EIO, "cannot change '.fusepkg/" EDITS_FILE "': %s",
                            db ? sqlite3_errmsg(db) : "out of memory");
        sqlite3_close(db);
        return code == SQLITE_DONE ? 0 : -EIO;
}
