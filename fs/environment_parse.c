/* Reading the text of an environment.  The text is taken only in the one form that environment_format writes: the
 * line reader below checks each field for itself, and at the end the result must format to the same bytes. */
#include "fs/environment.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

enum {
        WORDS_MAX = 10,                            /* a slot's row */
        NUMBER_DIGITS_MAX = 20,                    /* of 2^64 */
        END_LINE_LEN = 21,                         /* "end ", 16 digits, '\n' */
};

static const uint64_t generated_max = 1ull << 40; /* bytes; far above what a RECORD can have */

struct reader {
        const char *at;
        const char *end;
        unsigned line;
        struct span words[WORDS_MAX]; /* of the current line */
        size_t count;
        struct errtext *err;
};

static int bad(const struct reader *r, const char *what)
{
        return errtext_set(r->err, -EBADMSG, "line %u: %s", r->line, what);
}

/* Splits the next line into words; none at the end of the text. */
static int next_line(struct reader *r)
{
        const char *newline, *p = r->at;

        r->line++;
        r->count = 0;
        if (p == r->end)
                return 0;
        newline = memchr(p, '\n', (size_t)(r->end - p));
        if (!newline)
                return bad(r, "it does not end");
        for (;;) {
                const char *space = memchr(p, ' ', (size_t)(newline - p));
                const char *stop = space ? space : newline;

                if (r->count == WORDS_MAX)
                        return bad(r, "it has too many words");
                r->words[r->count++] = (struct span){ p, (size_t)(stop - p) };
                if (!space)
                        break;
                p = space + 1;
        }
        r->at = newline + 1;
        return 0;
}

static bool line_is(const struct reader *r, const char *key)
{
        return r->count > 0 && span_is(r->words[0], key);
}

/* The current line must have that key and that many words. */
static int expect(const struct reader *r, const char *key, size_t words)
{
        if (!line_is(r, key))
                return errtext_set(r->err, -EBADMSG, "line %u: there is no '%s' line", r->line, key);
        if (r->count != words)
                return errtext_set(r->err, -EBADMSG, "line %u: a '%s' line has %zu words, not %zu", r->line, key, words,
                                   r->count);
        return 0;
}

static int read_number(const struct reader *r, size_t word, unsigned base, uint64_t max, uint64_t *ret)
{
        struct span s = r->words[word];
        uint64_t n = 0;

        if (!s.len || s.len > NUMBER_DIGITS_MAX)
                return bad(r, "a number is expected");
        for (size_t i = 0; i < s.len; i++) {
                char c = s.data[i];
                unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') :
                                 c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 :
                                                        base;

                if (digit >= base)
                        return bad(r, "a number is expected");
                if (digit > max || n > (max - digit) / base)
                        return bad(r, "a number is too large");
                n = n * base + digit;
        }
        *ret = n;
        return 0;
}

static int read_number32(const struct reader *r, size_t word, uint64_t max, uint32_t *ret)
{
        uint64_t n;
        int e = read_number(r, word, 10, max, &n);

        if (e < 0)
                return e;
        *ret = (uint32_t)n;
        return 0;
}

static int read_sha256(const struct reader *r, size_t word, uint8_t ret[SHA256_SIZE])
{
        if (hex_decode(r->words[word].data, r->words[word].len, ret, SHA256_SIZE) < 0)
                return bad(r, "a SHA-256 in hexadecimal is expected");
        return 0;
}

/* An id: 32 hexadecimal digits, kept as text. */
static int read_id(const struct reader *r, size_t word, char ret[33])
{
        uint8_t bytes[16];

        if (hex_decode(r->words[word].data, r->words[word].len, bytes, sizeof(bytes)) < 0)
                return bad(r, "an id of 32 hexadecimal digits is expected");
        hex_encode(bytes, sizeof(bytes), ret);
        return 0;
}

static int read_text(const struct reader *r, size_t word, char **ret)
{
        struct buf b cleanup_buf = { 0 };
        int e = buf_add_unescaped(&b, r->words[word].data, r->words[word].len);

        if (e == -ENOMEM)
                return e;
        if (e < 0 || (b.len && memchr(b.data, 0, b.len)))
                return bad(r, "a word is not written as words are");
        *ret = buf_steal(&b);
        return *ret ? 0 : -ENOMEM;
}

