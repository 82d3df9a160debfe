#include "tools/requirements.h"

#include "store/files.h"
#include "tools/requirement_parse.h"

#include <fcntl.h>
#include <stdio.h>

enum {
        FILE_MAX = 16 << 20, /* bytes */
        NESTING_MAX = 32,    /* files that include each other */
};

/* One file as it is read. */
struct source {
        const char *path;
        unsigned line;      /* of the logical line's start */
        unsigned depth;
        struct interpreter *interpreter;
        struct requirements *all;
        bool *require_hashes;
        struct errtext *err;
};

static int read_file(const struct source *s);

void requirements_release(struct requirements *r)
{
        for (size_t i = 0; i < r->count; i++)
                requirement_release(&r->list[i]);
        for (size_t i = 0; i < r->find_links_count; i++)
                free(r->find_links[i]);
        free(r->list);
        free(r->find_links);
        buf_release(&r->warnings);
        *r = (struct requirements){ 0 };
}

/* Puts "file:line: " before the sentence WHY. */
static int fail(const struct source *s, int r, const char *why)
{
        return errtext_set(s->err, r, "%s:%u: %s", s->path, s->line, why);
}

/* PATH as it is meant in a file of the folder that s->path is in. */
static int beside(const struct source *s, const char *path, char **ret)
{
        const char *slash = strrchr(s->path, '/');
        int n;

        n = path[0] == '/' || !slash ? asprintf(ret, "%s", path) :
                                       asprintf(ret, "%.*s/%s", (int)(slash - s->path), s->path, path);
        return n < 0 ? -ENOMEM : 0;
}

static int include(const struct source *s, const char *path)
{
        char *file cleanup_free = NULL;
        struct source inner = *s;
        int r;

        if (strstr(path, "://"))
                return fail(s, -EINVAL, "fusepkg downloads nothing, a requirements file included");
        if (s->depth == NESTING_MAX)
                return fail(s, -ELOOP, "requirements files include each other without an end");
        r = beside(s, path, &file);
        if (r < 0)
                return r;
        inner.path = file;
        inner.depth++;
        return read_file(&inner);
}

/* A folder beside the file, or one that is found from here. */
static int add_find_links(const struct source *s, const char *text)
{
        char *path cleanup_free = NULL, *near cleanup_free = NULL;
        struct errtext why = { "" };
        char **folders;
        int r;

        if (strstr(text, "://") && strncmp(text, "file:", 5))
                return buf_printf(&s->all->warnings, "%s:%u: find-links at a URL is ignored: %s\n", s->path, s->line,
                                  text);
        r = requirement_path(text, &path, &why);
        if (r == -EINVAL)
                return fail(s, r, why.text);
        r = r < 0 ? r : beside(s, path, &near);
        if (r < 0)
                return r;
        folders = reallocarray(s->all->find_links, s->all->find_links_count + 1, sizeof(*folders));
        if (!folders)
                return -ENOMEM;
        s->all->find_links = folders;
        folders[s->all->find_links_count++] = access(near, F_OK) ? steal_ptr(path) : steal_ptr(near);
        return 0;
}

/* Is WORD the option NAME (or LETTER)?  Its value is in the word, or the next one; NULL when it has none. */
static bool is_option(char *word, const char *name, const char *letter, char **rest, char **ret_value)
{
        size_t len = strlen(name);

        if (!strcmp(word, name) || (letter && !strcmp(word, letter))) {
                *ret_value = requirement_next_word(rest);
                return true;
        }
        if (!strncmp(word, name, len) && word[len] == '=') {
                *ret_value = word + len + 1;
                return true;
        }
        if (letter && !strncmp(word, letter, 2) && word[1] != '-') {
                *ret_value = word + 2 + (word[2] == '=');
                return true;
        }
        return false;
}

/* What holds here anyway. */
static bool is_granted(const char *word)
{
        static const char *const names[] = { "--no-index", "--prefer-binary", "--only-binary" };

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                size_t len = strlen(names[i]);

                if (!strncmp(word, names[i], len) && (!word[len] || word[len] == '='))
                        return true;
        }
        return false;
}

static int take_options(const struct source *s, char *line)
{
        char *value = NULL, *word = requirement_next_word(&line);

        if (!word)
                return 0;
        if (is_option(word, "--requirement", "-r", &line, &value))
                return value && *value ? include(s, value) : fail(s, -EINVAL, "-r needs a file");
        if (is_option(word, "--find-links", "-f", &line, &value))
                return value && *value ? add_find_links(s, value) : fail(s, -EINVAL, "-f needs a folder");
        if (is_option(word, "--constraint", "-c", &line, &value))
                return fail(s, -EINVAL, "constraints are not taken: write the exact versions into the requirements");
        if (is_option(word, "--editable", "-e", &line, &value))
                return fail(s, -EINVAL, "an editable project is not taken: fusepkg builds nothing");
        if (!strcmp(word, "--require-hashes")) {
                *s->require_hashes = true;
                return 0;
        }
        if (is_granted(word))
                return 0;
        return buf_printf(&s->all->warnings, "%s:%u: the option %s is ignored\n", s->path, s->line, word);
}

