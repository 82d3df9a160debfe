#include "store/archive_internal.h"

#include <stdio.h>

enum {
        END_SIZE = 22,
        LOCATOR_SIZE = 20,
        END64_SIZE = 56,
        END64_BODY = 44,                                      /* what its own size field counts */
        PADDING_MAX = 64 << 10,                               /* NUL bytes after the end record */
        TAIL_MAX = END_SIZE + ARCHIVE_SENTINEL16 + PADDING_MAX, /* a comment is shorter than 64 KiB */
};

static const char end_magic[] = "PK\5\6";
static const char locator_magic[] = "PK\6\7";
static const char end64_magic[] = "PK\6\6";

static bool has_magic(const char *p, const char *magic)
{
        return memcmp(p, magic, 4) == 0;
}

static bool all_zero(const char *p, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (p[i] != 0)
                        return false;
        return true;
}

/* Does the end record at P, of which LEFT bytes are there, reach the end of the file? */
static bool reaches_end(const char *p, size_t left)
{
        if (left < END_SIZE || !has_magic(p, end_magic))
                return false;

        size_t length = END_SIZE + archive_get16(p + 20);

        return length <= left && all_zero(p + length, left - length);
}

/* Readers differ in which end record they take when there are several to choose from, so there must be one alone. */
static int find_end_record(const char *tail, size_t len, const char **ret, struct errtext *err)
{
        const char *found = NULL;

        for (size_t i = 0; i + END_SIZE <= len; i++) {
                const char *p = memchr(tail + i, 'P', len - END_SIZE - i + 1);

                if (!p)
                        break;
                i = (size_t)(p - tail);
                if (!reaches_end(p, len - i))
                        continue;
                if (found)
                        return errtext_set(err, -EBADMSG, "it has two end records that fit");
                found = p;
        }
        if (!found)
                return errtext_set(err, -EBADMSG,
                                   "it is no ZIP archive, is cut short, or has data after its end record");
        *ret = found;
        return 0;
}

static int check_comment(const char *comment, size_t len, struct errtext *err)
{
        for (size_t i = 0; i < len; i++)
                if (comment[i] >= 1 && comment[i] <= 8)
                        return errtext_set(err, -EBADMSG, "the archive's comment has control characters");
        return 0;
}

/* The ZIP64 end record that the locator, which lies at LOCATOR_AT, points at; RET_AT is where it begins. */
static int read_end64(int fd, const char *locator, uint64_t locator_at, char record[END64_SIZE], uint64_t *ret_at,
                      struct errtext *err)
{
        uint64_t at = archive_get64(locator + 8);

        if (archive_get32(locator + 4) != 0 || archive_get32(locator + 16) != 1)
                return errtext_set(err, -EBADMSG, "it spans several disks");
        if (locator_at < END64_SIZE || at != locator_at - END64_SIZE)
                return errtext_set(err, -EBADMSG, "its ZIP64 end record does not end where the locator begins");

        int r = archive_pread(fd, record, END64_SIZE, at, err);

        if (r < 0)
                return r;
        if (!has_magic(record, end64_magic) || archive_get64(record + 4) != END64_BODY)
                return errtext_set(err, -EBADMSG, "its ZIP64 locator points at something else than a ZIP64 end record");
        if (archive_get32(record + 16) != 0 || archive_get32(record + 20) != 0)
                return errtext_set(err, -EBADMSG, "it spans several disks");
        if ((archive_get16(record + 14) & 0xff) > ARCHIVE_VERSION_MAX)
                return errtext_set(err, -EBADMSG, "it needs a newer ZIP version than 6.3");
        *ret_at = at;
        return 0;
}

static bool agrees(uint64_t legacy, uint64_t sentinel, uint64_t value)
{
        return legacy == sentinel || legacy == value;
}

/* Takes the values of the end record at P, or of the ZIP64 one where there is one.  RET_AT is where the first of the
 * two begins, and the directory has to end. */