static bool is_component(const char *s, size_t len)
{
        return len > 0 && len <= IMAGE_NAME_MAX && !memchr(s, '/', len) && !(len == 1 && s[0] == '.') &&
               !(len == 2 && s[0] == '.' && s[1] == '.');
}

/* A relative path that stays below where it starts. */
static bool is_beneath(const char *path)
{
        for (;;) {
                size_t len = strcspn(path, "/");

                if (!is_component(path, len))
                        return false;
                if (!path[len])
                        return true;
                path += len + 1;
        }
}

static int read_component(const struct reader *r, size_t word, char **ret)
{
        char *s cleanup_free = NULL;
        int e = read_text(r, word, &s);

        if (e < 0)
                return e;
        if (!is_component(s, strlen(s)))
                return bad(r, "a file name is expected");
        *ret = steal_ptr(s);
        return 0;
}

static int read_version(const struct reader *r, size_t word, char **ret)
{
        char *s cleanup_free = NULL;
        int e = read_text(r, word, &s);
        size_t major, minor;

        if (e < 0)
                return e;
        major = strspn(s, "0123456789");
        if (!major || s[major] != '.')
                return bad(r, "a Python version such as 3.12 is expected");
        minor = strspn(s + major + 1, "0123456789");
        if (!minor || (s[major + 1 + minor] && strcmp(s + major + 1 + minor, "t")))
                return bad(r, "a Python version such as 3.12 is expected");
        *ret = steal_ptr(s);
        return 0;
}

/* Each line of the head: its key, its words, and what is read from it. */
static int read_ids(struct reader *r, struct environment *e)
{
        int x = expect(r, "id", 2);

        x = x < 0 ? x : read_id(r, 1, e->id);
        x = x < 0 ? x : next_line(r);
        x = x < 0 ? x : expect(r, "generation", 2);
        x = x < 0 ? x : read_number(r, 1, 10, 1ull << 62, &e->generation);
        x = x < 0 ? x : next_line(r);
        x = x < 0 ? x : expect(r, "time", 2);
        x = x < 0 ? x : read_number(r, 1, 10, INT64_MAX, &e->time);
        x = x < 0 ? x : next_line(r);
        x = x < 0 ? x : expect(r, "store", 3);
        x = x < 0 ? x : read_id(r, 1, e->store_id);
        x = x < 0 ? x : read_text(r, 2, &e->store_path);
        if (!x && e->store_path[0] != '/')
                x = bad(r, "the store's path is not absolute");
        return x < 0 ? x : next_line(r);
}

static int read_places(struct reader *r, struct environment *e)
{
        uint64_t mask = 0;
        int x = expect(r, "umask", 2);

        x = x < 0 ? x : read_number(r, 1, 8, 0777, &mask);
        e->umask = (unsigned)mask;
        x = x < 0 ? x : next_line(r);
        x = x < 0 ? x : expect(r, "python", 2);
        x = x < 0 ? x : read_version(r, 1, &e->python);
        x = x < 0 ? x : next_line(r);
        x = x < 0 ? x : expect(r, "site", 2);
        x = x < 0 ? x : read_text(r, 1, &e->site);
        if (!x && !is_beneath(e->site))
                x = bad(r, "site-packages is not below the venv");
        x = x < 0 ? x : next_line(r);
        x = x < 0 ? x : expect(r, "next", 2);
        x = x < 0 ? x : read_number32(r, 1, ENVIRONMENT_SLOTS_MAX, &e->next_slot);
        if (!x && !e->next_slot)
                x = bad(r, "slot 0 is the base");
        return x < 0 ? x : next_line(r);
}

