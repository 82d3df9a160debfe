#include "fs/edits_wal.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

enum {
        WAL_HEADER = 32,
        FRAME_HEADER = 24,
        FRAME_COMMITS = 4, /* in it: 4 bytes, not zero in a frame that ends a transaction */
        COLLECTED = 32 << 10,
};

struct wal {
        sqlite3_file base;
        sqlite3_int64 next;  /* where the next frame would be appended; -1: not known */
        sqlite3_int64 page;  /* where the page of the header that was written last belongs; -1: it has been written */
        sqlite3_int64 at;    /* where what is collected belongs */
        char *bytes;         /* what is collected: whole frames, and maybe a header */
        int used;
        bool commits;        /* the frame of that header ends a transaction */
        sqlite3_int64 real[]; /* the default VFS's file, aligned as SQLite does it */
};

static struct wal *wal_of(sqlite3_file *f)
{
        return (struct wal *)(void *)f;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
        return (sqlite3_file *)(void *)wal_of(f)->real;
}

static int write_collected(sqlite3_file *f)
{
        struct wal *w = wal_of(f);
        int used = w->used;

        w->used = 0;
        w->commits = false;
        return used ? real_of(f)->pMethods->xWrite(real_of(f), w->bytes, used, w->at) : SQLITE_OK;
}

static bool is_commit(const char *header)
{
        static const char none[4];

        return memcmp(header + FRAME_COMMITS, none, sizeof(none)) != 0;
}

static void collect(struct wal *w, const void *data, int len, sqlite3_int64 offset)
{
        if (!w->used)
                w->at = offset;
        memcpy(w->bytes + w->used, data, (size_t)len);
        w->used += len;
}

/* A header that is not appended may be one that SQLite writes again, without its page: it does so at the end of a
 * transaction of which the WAL has a page twice. */
static int wal_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 offset)
{
        struct wal *w = wal_of(f);
        bool header = len == FRAME_HEADER, page = !header && offset == w->page;
        bool appended = header && offset == w->next && (!w->used || offset == w->at + w->used);
        int r;

        w->page = header ? offset + len : -1;
        if (page)
                w->next = offset + len;
        if (len <= COLLECTED - w->used && (appended || (page && w->used))) {
                collect(w, data, len, offset);
                if (header)
                        w->commits = is_commit(data);
                return page && w->commits ? write_collected(f) : SQLITE_OK;
        }
        if (offset == 0 && len == WAL_HEADER)
                w->next = WAL_HEADER;
        r = write_collected(f);
        return r != SQLITE_OK ? r : real_of(f)->pMethods->xWrite(real_of(f), data, len, offset);
}

static int wal_read(sqlite3_file *f, void *data, int len, sqlite3_int64 offset)
{
        int r = write_collected(f);

        return r != SQLITE_OK ? r : real_of(f)->pMethods->xRead(real_of(f), data, len, offset);
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        int r = write_collected(f);

        return r != SQLITE_OK ? r : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int wal_sync(sqlite3_file *f, int flags)
{
        int r = write_collected(f);

        return r != SQLITE_OK ? r : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        int r = write_collected(f);

        return r != SQLITE_OK ? r : real_of(f)->pMethods->xFileSize(real_of(f), ret);
}

static int wal_close(sqlite3_file *f)
{
        int written = write_collected(f), r = real_of(f)->pMethods->xClose(real_of(f));

        sqlite3_free(wal_of(f)->bytes);
        return r != SQLITE_OK ? r : written;
}

static int wal_lock(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int wal_unlock(sqlite3_file *f, int level)
{
        return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int wal_check_lock(sqlite3_file *f, int *ret)
{
        return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}

static int wal_control(sqlite3_file *f, int what, void *arg)
{
        int r = write_collected(f);

        return r != SQLITE_OK ? r : real_of(f)->pMethods->xFileControl(real_of(f), what, arg);
}

static int wal_sector(sqlite3_file *f)
{
        return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int wal_device(sqlite3_file *f)
{
        return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = wal_close,
        .xRead = wal_read,
        .xWrite = wal_write,
        .xTruncate = wal_truncate,
        .xSync = wal_sync,
        .xFileSize = wal_size,
        .xLock = wal_lock,
        .xUnlock = wal_unlock,
        .xCheckReservedLock = wal_check_lock,
        .xFileControl = wal_control,
        .xSectorSize = wal_sector,
        .xDeviceCharacteristics = wal_device,
};

static sqlite3_vfs vfs, *real_vfs;

/* Any other file is the default VFS's, from its first byte on. */
static int vfs_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *ret_flags)
{
        struct wal *w = wal_of(f);
        int r;

        (void)v;
        if (!(flags & SQLITE_OPEN_WAL))
                return real_vfs->xOpen(real_vfs, name, f, flags, ret_flags);
        *w = (struct wal){ .next = -1, .page = -1, .bytes = sqlite3_malloc(COLLECTED) };
        if (!w->bytes)
                return SQLITE_NOMEM;
        r = real_vfs->xOpen(real_vfs, name, real_of(f), flags, ret_flags);
        if (real_of(f)->pMethods)
                w->base.pMethods = &methods; /* it is closed, whatever the answer */
        else
                sqlite3_free(w->bytes);
        return r;
}

static void start(void)
{
        real_vfs = sqlite3_vfs_find(NULL);
        if (!real_vfs)
                return;
        vfs = *real_vfs;
        vfs.zName = "fusepkg-edits";
        vfs.pNext = NULL;
        vfs.szOsFile = (int)sizeof(struct wal) + real_vfs->szOsFile;
        vfs.xOpen = vfs_open;
        if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
                real_vfs = NULL;
}

const char *edits_wal_vfs(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, start);
        return real_vfs ? vfs.zName : NULL;
}
