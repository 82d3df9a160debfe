/* archive_internal.h: what the archive_*.c files share and nobody else needs. */
#ifndef FUSEPKG_ARCHIVE_INTERNAL_H
#define FUSEPKG_ARCHIVE_INTERNAL_H

#include "store/archive.h"

enum {
        ARCHIVE_LOCAL_SIZE = 30,     /* bytes of a local header before the name */
        ARCHIVE_CENTRAL_SIZE = 46,   /* bytes of a directory header before the name */
        ARCHIVE_VERSION_MAX = 63,    /* 6.3, the last that the specification defines */
        ARCHIVE_FLAG_DESCRIPTOR = 1 << 3,
        ARCHIVE_FLAG_UTF8 = 1 << 11,
        ARCHIVE_FLAGS_REFUSED = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 13, /* encrypted, patched, strongly encrypted, masked */
        ARCHIVE_FLAGS_COMPARED = 1 << 0 | ARCHIVE_FLAG_DESCRIPTOR | ARCHIVE_FLAG_UTF8,
        ARCHIVE_STORED = 0,
        ARCHIVE_DEFLATED = 8,
        ARCHIVE_SENTINEL16 = 0xffff,
};
#define ARCHIVE_SENTINEL32 0xffffffffu /* "see the ZIP64 field": does not fit an int */

/* What local and directory headers have in common, as written. */
struct archive_header {
        uint16_t version_needed;
        uint16_t flags;
        uint16_t method;
        uint32_t crc;
        uint64_t stored_size;
        uint64_t size;
        struct span name;
        struct span extra;

        /* directory headers only */
        struct span comment;
        uint32_t attributes;
        uint64_t offset;
        uint32_t disk;
};

/* One field of the extra ones, or none (data NULL). */
struct archive_extra {
        struct span zip64;        /* 0x0001 */
        struct span unicode_path; /* 0x7075 */
};

/* What the end records say. */
struct archive_end {
        uint64_t count;     /* of members */
        uint64_t start;     /* of the directory */
        uint64_t size;      /* of the directory, bytes */
        bool padded;
};

static inline uint16_t archive_get16(const char *p)
{
        struct le16 v;

        memcpy(&v, p, sizeof v);
        return le16_get(v);
}

static inline uint32_t archive_get32(const char *p)
{
        struct le32 v;

        memcpy(&v, p, sizeof v);
        return le32_get(v);
}

static inline uint64_t archive_get64(const char *p)
{
        struct le64 v;

        memcpy(&v, p, sizeof v);
        return le64_get(v);
}

/* -EBADMSG and "the member 'NAME' REASON"; a long name is cut. */
int archive_refuse(struct errtext *err, struct span name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Reads LEN bytes of the file at OFFSET; the sentence says what the system said. */
int archive_pread(int fd, void *data, size_t len, uint64_t offset, struct errtext *err);

/* Finds and checks the end records (rule 1). */
int archive_end_find(int fd, uint64_t file_size, struct archive_end *ret, struct errtext *err);

/* Reads the directory header at OFFSET of the SIZE bytes DIRECTORY; RET_NEXT is where the next one begins. */
int archive_header_central(const char *directory, size_t size, size_t offset, struct archive_header *ret,
                           size_t *ret_next, struct errtext *err);
/* Rules 4 and 5, for local and directory headers alike. */
int archive_header_check(const struct archive_header *h, struct archive_extra *ret, struct errtext *err);
/* Puts the values of a directory header's ZIP64 field in the place of its sentinels. */
int archive_header_widen(struct archive_header *h, struct span zip64, struct errtext *err);

/* Checks one local header and descriptor against the directory; returns where the data begin. */
int archive_local_check(const struct archive *a, size_t member, struct buf *scratch, uint64_t *ret_data_offset,
                        struct errtext *err);

/* Rule 6 for one name: appends the collapsed name and a NUL to NAMES.  A final slash makes RET_DIR true and is cut
 * off. */
int archive_name_check(struct span raw, uint16_t flags, struct buf *names, bool *ret_dir, struct errtext *err);
/* Rule 6 for all of them together. */
int archive_names_check(const struct archive *a, struct errtext *err);

#endif
