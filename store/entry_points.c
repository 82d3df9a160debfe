#include "store/buf.h"
#include "store/metadata.h"

#include <strings.h>

/* What an entry point says: "name = module:attr [extras]". */
struct pair {
        struct span name;
        struct span module;
        struct span attr;
};

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static struct span trim(struct span s)
{
        while (s.len > 0 && is_blank(s.data[0]))
                s = (struct span){ s.data + 1, s.len - 1 };
        while (s.len > 0 && is_blank(s.data[s.len - 1]))
                s.len--;
        return s;
}

static bool is_word(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
}

static bool is_words(struct span s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_word(s.data[i]))
                        return false;
        return s.len > 0;
}

static bool starts_with(struct span s, const char *word)
{
        size_t len = strlen(word);

        return s.len >= len && strncasecmp(s.data, word, len) == 0;
}

static bool equals(struct span s, const char *word)
{
        return s.len == strlen(word) && starts_with(s, word);
}

static void cut_end(struct span *s, const char *end)
{
        size_t len = strlen(end);

        if (s->len > len && strncasecmp(s->data + s->len - len, end, len) == 0)
                s->len -= len;
}

/* python, pythonw, python2, python3, python3.12, python3.13t */
static bool is_python(struct span s)
{
        size_t i = strlen("python");

        if (!starts_with(s, "python"))
                return false;
        if (s.len == i || equals(s, "pythonw"))
                return true;
        while (i < s.len && ((s.data[i] >= '0' && s.data[i] <= '9') || s.data[i] == '.'))
                i++;
        if (i > strlen("python") && i + 1 == s.len && (s.data[i] == 't' || s.data[i] == 'T'))
                i++;
        return i == s.len;
}

bool entry_point_reserved(const char *name, size_t len)
{
        struct span s = { name, len };

        if (equals(s, "activate") || starts_with(s, "activate.") || equals(s, "activate_this.py") ||
            equals(s, "deactivate") || starts_with(s, "deactivate."))
                return true;
        cut_end(&s, ".exe");
        cut_end(&s, ".py");
        return is_python(s) || starts_with(s, "pypy") || starts_with(s, "graalpy");
}

static int refuse(struct errtext *err, struct span line, const char *why)
{
        return errtext_set(err, -EBADMSG, "entry_points.txt has the line '%.*s', %s",
                           (int)(line.len < 200 ? line.len : 200), line.data, why);
}

/* The line grammar is the strict one of uv: what follows the attribute would else reach the text of the script. */
static int parse_pair(struct span line, struct pair *ret, struct errtext *err)
{
        const char *equals_sign = memchr(line.data, '=', line.len);

        if (!equals_sign)
                return refuse(err, line, "which is no 'name = module:attribute'");

        struct span name = trim((struct span){ line.data, (size_t)(equals_sign - line.data) });
        struct span value = trim((struct span){ equals_sign + 1, line.len - (size_t)(equals_sign + 1 - line.data) });
        const char *extras = memchr(value.data, '[', value.len);

        if (extras) {
                if (value.data[value.len - 1] != ']')
                        return refuse(err, line, "whose extras are malformed");
                value = trim((struct span){ value.data, (size_t)(extras - value.data) });
        }

        const char *colon = memchr(value.data, ':', value.len);

        if (!colon)
                return refuse(err, line, "which is no 'name = module:attribute'");
        *ret = (struct pair){
                .name = name,
                .module = trim((struct span){ value.data, (size_t)(colon - value.data) }),
                .attr = trim((struct span){ colon + 1, value.len - (size_t)(colon + 1 - value.data) }),
        };
        if (!is_words(ret->module) || !is_words(ret->attr))
                return refuse(err, line, "which is no 'name = module:attribute'");
        if (!is_words(name) || span_is(name, ".") || span_is(name, "..") || name.len > 255)
                return refuse(err, line, "whose name is none for a script");
        if (entry_point_reserved(name.data, name.len))
                return refuse(err, line, "whose name is reserved for the interpreter and the venv's own scripts");
        return 0;
}

static bool is_same(const struct entry_point *e, const struct pair *p)
{
        return span_is(p->module, e->module) && span_is(p->attr, e->attr);
}

static int add_point(struct entry_points *e, const struct pair *p, bool gui)
{
        if ((e->count & (e->count - 1)) == 0) { /* a power of two: full */
                struct entry_point *more = realloc(e->points, (e->count ? e->count * 2 : 1) * sizeof *more);

                if (!more)
                        return -ENOMEM;
                e->points = more;
        }

        struct entry_point *point = &e->points[e->count++];

        *point = (struct entry_point){
                .name = strndup(p->name.data, p->name.len),
                .module = strndup(p->module.data, p->module.len),
                .attr = strndup(p->attr.data, p->attr.len),
                .gui = gui,
        };
        return point->name && point->module && point->attr ? 0 : -ENOMEM;
}

/* One script has one meaning: the same name twice has to be the same entry point, and then counts once. */
static int take_line(struct entry_points *e, struct span line, bool gui, struct errtext *err)
{
        struct pair p = { 0 };
        int r = parse_pair(line, &p, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < e->count; i++)
                if (span_is(p.name, e->points[i].name))
                        return is_same(&e->points[i], &p) ? 0 : refuse(err, line, "whose name another one has as well");
        return add_point(e, &p, gui) == 0 ? 0 : errtext_set(err, -ENOMEM, "out of memory");
}

static int read_points(const char *text, size_t len, struct entry_points *e, struct errtext *err)
{
        bool console = false;
        bool gui = false;

        for (size_t at = 0; at < len;) {
                const char *feed = memchr(text + at, '\n', len - at);
                size_t line_len = feed ? (size_t)(feed - text) - at : len - at;
                struct span line = trim((struct span){ text + at, line_len });

                at += line_len + 1;
                if (line.len == 0 || line.data[0] == '#' || line.data[0] == ';')
                        continue;
                if (line.data[0] == '[' && line.data[line.len - 1] == ']') {
                        console = span_is(line, "[console_scripts]");
                        gui = span_is(line, "[gui_scripts]");
                        continue;
                }

                int r = console || gui ? take_line(e, line, gui, err) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

int entry_points_parse(const char *text, size_t len, struct entry_points *ret, struct errtext *err)
{
        struct entry_points e = { 0 };
        int r = read_points(text, len, &e, err);

        if (r < 0) {
                entry_points_release(&e);
                return r;
        }
        *ret = e;
        return 0;
}

void entry_points_release(struct entry_points *e)
{
        for (size_t i = 0; i < e->count; i++) {
                free(e->points[i].name);
                free(e->points[i].module);
                free(e->points[i].attr);
        }
        free(e->points);
        *e = (struct entry_points){ 0 };
}
