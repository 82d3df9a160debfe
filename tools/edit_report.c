#include "tools/edit_report.h"

#include "fs/edits_report.h"

enum { WORDS_MAX = 7 };

/* A line, cut into words; those that are paths are decoded on their own. */
struct line {
        char *words[WORDS_MAX];
        size_t count;
};

static void split(char *text, struct line *ret)
{
        ret->count = 0;
        while (ret->count < WORDS_MAX) {
                char *space = strchr(text, ' ');

                ret->words[ret->count++] = text;
                if (!space)
                        return;
                *space = '\0';
                text = space + 1;
        }
        ret->count = WORDS_MAX + 1; /* too many */
}

static int take_number(const char *word, int base, uint64_t *ret)
{
        char *end;

        if (word[0] < '0' || (word[0] > '9' && base != 16))
                return -EBADMSG;
        errno = 0;
        *ret = strtoull(word, &end, base);
        return errno || *end ? -EBADMSG : 0;
}

static int take_path(const char *word, char **ret)
{
        cleanup_buf struct buf path = { 0 };
        int r = buf_add_unescaped(&path, word, strlen(word));

        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        *ret = path.len ? buf_steal(&path) : strdup("");
        return *ret ? 0 : -ENOMEM;
}

static int take_type(const char *word, char *ret)
{
        if (!word[0] || word[1] || !strchr("fdlpscb", word[0]))
                return -EBADMSG;
        *ret = word[0];
        return 0;
}

static void change_release(struct edit_change *c)
{
        free(c->path);
        free(c->target);
        free(c->origin);
}

static int take_change(struct edit_report *r, struct edit_change *c)
{
        struct edit_change *more = r->changes;

        /* The room doubles whenever the count is a power of two. */
        if ((r->change_count & (r->change_count - 1)) == 0) {
                more = reallocarray(more, r->change_count ? 2 * r->change_count : 1, sizeof(*more));
                if (!more)
                        return -ENOMEM;
        }
        r->changes = more;
        more[r->change_count++] = *c;
        *c = (struct edit_change){ 0 };
        return 0;
}

/* "modified ID MODE SIZE DATA PATH" and "added ID TYPE MODE SIZE PATH [TARGET]". */
static int parse_present(const struct line *l, struct edit_change *c)
{
        bool added = c->kind == CHANGE_ADDED;
        uint64_t mode = 0, data = 1;
        int r = l->count == 6 || (l->count == 7 && added) ? take_number(l->words[1], 16, &c->id) : -EBADMSG;

        c->type = 'f';
        if (r == 0 && added)
                r = take_type(l->words[2], &c->type);
        if (r == 0)
                r = take_number(l->words[added ? 3 : 2], 8, &mode);
        if (r == 0)
                r = take_number(l->words[added ? 4 : 3], 10, &c->size);
        if (r == 0 && !added)
                r = take_number(l->words[4], 10, &data);
        if (r == 0 && (mode > 07777 || data > 1))
                r = -EBADMSG;
        c->mode = (unsigned)mode;
        c->data = data && c->type == 'f';
        if (r == 0 && l->count == 7)
                r = c->type == 'l' ? take_path(l->words[6], &c->target) : -EBADMSG;
        return r < 0 ? r : take_path(l->words[5], &c->path);
}

/* "removed ID TYPE PATH", "moved ID TYPE PATH ORIGIN [NEWEST]", "linked ID PATH ORIGIN". */
static int parse_name(const struct line *l, struct edit_change *c)
{
        bool typed = c->kind != CHANGE_LINKED, two = c->kind != CHANGE_REMOVED;
        size_t words = (size_t)(2 + typed + 1 + two);
        bool newest = c->kind == CHANGE_MOVED && l->count == words + 1;
        int r = l->count == words + newest ? take_number(l->words[1], 16, &c->id) : -EBADMSG;

        c->type = 'f';
        c->newest = UINT64_MAX;
        if (r == 0 && newest)
                r = take_number(l->words[words], 10, &c->newest);
        if (r == 0 && typed)
                r = take_type(l->words[2], &c->type);
        if (r == 0)
                r = take_path(l->words[2 + typed], &c->path);
        return r < 0 || !two ? r : take_path(l->words[3 + typed], &c->origin);
}

