#include "store/version.h"

#include <strings.h>

struct cursor {
        const char *p;
        const char *end;
};

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static char lower(char c)
{
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool at_digit(const struct cursor *c)
{
        return c->p < c->end && is_digit(*c->p);
}

static bool is_separator(char c)
{
        return c == '-' || c == '_' || c == '.';
}

/* The digits at C without leading zeros; "0" when there are none. */
static struct span read_number(struct cursor *c)
{
        while (c->p < c->end && *c->p == '0')
                c->p++;

        const char *start = c->p;

        while (at_digit(c))
                c->p++;
        return c->p > start ? (struct span){ start, (size_t)(c->p - start) } : (struct span){ "0", 1 };
}

static bool take_word(struct cursor *c, const char *word)
{
        size_t len = strlen(word);

        if ((size_t)(c->end - c->p) < len || strncasecmp(c->p, word, len) != 0)
                return false;
        c->p += len;
        return true;
}

/* [-_.]? WORD [-_.]? digits?  The cursor stays when it is not that. */
static bool take_phase(struct cursor *c, const char *const *words, struct span *ret_number, size_t *ret_word)
{
        struct cursor x = *c;

        if (x.p < x.end && is_separator(*x.p))
                x.p++;
        for (size_t i = 0; words[i]; i++) {
                if (!take_word(&x, words[i]))
                        continue;

                struct cursor after = x;

                if (after.p < after.end && is_separator(*after.p))
                        after.p++;
                if (at_digit(&after))
                        x = after;
                *ret_number = read_number(&x);
                *ret_word = i;
                *c = x;
                return true;
        }
        return false;
}

static int add_release(struct cursor *c, struct buf *ret)
{
        size_t start = ret->len;
        size_t significant = start; /* the length without final ".0"s */

        for (;;) {
                if (!at_digit(c))
                        return -EINVAL;

                struct span n = read_number(c);

                if ((ret->len > start && buf_add_char(ret, '.') < 0) || buf_add(ret, n.data, n.len) < 0)
                        return -ENOMEM;
                if (significant == start || !span_is(n, "0"))
                        significant = ret->len;
                if (c->end - c->p < 2 || *c->p != '.' || !is_digit(c->p[1]))
                        break;
                c->p++;
        }
        ret->data[ret->len = significant] = '\0';
        return 0;
}

static int add_phases(struct cursor *c, struct buf *ret)
{
        static const char *const pre[] = { "alpha", "a", "beta", "b", "preview", "pre", "c", "rc", NULL };
        static const char *const pre_form[] = { "a", "a", "b", "b", "rc", "rc", "rc", "rc" };
        static const char *const post[] = { "post", "rev", "r", NULL };
        static const char *const dev[] = { "dev", NULL };
        struct span n = { 0 };
        size_t word = 0;
        int r = 0;

        if (take_phase(c, pre, &n, &word))
                r = buf_printf(ret, "%s%.*s", pre_form[word], (int)n.len, n.data);
        if (r == 0 && c->end - c->p >= 2 && *c->p == '-' && is_digit(c->p[1])) {
                c->p++;
                n = read_number(c);
                r = buf_printf(ret, ".post%.*s", (int)n.len, n.data);
        } else if (r == 0 && take_phase(c, post, &n, &word)) {
                r = buf_printf(ret, ".post%.*s", (int)n.len, n.data);
        }
        if (r == 0 && take_phase(c, dev, &n, &word))
                r = buf_printf(ret, ".dev%.*s", (int)n.len, n.data);
        return r;
}

static bool is_alnum(char c)
{
        return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

/* A part of a local version: a number loses its leading zeros, letters become lower case. */
static int add_local_part(struct span part, struct buf *ret)
{
        struct cursor c = { part.data, part.data + part.len };
        struct span n = read_number(&c);
        int r = 0;

        if (c.p == c.end)
                return buf_add(ret, n.data, n.len);
        for (size_t i = 0; r == 0 && i < part.len; i++)
                r = buf_add_char(ret, lower(part.data[i]));
        return r;
}

static int add_local(struct cursor *c, struct buf *ret)
{
        int r = 0;

        if (c->p == c->end)
                return 0;
        if (*c->p != '+')
                return -EINVAL;
        for (char separator = '+'; r == 0; separator = '.') {
                const char *start = ++c->p;

                while (c->p < c->end && is_alnum(*c->p))
                        c->p++;
                if (c->p == start)
                        return -EINVAL;
                r = buf_add_char(ret, separator);
                if (r == 0)
                        r = add_local_part((struct span){ start, (size_t)(c->p - start) }, ret);
                if (c->p == c->end)
                        return r;
                if (!is_separator(*c->p))
                        return -EINVAL;
        }
        return r;
}

static int add_epoch(struct cursor *c, struct buf *ret)
{
        struct cursor x = *c;

        if (!at_digit(&x))
                return -EINVAL;

        struct span n = read_number(&x);

        if (x.p == x.end || *x.p != '!')
                return 0;
        c->p = x.p + 1;
        return span_is(n, "0") ? 0 : buf_printf(ret, "%.*s!", (int)n.len, n.data);
}

int version_normalize(const char *version, size_t len, struct buf *ret)
{
        struct cursor c = { version, version + len };
        size_t before = ret->len;

        if (c.p < c.end && lower(*c.p) == 'v')
                c.p++;

        int r = add_epoch(&c, ret);

        if (r == 0)
                r = add_release(&c, ret);
        if (r == 0)
                r = add_phases(&c, ret);
        if (r == 0)
                r = add_local(&c, ret);
        if (r < 0 && ret->data)
                ret->data[ret->len = before] = '\0';
        return r;
}

bool version_equal(const char *a, const char *b)
{
        cleanup_buf struct buf x = { 0 };
        cleanup_buf struct buf y = { 0 };

        if (version_normalize(a, strlen(a), &x) < 0 || version_normalize(b, strlen(b), &y) < 0)
                return strcmp(a, b) == 0;
        return strcmp(x.data, y.data) == 0;
}

bool version_equal_public(const char *a, const char *b)
{
        cleanup_buf struct buf x = { 0 };
        cleanup_buf struct buf y = { 0 };

        if (version_normalize(a, strlen(a), &x) < 0 || version_normalize(b, strlen(b), &y) < 0)
                return strcmp(a, b) == 0;

        char *x_local = strchr(x.data, '+');
        char *y_local = strchr(y.data, '+');

        if (!x_local != !y_local)
                *(x_local ? x_local : y_local) = '\0';
        return strcmp(x.data, y.data) == 0;
}
