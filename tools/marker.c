#include "tools/marker.h"

#include "tools/pep440.h"

#include <stdio.h>

enum {
        DEPTH_MAX = 64, /* parentheses in each other; the deepest one seen has 2 */
};

struct parser {
        const char *at;
        const struct interpreter_facts *facts;
        struct errtext *err;
        unsigned depth;
};

/* One side of a comparison: a variable of the marker, or a text in quotes. */
struct side {
        char *text; /* owned */
        bool is_version;
};

static const struct variable {
        const char *name;
        size_t offset;
        bool is_version;
} variables[] = {
#define VARIABLE(name, field, is_version) { name, offsetof(struct interpreter_facts, field), is_version }
        VARIABLE("implementation_name", implementation_name, false),
        VARIABLE("implementation_version", implementation_version, true),
        VARIABLE("os_name", os_name, false),
        VARIABLE("platform_machine", platform_machine, false),
        VARIABLE("platform_python_implementation", platform_python_implementation, false),
        VARIABLE("platform_release", platform_release, true),
        VARIABLE("platform_system", platform_system, false),
        VARIABLE("platform_version", platform_version, false),
        VARIABLE("python_full_version", python_full_version, true),
        VARIABLE("python_version", python_version, true),
        VARIABLE("sys_platform", sys_platform, false),
        /* Spellings of older tools, which are still found in metadata. */
        VARIABLE("os.name", os_name, false),
        VARIABLE("platform.machine", platform_machine, false),
        VARIABLE("platform.python_implementation", platform_python_implementation, false),
        VARIABLE("platform.version", platform_version, false),
        VARIABLE("python_implementation", platform_python_implementation, false),
        VARIABLE("sys.platform", sys_platform, false),
#undef VARIABLE
};

static int parse_or(struct parser *p, bool *ret);

static void skip_blanks(struct parser *p)
{
        while (*p->at == ' ' || *p->at == '\t')
                p->at++;
}

static bool is_word_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static size_t word_length(const struct parser *p)
{
        size_t len = 0;

        while (is_word_char(p->at[len]))
                len++;
        return len;
}

static bool take_word(struct parser *p, const char *word)
{
        skip_blanks(p);
        if (word_length(p) != strlen(word) || memcmp(p->at, word, strlen(word)))
                return false;
        p->at += strlen(word);
        return true;
}

static int bad(const struct parser *p, const char *expected)
{
        if (!*p->at)
                return errtext_set(p->err, -EINVAL, "a marker ends where %s is expected", expected);
        return errtext_set(p->err, -EINVAL, "in a marker %s is expected at '%.60s'", expected, p->at);
}

static int parse_quoted(struct parser *p, struct side *ret)
{
        const char *end = strchr(p->at + 1, *p->at);

        if (!end)
                return errtext_set(p->err, -EINVAL, "a marker's quote is not closed: %.60s", p->at);
        ret->text = strndup(p->at + 1, (size_t)(end - p->at - 1));
        p->at = end + 1;
        return ret->text ? 0 : -ENOMEM;
}

static int parse_side(struct parser *p, struct side *ret)
{
        size_t len;

        skip_blanks(p);
        if (*p->at == '\'' || *p->at == '"')
                return parse_quoted(p, ret);
        len = word_length(p);
        if (!len)
                return bad(p, "a variable or a text in quotes");
        for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
                const char *value = *(char *const *)((const char *)p->facts + variables[i].offset);

                if (!span_is((struct span){ p->at, len }, variables[i].name))
                        continue;
                ret->text = strdup(value ? value : "");
                ret->is_version = variables[i].is_version;
                p->at += len;
                return ret->text ? 0 : -ENOMEM;
        }
        if (span_is((struct span){ p->at, len }, "extra"))
                return errtext_set(p->err, -EINVAL, "the marker variable 'extra' has no meaning here");
        return errtext_set(p->err, -EINVAL, "the marker variable '%.*s' is not known", (int)(len < 60 ? len : 60),
                           p->at);
}