int edit_words_add(struct edit_words *w, char *word)
{
        char **more = word ? reallocarray(w->list, w->count + 1, sizeof(*more)) : NULL;

        if (!more) {
                free(word);
                return -ENOMEM;
        }
        w->list = more;
        more[w->count++] = word;
        return 0;
}

static int parse_word(const struct line *l, struct edit_words *w)
{
        char *word;
        int r = l->count == 2 ? take_path(l->words[1], &word) : -EBADMSG;

        return r < 0 ? r : edit_words_add(w, word);
}

/* A file that was replaced is told twice: the one that went, and the one that is back. */
static int parse_reverted(const struct line *l, struct edit_report *report)
{
        struct edit_words *w = &report->reverted;
        int r = parse_word(l, w);

        if (r == 0 && w->count > 1 && strcmp(w->list[w->count - 1], w->list[w->count - 2]) == 0)
                free(w->list[--w->count]);
        return r;
}

static int parse_kept(const struct line *l, struct edit_report *report)
{
        cleanup_buf struct buf whole = { 0 };
        uint64_t generation;
        int r = l->count == 3 ? take_number(l->words[1], 10, &generation) : -EBADMSG;

        if (r == 0)
                r = buf_printf(&whole, "%llu/", (unsigned long long)generation);
        if (r == 0)
                r = buf_add_unescaped(&whole, l->words[2], strlen(l->words[2]));
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        return edit_words_add(&report->kept, buf_steal(&whole));
}

static int parse_original(const struct line *l, struct edit_report *report)
{
        struct edit_original *more, o = { 0 };
        uint64_t mode;
        int r = l->count == 4 ? take_number(l->words[1], 16, &o.id) : -EBADMSG;

        if (r == 0)
                r = take_number(l->words[2], 8, &mode);
        if (r == 0)
                r = take_path(l->words[3], &o.path);
        if (r < 0)
                return r;
        o.mode = (unsigned)mode;
        more = reallocarray(report->originals, report->original_count + 1, sizeof(*more));
        if (!more) {
                free(o.path);
                return -ENOMEM;
        }
        report->originals = more;
        more[report->original_count++] = o;
        return 0;
}

static void conflict_release(struct edit_conflict *c)
{
        free(c->path);
        free(c->loser);
        free(c->winner);
}

static int parse_conflict(const struct line *l, struct edit_report *report)
{
        struct edit_conflict *more = reallocarray(report->conflicts, report->conflict_count + 1, sizeof(*more));
        struct edit_conflict c = { 0 };
        int r = more ? 0 : -ENOMEM;

        if (more)
                report->conflicts = more;
        if (r == 0)
                r = l->count == 4 ? take_path(l->words[1], &c.path) : -EBADMSG;
        if (r == 0)
                r = take_path(l->words[2], &c.loser);
        if (r == 0)
                r = take_path(l->words[3], &c.winner);
        if (r == 0)
                more[report->conflict_count++] = c;
        else
                conflict_release(&c);
        return r;
}

static int parse_blocked(const struct line *l, struct edit_report *report)
{
        uint32_t *more;
        uint64_t slot;
        int r = l->count == 2 ? take_number(l->words[1], 10, &slot) : -EBADMSG;

        if (r == 0 && (slot == 0 || slot >= ENVIRONMENT_SLOTS_MAX))
                r = -EBADMSG;
        if (r < 0)
                return r;
        more = reallocarray(report->blocked, report->blocked_count + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        report->blocked = more;
        more[report->blocked_count++] = (uint32_t)slot;
        return 0;
}

static int parse_change(const struct line *l, struct edit_report *report)
{
        static const char *const names[] = { "removed", "modified", "moved", "linked", "added" };
        struct edit_change c = { 0 };
        int r = -EBADMSG;

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if (strcmp(l->words[0], names[i]) != 0)
                        continue;
                c.kind = (enum edit_change_kind)i;
                r = c.kind == CHANGE_MODIFIED || c.kind == CHANGE_ADDED ? parse_present(l, &c) : parse_name(l, &c);
                if (r == 0)
                        r = take_change(report, &c);
        }
        change_release(&c);
        return r;
}

