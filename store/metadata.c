#include "store/metadata.h"
#include "store/buf.h"
#include "store/utf8.h"
#include "store/version.h"

#include <strings.h>

/* Walks over the fields of a header in the manner of e-mail: "Key: value", continued by lines that begin with a
 * blank. */
struct reader {
        const char *p;
        const char *end;
};

struct field {
        struct span key;
        struct span value; /* without blanks around it; with its continuation lines as they are */
};

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s)
{
        while (s.len > 0 && is_blank(s.data[0]))
                s = (struct span){ s.data + 1, s.len - 1 };
        while (s.len > 0 && (is_blank(s.data[s.len - 1]) || s.data[s.len - 1] == '\n'))
                s.len--;
        return s;
}

/* The line at P without its end; RET_NEXT is where the next one begins. */
static struct span line_at(const char *p, const char *end, const char **ret_next)
{
        const char *feed = memchr(p, '\n', (size_t)(end - p));

        *ret_next = feed ? feed + 1 : end;
        return (struct span){ p, (size_t)((feed ? feed : end) - p) };
}

/* False at the end of the header: an empty line, a line that is no field, or the end of the text. */
static bool read_field(struct reader *rd, struct field *ret)
{
        const char *next = NULL;
        struct span line = { 0 };
        const char *colon = NULL;

        if (rd->p == rd->end)
                return false;
        line = line_at(rd->p, rd->end, &next);
        colon = memchr(line.data, ':', line.len);
        if (!colon || colon == line.data || is_blank(line.data[0]))
                return false;
        while (next < rd->end && (*next == ' ' || *next == '\t'))
                line_at(next, rd->end, &next);
        ret->key = trim((struct span){ line.data, (size_t)(colon - line.data) });
        ret->value = trim((struct span){ colon + 1, (size_t)(next - colon - 1) });
        rd->p = next;
        return true;
}

static bool key_is(const struct field *f, const char *key)
{
        return f->key.len == strlen(key) && strncasecmp(f->key.data, key, f->key.len) == 0;
}

/* A copy of a value that is UTF-8 for certain: other bytes become '?', as there are wheels in other encodings. */
static char *copy_value(struct span s)
{
        char *text = malloc(s.len + 1);
        uint32_t c = 0;

        if (!text)
                return NULL;
        memcpy(text, s.data, s.len);
        text[s.len] = '\0';
        for (size_t i = 0; i < s.len;) {
                size_t len = utf8_decode(text + i, s.len - i, &c);

                if (len == 0)
                        text[i] = '?';
                i += len ? len : 1;
        }
        return text;
}

/* Sets *FIELD unless it is set: the first of repeated fields counts. */
static int set_once(char **field, struct span value)
{
        if (*field)
                return 0;
        *field = copy_value(value);
        return *field ? 0 : -ENOMEM;
}

static int add_to_list(char ***list, size_t *count, struct span value)
{
        char **more = NULL;

        if ((*count & (*count - 1)) == 0) { /* a power of two: full */
                more = realloc(*list, (*count ? *count * 2 : 1) * sizeof *more);
                if (!more)
                        return -ENOMEM;
                *list = more;
        }
        (*list)[*count] = copy_value(value);
        if (!(*list)[*count])
                return -ENOMEM;
        (*count)++;
        return 0;
}

static void release_list(char **list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(list[i]);
        free(list);
}

static bool is_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool name_fits(struct span s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_alnum(s.data[i]) && (!strchr("-_.", s.data[i]) || s.data[i] == '\0'))
                        return false;
        return s.len > 0 && is_alnum(s.data[0]) && is_alnum(s.data[s.len - 1]);
}

static bool version_fits(struct span s)
{
        cleanup_buf struct buf normal = { 0 };

        return version_normalize(s.data, s.len, &normal) == 0;
}

/* Name and Version decide what the wheel is, so two of them would be a matter of taste. */
static int set_identity(char **field, const char *key, struct span value, bool fits, struct errtext *err)
{
        if (*field)
                return errtext_set(err, -EBADMSG, "METADATA has two fields %s", key);
        if (!fits)
                return errtext_set(err, -EBADMSG, "METADATA has a malformed %s: '%.*s'", key,
                                   (int)(value.len < 200 ? value.len : 200), value.data);
        return set_once(field, value);
}

/* "Label, URL" */
static struct span url_of(struct span value)
{
        const char *comma = memchr(value.data, ',', value.len);

        return comma ? trim((struct span){ comma + 1, value.len - (size_t)(comma + 1 - value.data) }) : value;
}

struct collected {
        struct metadata m;
        char *project_url;
        char *license_text;
};

