#include "tools/row_fate.h"

#include "store/files.h"
#include "store/sha256.h"
#include "tools/edits_ask.h"
#include "tools/outside_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

enum { PIECE = 128 << 10 };

const struct edit_change *row_fate_find(const struct edit_report *r, const char *path)
{
        static const enum edit_change_kind kinds[] = { CHANGE_ADDED, CHANGE_LINKED, CHANGE_MODIFIED };
        const struct edit_change *c = NULL;

        for (size_t i = 0; !c && i < ARRAY_LEN(kinds); i++)
                c = edit_report_find(r, path, kinds[i]);
        return c;
}

/* 1: the regular file FD does not have the bytes of ROW. */
static int differs(int fd, const struct record_row *row)
{
        cleanup_sha256 struct sha256 sha = { 0 };
        cleanup_free char *data = malloc(PIECE);
        uint8_t hash[SHA256_SIZE];
        struct stat st;
        int r = !data ? -ENOMEM : fstat(fd, &st) < 0 ? -errno : 0;

        if (r < 0)
                return r;
        if (row->has_size && (uint64_t)st.st_size != row->size)
                return 1;
        r = sha256_init(&sha);
        for (ssize_t n; r == 0 && (n = read(fd, data, PIECE)) != 0;)
                r = n < 0 ? -errno : sha256_update(&sha, data, (size_t)n);
        if (r == 0)
                r = sha256_final(&sha, hash);
        return r < 0 ? r : memcmp(hash, row->sha256, sizeof(hash)) != 0;
}

/* A symlink is what uv made, into its cache, when it leads to the row's bytes.  What it leads to is looked at before it
 * is opened: to open a device may do something. */
static bool leads_to_bytes(const char *target, const struct record_row *row)
{
        bool may = row->has_sha256 && target && target[0] == '/';
        cleanup_close int place = may ? open(target, O_PATH | O_CLOEXEC) : -1;
        cleanup_close int fd = -1;
        char path[64];
        struct stat st;

        if (place < 0 || fstat(place, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 && differs(fd, row) == 0;
}

static bool is_record(const char *path)
{
        static const char end[] = ".dist-info/RECORD";
        size_t len = strlen(path);

        return len >= strlen(end) && strcmp(path + len - strlen(end), end) == 0;
}

/* Its own row has no hash; what it leads to was read as the RECORD. */
static bool is_own_record(const char *target, const struct record_row *row)
{
        return !row->has_sha256 && is_record(row->path) && target && target[0] == '/' && is_record(target);
}

int row_fate_inside(const struct target *t, const struct edit_change *thing, const struct record_row *row)
{
        bool ours = thing && thing->kind == CHANGE_MODIFIED;
        cleanup_close int fd = -1;
        int r;

        if (thing && thing->type == 'l')
                return leads_to_bytes(thing->target, row) || is_own_record(thing->target, row) ? ROW_GOES : ROW_STAYS;
        if (!thing || thing->type != 'f' || (ours && !row->has_sha256))
                return ROW_STAYS;
        if (!row->has_sha256)
                return ROW_GOES;
        fd = edits_ask_open(t, thing);
        if (fd == -ENOENT) /* a further name of a file of a package, or lost in a power cut */
                return ROW_STAYS;
        r = fd < 0 ? fd : differs(fd, row);
        return r < 0 ? r : r == 0 ? ROW_GOES : ours ? ROW_STAYS : ROW_IS_KEPT;
}

int row_fate_outside(const struct target *t, const char *path, const struct record_row *row)
{
        char target[PATH_MAX];
        const char *name;
        cleanup_close int folder = outside_open_parent(t, path, &name), fd = -1;
        struct stat st;
        ssize_t n;
        int r;

        /* Of what lies behind a symlink the caller says that it stays. */
        if (folder < 0 || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return folder == -ELOOP ? ROW_GOES : ROW_STAYS;
        if (S_ISLNK(st.st_mode)) {
                n = readlinkat(folder, name, target, sizeof(target) - 1);
                target[n < 0 ? 0 : n] = '\0';
                return leads_to_bytes(target, row) ? ROW_GOES : ROW_STAYS;
        }
        if (!S_ISREG(st.st_mode))
                return ROW_STAYS;
        if (!row->has_sha256)
                return ROW_GOES;
        fd = file_open_beneath(folder, name, O_RDONLY | O_NONBLOCK, 0);
        r = fd < 0 ? 1 : differs(fd, row);
        return r < 0 ? r : r == 0 ? ROW_GOES : ROW_IS_KEPT;
}
