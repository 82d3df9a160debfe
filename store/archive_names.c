#include "store/archive_internal.h"
#include "store/utf8.h"

enum {
        COMPONENT_MAX = 255, /* NAME_MAX of Linux */
        PATH_MAX_BYTES = 1024,
};

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
                if (!utf8_is_printable(c))
                        return archive_refuse(err, raw, "has the unprintable character U+%04X in its name",
                                              (unsigned)c);
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
