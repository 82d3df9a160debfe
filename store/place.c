#include "store/place.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define XFS_MAGIC 0x58465342
#define F2FS_MAGIC 0xF2F52010

enum { DEPTH_MAX = PATH_MAX / 2 };

/* Climbs to the root of the mount that FD lies in; FD is taken over. */
static int climb(int fd, int *ret_fd, struct statx *ret)
{
        const unsigned mask = STATX_INO | STATX_BTIME | STATX_MNT_ID;
        cleanup_close int at = fd;
        struct statx here, above;

        if (statx(at, "", AT_EMPTY_PATH, mask, &here) < 0)
                return -errno;
        for (int i = 0; i < DEPTH_MAX; i++) {
                cleanup_close int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

                if (up < 0 || statx(up, "", AT_EMPTY_PATH, mask, &above) < 0)
                        return -errno;
                if (above.stx_mnt_id != here.stx_mnt_id || above.stx_ino == here.stx_ino) {
                        *ret_fd = steal_fd(&at);
                        *ret = here;
                        return 0;
                }
                close(at);
                at = steal_fd(&up);
                here = above;
        }
        return -ELOOP;
}

/* On these a handle that is stale stays so: the inode is gone. */
static bool has_sound_handles(const struct statfs *fs)
{
        switch ((unsigned long)fs->f_type) {
        case EXT4_SUPER_MAGIC:
        case BTRFS_SUPER_MAGIC:
        case TMPFS_MAGIC:
        case XFS_MAGIC:
        case F2FS_MAGIC:
                return true;
        default:
                return false;
        }
}

/* xfs, f2fs, FAT and others have nothing better for an fsid than the number of their device (the kernel's
 * huge_encode_dev()).  That is another one when a disk comes back, and may be the same one for another disk. */
static bool is_device_number(const unsigned fsid[2], const struct statx *st)
{
        unsigned minor_ = st->stx_dev_minor;

        return fsid[1] == 0 && fsid[0] == ((minor_ & 0xff) | st->stx_dev_major << 8 | (minor_ & ~0xffU) << 12);
}

/* The half that identifies the file system. */
static int describe_root(int fd, struct buf *ret)
{
        cleanup_close int root = -1;
        struct statx st = { 0 };
        struct statfs fs;
        unsigned fsid[2];
        int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        r = r < 0 ? -errno : climb(r, &root, &st);
        if (r < 0)
                return r;
        if (fstatfs(root, &fs) < 0)
                return -errno;
        memcpy(fsid, &fs.f_fsid, sizeof fsid);
        if (!(st.stx_mask & STATX_BTIME))
                memset(&st.stx_btime, 0, sizeof st.stx_btime);
        if (is_device_number(fsid, &st))
                memset(fsid, 0, sizeof fsid);
        if (!fsid[0] && !fsid[1] && !st.stx_btime.tv_sec)
                return 0;
        return buf_printf(ret, "type %lx fsid %08x%08x root %llu born %lld.%09u", (unsigned long)fs.f_type, fsid[0],
                          fsid[1], (unsigned long long)st.stx_ino, (long long)st.stx_btime.tv_sec,
                          st.stx_btime.tv_nsec);
}

struct handle {
        struct file_handle h;
        unsigned char bytes[MAX_HANDLE_SZ];
};

static int describe_handle(int fd, struct buf *ret)
{
        struct handle handle = { .h.handle_bytes = MAX_HANDLE_SZ };
        char hex[2 * MAX_HANDLE_SZ + 1];
        struct statfs fs;
        int mount;

        if (fstatfs(fd, &fs) < 0 || !has_sound_handles(&fs) ||
            name_to_handle_at(fd, "", &handle.h, &mount, AT_EMPTY_PATH) < 0)
                return 0;
        hex_encode(handle.h.f_handle, handle.h.handle_bytes, hex);
        return buf_printf(ret, "%d %s", handle.h.handle_type, hex);
}

int place_describe(int fd, struct buf *ret)
{
        cleanup_buf struct buf text = { 0 };
        int r = describe_root(fd, &text);

        if (r == -ENOMEM)
                return r;
        if (r < 0 || text.len == 0)
                return 0;
        r = buf_add_char(&text, ';');
        if (r == 0)
                r = describe_handle(fd, &text);
        return r < 0 ? r : buf_add(ret, text.data, text.len);
}