static int read_values(int fd, const char *p, uint64_t at, const char *locator, struct archive_end *ret,
                       uint64_t *ret_at, struct errtext *err)
{
        uint64_t count = archive_get16(p + 10);
        uint64_t size = archive_get32(p + 12);
        uint64_t start = archive_get32(p + 16);
        uint64_t disk = archive_get16(p + 4);
        uint64_t start_disk = archive_get16(p + 6);
        uint64_t count_here = archive_get16(p + 8);
        char record[END64_SIZE];

        if (!locator) {
                if (disk != 0 || start_disk != 0 || count_here != count)
                        return errtext_set(err, -EBADMSG, "it spans several disks");
                *ret = (struct archive_end){ .count = count, .start = start, .size = size };
                *ret_at = at;
                return 0;
        }

        int r = read_end64(fd, locator, at - LOCATOR_SIZE, record, ret_at, err);

        if (r < 0)
                return r;
        *ret = (struct archive_end){
                .count = archive_get64(record + 32),
                .size = archive_get64(record + 40),
                .start = archive_get64(record + 48),
        };
        if (archive_get64(record + 24) != ret->count || !agrees(disk, ARCHIVE_SENTINEL16, 0) ||
            !agrees(start_disk, ARCHIVE_SENTINEL16, 0))
                return errtext_set(err, -EBADMSG, "it spans several disks");
        if (!agrees(count, ARCHIVE_SENTINEL16, ret->count) || !agrees(count_here, ARCHIVE_SENTINEL16, ret->count) ||
            !agrees(size, ARCHIVE_SENTINEL32, ret->size) || !agrees(start, ARCHIVE_SENTINEL32, ret->start))
                return errtext_set(err, -EBADMSG, "its end record and its ZIP64 end record disagree");
        return 0;
}

/* The directory must fill the room up to the end records exactly, and be of a size that can be read. */
static int check_values(const struct archive_end *end, uint64_t at, struct errtext *err)
{
        if (end->count > ARCHIVE_MEMBERS_MAX)
                return errtext_set(err, -EBADMSG, "it has more than %d members", ARCHIVE_MEMBERS_MAX);
        if (end->start > at || end->size != at - end->start)
                return errtext_set(err, -EBADMSG, "its directory does not end where the end record begins");
        if (end->size > ARCHIVE_DIRECTORY_MAX)
                return errtext_set(err, -EBADMSG, "its directory is larger than %d MiB", ARCHIVE_DIRECTORY_MAX >> 20);
        if (end->size / ARCHIVE_CENTRAL_SIZE < end->count)
                return errtext_set(err, -EBADMSG, "its directory is too small for its number of members");
        return 0;
}

int archive_end_find(int fd, uint64_t file_size, struct archive_end *ret, struct errtext *err)
{
        size_t len = file_size < TAIL_MAX ? (size_t)file_size : TAIL_MAX;
        uint64_t tail_at = file_size - len;
        cleanup_free char *tail = malloc(len + 1);
        struct archive_end end = { 0 };
        const char *p = NULL;
        char locator[LOCATOR_SIZE];
        uint64_t directory_end = 0;

        if (!tail)
                return errtext_set(err, -ENOMEM, "out of memory");

        int r = archive_pread(fd, tail, len, tail_at, err);

        if (r == 0)
                r = find_end_record(tail, len, &p, err);
        if (r == 0)
                r = check_comment(p + END_SIZE, archive_get16(p + 20), err);
        if (r < 0)
                return r;

        uint64_t at = tail_at + (uint64_t)(p - tail);
        bool has_locator = false;

        if (at >= LOCATOR_SIZE) {
                r = archive_pread(fd, locator, sizeof locator, at - LOCATOR_SIZE, err);
                if (r < 0)
                        return r;
                has_locator = has_magic(locator, locator_magic);
        }
        r = read_values(fd, p, at, has_locator ? locator : NULL, &end, &directory_end, err);
        if (r == 0)
                r = check_values(&end, directory_end, err);
        if (r < 0)
                return r;
        end.padded = (size_t)(p - tail) + END_SIZE + archive_get16(p + 20) < len;
        *ret = end;
        return 0;
}