static int take_field(struct collected *c, const struct field *f, struct errtext *err)
{
        struct metadata *m = &c->m;

        if (key_is(f, "Name"))
                return set_identity(&m->name, "Name", f->value, name_fits(f->value), err);
        if (key_is(f, "Version"))
                return set_identity(&m->version, "Version", f->value, version_fits(f->value), err);
        if (key_is(f, "Requires-Python"))
                return set_once(&m->requires_python, f->value);
        if (key_is(f, "Summary"))
                return set_once(&m->summary, f->value);
        if (key_is(f, "Home-page"))
                return set_once(&m->home_page, f->value);
        if (key_is(f, "Project-URL"))
                return set_once(&c->project_url, url_of(f->value));
        if (key_is(f, "Author"))
                return set_once(&m->author, f->value);
        if (key_is(f, "License-Expression"))
                return set_once(&m->license, f->value);
        if (key_is(f, "License"))
                return set_once(&c->license_text, f->value);
        if (key_is(f, "Requires-Dist"))
                return add_to_list(&m->requires_dist, &m->requires_count, f->value);
        return 0;
}

static int read_metadata(struct reader *rd, struct collected *c, struct errtext *err)
{
        struct field f = { 0 };

        while (read_field(rd, &f)) {
                if (memchr(f.key.data, '\0', (size_t)(rd->p - f.key.data)))
                        return errtext_set(err, -EBADMSG, "METADATA has NUL bytes");

                int r = take_field(c, &f, err);

                if (r == -ENOMEM)
                        return errtext_set(err, r, "out of memory");
                if (r < 0)
                        return r;
        }
        if (!c->m.name || !c->m.version)
                return errtext_set(err, -EBADMSG, "METADATA has no %s", c->m.name ? "Version" : "Name");
        if (!c->m.home_page)
                c->m.home_page = steal_ptr(c->project_url);
        if (!c->m.license)
                c->m.license = steal_ptr(c->license_text);
        return 0;
}

int metadata_parse(const char *text, size_t len, struct metadata *ret, struct errtext *err)
{
        struct reader rd = { text, text + len };
        struct collected c = { 0 };
        int r = read_metadata(&rd, &c, err);

        free(c.project_url);
        free(c.license_text);
        if (r < 0) {
                metadata_release(&c.m);
                return r;
        }
        *ret = c.m;
        return 0;
}

void metadata_release(struct metadata *m)
{
        free(m->name);
        free(m->version);
        free(m->requires_python);
        free(m->summary);
        free(m->home_page);
        free(m->author);
        free(m->license);
        release_list(m->requires_dist, m->requires_count);
        *m = (struct metadata){ 0 };
}

/* "1.0": two small numbers. */
static int parse_wheel_version(struct span s, unsigned *ret_major, unsigned *ret_minor)
{
        unsigned numbers[2] = { 0 };
        size_t i = 0;

        for (size_t n = 0; n < 2; n++) {
                size_t start = i;

                for (; i < s.len && s.data[i] >= '0' && s.data[i] <= '9'; i++) {
                        if (numbers[n] > 100000)
                                return -EBADMSG;
                        numbers[n] = numbers[n] * 10 + (unsigned)(s.data[i] - '0');
                }
                if (i == start)
                        return -EBADMSG;
                if (n == 0 && (i == s.len || s.data[i++] != '.'))
                        return -EBADMSG;
        }
        if (i != s.len)
                return -EBADMSG;
        *ret_major = numbers[0];
        *ret_minor = numbers[1];
        return 0;
}

static int read_wheel_file(struct reader *rd, struct wheel_file *w, struct errtext *err)
{
        bool has_version = false;
        bool has_purelib = false;
        struct field f = { 0 };

        while (read_field(rd, &f)) {
                if (memchr(f.key.data, '\0', (size_t)(rd->p - f.key.data)))
                        return errtext_set(err, -EBADMSG, "WHEEL has NUL bytes");
                if (key_is(&f, "Wheel-Version") && !has_version) {
                        if (parse_wheel_version(f.value, &w->major, &w->minor) < 0)
                                return errtext_set(err, -EBADMSG, "WHEEL has a malformed Wheel-Version: '%.*s'",
                                                   (int)(f.value.len < 40 ? f.value.len : 40), f.value.data);
                        has_version = true;
                } else if (key_is(&f, "Root-Is-Purelib") && !has_purelib) {
                        w->root_is_purelib = f.value.len == 4 && strncasecmp(f.value.data, "true", 4) == 0;
                        has_purelib = true;
                } else if (key_is(&f, "Tag") && add_to_list(&w->tags, &w->tag_count, f.value) < 0) {
                        return errtext_set(err, -ENOMEM, "out of memory");
                }
        }
        if (!has_version)
                return errtext_set(err, -EBADMSG, "WHEEL has no Wheel-Version");
        if (w->major > 1)
                return errtext_set(err, -ENOTSUP, "its Wheel-Version is %u.%u, and only 1 is known", w->major,
                                   w->minor);
        return 0;
}

int wheel_file_parse(const char *text, size_t len, struct wheel_file *ret, struct errtext *err)
{
        struct reader rd = { text, text + len };
        struct wheel_file w = { 0 };
        int r = read_wheel_file(&rd, &w, err);

        if (r < 0) {
                wheel_file_release(&w);
                return r;
        }
        *ret = w;
        return 0;
}

void wheel_file_release(struct wheel_file *w)
{
        release_list(w->tags, w->tag_count);
        *w = (struct wheel_file){ 0 };
}