/* Is the file system of PLACE that which FD lies on? */
static int is_same(int fd, const char *place, bool *ret)
{
        cleanup_buf struct buf text = { 0 };
        size_t len = strcspn(place, ";");
        int r = describe_root(fd, &text);

        if (r == -ENOMEM)
                return r;
        *ret = r == 0 && len > 0 && text.len == len && memcmp(text.data, place, len) == 0;
        return 0;
}

/* FD: any folder of the file system. */
static int ask_handle(int fd, const char *place, enum place_state *ret, struct buf *ret_where)
{
        const char *text = strchr(place, ';');
        struct handle handle = { 0 };
        char *hex, link[64], path[PATH_MAX];
        cleanup_close int found = -1;
        struct stat st;
        ssize_t n;

        *ret = PLACE_MISSING;
        if (!text || !text[1])
                return 0;
        handle.h.handle_type = (int)strtol(text + 1, &hex, 10);
        if (*hex++ != ' ' || strlen(hex) > 2 * MAX_HANDLE_SZ || strlen(hex) % 2 ||
            hex_decode(hex, strlen(hex), handle.h.f_handle, strlen(hex) / 2) < 0)
                return 0;
        handle.h.handle_bytes = (unsigned)strlen(hex) / 2;
        found = open_by_handle_at(fd, &handle.h, O_PATH | O_CLOEXEC);
        if (found < 0) {
                *ret = errno == ESTALE ? PLACE_GONE : PLACE_MISSING;
                return 0;
        }
        if (fstat(found, &st) < 0)
                return 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", found);
        n = readlink(link, path, sizeof path);
        if (st.st_nlink == 0)
                *ret = PLACE_GONE;
        else if (n > 0 && (size_t)n < sizeof path)
                *ret = PLACE_MOVED;
        return *ret == PLACE_MOVED ? buf_add(ret_where, path, (size_t)n) : 0;
}

/* The nearest folder above PATH that is there. */
static int open_above(const char *path)
{
        cleanup_free char *above = strdup(path);
        char *slash;

        if (!above)
                return -ENOMEM;
        while ((slash = strrchr(above, '/'))) {
                int fd;

                slash[slash == above] = '\0';
                fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
                if (fd < 0 && errno == EACCES)
                        fd = open(above, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0)
                        return fd;
                if ((errno != ENOENT && errno != ENOTDIR) || slash == above)
                        return -errno;
        }
        return -EINVAL;
}

static int unknown(int r, enum place_state *ret, struct buf *ret_where)
{
        char text[128];

        if (r == -ENOMEM)
                return r;
        *ret = PLACE_UNKNOWN;
        return buf_add_str(ret_where, errno_name(r, text));
}

/* Is the folder PATH the one of PLACE, by its handle? */
static int is_that_folder(const char *path, const char *place, bool *ret)
{
        cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        cleanup_buf struct buf text = { 0 };
        const char *handle = strchr(place, ';');
        int r = fd < 0 ? -errno : place_describe(fd, &text);

        if (r == 0)
                *ret = handle && handle[1] && text.len && strcmp(text.data, place) == 0;
        return r;
}

/* What was in the folder is gone with it, or has been taken out of it, or the folder was moved to make room. */
static int judge_lost(const char *path, const char *place, enum place_state *ret, struct buf *ret_where)
{
        cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool same = false;
        int r = fd < 0 ? -errno : is_that_folder(path, place, &same);

        if (r < 0)
                return unknown(r, ret, ret_where);
        if (!same)
                return ask_handle(fd, place, ret, ret_where);
        *ret = PLACE_GONE;
        return 0;
}

int place_judge(const char *path, const char *place, bool lost, enum place_state *ret, struct buf *ret_where)
{
        cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), above = -1;
        bool same = false;
        int r;

        if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
                return unknown(-errno, ret, ret_where);
        if (fd < 0) {
                above = open_above(path);
                if (above < 0)
                        return unknown(above, ret, ret_where);
        }
        r = is_same(fd < 0 ? above : fd, place, &same);
        if (r < 0)
                return r;
        if (fd >= 0 && lost && same)
                return judge_lost(path, place, ret, ret_where);
        if (fd >= 0)
                *ret = same ? PLACE_THERE : PLACE_OTHER;
        else if (!same)
                *ret = PLACE_AWAY;
        else
                return ask_handle(above, place, ret, ret_where);
        return 0;
}
