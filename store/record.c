#include "store/record.h"
#include "store/utf8.h"

enum {
        COLUMNS_MAX = 3,
        BASE64_SIZE = 43, /* characters of a SHA-256 without padding */
};

static const char sha256_prefix[] = "sha256=";

/* Walks over the rows of a RECORD.  Fields are unquoted in place, so TEXT must be writable. */
struct reader {
        char *p;
        char *end;
        size_t line;
};

struct fields {
        struct span f[COLUMNS_MAX];
        size_t count;
};

static int broken(struct errtext *err, const struct reader *rd, const char *why)
{
        return errtext_set(err, -EBADMSG, "RECORD, line %zu: %s", rd->line, why);
}

/* The field at P, which begins with a quote. */
static int read_quoted(struct reader *rd, struct span *ret, struct errtext *err)
{
        char *start = ++rd->p;
        char *to = start;

        for (;; rd->p++) {
                if (rd->p == rd->end)
                        return broken(err, rd, "a quotation mark is never closed");
                if (*rd->p == '"') {
                        if (rd->p + 1 == rd->end || rd->p[1] != '"')
                                break;
                        rd->p++;
                }
                *to++ = *rd->p;
        }
        rd->p++;
        *ret = (struct span){ start, (size_t)(to - start) };
        return 0;
}

static void read_plain(struct reader *rd, struct span *ret)
{
        char *start = rd->p;

        while (rd->p < rd->end && *rd->p != ',' && *rd->p != '\n' && *rd->p != '\r')
                rd->p++;
        *ret = (struct span){ start, (size_t)(rd->p - start) };
}

/* Ends a row: RET is whether it ended here. */
static int read_line_end(struct reader *rd, bool *ret, struct errtext *err)
{
        *ret = true;
        if (rd->p == rd->end)
                return 0;
        if (*rd->p == '\r') {
                if (rd->p + 1 == rd->end || rd->p[1] != '\n')
                        return broken(err, rd, "a carriage return without a line feed");
                rd->p++;
        }
        if (*rd->p == '\n') {
                rd->p++;
                return 0;
        }
        *ret = false;
        return 0;
}

/* Reads the next row; an empty line has no fields. */
static int read_row(struct reader *rd, struct fields *ret, struct errtext *err)
{
        bool ended = false;

        ret->count = 0;
        rd->line++;

        int r = read_line_end(rd, &ended, err);

        while (r == 0 && !ended) {
                if (ret->count == COLUMNS_MAX)
                        return broken(err, rd, "more than three columns");
                if (rd->p < rd->end && *rd->p == '"')
                        r = read_quoted(rd, &ret->f[ret->count], err);
                else
                        read_plain(rd, &ret->f[ret->count]);
                ret->count++;
                if (r == 0)
                        r = read_line_end(rd, &ended, err);
                if (r < 0 || ended)
                        break;
                if (*rd->p != ',')
                        return broken(err, rd, "text after a closing quotation mark");
                rd->p++;
                /* "a," at the very end has an empty second field. */
                if (rd->p == rd->end && ret->count < COLUMNS_MAX) {
                        ret->f[ret->count++] = (struct span){ rd->p, 0 };
                        break;
                }
        }
        return r;
}

static int digit_of(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* The urlsafe base64 of exactly 32 bytes; the padding that the specification leaves out is let pass. */
static int decode_hash(struct span text, uint8_t ret[SHA256_SIZE])
{
        uint32_t bits = 0;
        unsigned have = 0;
        size_t n = 0;

        if (text.len == BASE64_SIZE + 1 && text.data[BASE64_SIZE] == '=')
                text.len--;
        if (text.len != BASE64_SIZE)
                return -EBADMSG;
        for (size_t i = 0; i < text.len; i++) {
                int digit = digit_of(text.data[i]);

                if (digit < 0)
                        return -EBADMSG;
                bits = bits << 6 | (uint32_t)digit;
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        ret[n++] = (uint8_t)(bits >> have);
                }
        }
        return (bits & 3) == 0 ? 0 : -EBADMSG;
}

static int parse_size(struct span text, uint64_t *ret)
{
        uint64_t n = 0;

        for (size_t i = 0; i < text.len; i++) {
                unsigned digit = (unsigned char)text.data[i] - '0';

                if (digit > 9 || n > (UINT64_MAX - digit) / 10)
                        return -EBADMSG;
                n = n * 10 + digit;
        }
        *ret = n;
        return 0;
}

static int fill_row(const struct reader *rd, const struct fields *fields, struct record_row *ret, struct errtext *err)
{
        struct span hash = fields->count > 1 ? fields->f[1] : (struct span){ "", 0 };
        struct span size = fields->count > 2 ? fields->f[2] : (struct span){ "", 0 };
        size_t prefix = strlen(sha256_prefix);

        *ret = (struct record_row){ .path = (char *)fields->f[0].data };
        if (hash.len > 0) {
                struct span digits = { hash.data + prefix, hash.len - prefix };

                if (!memchr(hash.data, '=', hash.len))
                        return broken(err, rd, "a hash that does not name its algorithm");
                ret->has_hash = true;
                ret->has_sha256 = hash.len >= prefix && memcmp(hash.data, sha256_prefix, prefix) == 0;
                if (ret->has_sha256 && decode_hash(digits, ret->sha256) < 0)
                        return broken(err, rd, "a broken SHA-256");
        }
        if (size.len > 0) {
                ret->has_size = true;
                if (parse_size(size, &ret->size) < 0)
                        return broken(err, rd, "a size that is no number");
        }
        return 0;
}