/* The comparison: its spelling, "not in" with one blank. */
static int parse_operator(struct parser *p, const char **ret)
{
        static const char *const signs[] = { "===", "==", "~=", "!=", "<=", ">=", "<", ">" };

        skip_blanks(p);
        for (size_t i = 0; i < ARRAY_LEN(signs); i++)
                if (!strncmp(p->at, signs[i], strlen(signs[i]))) {
                        p->at += strlen(signs[i]);
                        *ret = signs[i];
                        return 0;
                }
        if (take_word(p, "in")) {
                *ret = "in";
                return 0;
        }
        if (take_word(p, "not") && take_word(p, "in")) {
                *ret = "not in";
                return 0;
        }
        return bad(p, "a comparison");
}

static int compare_texts(const struct parser *p, const char *left, const char *sign, const char *right, bool *ret)
{
        int c = strcmp(left, right);

        if (!strcmp(sign, "==") || !strcmp(sign, "==="))
                *ret = c == 0;
        else if (!strcmp(sign, "!="))
                *ret = c != 0;
        else if (!strcmp(sign, "<="))
                *ret = c <= 0;
        else if (!strcmp(sign, ">="))
                *ret = c >= 0;
        else if (!strcmp(sign, "<"))
                *ret = c < 0;
        else if (!strcmp(sign, ">"))
                *ret = c > 0;
        else
                return errtext_set(p->err, -EINVAL, "in a marker '%s' compares versions, and '%s' or '%s' is none",
                                   sign, left, right);
        return 0;
}

static int compare(const struct parser *p, const struct side *left, const char *sign, const struct side *right,
                   bool *ret)
{
        char *specifier cleanup_free = NULL;

        if (!strcmp(sign, "in") || !strcmp(sign, "not in")) {
                *ret = (strstr(right->text, left->text) != NULL) == !strcmp(sign, "in");
                return 0;
        }
        if (left->is_version || right->is_version) {
                if (asprintf(&specifier, "%s%s", sign, right->text) < 0)
                        return -ENOMEM;
                /* A kernel's release may be no version: then the texts are compared. */
                if (!strchr(right->text, ',') && !version_matches(specifier, left->text, true, ret, NULL))
                        return 0;
        }
        return compare_texts(p, left->text, sign, right->text, ret);
}

static int parse_comparison(struct parser *p, bool *ret)
{
        struct side left = { 0 }, right = { 0 };
        const char *sign = NULL;
        int r = parse_side(p, &left);

        r = r < 0 ? r : parse_operator(p, &sign);
        r = r < 0 ? r : parse_side(p, &right);
        r = r < 0 ? r : compare(p, &left, sign, &right, ret);
        free(left.text);
        free(right.text);
        return r;
}

static int parse_one(struct parser *p, bool *ret)
{
        int r;

        skip_blanks(p);
        if (*p->at != '(')
                return parse_comparison(p, ret);
        if (p->depth == DEPTH_MAX)
                return bad(p, "less nesting");
        p->depth++;
        p->at++;
        r = parse_or(p, ret);
        p->depth--;
        skip_blanks(p);
        if (r < 0)
                return r;
        if (*p->at != ')')
                return bad(p, "')'");
        p->at++;
        return 0;
}

static int parse_and(struct parser *p, bool *ret)
{
        int r = parse_one(p, ret);

        while (!r && take_word(p, "and")) {
                bool more = false;

                r = parse_one(p, &more);
                *ret = *ret && more;
        }
        return r;
}

static int parse_or(struct parser *p, bool *ret)
{
        int r = parse_and(p, ret);

        while (!r && take_word(p, "or")) {
                bool more = false;

                r = parse_and(p, &more);
                *ret = *ret || more;
        }
        return r;
}

int marker_evaluate(const char *marker, const struct interpreter_facts *f, bool *ret, struct errtext *err)
{
        struct parser p = { .at = marker, .facts = f, .err = err };
        bool value = false;
        int r = parse_or(&p, &value);

        skip_blanks(&p);
        if (!r && *p.at)
                r = bad(&p, "its end");
        if (!r)
                *ret = value;
        return r;
}
