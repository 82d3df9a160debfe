#include "store/archive_internal.h"

enum {
        EXTRA_ZIP64 = 0x0001,
        EXTRA_UNICODE_PATH = 0x7075,
        EXTRA_TRAILING_MAX = 3, /* some writers align with bytes that make no field */
};

static const char central_magic[] = "PK\1\2";

int archive_header_central(const char *directory, size_t size, size_t offset, struct archive_header *ret,
                           size_t *ret_next, struct errtext *err)
{
        const char *p = directory + offset;
        size_t left = size - offset;

        if (left < ARCHIVE_CENTRAL_SIZE || memcmp(p, central_magic, 4) != 0)
                return errtext_set(err, -EBADMSG, "its directory has fewer headers than the end record counts");

        size_t name_len = archive_get16(p + 28);
        size_t extra_len = archive_get16(p + 30);
        size_t comment_len = archive_get16(p + 32);

        if (left - ARCHIVE_CENTRAL_SIZE < name_len + extra_len + comment_len)
                return errtext_set(err, -EBADMSG, "a header reaches beyond the end of its directory");

        const char *name = p + ARCHIVE_CENTRAL_SIZE;

        *ret = (struct archive_header){
                .version_needed = archive_get16(p + 6),
                .flags = archive_get16(p + 8),
                .method = archive_get16(p + 10),
                .crc = archive_get32(p + 16),
                .stored_size = archive_get32(p + 20),
                .size = archive_get32(p + 24),
                .name = { name, name_len },
                .extra = { name + name_len, extra_len },
                .comment = { name + name_len + extra_len, comment_len },
                .disk = archive_get16(p + 34),
                .attributes = archive_get32(p + 38),
                .offset = archive_get32(p + 42),
        };
        *ret_next = offset + ARCHIVE_CENTRAL_SIZE + name_len + extra_len + comment_len;
        return 0;
}

/* 0x7075 gives the name once more, so a reader that heeds it would see another file than one that does not. */
static int check_unicode_path(const struct archive_header *h, struct span field, struct errtext *err)
{
        struct span name = { field.data + 5, field.len - 5 };

        if (field.len < 5 || field.data[0] != 1 || name.len != h->name.len ||
            memcmp(name.data, h->name.data, name.len) != 0)
                return archive_refuse(err, h->name, "has a Unicode path field that gives another name");
        return 0;
}

static int parse_extra(const struct archive_header *h, struct archive_extra *ret, struct errtext *err)
{
        const char *p = h->extra.data;
        size_t left = h->extra.len;

        *ret = (struct archive_extra){ 0 };
        while (left > EXTRA_TRAILING_MAX) {
                unsigned id = archive_get16(p);
                size_t len = archive_get16(p + 2);
                struct span *once = id == EXTRA_ZIP64          ? &ret->zip64
                                    : id == EXTRA_UNICODE_PATH ? &ret->unicode_path
                                                               : NULL;

                if (len > left - 4)
                        return archive_refuse(err, h->name, "has a malformed extra field");
                if (once && once->data)
                        return archive_refuse(err, h->name, "has the extra field 0x%04x twice", id);
                if (once)
                        *once = (struct span){ p + 4, len };
                p += 4 + len;
                left -= 4 + len;
        }
        return ret->unicode_path.data ? check_unicode_path(h, ret->unicode_path, err) : 0;
}

int archive_header_check(const struct archive_header *h, struct archive_extra *ret, struct errtext *err)
{
        if (h->flags & (1 << 0 | 1 << 6))
                return archive_refuse(err, h->name, "is encrypted");
        if (h->flags & ARCHIVE_FLAGS_REFUSED)
                return archive_refuse(err, h->name, "is patched data or has masked headers (flags 0x%04x)", h->flags);
        if (h->method != ARCHIVE_STORED && h->method != ARCHIVE_DEFLATED)
                return archive_refuse(err, h->name, "is compressed by method %u; wheels may use deflate only",
                                      h->method);
        if ((h->version_needed & 0xff) > ARCHIVE_VERSION_MAX)
                return archive_refuse(err, h->name, "needs a newer ZIP version than 6.3");
        for (size_t i = 0; i < h->comment.len; i++)
                if (h->comment.data[i] >= 1 && h->comment.data[i] <= 8)
                        return archive_refuse(err, h->name, "has a comment with control characters");
        return parse_extra(h, ret, err);
}

struct wide_value {
        uint64_t *value;
        uint64_t sentinel;
        size_t width;
};

/* The field holds the values of those that are sentinels, in this order.  Some writers give all of them, whether
 * sentinel or not; that is let pass where it can be read in one way only: sentinels first, and the others as in the
 * header. */
int archive_header_widen(struct archive_header *h, struct span zip64, struct errtext *err)
{
        uint64_t disk = h->disk;
        const struct wide_value values[] = {
                { &h->size, ARCHIVE_SENTINEL32, 8 },
                { &h->stored_size, ARCHIVE_SENTINEL32, 8 },
                { &h->offset, ARCHIVE_SENTINEL32, 8 },
                { &disk, ARCHIVE_SENTINEL16, 4 },
        };
        size_t needed = 0;
        size_t at = 0;
        bool plain = false; /* a value that is no sentinel was read */

        if (!zip64.data)
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(values); i++)
                needed += *values[i].value == values[i].sentinel ? values[i].width : 0;
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
                const struct wide_value *v = &values[i];
                bool sentinel = *v->value == v->sentinel;

                if (!sentinel && (zip64.len == needed || at == zip64.len))
                        continue;
                if (zip64.len - at < v->width)
                        return archive_refuse(err, h->name, "has a ZIP64 field of the wrong size");
                uint64_t given = v->width == 8 ? archive_get64(zip64.data + at) : archive_get32(zip64.data + at);
                if ((sentinel && plain) || (!sentinel && given != *v->value))
                        return archive_refuse(err, h->name, "has a ZIP64 field that contradicts its header");
                plain = plain || !sentinel;
                *v->value = given;
                at += v->width;
        }
        if (at != zip64.len)
                return archive_refuse(err, h->name, "has a ZIP64 field of the wrong size");
        h->disk = (uint32_t)disk;
        return 0;
}
