#include "store/wheel_internal.h"

enum { WARNINGS_MAX = 10 }; /* of one kind; more lines about one wheel help nobody */

/* A member by its name, and what RECORD says of it. */
struct listed {
        struct span name;
        size_t target; /* SIZE_MAX: it is not installed */
        const struct record_row *row;
};

struct matching {
        struct wheel *wheel;
        struct listed *members; /* sorted by name */
        size_t count;
        size_t absent;          /* rows without a member */
        size_t unlisted;
        size_t weak;
        size_t sizes;
        size_t repeated;
};

static int compare_spans(struct span a, struct span b)
{
        int c = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

        return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

static int compare_listed(const void *a, const void *b)
{
        return compare_spans(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

/* Counts one disagreement and says it, unless there were too many of the kind. */
static int disagree(struct matching *m, size_t *counter, const char *format, struct span name)
{
        m->wheel->record_disagrees = true;
        if (++*counter > WARNINGS_MAX)
                return 0;
        return wheel_warn(m->wheel, "RECORD %s: '%.*s'", format, (int)(name.len < 300 ? name.len : 300), name.data);
}

/* RECORD's paths as members are named: some writers begin them with a slash or "./", or use backslashes. */
static int normalize(const char *path, struct buf *ret)
{
        buf_clear(ret);
        if (buf_reserve(ret, strlen(path) + 1) < 0)
                return -ENOMEM;
        while (*path) {
                size_t len = strcspn(path, "/\\");
                bool skip = len == 0 || (len == 1 && path[0] == '.');

                if (!skip && ret->len > 0 && buf_add_char(ret, '/') < 0)
                        return -ENOMEM;
                if (!skip && buf_add(ret, path, len) < 0)
                        return -ENOMEM;
                path += len;
                path += *path != '\0';
        }
        return 0;
}

static bool same_row(const struct record_row *a, const struct record_row *b)
{
        return a->has_sha256 == b->has_sha256 && memcmp(a->sha256, b->sha256, SHA256_SIZE) == 0 &&
               a->has_size == b->has_size && a->size == b->size;
}

static int match_row(struct matching *m, const struct record_row *row, struct buf *scratch)
{
        int r = normalize(row->path, scratch);

        if (r < 0)
                return r;

        struct listed key = { .name = { scratch->data ? scratch->data : "", scratch->len } };
        struct listed *found = bsearch(&key, m->members, m->count, sizeof *m->members, compare_listed);

        if (!found)
                return disagree(m, &m->absent, "lists a file that the archive lacks", span_of(row->path));
        if (found->row && !same_row(found->row, row))
                return disagree(m, &m->repeated, "lists a file twice, in two ways", span_of(row->path));
        if (!found->row)
                found->row = row;
        return 0;
}

/* RECORD cannot list its own signatures. */
static bool is_signature(const struct wheel *w, struct span name)
{
        size_t len = strlen(w->dist_info);

        if (name.len <= len || memcmp(name.data, w->dist_info, len) != 0)
                return false;

        struct span rest = { name.data + len, name.len - len };

        return span_is(rest, "/RECORD.jws") || span_is(rest, "/RECORD.p7s");
}

static int judge_target(struct matching *m, const struct listed *l)
{
        struct wheel_target *t = &m->wheel->targets[l->target];
        const struct record_row *row = l->row;
        uint64_t size = m->wheel->archive->members[t->member].size;

        t->listed = row != NULL;
        if (row && row->has_sha256) {
                t->has_hash = true;
                memcpy(t->sha256, row->sha256, SHA256_SIZE);
        }
        if (row && row->has_size) {
                t->has_size = true;
                t->record_size = row->size;
        }
        if (is_signature(m->wheel, l->name))
                return 0;
        if (!row)
                return disagree(m, &m->unlisted, "does not list a file", l->name);
        if (!row->has_sha256)
                return disagree(m, &m->weak, "gives no SHA-256 for a file", l->name);
        if (row->has_size && row->size != size)
                return disagree(m, &m->sizes, "gives another size for a file", l->name);
        return 0;
}

static int match_all(struct matching *m, const struct record *rec)
{
        cleanup_buf struct buf scratch = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < rec->count; i++)
                r = match_row(m, &rec->rows[i], &scratch);
        for (size_t i = 0; r == 0 && i < m->count; i++)
                if (m->members[i].target != SIZE_MAX)
                        r = judge_target(m, &m->members[i]);

        const size_t counts[] = { m->absent, m->unlisted, m->weak, m->sizes, m->repeated };
        size_t more = 0;

        for (size_t i = 0; i < ARRAY_LEN(counts); i++)
                more += counts[i] > WARNINGS_MAX ? counts[i] - WARNINGS_MAX : 0;
        if (r == 0 && more > 0)
                r = wheel_warn(m->wheel, "RECORD is wrong about %zu more files", more);
        return r;
}

static int list_members(struct matching *m)
{
        const struct archive *a = m->wheel->archive;
        cleanup_free size_t *targets = malloc((a->count + 1) * sizeof *targets);

        m->members = calloc(a->count + 1, sizeof *m->members);
        m->count = a->count;
        if (!m->members || !targets)
                return -ENOMEM;
        for (size_t i = 0; i < a->count; i++)
                targets[i] = SIZE_MAX;
        for (size_t i = 0; i < m->wheel->target_count; i++)
                targets[m->wheel->targets[i].member] = i;
        for (size_t i = 0; i < a->count; i++)
                m->members[i] = (struct listed){ .name = a->members[i].name, .target = targets[i] };
        qsort(m->members, m->count, sizeof *m->members, compare_listed);
        return 0;
}

int wheel_record_match(struct wheel *w, struct errtext *err)
{
        struct matching m = { .wheel = w };
        struct record rec = { 0 };
        int r = record_parse(w->record.data ? w->record.data : "", w->record.len, &rec, err);

        if (r < 0)
                return r;
        r = list_members(&m);
        if (r == 0)
                r = match_all(&m, &rec);
        free(m.members);
        record_release(&rec);
        return r < 0 ? errtext_set(err, r, "out of memory") : 0;
}
