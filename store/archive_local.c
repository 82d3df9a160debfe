#include "store/archive_internal.h"

static const char local_magic[] = "PK\3\4";
static const char descriptor_magic[] = "PK\7\10";

enum { DESCRIPTOR_MAX = 24 };

static struct span bytes_at(const struct buf *b, size_t offset, size_t len)
{
        return (struct span){ b->data + offset, len };
}

/* Reads header, name and extra field into SCRATCH.  The room ends at M's end_offset, whatever the lengths say. */
static int read_header(const struct archive *a, const struct archive_member *m, struct span name, struct buf *scratch,
                       struct archive_header *ret, struct errtext *err)
{
        uint64_t room = m->end_offset - m->header_offset;
        size_t len = ARCHIVE_LOCAL_SIZE + name.len;

        if (room < len)
                return archive_refuse(err, name, "overlaps what follows it");
        buf_clear(scratch);
        if (buf_reserve(scratch, len + ARCHIVE_SENTINEL16) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");

        int r = archive_pread(a->fd, scratch->data, len, m->header_offset, err);

        if (r < 0)
                return r;

        const char *p = scratch->data;

        if (memcmp(p, local_magic, 4) != 0)
                return archive_refuse(err, name, "has no local header where the directory says");
        if (archive_get16(p + 26) != name.len)
                return archive_refuse(err, name, "has another name in its local header");

        size_t extra_len = archive_get16(p + 28);

        if (room - len < extra_len)
                return archive_refuse(err, name, "overlaps what follows it");
        r = archive_pread(a->fd, scratch->data + len, extra_len, m->header_offset + len, err);
        if (r < 0)
                return r;
        scratch->len = len + extra_len;
        *ret = (struct archive_header){
                .version_needed = archive_get16(p + 4),
                .flags = archive_get16(p + 6),
                .method = archive_get16(p + 8),
                .crc = archive_get32(p + 14),
                .stored_size = archive_get32(p + 18),
                .size = archive_get32(p + 22),
                .name = bytes_at(scratch, ARCHIVE_LOCAL_SIZE, name.len),
                .extra = bytes_at(scratch, len, extra_len),
        };
        return 0;
}

/* With a descriptor to follow, a header may leave the size open: a zero, or a sentinel without a ZIP64 field. */
static bool size_fits(uint64_t written, uint64_t real, bool later, bool has_zip64)
{
        return written == real || (later && (written == 0 || (written == ARCHIVE_SENTINEL32 && !has_zip64)));
}

static int check_sizes(const struct archive_header *h, const struct archive_member *m, struct span zip64,
                       struct errtext *err)
{
        bool later = h->flags & ARCHIVE_FLAG_DESCRIPTOR;
        uint64_t size = h->size;
        uint64_t stored = h->stored_size;
        bool fits = true;

        if (zip64.data) {
                /* Unlike a directory header's, a local one always gives both sizes. */
                if (zip64.len != 16)
                        return archive_refuse(err, h->name, "has a local ZIP64 field of the wrong size");

                uint64_t wide_size = archive_get64(zip64.data);
                uint64_t wide_stored = archive_get64(zip64.data + 8);

                fits = size_fits(wide_size, m->size, later, true) &&
                       size_fits(wide_stored, m->stored_size, later, true);
                size = size == ARCHIVE_SENTINEL32 ? wide_size : size;
                stored = stored == ARCHIVE_SENTINEL32 ? wide_stored : stored;
        }
        if (!fits || !size_fits(size, m->size, later, zip64.data) ||
            !size_fits(stored, m->stored_size, later, zip64.data))
                return archive_refuse(err, h->name, "has other sizes in its local header");
        return 0;
}

/* Everything that rule 3 compares, but for the sizes. */
static int check_header(const struct archive_header *local, const struct archive_header *central,
                        struct archive_extra *ret_extra, struct errtext *err)
{
        if (memcmp(local->name.data, central->name.data, central->name.len) != 0)
                return archive_refuse(err, central->name, "has another name in its local header");
        if ((local->flags ^ central->flags) & ARCHIVE_FLAGS_COMPARED)
                return archive_refuse(err, central->name, "has other flags in its local header");
        if (local->method != central->method)
                return archive_refuse(err, central->name, "has another compression method in its local header");
        if (local->crc != central->crc && !(local->crc == 0 && local->flags & ARCHIVE_FLAG_DESCRIPTOR))
                return archive_refuse(err, central->name, "has another checksum in its local header");
        return archive_header_check(local, ret_extra, err);
}

/* The length tells which of the four forms it has: with or without a signature, sizes of four or of eight bytes. */
static int check_descriptor(const struct archive *a, const struct archive_member *m, uint64_t at, struct span name,
                            struct errtext *err)
{
        size_t len = (size_t)(m->end_offset - at);
        bool has_magic = len == 16 || len == 24;
        bool wide = len == 20 || len == 24;
        char descriptor[DESCRIPTOR_MAX];
        const char *p = descriptor;
        int r = archive_pread(a->fd, descriptor, len, at, err);

        if (r < 0)
                return r;
        /* A reader that goes from front to back takes a checksum that looks like the signature for one. */
        if ((memcmp(p, descriptor_magic, 4) == 0) != has_magic)
                return archive_refuse(err, name, "has a malformed data descriptor");
        p += has_magic ? 4 : 0;

        uint64_t stored = wide ? archive_get64(p + 4) : archive_get32(p + 4);
        uint64_t size = wide ? archive_get64(p + 12) : archive_get32(p + 8);

        if (archive_get32(p) != m->crc || stored != m->stored_size || size != m->size)
                return archive_refuse(err, name, "has a data descriptor that contradicts the directory");
        return 0;
}

static int check_end(const struct archive *a, const struct archive_member *m, const struct archive_header *h,
                     uint64_t data, struct errtext *err)
{
        if (m->end_offset - data < m->stored_size)
                return archive_refuse(err, h->name, "overlaps what follows it");

        uint64_t end = data + m->stored_size;
        uint64_t rest = m->end_offset - end;

        if (!(h->flags & ARCHIVE_FLAG_DESCRIPTOR))
                return rest == 0 ? 0 : archive_refuse(err, h->name, "is followed by bytes that belong to no member");
        if (rest != 12 && rest != 16 && rest != 20 && rest != 24)
                return archive_refuse(err, h->name, "has no data descriptor, or is followed by bytes of no member");
        return check_descriptor(a, m, end, h->name, err);
}

int archive_local_check(const struct archive *a, size_t member, struct buf *scratch, uint64_t *ret_data_offset,
                        struct errtext *err)
{
        const struct archive_member *m = &a->members[member];
        struct archive_header central = { 0 };
        struct archive_header local = { 0 };
        struct archive_extra extra = { 0 };
        size_t next = 0;
        int r = archive_header_central(a->directory, a->directory_size, m->directory_offset, &central, &next, err);

        if (r == 0)
                r = read_header(a, m, central.name, scratch, &local, err);
        if (r == 0)
                r = check_header(&local, &central, &extra, err);
        if (r == 0)
                r = check_sizes(&local, m, extra.zip64, err);
        if (r < 0)
                return r;

        uint64_t data = m->header_offset + scratch->len;

        r = check_end(a, m, &local, data, err);
        if (r == 0)
                *ret_data_offset = data;
        return r;
}

int archive_check_local(struct archive *a, struct errtext *err)
{
        cleanup_buf struct buf scratch = { 0 };

        for (size_t i = 0; i < a->count; i++) {
                int r = archive_local_check(a, i, &scratch, &a->members[i].data_offset, err);

                if (r < 0)
                        return r;
        }
        return 0;
}
