/* edits_reserve.c: what a full disk and a read-only one ask of the database. */
#include "fs/edits_private.h"
#include "store/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
        RESERVE_BYTES = 256 << 10,
        WAL_BYTES = 1 << 20,      /* some two hundred removals, until the WAL begins anew */
        GROWN_ROWS = 32,          /* that may change until the database's size is looked at */
        AHEAD_BYTES = 64 << 10,   /* of that size: more than these rows take */
        CHUNK_BYTES = 256 << 10,  /* the database grows by */
};

/* Where the file system copies what is overwritten (btrfs), overwriting takes space as well: not in such a file, if it
 * was empty when it was told so. */
static void overwrite_in_place(int fd)
{
        struct stat st;
        int flags;

        if (fstat(fd, &st) == 0 && st.st_size == 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 &&
            !(flags & FS_NOCOW_FL)) {
                flags |= FS_NOCOW_FL;
                (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
        }
}

/* SQLite's further files, which it takes as they are but for symlinks: a hard link to somebody's file would be written
 * to. */
static int check_further(int dirfd)
{
        static const char *const names[] = { EDITS_FILE "-wal", EDITS_FILE "-journal" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                cleanup_close int fd = file_open_own(dirfd, names[i], O_RDWR, 0);

                if (fd < 0 && fd != -ENOENT)
                        return fd;
        }
        return 0;
}

int edits_touch(int dirfd)
{
        int fd, r;

        /* SQLite would open it for reading alone, and then fail in its own words. */
        if (faccessat(dirfd, ".", W_OK, AT_EACCESS) < 0)
                return -errno;
        r = check_further(dirfd);
        if (r < 0)
                return r;
        fd = file_open_own(dirfd, EDITS_FILE, O_RDWR | O_CREAT, 0644);
        if (fd < 0)
                return fd;
        overwrite_in_place(fd);
        close(fd);
        return 0;
}

int edits_reserve_open(struct edits *e, bool made)
{
        cleanup_close int fd = -1;

        /* The WAL of one that was just made has its tables. */
        if (made && sqlite3_wal_checkpoint_v2(e->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
                return 0;
        fd = file_open_own(e->dirfd, EDITS_FILE "-wal", O_RDWR, 0);
        if (fd >= 0)
                overwrite_in_place(fd);
        return 0;
}

/* SQLite takes no lock on the WAL, which closing a descriptor of ours would drop. */
static int reserve_wal(struct edits *e, off_t size)
{
        cleanup_close int fd = file_open_own(e->dirfd, EDITS_FILE "-wal", O_RDWR, 0);

        if (fd < 0)
                return fd;
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) < 0)
                return -errno;
        e->wal_reserved = true;
        return 0;
}

/* Blocks, not a hole; where the file system has no fallocate it does without. */
static void reserve_file(struct edits *e)
{
        int fd = file_open_own(e->dirfd, EDITS_RESERVE_FILE, O_RDWR | O_CREAT, 0600);

        if (fd < 0)
                return;
        e->reserved = fallocate(fd, 0, 0, RESERVE_BYTES) == 0;
        close(fd);
        if (!e->reserved)
                unlinkat(e->dirfd, EDITS_RESERVE_FILE, 0);
}

void edits_reserve_make(struct edits *e)
{
        int size = CHUNK_BYTES, r = 0;

        if (e->dirfd < 0)
                return;
        e->reserve_tried = true;
        /* Else each checkpoint would give back what the database does not fill; one without edits stays small. */
        (void)sqlite3_file_control(e->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &size);
        if (!e->wal_reserved)
                r = reserve_wal(e, WAL_BYTES);
        if (!e->reserved)
                reserve_file(e);
        /* A mount that starts on a full disk: what only it can use is worth more. */
        if ((r == -ENOSPC || r == -EDQUOT) && e->reserved) {
                e->reserved = unlinkat(e->dirfd, EDITS_RESERVE_FILE, 0) < 0;
                (void)reserve_wal(e, RESERVE_BYTES);
        }
}

void edits_reserve_grow(struct edits *e)
{
        int changes = sqlite3_total_changes(e->db);
        sqlite3_stmt *s;
        sqlite3_int64 size = 0;

        if (e->dirfd < 0 || e->empty || (e->grown && changes - e->grown_at < GROWN_ROWS))
                return;
        e->grown_at = changes;
        e->grown = true;
        s = edits_use(e, EDITS_SIZE);
        if (s && sqlite3_step(s) == SQLITE_ROW)
                size = sqlite3_column_int64(s, 0) + AHEAD_BYTES;
        sqlite3_reset(s);
        if (size > 0)
                (void)sqlite3_file_control(e->db, "main", SQLITE_FCNTL_SIZE_HINT, &size);
}

/* What the WAL has goes to the database, and the WAL begins anew, where it has blocks. */
static bool empty_wal(struct edits *e)
{
        int frames = 0, done = 0;

        return sqlite3_wal_checkpoint_v2(e->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done) == SQLITE_OK &&
               frames > 0 && done == frames;
}

bool edits_make_room(struct edits *e)
{
        return e->dirfd >= 0 && empty_wal(e);
}

bool edits_reserve_give(struct edits *e, unsigned tries)
{
        if (e->dirfd < 0)
                return false;
        if (tries == 0 && empty_wal(e))
                return true;
        if (!e->reserved)
                return false;
        e->reserved = false;
        if (unlinkat(e->dirfd, EDITS_RESERVE_FILE, 0) < 0)
                return false;
        (void)empty_wal(e);
        return true;
}

/* A copy ------------------------------------------------------------------------------------------------------- */

static int copy_one(int from_dir, int to_dir, const char *name, bool must)
{
        enum { PIECE = 64 << 10 };
        cleanup_close int from = file_open_own(from_dir, name, O_RDONLY, 0);
        cleanup_close int to = -1;
        cleanup_free char *data = malloc(PIECE);
        int r = 0;

        if (from < 0)
                return from == -ENOENT && !must ? 0 : from;
        if (!data)
                return -ENOMEM;
        to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (to < 0)
                return -errno;
        for (;;) {
                ssize_t n = read(from, data, PIECE);

                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                r = file_write_full(to, data, (size_t)n);
                if (r < 0)
                        return r;
        }
}

int edits_open_copy(int dirfd, const char *environment, struct edits **ret, struct errtext *err)
{
        const char *tmp = getenv("TMPDIR");
        char path[256], why[128];
        cleanup_close int dir = -1;
        int r;

        snprintf(path, sizeof(path), "%s/fusepkg-XXXXXX", tmp && *tmp == '/' && strlen(tmp) < 200 ? tmp : "/tmp");
        if (!mkdtemp(path))
                return errtext_set(err, -errno,
                                   "cannot make a temporary folder for what changed in a read-only venv: %s",
                                   errno_name(-errno, why));
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dir < 0 ? -errno : copy_one(dirfd, dir, EDITS_FILE, true);
        if (r == 0)
                r = copy_one(dirfd, dir, EDITS_FILE "-wal", false);
        if (r < 0 && r != -ENOENT)
                errtext_set(err, r, "cannot copy '.fusepkg/" EDITS_FILE "': %s", errno_name(r, why));
        if (r == 0)
                r = edits_open(dir, environment, ret, err);
        if (r == 0) {
                (*ret)->dirfd = -1;
                (*ret)->reserved = false;
        }
        /* SQLite has them open. */
        if (dir >= 0) {
                unlinkat(dir, EDITS_FILE, 0);
                unlinkat(dir, EDITS_FILE "-wal", 0);
                unlinkat(dir, EDITS_RESERVE_FILE, 0);
        }
        rmdir(path);
        return r;
}