static int parse_line(char *text, struct edit_report *report)
{
        struct line l;

        split(text, &l);
        if (l.count > WORDS_MAX)
                return -EBADMSG;
        if (strcmp(l.words[0], "generation") == 0)
                return l.count == 2 ? take_number(l.words[1], 10, &report->generation) : -EBADMSG;
        if (strcmp(l.words[0], "kept") == 0)
                return parse_kept(&l, report);
        if (strcmp(l.words[0], "reverted") == 0)
                return parse_reverted(&l, report);
        if (strcmp(l.words[0], "bad") == 0)
                return parse_word(&l, &report->bad);
        if (strcmp(l.words[0], "base") == 0)
                return parse_word(&l, &report->base);
        if (strcmp(l.words[0], "conflicting") == 0)
                return parse_conflict(&l, report);
        if (strcmp(l.words[0], "original") == 0)
                return parse_original(&l, report);
        if (strcmp(l.words[0], "blocked") == 0)
                return parse_blocked(&l, report);
        return parse_change(&l, report);
}

int edit_report_parse(const char *text, size_t len, struct edit_report *ret, struct errtext *err)
{
        cleanup_free char *copy = strndup(text, len);
        struct edit_report report = { 0 };
        char *save = NULL, *line = copy ? strtok_r(copy, "\n", &save) : NULL;
        bool ended = false;
        int r = copy ? 0 : -ENOMEM;

        if (r == 0 && (!line || strcmp(line, EDITS_REPORT_HEAD) != 0))
                r = -EBADMSG;
        while (r == 0 && !ended && (line = strtok_r(NULL, "\n", &save))) {
                ended = strcmp(line, "end") == 0;
                if (!ended)
                        r = parse_line(line, &report);
        }
        if (r == 0 && !ended)
                r = -EBADMSG;
        if (r < 0) {
                edit_report_release(&report);
                return errtext_set(err, r,
                                   r == -ENOMEM ? "out of memory" : "the report on the edits is not what it should be");
        }
        *ret = report;
        return 0;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void edit_words_settle(struct edit_words *w)
{
        size_t n = 0;

        if (w->count)
                qsort(w->list, w->count, sizeof(*w->list), by_text);
        for (size_t i = 0; i < w->count; i++) {
                if (n && strcmp(w->list[i], w->list[n - 1]) == 0)
                        free(w->list[i]);
                else
                        w->list[n++] = w->list[i];
        }
        w->count = n;
}

void edit_words_release(struct edit_words *w)
{
        for (size_t i = 0; i < w->count; i++)
                free(w->list[i]);
        free(w->list);
        *w = (struct edit_words){ 0 };
}

void edit_report_release(struct edit_report *r)
{
        for (size_t i = 0; i < r->change_count; i++)
                change_release(&r->changes[i]);
        free(r->changes);
        for (size_t i = 0; i < r->original_count; i++)
                free(r->originals[i].path);
        free(r->originals);
        for (size_t i = 0; i < r->conflict_count; i++)
                conflict_release(&r->conflicts[i]);
        free(r->conflicts);
        edit_words_release(&r->kept);
        edit_words_release(&r->reverted);
        edit_words_release(&r->bad);
        edit_words_release(&r->base);
        free(r->blocked);
        *r = (struct edit_report){ 0 };
}

const struct edit_change *edit_report_find(const struct edit_report *r, const char *path, enum edit_change_kind kind)
{
        size_t low = 0, high = r->change_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (strcmp(r->changes[mid].path, path) < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        for (; low < r->change_count && strcmp(r->changes[low].path, path) == 0; low++)
                if (r->changes[low].kind == kind)
                        return &r->changes[low];
        return NULL;
}

bool edit_path_is_within(const char *path, const char *top)
{
        size_t len = strlen(top);

        return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

bool edit_path_is_generated(const char *path)
{
        size_t len = strlen(path);

        if (strncmp(path, "__pycache__/", 12) == 0 || strstr(path, "/__pycache__/") || strcmp(path, "__pycache__") == 0)
                return true;
        if (len > 12 && strcmp(path + len - 12, "/__pycache__") == 0)
                return true;
        return len > 4 && (strcmp(path + len - 4, ".nbi") == 0 || strcmp(path + len - 4, ".nbc") == 0);
}
