#include "tools/pep440.h"

#include <limits.h>

/* What is left of a version's text. */
struct cursor {
        const char *text;
        size_t at;
        size_t len;
};

static char look(const struct cursor *c, size_t ahead)
{
        return c->at + ahead < c->len ? c->text[c->at + ahead] : 0;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
        return c == '-' || c == '_' || c == '.';
}

static int take_number(struct cursor *c, uint64_t *ret)
{
        uint64_t n = 0;

        if (!is_digit(look(c, 0)))
                return -EINVAL;
        for (; is_digit(look(c, 0)); c->at++) {
                uint64_t digit = (uint64_t)(look(c, 0) - '0');

                if (n > (UINT64_MAX - digit) / 10)
                        return -EINVAL;
                n = n * 10 + digit;
        }
        *ret = n;
        return 0;
}

static bool take_word(struct cursor *c, const char *word)
{
        size_t len = strlen(word);

        if (c->len - c->at < len || memcmp(c->text + c->at, word, len))
                return false;
        c->at += len;
        return true;
}

/* "[-_.]?WORD[-_.]?[0-9]*"; a missing number is 0.  1: there it was, 0: not there. */
static int take_part(struct cursor *c, const char *const *words, size_t count, size_t *ret_word, uint64_t *ret_number)
{
        struct cursor try = *c;

        if (is_separator(look(&try, 0)))
                try.at++;
        for (size_t i = 0; i < count; i++) {
                uint64_t number = 0;

                if (!take_word(&try, words[i]))
                        continue;
                if (is_separator(look(&try, 0)))
                        try.at++;
                if (is_digit(look(&try, 0)) && take_number(&try, &number) < 0)
                        return -EINVAL;
                *ret_word = i;
                *ret_number = number;
                *c = try;
                return 1;
        }
        return 0;
}

static int take_release(struct cursor *c, struct pep440 *v)
{
        uint64_t n;

        if (take_number(c, &n) < 0)
                return -EINVAL;
        if (look(c, 0) == '!') {
                v->epoch = n;
                c->at++;
                if (take_number(c, &n) < 0)
                        return -EINVAL;
        }
        v->release[v->release_count++] = n;
        while (look(c, 0) == '.' && is_digit(look(c, 1))) {
                c->at++;
                if (v->release_count == VERSION_RELEASE_MAX || take_number(c, &n) < 0)
                        return -EINVAL;
                v->release[v->release_count++] = n;
        }
        return 0;
}

static int take_suffixes(struct cursor *c, struct pep440 *v)
{
        static const char *const pre[] = { "alpha", "a", "beta", "b", "preview", "pre", "c", "rc" };
        static const enum version_pre kinds[] = { VERSION_ALPHA, VERSION_ALPHA, VERSION_BETA, VERSION_BETA,
                                                  VERSION_RC,    VERSION_RC,    VERSION_RC,   VERSION_RC };
        static const char *const post[] = { "post", "rev", "r" };
        static const char *const dev[] = { "dev" };
        size_t word = 0;
        int r = take_part(c, pre, ARRAY_LEN(pre), &word, &v->pre_number);

        if (r > 0)
                v->pre = kinds[word];
        if (r >= 0 && look(c, 0) == '-' && is_digit(look(c, 1))) { /* "1.0-1" is a post-release, too */
                c->at++;
                r = take_number(c, &v->post);
                v->has_post = true;
        } else if (r >= 0) {
                r = take_part(c, post, ARRAY_LEN(post), &word, &v->post);
                v->has_post = r > 0;
        }
        if (r >= 0) {
                r = take_part(c, dev, ARRAY_LEN(dev), &word, &v->dev);
                v->has_dev = r > 0;
        }
        return r < 0 ? r : 0;
}

static int add_local(struct pep440 *v, struct cursor *c)
{
        struct version_local *l = &v->local[v->local_count];
        size_t start = c->at;
        bool digits = true;

        while (is_digit(look(c, 0)) || (look(c, 0) >= 'a' && look(c, 0) <= 'z')) {
                digits = digits && is_digit(look(c, 0));
                c->at++;
        }
        if (c->at == start || v->local_count == VERSION_LOCAL_MAX)
                return -EINVAL;
        *l = (struct version_local){ .is_number = digits, .offset = (uint16_t)start, .len = (uint16_t)(c->at - start) };
        v->local_count++;
        if (!digits)
                return 0;
        c->at = start;
        return take_number(c, &l->number);
}

static int take_local(struct cursor *c, struct pep440 *v)
{
        int r;

        if (look(c, 0) != '+')
                return 0;
        do {
                c->at++;
                r = add_local(v, c);
        } while (!r && is_separator(look(c, 0)));
        return r;
}