/* Counts the rows at most, for one allocation. */
static size_t count_lines(const char *text, size_t len)
{
        size_t n = 1;

        for (size_t i = 0; i < len; i++)
                n += text[i] == '\n';
        return n;
}

static int parse_rows(struct reader *rd, struct record *rec, struct errtext *err)
{
        struct fields fields = { 0 };

        while (rd->p < rd->end) {
                int r = read_row(rd, &fields, err);

                if (r < 0)
                        return r;
                if (fields.count == 0)
                        continue;
                r = fill_row(rd, &fields, &rec->rows[rec->count], err);
                if (r < 0)
                        return r;
                rec->count++;
                /* The byte after a field is a separator or a quote that has been read, or the final NUL. */
                ((char *)fields.f[0].data)[fields.f[0].len] = '\0';
        }
        return 0;
}

int record_parse(const char *text, size_t len, struct record *ret, struct errtext *err)
{
        struct record rec = { 0 };

        if (memchr(text, '\0', len))
                return errtext_set(err, -EBADMSG, "RECORD has NUL bytes");
        if (!utf8_is_valid(text, len))
                return errtext_set(err, -EBADMSG, "RECORD is not UTF-8");
        rec.text = malloc(len + 1);
        rec.rows = calloc(count_lines(text, len), sizeof *rec.rows);
        if (!rec.text || !rec.rows) {
                record_release(&rec);
                return errtext_set(err, -ENOMEM, "out of memory");
        }
        memcpy(rec.text, text, len);
        rec.text[len] = '\0';

        struct reader rd = { .p = rec.text, .end = rec.text + len };
        int r = parse_rows(&rd, &rec, err);

        if (r < 0) {
                record_release(&rec);
                return r;
        }
        *ret = rec;
        return 0;
}

void record_release(struct record *r)
{
        free(r->rows);
        free(r->text);
        *r = (struct record){ 0 };
}

static int add_hash(struct buf *b, const uint8_t sha256[SHA256_SIZE])
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        char text[BASE64_SIZE];
        uint32_t bits = 0;
        unsigned have = 0;
        size_t n = 0;

        for (size_t i = 0; i < SHA256_SIZE; i++) {
                bits = bits << 8 | sha256[i];
                for (have += 8; have >= 6; have -= 6)
                        text[n++] = digits[bits >> (have - 6) & 63];
        }
        text[n++] = digits[bits << (6 - have) & 63];
        return buf_add(b, text, n);
}

static int add_path(struct buf *b, const char *path)
{
        int r = 0;

        if (path[strcspn(path, ",\"\r\n")] == '\0')
                return buf_add_str(b, path);
        r = buf_add_char(b, '"');
        for (const char *p = path; r == 0 && *p; p++)
                r = *p == '"' ? buf_add(b, "\"\"", 2) : buf_add_char(b, *p);
        return r == 0 ? buf_add_char(b, '"') : r;
}

int record_add_row(struct buf *b, const char *path, const uint8_t sha256[SHA256_SIZE], uint64_t size)
{
        size_t before = b->len;
        int r = add_path(b, path);

        if (r == 0)
                r = buf_add_str(b, sha256 ? ",sha256=" : ",,\r\n");
        if (r == 0 && sha256)
                r = add_hash(b, sha256);
        if (r == 0 && sha256)
                r = buf_printf(b, ",%llu\r\n", (unsigned long long)size);
        if (r < 0 && b->data)
                b->data[b->len = before] = '\0';
        return r;
}

/* One of the two runs of record_merge: the row that comes next, as it stands in the text. */
struct run {
        struct reader rd;
        const char *text;  /* as given */
        char *copy;        /* what RD unquotes */
        struct span row;
        struct span path;
        bool done;
};

static int run_next(struct run *run)
{
        struct fields fields = { 0 };

        while (run->rd.p < run->rd.end) {
                size_t start = (size_t)(run->rd.p - run->copy);
                int r = read_row(&run->rd, &fields, NULL);

                if (r < 0)
                        return r;
                if (fields.count == 0)
                        continue;
                run->path = fields.f[0];
                run->row = (struct span){ run->text + start, (size_t)(run->rd.p - run->copy) - start };
                return 0;
        }
        run->done = true;
        return 0;
}

static int run_init(struct run *run, const char *text, size_t len)
{
        *run = (struct run){ .text = text, .copy = malloc(len + 1) };
        if (!run->copy)
                return -ENOMEM;
        if (len > 0)
                memcpy(run->copy, text, len);
        run->rd = (struct reader){ .p = run->copy, .end = run->copy + len };
        return run_next(run);
}

static int compare_spans(struct span a, struct span b)
{
        int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

        return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

static int add_run_row(struct buf *b, struct span row)
{
        int r = buf_add(b, row.data, row.len);

        return r == 0 && row.data[row.len - 1] != '\n' ? buf_add_char(b, '\n') : r;
}

static int merge_runs(struct run *a, struct run *b, struct buf *ret)
{
        while (!a->done || !b->done) {
                int c = a->done ? 1 : b->done ? -1 : compare_spans(a->path, b->path);
                int r = add_run_row(ret, c < 0 ? a->row : b->row);

                if (r == 0 && c <= 0)
                        r = run_next(a);
                if (r == 0 && c >= 0)
                        r = run_next(b);
                if (r < 0)
                        return r;
        }
        return 0;
}

int record_merge(const char *a, size_t a_len, const char *b, size_t b_len, struct buf *ret)
{
        struct run x = { 0 };
        struct run y = { 0 };
        int r = run_init(&x, a, a_len);

        if (r == 0)
                r = run_init(&y, b, b_len);
        if (r == 0)
                r = merge_runs(&x, &y, ret);
        free(x.copy);
        free(y.copy);
        return r;
}
