#include "store/archive_internal.h"
#include "store/utf8.h"

enum {
        COMPONENT_MAX = 255, /* NAME_MAX of Linux */
        PATH_MAX_BYTES = 1024,
};

/* The categories Cc, Cf, Cs and Co of Unicode 15.1 and the noncharacters, but for the last two of each plane, which
 * is_refused() knows by their form.  Sorted. */
static const struct {
        uint32_t first;
        uint32_t last;
} refused[] = {
        { 0x0000, 0x001f },   { 0x007f, 0x009f },   { 0x00ad, 0x00ad },   { 0x0600, 0x0605 },   { 0x061c, 0x061c },
        { 0x06dd, 0x06dd },   { 0x070f, 0x070f },   { 0x0890, 0x0891 },   { 0x08e2, 0x08e2 },   { 0x180e, 0x180e },
        { 0x200b, 0x200f },   { 0x202a, 0x202e },   { 0x2060, 0x2064 },   { 0x2066, 0x206f },   { 0xd800, 0xf8ff },
        { 0xfdd0, 0xfdef },   { 0xfeff, 0xfeff },   { 0xfff9, 0xfffb },   { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd },
        { 0x13430, 0x1343f }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0001, 0xe0001 }, { 0xe0020, 0xe007f },
        { 0xf0000, 0x10ffff },
};

static bool is_refused(uint32_t c)
{
        size_t low = 0;
        size_t high = ARRAY_LEN(refused);

        if ((c & 0xfffe) == 0xfffe)
                return true;
        while (low < high) {
                size_t middle = (low + high) / 2;

                if (c > refused[middle].last)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < ARRAY_LEN(refused) && c >= refused[low].first;
}

static int check_characters(struct span raw, uint16_t flags, struct errtext *err)
{
        for (size_t i = 0; i < raw.len;) {
                uint32_t c = 0;
                size_t len = utf8_decode(raw.data + i, raw.len - i, &c);

                if (len == 0)
                        return archive_refuse(err, raw, "has a name that is not UTF-8");
                if (c >= 0x80 && !(flags & ARCHIVE_FLAG_UTF8))
                        return archive_refuse(err, raw, "has a name that is not ASCII, and not marked as UTF-8");
                if (c == '\\')
                        return archive_refuse(err, raw, "has a backslash in its name");
                if (is_refused(c))
                        return archive_refuse(err, raw, "has the unprintable character U+%04X in its name", (unsigned)c);
                i += len;
        }
        return 0;
}

/* Appends one component, and the slash before it unless it is the first. */
static int add_component(struct span raw, struct span part, size_t start, struct buf *names, struct errtext *err)
{
        if (part.len == 0 || span_is(part, "."))
                return 0;
        if (span_is(part, ".."))
                return archive_refuse(err, raw, "has '..' in its name");
        if (part.len > COMPONENT_MAX)
                return archive_refuse(err, raw, "has a name with a part longer than %d bytes", COMPONENT_MAX);
        if ((names->len > start && buf_add_char(names, '/') < 0) || buf_add(names, part.data, part.len) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        return 0;
}

int archive_name_check(struct span raw, uint16_t flags, struct buf *names, bool *ret_dir, struct errtext *err)
{
        size_t start = names->len;
        int r = check_characters(raw, flags, err);

        if (r < 0)
                return r;
        if (raw.len > 0 && raw.data[0] == '/')
                return archive_refuse(err, raw, "has an absolute name");
        for (size_t i = 0; i < raw.len;) {
                const char *slash = memchr(raw.data + i, '/', raw.len - i);
                size_t len = slash ? (size_t)(slash - raw.data) - i : raw.len - i;

                r = add_component(raw, (struct span){ raw.data + i, len }, start, names, err);
                if (r < 0)
                        return r;
                i += len + 1;
        }
        if (names->len == start)
                return archive_refuse(err, raw, "has no name");
        if (names->len - start > PATH_MAX_BYTES)
                return archive_refuse(err, raw, "has a name longer than %d bytes", PATH_MAX_BYTES);
        if (buf_add_char(names, '\0') < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        *ret_dir = raw.data[raw.len - 1] == '/';
        return 0;
}

/* With the slash before all other bytes, what lies below a folder follows it at once. */
static int compare_names(const void *a, const void *b)
{
        struct span x = (*(const struct archive_member *const *)a)->name;
        struct span y = (*(const struct archive_member *const *)b)->name;
        size_t i = 0;

        while (i < x.len && i < y.len && x.data[i] == y.data[i])
                i++;

        int c = i == x.len ? -1 : x.data[i] == '/' ? 0 : (unsigned char)x.data[i];
        int d = i == y.len ? -1 : y.data[i] == '/' ? 0 : (unsigned char)y.data[i];

        return c < d ? -1 : c > d;
}

int archive_names_check(const struct archive *a, struct errtext *err)
{
        cleanup_free const struct archive_member **order = calloc(a->count + 1, sizeof *order);

        if (!order)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < a->count; i++)
                order[i] = &a->members[i];
        qsort(order, a->count, sizeof *order, compare_names);
        for (size_t i = 0; i + 1 < a->count; i++) {
                struct span x = order[i]->name;
                struct span y = order[i + 1]->name;

                if (y.len < x.len || memcmp(x.data, y.data, x.len) != 0)
                        continue;
                if (y.len == x.len && order[i]->is_dir == order[i + 1]->is_dir)
                        return archive_refuse(err, x, "is there twice");
                if (y.len == x.len || (y.data[x.len] == '/' && !order[i]->is_dir))
                        return archive_refuse(err, x, "is a file and a folder");
        }
        return 0;
}
