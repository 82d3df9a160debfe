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
        sqlite3_int64 page;  /* where the page of the header that was written last belongs; -1: no page is due */
        sqlite3_int64 at;    /* where what is collected belongs */
        char *bytes;         /* what is collected: whole frames, and maybe a header */
        int used;
        bool commits;        /* the frame of the header that was written last ends a transaction */
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

/* What cannot be written stays: it is part of the file as SQLite knows it, and whoever comes next fails in its turn. */
static int write_collected(struct wal *w, sqlite3_file *real)
{
        int r = w->used ? real->pMethods->xWrite(real, w->bytes, w->used, w->at) : SQLITE_OK;

        if (r == SQLITE_OK)
                w->used = 0;
        return r;
}

static bool is_commit(const char *header)
{
        static const char none[4];

        return memcmp(header + FRAME_COMMITS, none, sizeof(none)) != 0;
}

static sqlite3_int64 end_of(const struct wal *w)
{
        return w->at + w->used;
}

/* Drops what is collected from the offset TO on. */
static void cut(struct wal *w, sqlite3_int64 to)
{
        if (to < end_of(w))
                w->used = to > w->at ? (int)(to - w->at) : 0;
}

static void collect(struct wal *w, const void *data, int len, sqlite3_int64 offset)
{
        if (!w->used)
                w->at = offset;
        memcpy(w->bytes + w->used, data, (size_t)len);
        w->used += len;
}

/* The frame that commits, with all before it.  Where that fails SQLite takes this page for not written: later writes
 * must not bring it into the file after all. */
static int write_commit(struct wal *w, sqlite3_file *real, int page_size)
{
        int r = write_collected(w, real);

        if (r != SQLITE_OK)
                w->used -= page_size;
        return r;
}

/* What SQLite says of the place of a frame, header first: a page right after its header is a new frame, and what was
 * behind it has been undone; so has all of the log, when it begins anew. */
static void follow(struct wal *w, int len, sqlite3_int64 offset, bool page)
{
        if (offset == 0 && len == WAL_HEADER) {
                cut(w, 0);
                w->next = WAL_HEADER;
        } else if (page) {
                cut(w, offset);
                w->next = offset + len;
        }
}

/* A header that is not appended may be one that SQLite writes again, without its page: it does so at the end of a
 * transaction of which the WAL has a page twice. */
static int wal_write(sqlite3_file *f, const void *data, int len, sqlite3_int64 offset)
{
        struct wal *w = wal_of(f);
        bool header = len == FRAME_HEADER, page = !header && offset == w->page, appended;
        int r;

        follow(w, len, offset, page);
        w->page = header ? offset + len : -1;
        if (header)
                w->commits = is_commit(data);
        appended = header ? offset == w->next && (!w->used || offset == end_of(w)) :
                            page && w->used && offset == end_of(w);
        if (appended && len <= COLLECTED - w->used) {
                collect(w, data, len, offset);
                return page && w->commits ? write_commit(w, real_of(f), len) : SQLITE_OK;
        }
        if (w->used && offset >= w->at && offset + len <= end_of(w)) {
                memcpy(w->bytes + (offset - w->at), data, (size_t)len);
                return SQLITE_OK;
        }
        /* What is written before it may have come to undo it. */
        r = offset + len > w->at ? write_collected(w, real_of(f)) : SQLITE_OK;
        return r != SQLITE_OK ? r : real_of(f)->pMethods->xWrite(real_of(f), data, len, offset);
}

static int wal_read(sqlite3_file *f, void *data, int len, sqlite3_int64 offset)
{
        struct wal *w = wal_of(f);
        sqlite3_int64 from = offset > w->at ? offset : w->at, end = offset + len;
        sqlite3_int64 to = end < end_of(w) ? end : end_of(w);
        int r = SQLITE_OK;

        w->page = -1; /* nothing is read between a header and its page */
        if (!w->used || from >= to)
                return real_of(f)->pMethods->xRead(real_of(f), data, len, offset);
        if (to - from < len)
                r = real_of(f)->pMethods->xRead(real_of(f), data, len, offset);
        if (r != SQLITE_OK && r != SQLITE_IOERR_SHORT_READ)
                return r;
        memcpy((char *)data + (from - offset), w->bytes + (from - w->at), (size_t)(to - from));
        return to == end ? SQLITE_OK : r;
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        int r = real_of(f)->pMethods->xTruncate(real_of(f), size);

        if (r == SQLITE_OK)
                cut(wal_of(f), size);
        return r;
}

/* What is collected ends no transaction: it needs no disk. */
static int wal_sync(sqlite3_file *f, int flags)
{
        return real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        const struct wal *w = wal_of(f);
        int r = real_of(f)->pMethods->xFileSize(real_of(f), ret);

        if (r == SQLITE_OK && w->used && *ret < end_of(w))
                *ret = end_of(w);
        return r;
}

static int wal_close(sqlite3_file *f)
{
        int r = real_of(f)->pMethods->xClose(real_of(f));

        sqlite3_free(wal_of(f)->bytes);
        return r;
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
        return real_of(f)->pMethods->xFileControl(real_of(f), what, arg);
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