static int add_warnings(const struct source *s, const struct buf *warnings)
{
        int r = 0;

        for (const char *p = warnings->data; p && *p && r >= 0;) {
                size_t len = strcspn(p, "\n");

                r = buf_printf(&s->all->warnings, "%s:%u: %.*s\n", s->path, s->line, (int)len, p);
                p += len + (p[len] == '\n');
        }
        return r;
}

static int take_requirement(const struct source *s, char *line)
{
        struct buf warnings cleanup_buf = { 0 };
        struct errtext why = { "" };
        struct requirement *list = reallocarray(s->all->list, s->all->count + 1, sizeof(*list));
        struct requirement *q;
        int r;

        if (!list)
                return -ENOMEM;
        s->all->list = list;
        q = &list[s->all->count];
        r = requirement_parse(line, s->interpreter, q, &warnings, &why);
        if (r < 0)
                return why.text[0] ? fail(s, r, why.text) : r;
        if (r == 0)
                return 0;
        s->all->count++;
        q->line = s->line;
        q->file = strdup(s->path);
        return q->file ? add_warnings(s, &warnings) : -ENOMEM;
}

/* A '#' begins a comment at the line's start and after a blank: URLs have it elsewhere. */
static void cut_comment(char *line)
{
        size_t len;

        for (char *p = line; *p; p++)
                if (*p == '#' && (p == line || p[-1] == ' ' || p[-1] == '\t')) {
                        *p = 0;
                        break;
                }
        len = strlen(line);
        while (len && strchr(" \t\r", line[len - 1]))
                line[--len] = 0;
}

static int take_line(const struct source *s, struct buf *line)
{
        char *p = line->data;

        if (!p)
                return 0;
        cut_comment(p);
        while (*p == ' ' || *p == '\t')
                p++;
        if (!*p)
                return 0;
        return *p == '-' ? take_options(s, p) : take_requirement(s, p);
}

static bool is_comment(const char *line, size_t len)
{
        size_t i = 0;

        while (i < len && (line[i] == ' ' || line[i] == '\t'))
                i++;
        return i < len && line[i] == '#';
}

/* Joins lines that end in a backslash; a comment between them ends nothing and says nothing. */
static int read_lines(struct source *s, const char *text)
{
        struct buf line cleanup_buf = { 0 };
        unsigned number = 0;
        int r = 0;

        s->line = 1;
        while (*text && r >= 0) {
                size_t len = strcspn(text, "\n"), used = len;
                bool more;

                number++;
                if (used && text[used - 1] == '\r')
                        used--;
                more = used && text[used - 1] == '\\' && !is_comment(text, used);
                if (!line.len)
                        s->line = number;
                if (line.len && is_comment(text, used))
                        used = 0;
                r = buf_add(&line, text, used - more);
                r = r < 0 || !more ? r : buf_add_char(&line, ' ');
                text += len + (text[len] == '\n');
                if (r >= 0 && !more) {
                        r = take_line(s, &line);
                        buf_clear(&line);
                }
        }
        return r < 0 ? r : take_line(s, &line);
}

static int read_file(const struct source *outer)
{
        struct buf text cleanup_buf = { 0 };
        struct source s = *outer;
        char why[128];
        int fd cleanup_close = open(s.path, O_RDONLY | O_CLOEXEC);
        int r = fd < 0 ? -errno : file_read_all(fd, FILE_MAX, &text);

        if (r < 0)
                return errtext_set(s.err, r, "cannot read the requirements file '%s': %s", s.path, errno_name(r, why));
        if (!text.len)
                return 0;
        if (memchr(text.data, 0, text.len))
                return errtext_set(s.err, -EINVAL, "'%s' is not a text file", s.path);
        return read_lines(&s, text.data + (text.len >= 3 && !memcmp(text.data, "\xef\xbb\xbf", 3) ? 3 : 0));
}

int requirements_read(const char *path, struct interpreter *p, struct requirements *ret, struct errtext *err)
{
        size_t before = ret->count;
        bool require_hashes = false;
        struct source s = { .path = path, .interpreter = p, .all = ret, .require_hashes = &require_hashes, .err = err };
        int r = read_file(&s);

        for (size_t i = before; i < ret->count && r >= 0 && require_hashes; i++)
                if (!ret->list[i].hash_count)
                        r = errtext_set(err, -EINVAL,
                                        "%s:%u: --require-hashes asks for a --hash=sha256:..., and it has none",
                                        ret->list[i].file, ret->list[i].line);
        return r;
}