static bool is_blank(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

int pep440_parse(const char *version, size_t len, struct pep440 *ret)
{
        struct pep440 v = { .pre = VERSION_FINAL };
        struct cursor c;
        int r;

        while (len && is_blank(version[0])) {
                version++;
                len--;
        }
        while (len && is_blank(version[len - 1]))
                len--;
        if (!len || len >= sizeof(v.text))
                return -EINVAL;
        for (size_t i = 0; i < len; i++)
                v.text[i] = version[i] >= 'A' && version[i] <= 'Z' ? (char)(version[i] - 'A' + 'a') : version[i];
        c = (struct cursor){ v.text, v.text[0] == 'v', len };
        r = take_release(&c, &v);
        r = r < 0 ? r : take_suffixes(&c, &v);
        r = r < 0 ? r : take_local(&c, &v);
        if (r < 0 || c.at != len)
                return -EINVAL;
        *ret = v;
        return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
        return a < b ? -1 : a > b;
}

static uint64_t release_at(const struct pep440 *v, size_t i)
{
        return i < v->release_count ? v->release[i] : 0;
}

static int compare_releases(const struct pep440 *a, const struct pep440 *b)
{
        size_t count = a->release_count > b->release_count ? a->release_count : b->release_count;
        int c = compare_numbers(a->epoch, b->epoch);

        for (size_t i = 0; i < count && !c; i++)
                c = compare_numbers(release_at(a, i), release_at(b, i));
        return c;
}

/* 1.0.dev1 comes before 1.0a1, 1.0 and 1.0.post1.dev1 after 1.0rc1. */
static int pre_rank(const struct pep440 *v)
{
        return v->pre == VERSION_FINAL && !v->has_post && v->has_dev ? -1 : (int)v->pre;
}

static int compare_public(const struct pep440 *a, const struct pep440 *b)
{
        int c = compare_releases(a, b);

        if (!c)
                c = pre_rank(a) - pre_rank(b);
        if (!c)
                c = compare_numbers(a->pre_number, b->pre_number);
        if (!c)
                c = (int)a->has_post - (int)b->has_post;
        if (!c)
                c = compare_numbers(a->post, b->post);
        if (!c)
                c = (int)b->has_dev - (int)a->has_dev;
        return c ? c : compare_numbers(a->dev, b->dev);
}

/* Numbers come after words, and a longer local version after its own beginning. */
static int compare_locals(const struct pep440 *a, const struct pep440 *b)
{
        for (size_t i = 0; i < a->local_count && i < b->local_count; i++) {
                const struct version_local *x = &a->local[i], *y = &b->local[i];
                size_t len = x->len < y->len ? x->len : y->len;
                int c = (int)x->is_number - (int)y->is_number;

                if (!c && x->is_number)
                        c = compare_numbers(x->number, y->number);
                else if (!c)
                        c = memcmp(a->text + x->offset, b->text + y->offset, len);
                if (!c && !x->is_number)
                        c = (int)x->len - (int)y->len;
                if (c)
                        return c;
        }
        return compare_numbers(a->local_count, b->local_count);
}

int pep440_compare(const struct pep440 *a, const struct pep440 *b)
{
        int c = compare_public(a, b);

        return c ? c : compare_locals(a, b);
}

bool pep440_is_prerelease(const struct pep440 *v)
{
        return v->pre != VERSION_FINAL || v->has_dev;
}

enum operator { COMPATIBLE, EQUAL, NOT_EQUAL, AT_MOST, AT_LEAST, BELOW, ABOVE, EXACT };

struct specifier {
        enum operator op;
        bool prefix;        /* "==1.2.*" */
        struct span text;   /* of the version, as written */
        struct pep440 version;
};

static struct span trim(struct span s)
{
        while (s.len && is_blank(s.data[0])) {
                s.data++;
                s.len--;
        }
        while (s.len && is_blank(s.data[s.len - 1]))
                s.len--;
        return s;
}

static int bad(struct errtext *err, struct span text, const char *why)
{
        int len = (int)(text.len < 200 ? text.len : 200);

        return errtext_set(err, -EINVAL, "'%.*s' is not a version specifier: %s", len, text.data, why);
}

static bool starts_with(struct span text, const char *word)
{
        return text.len >= strlen(word) && !memcmp(text.data, word, strlen(word));
}

/* One of the specifiers, without the commas around it. */
static int parse_specifier(struct span text, struct specifier *ret, struct errtext *err)
{
        static const struct {
                const char *sign;
                enum operator op;
        } operators[] = { { "===", EXACT },   { "==", EQUAL },    { "~=", COMPATIBLE }, { "!=", NOT_EQUAL },
                          { "<=", AT_MOST },  { ">=", AT_LEAST }, { "<", BELOW },       { ">", ABOVE } };
        struct specifier s = { .op = EXACT };
        size_t i = 0, len;

        while (i < ARRAY_LEN(operators) && !starts_with(text, operators[i].sign))
                i++;
        if (i == ARRAY_LEN(operators))
                return bad(err, text, "it must begin with ==, !=, <=, >=, <, >, ~= or ===");
        s.op = operators[i].op;
        len = strlen(operators[i].sign);
        s.text = trim((struct span){ text.data + len, text.len - len });
        if (!s.text.len)
                return bad(err, text, "there is no version in it");
        *ret = s;
        if (s.op == EXACT)
                return 0;
        if (s.text.len > 2 && !memcmp(s.text.data + s.text.len - 2, ".*", 2)) {
                if (s.op != EQUAL && s.op != NOT_EQUAL)
                        return bad(err, text, ".* goes with == and != only");
                s.prefix = true;
                s.text.len -= 2;
        }
        if (pep440_parse(s.text.data, s.text.len, &s.version) < 0)
                return bad(err, text, "its version is none");
        if (s.version.local_count && ((s.op != EQUAL && s.op != NOT_EQUAL) || s.prefix))
                return bad(err, text, "a local version goes with == and != only");
        if (s.prefix && (s.version.pre != VERSION_FINAL || s.version.has_post || s.version.has_dev))
                return bad(err, text, ".* goes after the numbers of a release only");
        if (s.op == COMPATIBLE && s.version.release_count < 2)
                return bad(err, text, "~= needs two numbers or more");
        *ret = s;
        return 0;
}

static bool has_prefix(const struct pep440 *v, const struct pep440 *prefix, size_t numbers)
{
        if (v->epoch != prefix->epoch)
                return false;
        for (size_t i = 0; i < numbers; i++)
                if (release_at(v, i) != release_at(prefix, i))
                        return false;
        return true;
}

static bool is_equal(const struct pep440 *v, const struct specifier *s)
{
        if (s->prefix)
                return has_prefix(v, &s->version, s->version.release_count);
        return s->version.local_count ? !pep440_compare(v, &s->version) : !compare_public(v, &s->version);
}

/* "<1.0" leaves out 1.0rc1, and ">1.0" leaves out 1.0.post1 and 1.0+cpu, unless they name such a version themselves. */
static bool is_below(const struct pep440 *v, const struct pep440 *limit)
{
        return pep440_compare(v, limit) < 0 &&
               (pep440_is_prerelease(limit) || !pep440_is_prerelease(v) || compare_releases(v, limit));
}

static bool is_above(const struct pep440 *v, const struct pep440 *limit)
{
        if (pep440_compare(v, limit) <= 0)
                return false;
        if (compare_releases(v, limit))
                return true;
        return (limit->has_post || !v->has_post) && !v->local_count;
}

static bool matches(const struct pep440 *v, const struct specifier *s)
{
        switch (s->op) {
        case EQUAL:
                return is_equal(v, s);
        case NOT_EQUAL:
                return !is_equal(v, s);
        case COMPATIBLE:
                return compare_public(v, &s->version) >= 0 && has_prefix(v, &s->version, s->version.release_count - 1);
        case AT_MOST:
                return compare_public(v, &s->version) <= 0;
        case AT_LEAST:
                return compare_public(v, &s->version) >= 0;
        case BELOW:
                return is_below(v, &s->version);
        case ABOVE:
                return is_above(v, &s->version);
        case EXACT:
                break;
        }
        return false;
}

static bool same_text(struct span a, struct span b)
{
        return a.len == b.len && !strncasecmp(a.data, b.data, a.len);
}

/* Does the specifier itself name a pre-release? */
static bool asks_for_prerelease(const struct specifier *s)
{
        struct pep440 exact;

        if (s->op == EXACT)
                return !pep440_parse(s->text.data, s->text.len, &exact) && pep440_is_prerelease(&exact);
        return s->op != NOT_EQUAL && s->op != BELOW && s->op != ABOVE && pep440_is_prerelease(&s->version);
}

int version_matches(const char *specifiers, const char *version, bool prereleases, bool *ret, struct errtext *err)
{
        struct span candidate = trim(span_of(version));
        struct pep440 v;
        bool is_version = !pep440_parse(version, strlen(version), &v), all = true;
        const char *p = specifiers;

        while (*p) {
                size_t len = strcspn(p, ",");
                struct span one = trim((struct span){ p, len });
                struct specifier s;
                int r;

                p += len + (p[len] == ',');
                if (!one.len)
                        continue;
                r = parse_specifier(one, &s, err);
                if (r < 0)
                        return r;
                if (s.op != EXACT && !is_version)
                        return errtext_set(err, -EINVAL, "'%s' is not a version", version);
                all = all && (s.op == EXACT ? same_text(s.text, candidate) : matches(&v, &s));
                prereleases = prereleases || asks_for_prerelease(&s);
        }
        *ret = all && (!is_version || prereleases || !pep440_is_prerelease(&v));
        return 0;
}
