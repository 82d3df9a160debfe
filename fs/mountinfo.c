#include "fs/mountinfo.h"

#include "store/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>

enum {
        LIST_MAX = 64 << 20, /* bytes: machines with many containers have lists of megabytes */
        FIELDS_BEFORE_DASH = 6,
};

int mountinfo_load(struct buf *ret)
{
        cleanup_close int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : file_read_all(fd, LIST_MAX, ret);
}

/* The next word of LINE, which is shortened by it; empty at the end. */
static struct span next_word(struct span *line)
{
        size_t start = 0, end;

        while (start < line->len && line->data[start] == ' ')
                start++;
        for (end = start; end < line->len && line->data[end] != ' '; end++)
                ;
        struct span word = { line->data + start, end - start };
        *line = (struct span){ line->data + end, line->len - end };
        return word;
}

static bool is_octal(char c)
{
        return c >= '0' && c <= '7';
}

static int unescape(struct span word, struct buf *ret)
{
        for (size_t i = 0; i < word.len; i++) {
                const char *p = word.data + i;
                char c = *p;
                int r;

                if (c == '\\' && word.len - i >= 4 && is_octal(p[1]) && is_octal(p[2]) && is_octal(p[3])) {
                        c = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        i += 3;
                }
                r = buf_add_char(ret, c);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool parse_device(struct span word, dev_t *ret)
{
        unsigned parts[2] = { 0, 0 };
        size_t part = 0, digits = 0;

        for (size_t i = 0; i < word.len; i++) {
                if (word.data[i] == ':' && part == 0 && digits > 0) {
                        part = 1;
                        digits = 0;
                } else if (word.data[i] >= '0' && word.data[i] <= '9' && ++digits <= 9) {
                        parts[part] = parts[part] * 10 + (unsigned)(word.data[i] - '0');
                } else {
                        return false;
                }
        }
        *ret = makedev(parts[0], parts[1]);
        return part == 1 && digits > 0;
}

static bool has_option(struct span list, const char *option)
{
        while (list.len > 0) {
                const char *comma = memchr(list.data, ',', list.len);
                size_t len = comma ? (size_t)(comma - list.data) : list.len;

                if (span_is((struct span){ list.data, len }, option))
                        return true;
                len += comma != NULL;
                list = (struct span){ list.data + len, list.len - len };
        }
        return false;
}

/* One line: "36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw": 0, or -EBADMSG. */
static int parse_line(struct span line, struct buf *ret_point, struct mountinfo *ret)
{
        struct span fields[FIELDS_BEFORE_DASH], word;
        struct mountinfo info = { 0 };
        int r;

        for (size_t i = 0; i < FIELDS_BEFORE_DASH; i++) {
                fields[i] = next_word(&line);
                if (fields[i].len == 0)
                        return -EBADMSG;
        }
        do
                word = next_word(&line); /* optional fields, any number of them */
        while (word.len > 0 && !span_is(word, "-"));
        word = next_word(&line);
        if (word.len == 0 || !parse_device(fields[2], &info.device))
                return -EBADMSG;
        snprintf(info.type, sizeof info.type, "%.*s", (int)(word.len < 256 ? word.len : 256), word.data);
        next_word(&line); /* the source */
        info.allow_other = has_option(next_word(&line), "allow_other");
        buf_clear(ret_point);
        r = unescape(fields[4], ret_point);
        if (r == 0)
                *ret = info;
        return r;
}

/* Is PATH the mount point, or (with INSIDE) below it? */
static bool covers(const struct buf *point, const char *path, bool inside)
{
        size_t len = strlen(path);

        if (point->len == len && memcmp(point->data, path, len) == 0)
                return true;
        if (!inside || point->len >= len || memcmp(point->data, path, point->len) != 0)
                return false;
        return path[point->len] == '/' || point->data[point->len - 1] == '/';
}

static int find(const char *text, size_t len, const char *path, bool inside, struct mountinfo *ret)
{
        cleanup_buf struct buf point = { 0 };
        const char *end = text + len;
        size_t best = 0;
        int found = -ENOENT;

        while (text < end) {
                const char *stop = memchr(text, '\n', (size_t)(end - text));
                struct span line = { text, (size_t)((stop ? stop : end) - text) };
                struct mountinfo info;
                int r = parse_line(line, &point, &info);

                text = stop ? stop + 1 : end;
                if (r == -ENOMEM)
                        return r;
                /* Of two on one point the later line is the upper mount. */
                if (r < 0 || point.len < best || point.len == 0 || !covers(&point, path, inside))
                        continue;
                best = point.len;
                *ret = info;
                found = 0;
        }
        return found;
}

int mountinfo_at(const char *text, size_t len, const char *path, struct mountinfo *ret)
{
        return find(text, len, path, false, ret);
}

int mountinfo_holding(const char *text, size_t len, const char *path, struct mountinfo *ret)
{
        return find(text, len, path, true, ret);
}

int mountinfo_point(const char *text, size_t len, dev_t device, struct buf *ret)
{
        cleanup_buf struct buf point = { 0 };

        for (const char *end = text + len; text < end;) {
                const char *stop = memchr(text, '\n', (size_t)(end - text));
                struct span line = { text, (size_t)((stop ? stop : end) - text) };
                struct mountinfo info;
                int r = parse_line(line, &point, &info);

                text = stop ? stop + 1 : end;
                if (r == -ENOMEM)
                        return r;
                if (r == 0 && info.device == device)
                        return buf_add(ret, point.data, point.len);
        }
        return -ENOENT;
}