static int read_file_numbers(const struct reader *r, const struct environment *e, struct generated_file *f)
{
        struct span kind = r->words[1];
        int x;

        if (!span_is(kind, "b") && !span_is(kind, "r"))
                return bad(r, "the kind of a file is b or r");
        f->kind = (enum generated_kind)kind.data[0];
        x = read_number(r, 2, 10, e->generation, &f->generation);
        x = x < 0 ? x : read_number(r, 3, 10, generated_max, &f->size);
        x = x < 0 ? x : read_number(r, 4, 10, generated_max, &f->offset);
        x = x < 0 ? x : read_number(r, 5, 10, generated_max, &f->length);
        x = x < 0 ? x : read_number(r, 6, 16, UINT64_MAX, &f->sum);
        if (!x && !f->generation)
                x = bad(r, "a file is of no generation");
        if (!x && f->kind == GENERATED_BYTES && f->size != f->length)
                x = bad(r, "size and length differ");
        return x;
}

static int read_file(struct reader *r, const struct environment *e, struct slot *s)
{
        struct generated_file *files = reallocarray(s->files, s->file_count + 1, sizeof(*files));
        struct generated_file *f;
        int x;

        if (!files)
                return -ENOMEM;
        s->files = files;
        f = &files[s->file_count++];
        *f = (struct generated_file){ 0 };
        x = expect(r, "file", 8);
        x = x < 0 ? x : read_file_numbers(r, e, f);
        x = x < 0 ? x : read_component(r, 7, &f->name);
        if (x < 0)
                return x;
        if (f->kind == GENERATED_RECORD && strcmp(f->name, "RECORD"))
                return bad(r, "rows are for RECORD alone");
        for (size_t i = 0; i + 1 < s->file_count; i++)
                if (!strcmp(files[i].name, f->name))
                        return bad(r, "a slot has one file twice");
        return next_line(r);
}

static int read_slot_words(const struct reader *r, const struct environment *e, struct slot *s)
{
        uint32_t above = e->slot_count > 1 ? e->slots[e->slot_count - 2].number : 0;
        struct span flags = r->words[4];
        int x = read_number32(r, 1, ENVIRONMENT_SLOTS_MAX, &s->number);

        if (!x && (s->number <= above || s->number >= e->next_slot))
                x = bad(r, "the slot's number is out of order");
        x = x < 0 ? x : read_sha256(r, 2, s->image);
        x = x < 0 ? x : read_number(r, 3, 10, e->time, &s->time);
        if (!x && !s->time)
                x = bad(r, "a slot is of no time");
        if (!x && !span_is(flags, "r") && !span_is(flags, "-"))
                x = bad(r, "unknown flags");
        s->requested = span_is(flags, "r");
        x = x < 0 ? x : read_component(r, 5, &s->name);
        x = x < 0 ? x : read_component(r, 6, &s->version);
        x = x < 0 ? x : read_sha256(r, 7, s->archive);
        x = x < 0 ? x : read_component(r, 8, &s->filename);
        if (x < 0 || span_is(r->words[9], "-"))
                return x;
        return read_text(r, 9, &s->url);
}

static int read_slots(struct reader *r, struct environment *e)
{
        size_t room = 0;

        while (line_is(r, "slot")) {
                struct slot *s;
                int x = expect(r, "slot", 10);

                if (x < 0)
                        return x;
                if (e->slot_count == room) {
                        struct slot *slots = reallocarray(e->slots, room * 2 + 16, sizeof(*slots));

                        if (!slots)
                                return -ENOMEM;
                        e->slots = slots;
                        room = room * 2 + 16;
                }
                s = &e->slots[e->slot_count++];
                *s = (struct slot){ 0 };
                x = read_slot_words(r, e, s);
                x = x < 0 ? x : next_line(r);
                while (!x && line_is(r, "file"))
                        x = read_file(r, e, s);
                if (x < 0)
                        return x;
        }
        return 0;
}

static int read_hidden(struct reader *r, struct environment *e)
{
        while (line_is(r, "hide")) {
                char **hidden = reallocarray(e->hidden, e->hidden_count + 1, sizeof(*hidden));
                int x;

                if (!hidden)
                        return -ENOMEM;
                e->hidden = hidden;
                x = expect(r, "hide", 2);
                x = x < 0 ? x : read_component(r, 1, &hidden[e->hidden_count]);
                if (x < 0)
                        return x;
                e->hidden_count++;
                if (e->hidden_count > 1 && strcmp(hidden[e->hidden_count - 2], hidden[e->hidden_count - 1]) >= 0)
                        return bad(r, "hidden names are out of order");
                x = next_line(r);
                if (x < 0)
                        return x;
        }
        return 0;
}

