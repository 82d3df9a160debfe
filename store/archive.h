/* archive.h: the one strict reader of wheels' ZIP framing.
 *
 * A wheel is hostile input.  The rules, after PyPI's (warehouse/utils/zipfiles.py) and the advisories on uv, pip and
 * CPython, fail closed:
 *   1. The end record ends the file (its comment reaches the end exactly; only NUL padding may follow, with a warning).
 *      One disk.  A ZIP64 locator must point at a ZIP64 end record that ends where the locator starts, 44 bytes of
 *      body, and all legacy fields that are no sentinels must agree with it.
 *   2. The file is tiled: entries in the order of their offsets start at 0, each one's local header, name, extra
 *      field, data and descriptor end where the next one begins, the last ends at the directory, the directory has
 *      exactly `count` headers and `size` bytes and ends at the (ZIP64) end record.  No comments with bytes 1 to 8.
 *   3. Local header and directory agree in name, method, flags (bits 0, 3, 11), checksum and sizes (or zeros or ZIP64
 *      sentinels with bit 3); a data descriptor equals the directory.
 *   4. Flag bits 0, 5, 6, 13 are refused; version needed up to 6.3; methods 0 and 8; stored: both sizes equal.
 *   5. Extra fields are well-formed (up to 3 trailing bytes are let pass); 0x0001 and 0x7075 at most once; 0x7075
 *      repeats the name.
 *   6. Names: UTF-8 (flag bit 11) or ASCII; no control, format, surrogate or private characters and no noncharacters
 *      (Unicode's categories Cc, Cf, Cs, Co; which others are unassigned depends on the version of Unicode, so those
 *      pass); not absolute, no backslash, no ".."; "." and "//" are collapsed; components up to 255 bytes, paths up to
 *      1024.  Type bits: none or S_IFREG; a final slash, and only that, makes a directory (with or without S_IFDIR):
 *      size 0, checksum 0 and no data to speak of.  One name twice, or a file that is also a directory: refused.
 *   7. A member inflates to exactly its size and consumes exactly its data, and its CRC-32 matches.  No member claims
 *      more than deflate can express, 1032 bytes for one.
 *   8. No more than ARCHIVE_MEMBERS_MAX members.  What they unpack to: see archive_check_size().
 *
 * Reading is by pread: a file that shrinks meanwhile is an error, never a signal.
 * Threads: immutable after opening, but the descriptor's owner is the archive; members may be read by several
 * threads at once. */
#ifndef FUSEPKG_ARCHIVE_H
#define FUSEPKG_ARCHIVE_H

#include "store/base.h"
#include "store/buf.h"

enum {
        ARCHIVE_MEMBERS_MAX = 1 << 20,
        ARCHIVE_DIRECTORY_MAX = 256 << 20, /* bytes */
};

struct archive_member {
        struct span name;        /* as collapsed by rule 6; belongs to the archive */
        bool is_dir;
        bool executable;         /* mode & 0111 in the high half of the external attributes (uv's rule) */
        uint16_t method;         /* 0 or 8 */
        uint32_t crc;
        uint64_t stored_size;    /* bytes in the archive */
        uint64_t size;           /* bytes unpacked */
        uint64_t data_offset;    /* of its data; valid after archive_check_local */
        uint64_t header_offset;  /* of its local header */
        uint64_t end_offset;     /* where the next member, or the directory, begins */
        size_t directory_offset; /* of its header in archive.directory */
};

struct archive {
        int fd;
        uint64_t file_size;
        struct archive_member *members; /* in the order of the directory */
        size_t count;
        char *directory;                /* the raw directory and end records, for the key */
        size_t directory_size;
        uint64_t directory_start;       /* where it begins in the file */
        bool padded;                    /* NUL bytes after the end record */
        char *names;                    /* storage of the members' names */
};

/* Opens PATH and checks all that the directory and end records alone can show (rules 1, 4, 5, 6, 8 and the tiling as
 * far as the directory tells).  Every refusal is -EBADMSG with one sentence that names the member and the reason,
 * not the wheel (the caller does that). */
int archive_open(const char *path, struct archive **ret, struct errtext *err);
/* The same for a file that is open; takes FD over, even on failure. */
int archive_open_fd(int fd, struct archive **ret, struct errtext *err);
void archive_close(struct archive *a); /* NULL is fine */

/* Checks the local headers and descriptors (rules 2 and 3) and fills data_offset. */
int archive_check_local(struct archive *a, struct errtext *err);

/* PyPI's rule: refused when the members unpack to more than 64 MiB and more than 50 times the file, or to more than
 * LIMIT bytes (0: no such limit). */
int archive_check_size(const struct archive *a, uint64_t limit, struct errtext *err);

/* The index of the member with that exact name, or -ENOENT. */
int archive_find(const struct archive *a, const char *name, size_t *ret);

/* Unpacks one member, piece by piece: SINK gets consecutive pieces (at most 256 KiB each; none for an empty member)
 * and may fail with its own -errno, which is returned.  -EBADMSG: rule 7; what SINK got until then is not to be
 * believed.  Memory: fixed.  Before archive_check_local it checks the local header of this one member. */
int archive_extract(const struct archive *a, size_t member, int (*sink)(const void *data, size_t len, void *user),
                    void *user, struct errtext *err);

/* Appends a whole member to RET; -EFBIG when it is larger than MAX. */
int archive_read(const struct archive *a, size_t member, size_t max, struct buf *ret, struct errtext *err);

#endif
