#include "tools/requirement_parse.h"

#include "tools/marker.h"
#include "tools/pep440.h"

#include <ctype.h>

void requirement_release(struct requirement *r)
{
        free(r->name);
        free(r->version);
        free(r->path);
        free(r->hashes);
        free(r->file);
        *r = (struct requirement){ 0 };
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static char *trim(char *text)
{
        size_t len;

        while (is_blank(*text))
                text++;
        len = strlen(text);
        while (len && is_blank(text[len - 1]))
                text[--len] = 0;
        return text;
}

char *requirement_next_word(char **rest)
{
        char *p = *rest, *word, *to, quote = 0;

        while (is_blank(*p))
                p++;
        if (!*p)
                return NULL;
        for (word = to = p; *p && (quote || !is_blank(*p)); p++) {
                if (quote ? *p == quote : *p == '"' || *p == '\'')
                        quote = quote ? 0 : *p;
                else
                        *to++ = *p;
        }
        *rest = *p ? p + 1 : p;
        *to = 0;
        return word;
}

static int decode_percent(const char *text, size_t len, struct buf *ret)
{
        int r = 0;

        for (size_t i = 0; i < len && r >= 0; i++) {
                uint8_t byte = (uint8_t)text[i];

                if (text[i] == '%') {
                        if (i + 2 >= len || hex_decode(text + i + 1, 2, &byte, 1) < 0 || !byte)
                                return -EINVAL;
                        i += 2;
                }
                r = buf_add_char(ret, (char)byte);
        }
        return r;
}

int requirement_path(const char *text, char **ret, struct errtext *err)
{
        struct buf path cleanup_buf = { 0 };
        const char *from = text;
        int r;

        if (strncmp(text, "file:", 5)) {
                *ret = strdup(text);
                return *ret ? 0 : -ENOMEM;
        }
        from += 5;
        if (!strncmp(from, "//localhost/", 12))
                from += 11;
        else if (!strncmp(from, "///", 3))
                from += 2;
        if (from[0] != '/' || from[1] == '/')
                return errtext_set(err, -EINVAL, "'%s' names no file of this machine", text);
        r = decode_percent(from, strcspn(from, "#?"), &path);
        if (r == -EINVAL)
                return errtext_set(err, r, "'%s' is not percent-encoded as URLs are", text);
        if (r < 0)
                return r;
        *ret = buf_steal(&path);
        return *ret ? 0 : -ENOMEM;
}

static int add_hash(struct requirement *q, const char *hex)
{
        uint8_t(*hashes)[SHA256_SIZE] = reallocarray(q->hashes, q->hash_count + 1, SHA256_SIZE);

        if (!hashes)
                return -ENOMEM;
        q->hashes = hashes;
        if (hex_decode(hex, strlen(hex), hashes[q->hash_count], SHA256_SIZE) < 0)
                return -EINVAL;
        q->hash_count++;
        return 0;
}

/* "sha256:..."; other algorithms are passed over, but one of them alone would be no check at all. */
static int take_hash(struct requirement *q, const char *value, bool *others, struct errtext *err)
{
        int r;

        if (!value || !strchr(value, ':'))
                return errtext_set(err, -EINVAL, "--hash needs an algorithm and a hash, as in --hash=sha256:...");
        if (strncmp(value, "sha256:", 7)) {
                *others = true;
                return 0;
        }
        r = add_hash(q, value + 7);
        return r == -EINVAL ? errtext_set(err, r, "'%s' is not a SHA-256 in 64 hexadecimal digits", value) : r;
}

static int parse_options(char *options, struct requirement *q, struct buf *warnings, struct errtext *err)
{
        bool others = false;
        char *word;
        int r = 0;

        while (r >= 0 && (word = requirement_next_word(&options))) {
                if (!strncmp(word, "--hash=", 7))
                        r = take_hash(q, word + 7, &others, err);
                else if (!strcmp(word, "--hash"))
                        r = take_hash(q, requirement_next_word(&options), &others, err);
                else if (word[0] == '-')
                        r = buf_printf(warnings, "the option %s is ignored\n", word);
        }
        if (r >= 0 && others && !q->hash_count)
                r = errtext_set(err, -EINVAL, "a wheel is checked by SHA-256 alone: there is no --hash=sha256:...");
        return r;
}

/* Where the options begin: at the first word that starts with "--". */
static char *cut_options(char *text)
{
        for (char *p = text; *p; p++)
                if (is_blank(*p) && p[1] == '-' && p[2] == '-') {
                        *p = 0;
                        return p + 1;
                }
        return text + strlen(text);
}

/* Names and versions have no semicolon; paths and URLs may, so there a blank must stand before the marker's. */
static char *cut_marker(char *text, bool needs_blank)
{
        for (char *p = text; *p; p++)
                if (*p == ';' && (!needs_blank || (p > text && is_blank(p[-1])))) {
                        *p = 0;
                        return trim(p + 1);
                }
        return NULL;
}

static int judge_marker(const char *marker, struct interpreter *p, bool *ret, struct errtext *err)
{
        const struct interpreter_facts *facts;
        int r;

        *ret = true;
        if (!marker)
                return 0;
        r = interpreter_get_facts(p, &facts, err);
        return r < 0 ? r : marker_evaluate(marker, facts, ret, err);
}

static size_t name_length(const char *text)
{
        size_t len = 0;

        while (isalnum((unsigned char)text[len]) || (len && strchr("._-", text[len]) && text[len]))
                len++;
        while (len && strchr("._-", text[len - 1]))
                len--;
        return len;
}

static int not_pinned(const char *text, struct errtext *err)
{
        return errtext_set(
                err, -EINVAL,
                "'%s' is not pinned: fusepkg resolves nothing, so an exact version is needed, as in '%.*s==1.0'", text,
                (int)name_length(text), text);
}

/* "==1.0", "===1.0" or "(==1.0)". */
static int parse_pin(char *text, const char *whole, struct requirement *q, struct errtext *err)
{
        struct pep440 v;
        size_t len;
        bool exact;

        text = trim(text);
        len = strlen(text);
        if (len > 1 && text[0] == '(' && text[len - 1] == ')') {
                text[len - 1] = 0;
                text = trim(text + 1);
        }
        if (strncmp(text, "==", 2))
                return not_pinned(whole, err);
        exact = text[2] == '=';
        text = trim(text + 2 + exact);
        len = strlen(text);
        if (!len || strchr(text, ',') || (len > 2 && !strcmp(text + len - 2, ".*")))
                return not_pinned(whole, err);
        if ((!exact && pep440_parse(text, len, &v) < 0) || strpbrk(text, " \t/"))
                return errtext_set(err, -EINVAL, "in '%s' '%s' is not a version", whole, text);
        q->version = strdup(text);
        return q->version ? 0 : -ENOMEM;
}

static int parse_named(char *text, struct requirement *q, struct errtext *err)
{
        char *whole cleanup_free = strdup(text);
        size_t len = name_length(text);
        char *rest = text + len;

        if (!whole)
                return -ENOMEM;
        if (!len)
                return errtext_set(err, -EINVAL, "'%s' is not a requirement", whole);
        q->name = strndup(text, len);
        if (!q->name)
                return -ENOMEM;
        while (is_blank(*rest))
                rest++;
        if (*rest == '[') {
                rest = strchr(rest, ']');
                if (!rest)
                        return errtext_set(err, -EINVAL, "in '%s' a bracket is not closed", whole);
                rest++;
        }
        return parse_pin(rest, whole, q, err);
}

static bool is_path(const char *text)
{
        size_t len = strlen(text);

        return strchr(text, '/') || (len > 4 && !strcasecmp(text + len - 4, ".whl"));
}

/* The hash in "file:///x.whl#sha256=…". */
static int take_fragment(const char *url, struct requirement *q, struct errtext *err)
{
        const char *mark = strchr(url, '#');
        int r;

        if (strncmp(url, "file:", 5) || !mark || strncmp(mark, "#sha256=", 8))
                return 0;
        r = add_hash(q, mark + 8);
        return r == -EINVAL ? errtext_set(err, r, "'%s' has no SHA-256 of 64 hexadecimal digits", url) : r;
}

static int parse_path(const char *text, struct requirement *q, struct errtext *err)
{
        size_t len;
        int r;

        if (strstr(text, "://") && strncmp(text, "file:", 5))
                return errtext_set(err, -EINVAL, "'%s' is a URL: fusepkg downloads nothing, so a local wheel is needed",
                                   text);
        r = requirement_path(text, &q->path, err);
        r = r < 0 ? r : take_fragment(text, q, err);
        if (r < 0)
                return r;
        len = strlen(q->path);
        if (len <= 4 || strcasecmp(q->path + len - 4, ".whl"))
                return errtext_set(err, -EINVAL, "'%s' is not a wheel: fusepkg builds nothing", q->path);
        return 0;
}

/* "NAME @ file:///x.whl", as freezing writes it: what counts is the wheel. */
static char *skip_name_of_url(char *text)
{
        char *rest = text + name_length(text);

        while (is_blank(*rest))
                rest++;
        if (*rest == '[' && strchr(rest, ']'))
                rest = strchr(rest, ']') + 1;
        while (is_blank(*rest))
                rest++;
        return rest > text && *rest == '@' ? trim(rest + 1) : text;
}

int requirement_parse(char *text, struct interpreter *p, struct requirement *ret, struct buf *warnings,
                      struct errtext *err)
{
        struct requirement q = { 0 };
        char *options = cut_options(text);
        char *target = skip_name_of_url(trim(text));
        char *marker = cut_marker(target, strcspn(target, "/") < strcspn(target, ";"));
        bool wanted = true;
        int r;

        target = trim(target);
        r = judge_marker(marker, p, &wanted, err);
        if (!r && !wanted)
                return 0;
        if (!r)
                r = is_path(target) ? parse_path(target, &q, err) : parse_named(target, &q, err);
        r = r < 0 ? r : parse_options(options, &q, warnings, err);
        if (r < 0) {
                requirement_release(&q);
                return r;
        }
        *ret = q;
        return 1;
}
