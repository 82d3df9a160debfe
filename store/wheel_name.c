#include "store/wheel_name.h"

enum {
        PARTS_MIN = 5, /* distribution, version, python, abi, platform */
        PARTS_MAX = 6, /* and a build tag */
};

static bool is_word(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool ends_with(const char *s, const char *end)
{
        size_t len = strlen(s);
        size_t end_len = strlen(end);

        return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

static int refuse(struct errtext *err, const char *base, const char *why)
{
        return errtext_set(err, -EINVAL, "'%s' is not the file name of a wheel: %s", base, why);
}

/* [\w.]+ for the distribution; `__` is what a name with two separators in a row must not become. */
static bool distribution_fits(struct span s)
{
        for (size_t i = 0; i < s.len; i++) {
                if (!is_word(s.data[i]) && s.data[i] != '.')
                        return false;
                if (i > 0 && s.data[i] == '_' && s.data[i - 1] == '_')
                        return false;
        }
        return s.len > 0;
}

static bool version_fits(struct span s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_word(s.data[i]) && !strchr(".!+", s.data[i]))
                        return false;
        return s.len > 0 && is_word(s.data[0]);
}

/* A compressed tag set: words between single dots. */
static bool tags_fit(struct span s)
{
        for (size_t i = 0; i < s.len; i++) {
                bool dot = s.data[i] == '.';

                if (!is_word(s.data[i]) && !dot)
                        return false;
                if (dot && (i == 0 || i + 1 == s.len || s.data[i - 1] == '.'))
                        return false;
        }
        return s.len > 0;
}

static bool build_fits(struct span s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_word(s.data[i]) && s.data[i] != '.')
                        return false;
        return s.len > 0 && s.data[0] >= '0' && s.data[0] <= '9';
}

/* Cuts S at its dashes; returns the number of parts, which may be more than PARTS has room for. */
static size_t split(struct span s, struct span parts[PARTS_MAX])
{
        size_t n = 0;
        size_t start = 0;

        for (size_t i = 0; i <= s.len; i++) {
                if (i < s.len && s.data[i] != '-')
                        continue;
                if (n < PARTS_MAX)
                        parts[n] = (struct span){ s.data + start, i - start };
                n++;
                start = i + 1;
        }
        return n;
}

int wheel_name_parse(const char *base, struct wheel_name *ret, struct errtext *err)
{
        struct span parts[PARTS_MAX] = { 0 };

        if (!ends_with(base, ".whl"))
                return refuse(err, base, "it does not end in .whl");

        size_t n = split((struct span){ base, strlen(base) - strlen(".whl") }, parts);

        if (n != PARTS_MIN && n != PARTS_MAX)
                return refuse(err, base, "it has to be NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl");
        if (!distribution_fits(parts[0]))
                return refuse(err, base, "its distribution has other characters than letters, digits, '_' and '.'");
        if (!version_fits(parts[1]))
                return refuse(err, base, "it has no well-formed version");
        if (n == PARTS_MAX && !build_fits(parts[2]))
                return refuse(err, base, "the build number does not begin with a digit");
        for (size_t i = n - 3; i < n; i++)
                if (!tags_fit(parts[i]))
                        return refuse(err, base, "it has no well-formed tags");

        struct wheel_name w = {
                .distribution = strndup(parts[0].data, parts[0].len),
                .version = strndup(parts[1].data, parts[1].len),
                .build = n == PARTS_MAX ? strndup(parts[2].data, parts[2].len) : NULL,
                .python = strndup(parts[n - 3].data, parts[n - 3].len),
                .abi = strndup(parts[n - 2].data, parts[n - 2].len),
                .platform = strndup(parts[n - 1].data, parts[n - 1].len),
        };

        if (!w.distribution || !w.version || (n == PARTS_MAX && !w.build) || !w.python || !w.abi || !w.platform) {
                wheel_name_release(&w);
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        *ret = w;
        return 0;
}

void wheel_name_release(struct wheel_name *w)
{
        free(w->distribution);
        free(w->version);
        free(w->build);
        free(w->python);
        free(w->abi);
        free(w->platform);
        *w = (struct wheel_name){ 0 };
}

static bool is_separator(char c)
{
        return c == '-' || c == '_' || c == '.';
}

/* The normalised character at *I, moving *I behind all that it stands for; 0 at the end. */
static char next_normalized(const char *name, size_t len, size_t *i)
{
        if (*i >= len)
                return 0;

        char c = name[(*i)++];

        if (is_separator(c)) {
                while (*i < len && is_separator(name[*i]))
                        (*i)++;
                return '-';
        }
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int name_normalize(const char *name, size_t len, struct buf *ret)
{
        size_t before = ret->len;
        size_t i = 0;

        if (buf_reserve(ret, len + 1) < 0)
                return -ENOMEM;
        while (i < len) {
                int r = buf_add_char(ret, next_normalized(name, len, &i));

                if (r < 0) {
                        ret->data[ret->len = before] = '\0';
                        return r;
                }
        }
        return 0;
}

bool name_equal(const char *a, const char *b)
{
        size_t a_len = strlen(a);
        size_t b_len = strlen(b);
        size_t i = 0;
        size_t k = 0;

        for (;;) {
                char x = next_normalized(a, a_len, &i);
                char y = next_normalized(b, b_len, &k);

                if (x != y)
                        return false;
                if (x == 0)
                        return true;
        }
}
