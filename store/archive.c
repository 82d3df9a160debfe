#include "store/archive.h"
#include "store/archive_internal.h"
#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>

enum {
        NAME_SHOWN_MAX = 300, /* bytes of a member's name in a sentence */

        /* PyPI's limits on what a wheel unpacks to; the largest ratio of a real wheel that was seen is 17. */
        UNPACKED_FREE = 64 << 20,
        UNPACKED_RATIO = 50,

        DEFLATE_RATIO_MAX = 1032, /* 258 bytes for two bits */
};

int archive_refuse(struct errtext *err, struct span name, const char *format, ...)
{
        bool cut = name.len > NAME_SHOWN_MAX;
        char reason[512];
        va_list ap;

        va_start(ap, format);
        if (vsnprintf(reason, sizeof reason, format, ap) < 0)
                reason[0] = '\0';
        va_end(ap);
        return errtext_set(err, -EBADMSG, "the member '%.*s%s' %s", (int)(cut ? NAME_SHOWN_MAX : name.len), name.data,
                           cut ? "..." : "", reason);
}

int archive_pread(int fd, void *data, size_t len, uint64_t offset, struct errtext *err)
{
        char text[128];
        int r = file_pread_full(fd, data, len, (off_t)offset);

        return r == 0 ? 0 : errtext_set(err, r, "it cannot be read: %s", errno_name(r, text));
}

static int check_type(const struct archive_header *h, bool is_dir, struct errtext *err)
{
        uint32_t type = h->attributes >> 16 & S_IFMT;

        if (type == S_IFLNK)
                return archive_refuse(err, h->name, "is a symbolic link, which wheels may not have");
        if (type != 0 && type != S_IFREG && type != S_IFDIR)
                return archive_refuse(err, h->name, "is neither a file nor a folder");
        if (type == S_IFDIR && !is_dir)
                return archive_refuse(err, h->name, "is a folder by its mode and a file by its name");
        /* An empty deflate stream takes two bytes. */
        if (is_dir && (h->size != 0 || h->crc != 0 || h->stored_size > 2))
                return archive_refuse(err, h->name, "is a folder that has data");
        return 0;
}

static int check_member(const struct archive_header *h, bool is_dir, struct errtext *err)
{
        if (h->disk != 0)
                return archive_refuse(err, h->name, "lies on another disk");
        if (h->method == ARCHIVE_STORED && h->size != h->stored_size)
                return archive_refuse(err, h->name, "is stored, but its two sizes differ");
        if (h->size / DEFLATE_RATIO_MAX > h->stored_size)
                return archive_refuse(err, h->name, "claims to unpack to more than its data can hold");
        return check_type(h, is_dir, err);
}

/* Reads one directory header.  Its name goes to NAMES; the member's name is an offset into it until all are there. */
static int read_member(const struct archive *a, size_t offset, size_t size, struct archive_member *ret,
                       struct buf *names, size_t *ret_next, struct errtext *err)
{
        struct archive_header h = { 0 };
        struct archive_extra extra = { 0 };
        size_t name = names->len;
        bool is_dir = false;
        int r = archive_header_central(a->directory, size, offset, &h, ret_next, err);

        if (r == 0)
                r = archive_header_check(&h, &extra, err);
        if (r == 0)
                r = archive_header_widen(&h, extra.zip64, err);
        if (r == 0)
                r = archive_name_check(h.name, h.flags, names, &is_dir, err);
        if (r == 0)
                r = check_member(&h, is_dir, err);
        if (r < 0)
                return r;
        *ret = (struct archive_member){
                .name = { NULL, names->len - name - 1 },
                .is_dir = is_dir,
                .executable = (h.attributes >> 16 & 0111) != 0,
                .method = h.method,
                .crc = h.crc,
                .stored_size = h.stored_size,
                .size = h.size,
                .header_offset = h.offset,
                .directory_offset = offset,
        };
        return 0;
}

static int read_members(struct archive *a, const struct archive_end *end, struct errtext *err)
{
        cleanup_buf struct buf names = { 0 };
        size_t offset = 0;

        a->members = calloc(end->count + 1, sizeof *a->members);
        if (!a->members)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (; a->count < end->count; a->count++) {
                int r = read_member(a, offset, end->size, &a->members[a->count], &names, &offset, err);

                if (r < 0)
                        return r;
        }
        if (offset != end->size)
                return errtext_set(err, -EBADMSG, "its directory has more headers than the end record counts");
        a->names = buf_steal(&names);
        if (!a->names)
                return errtext_set(err, -ENOMEM, "out of memory");

        const char *name = a->names;

        for (size_t i = 0; i < a->count; i++) {
                a->members[i].name.data = name;
                name += a->members[i].name.len + 1;
        }
        return 0;
}