static int read_dir(struct reader *r, const struct environment *e, struct dir_row *row)
{
        char *path cleanup_free = NULL;
        int x = expect(r, "dir", 5);

        x = x < 0 ? x : read_number(r, 1, 16, (1ull << 62) - 1, &row->id);
        x = x < 0 ? x : read_number(r, 2, 10, e->time, &row->time);
        x = x < 0 ? x : read_number(r, 3, 10, e->time, &row->as_of);
        x = x < 0 ? x : read_text(r, 4, &path);
        if (x < 0)
                return x;
        if (path[0] && !is_beneath(path))
                return bad(r, "a path leaves site-packages");
        if (e->dir_count && strcmp(e->dirs[e->dir_count - 1].path, path) >= 0)
                return bad(r, "directories are out of order");
        row->path = steal_ptr(path);
        return 0;
}

static int read_dirs(struct reader *r, struct environment *e)
{
        size_t room = 0;

        while (line_is(r, "dir")) {
                int x;

                if (e->dir_count == room) {
                        struct dir_row *dirs = reallocarray(e->dirs, room * 2 + 16, sizeof(*dirs));

                        if (!dirs)
                                return -ENOMEM;
                        e->dirs = dirs;
                        room = room * 2 + 16;
                }
                x = read_dir(r, e, &e->dirs[e->dir_count]);
                if (x < 0)
                        return x;
                e->dir_count++;
                x = next_line(r);
                if (x < 0)
                        return x;
        }
        return 0;
}

static int read_all(struct reader *r, struct environment *e)
{
        int x = next_line(r);

        x = x < 0 ? x : read_ids(r, e);
        x = x < 0 ? x : read_places(r, e);
        x = x < 0 ? x : read_slots(r, e);
        x = x < 0 ? x : read_hidden(r, e);
        x = x < 0 ? x : read_dirs(r, e);
        if (!x && r->count)
                x = bad(r, "it is not known, or not where it belongs");
        return x;
}

/* The first and the last line: is this ours, and whole? */
static int check_frame(const char *text, size_t len, size_t *ret_start, size_t *ret_body, struct errtext *err)
{
        static const char first[] = "fusepkg environment 1\n";
        static const char any[] = "fusepkg environment ";
        char last[END_LINE_LEN + 1];
        size_t body;

        if (len < sizeof(any) - 1 || memcmp(text, any, sizeof(any) - 1))
                return errtext_set(err, -EBADMSG, "it is not an environment of fusepkg");
        if (len < sizeof(first) - 1 || memcmp(text, first, sizeof(first) - 1))
                return errtext_set(err, -EBADMSG, "it was written by another version of fusepkg");
        if (len < sizeof(first) - 1 + END_LINE_LEN)
                return errtext_set(err, -EBADMSG, "it ends too early");
        body = len - END_LINE_LEN;
        snprintf(last, sizeof(last), "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, body));
        if (memcmp(text + body, last, END_LINE_LEN))
                return errtext_set(err, -EBADMSG, "its checksum does not match: it is damaged, or was edited by hand");
        *ret_start = sizeof(first) - 1;
        *ret_body = body;
        return 0;
}

static int check_same(const struct environment *e, const char *text, size_t len, struct errtext *err)
{
        struct buf b cleanup_buf = { 0 };
        int x = environment_format(e, &b);

        if (x < 0)
                return x;
        if (b.len != len || memcmp(b.data, text, len))
                return errtext_set(err, -EBADMSG, "it is not written in the one form that fusepkg writes");
        return 0;
}

int environment_parse(const char *text, size_t len, struct environment **ret, struct errtext *err)
{
        struct environment *e;
        size_t start = 0, body = 0;
        int x = check_frame(text, len, &start, &body, err);

        if (x < 0)
                return x;
        if (len > ENVIRONMENT_MAX)
                return errtext_set(err, -EBADMSG, "it is too large");
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        struct reader r = { .at = text + start, .end = text + body, .line = 1, .err = err };

        x = read_all(&r, e);
        x = x < 0 ? x : check_same(e, text, len, err);
        if (x < 0) {
                environment_free(e);
                return x;
        }
        *ret = e;
        return 0;
}
