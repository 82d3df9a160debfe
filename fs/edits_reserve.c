/* edits_reserve.c: what a full disk and a read-only one ask of the database. */
#include "fs/edits_private.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>

enum { RESERVE_BYTES = 256 << 10 };

/* Blocks, not a hole; where the file system has no fallocate it does without. */
void edits_reserve_make(struct edits *e)
{
        int fd;

        if (e->reserved || e->dirfd < 0)
                return;
        e->reserve_tried = true;
        fd = file_open_own(e->dirfd, EDITS_RESERVE_FILE, O_RDWR | O_CREAT, 0600);
        if (fd < 0)
                return;
        e->reserved = fallocate(fd, 0, 0, RESERVE_BYTES) == 0;
        close(fd);
        if (!e->reserved)
                unlinkat(e->dirfd, EDITS_RESERVE_FILE, 0);
}

bool edits_reserve_give(struct edits *e)
{
        if (!e->reserved)
                return false;
        e->reserved = false;
        return unlinkat(e->dirfd, EDITS_RESERVE_FILE, 0) == 0;
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
                return errtext_set(err, -errno, "cannot make a temporary folder for what changed in a read-only venv: %s",
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