static int compare_offsets(const void *a, const void *b)
{
        const struct archive_member *x = *(struct archive_member *const *)a;
        const struct archive_member *y = *(struct archive_member *const *)b;

        return x->header_offset < y->header_offset ? -1 : x->header_offset > y->header_offset;
}

/* Rule 2, as far as the directory tells: where each member begins, and that there is room for it up to the next. */
static int check_tiling(struct archive *a, struct errtext *err)
{
        cleanup_free struct archive_member **order = calloc(a->count + 1, sizeof *order);

        if (!order)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < a->count; i++)
                order[i] = &a->members[i];
        qsort(order, a->count, sizeof *order, compare_offsets);
        if ((a->count > 0 ? order[0]->header_offset : a->directory_start) != 0)
                return errtext_set(err, -EBADMSG, "it has data before its first member");
        for (size_t i = 0; i < a->count; i++) {
                struct archive_member *m = order[i];

                m->end_offset = i + 1 < a->count ? order[i + 1]->header_offset : a->directory_start;
                if (m->header_offset >= m->end_offset || m->end_offset > a->directory_start ||
                    m->end_offset - m->header_offset < ARCHIVE_LOCAL_SIZE ||
                    m->end_offset - m->header_offset - ARCHIVE_LOCAL_SIZE < m->stored_size)
                        return archive_refuse(err, m->name, "overlaps what follows it");
        }
        return 0;
}

static int load(struct archive *a, struct errtext *err)
{
        struct archive_end end = { 0 };
        struct stat st;
        char text[128];

        if (fstat(a->fd, &st) < 0)
                return errtext_set(err, -errno, "it cannot be read: %s", errno_name(-errno, text));
        if (!S_ISREG(st.st_mode))
                return errtext_set(err, -EBADMSG, "it is not a regular file");
        a->file_size = (uint64_t)st.st_size;

        int r = archive_end_find(a->fd, a->file_size, &end, err);

        if (r < 0)
                return r;
        a->padded = end.padded;
        a->directory_start = end.start;
        a->directory_size = (size_t)(a->file_size - end.start);
        a->directory = malloc(a->directory_size + 1);
        if (!a->directory)
                return errtext_set(err, -ENOMEM, "out of memory");
        r = archive_pread(a->fd, a->directory, a->directory_size, end.start, err);
        if (r == 0)
                r = read_members(a, &end, err);
        if (r == 0)
                r = check_tiling(a, err);
        if (r == 0)
                r = archive_names_check(a, err);
        return r;
}

int archive_open_fd(int fd, struct archive **ret, struct errtext *err)
{
        struct archive *a = calloc(1, sizeof *a);

        if (!a) {
                close(fd);
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        a->fd = fd;

        int r = load(a, err);

        if (r < 0) {
                archive_close(a);
                return r;
        }
        *ret = a;
        return 0;
}

int archive_open(const char *path, struct archive **ret, struct errtext *err)
{
        /* O_NONBLOCK: a fifo must be refused, not waited for. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        char text[128];

        if (fd < 0) {
                int r = -errno;

                return errtext_set(err, r, "it cannot be opened: %s", errno_name(r, text));
        }
        return archive_open_fd(fd, ret, err);
}

void archive_close(struct archive *a)
{
        if (!a)
                return;
        close(a->fd);
        free(a->members);
        free(a->directory);
        free(a->names);
        free(a);
}

int archive_check_size(const struct archive *a, uint64_t limit, struct errtext *err)
{
        uint64_t total = 0;

        /* The sum fits: no member is more than 1032 times the file, and there are at most 2^20. */
        for (size_t i = 0; i < a->count; i++)
                total += a->members[i].size;
        if (limit > 0 && total > limit)
                return errtext_set(err, -EBADMSG, "it unpacks to %llu bytes, more than the limit of %llu",
                                   (unsigned long long)total, (unsigned long long)limit);
        if (total > UNPACKED_FREE && total / UNPACKED_RATIO >= a->file_size)
                return errtext_set(err, -EBADMSG, "it unpacks to %llu bytes, more than %d times its own size",
                                   (unsigned long long)total, UNPACKED_RATIO);
        return 0;
}

int archive_find(const struct archive *a, const char *name, size_t *ret)
{
        for (size_t i = 0; i < a->count; i++)
                if (span_is(a->members[i].name, name)) {
                        *ret = i;
                        return 0;
                }
        return -ENOENT;
}
