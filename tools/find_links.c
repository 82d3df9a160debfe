#include "tools/find_links.h"

#include "store/buf.h"
#include "store/wheel_name.h"
#include "tools/pep440.h"
#include "tools/tags.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

enum {
        NAMED_MAX = 8, /* versions or files that an error names */
};

/* A wheel of the name that is asked for. */
struct candidate {
        char *path;
        struct wheel_name name;
        struct pep440 version;
        bool fits;   /* the specifiers */
        size_t rank; /* of its tags; SIZE_MAX: they do not fit */
};

struct candidates {
        struct candidate *list;
        size_t count;
};

static void candidate_release(struct candidate *c)
{
        free(c->path);
        wheel_name_release(&c->name);
}

static void candidates_release(struct candidates *all)
{
        for (size_t i = 0; i < all->count; i++)
                candidate_release(&all->list[i]);
        free(all->list);
        *all = (struct candidates){ 0 };
}

static int candidates_add(struct candidates *all, struct candidate *c)
{
        struct candidate *list = reallocarray(all->list, all->count + 1, sizeof(*list));

        if (!list)
                return -ENOMEM;
        all->list = list;
        list[all->count++] = *c;
        *c = (struct candidate){ 0 };
        return 0;
}

static bool is_wheel(const char *file)
{
        size_t len = strlen(file);

        return len > 4 && !strcasecmp(file + len - 4, ".whl");
}

static const char *specifiers_of(const struct find_links_query *q)
{
        return q->specifiers ? q->specifiers : "";
}

/* Names that are no wheels' are passed over: the folder is the user's. */
static int consider(const char *folder, const char *file, const struct find_links_query *q, struct candidates *all,
                    struct errtext *err)
{
        struct candidate c = { .rank = SIZE_MAX };
        size_t len = strlen(folder);
        int r = 0;

        if (!is_wheel(file) || wheel_name_parse(file, &c.name, NULL) < 0)
                return 0;
        if (!name_equal(c.name.distribution, q->name) ||
            pep440_parse(c.name.version, strlen(c.name.version), &c.version) < 0) {
                candidate_release(&c);
                return 0;
        }
        /* Pre-releases are sorted out later: they count when there is nothing else. */
        r = version_matches(specifiers_of(q), c.name.version, true, &c.fits, err);
        if (!r && asprintf(&c.path, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", file) < 0) {
                c.path = NULL;
                r = -ENOMEM;
        }
        r = r < 0 ? r : candidates_add(all, &c);
        if (r < 0)
                candidate_release(&c);
        return r;
}

static int scan(const char *folder, const struct find_links_query *q, struct candidates *all, struct errtext *err)
{
        DIR *dir = opendir(folder);
        char why[128];
        int r = 0;

        if (!dir) {
                r = -errno;
                return errtext_set(err, r, "cannot read the folder of wheels '%s': %s", folder, errno_name(r, why));
        }
        for (struct dirent *d; r >= 0 && (d = readdir(dir));)
                r = consider(folder, d->d_name, q, all, err);
        closedir(dir);
        return r;
}

static int rank_all(struct candidates *all, struct interpreter *p, struct errtext *err)
{
        const struct tags *t = NULL;
        int r = 0;

        for (size_t i = 0; i < all->count && r >= 0 && !t; i++)
                if (all->list[i].fits && !tags_are_universal(&all->list[i].name))
                        r = interpreter_get_tags(p, &t, err);
        for (size_t i = 0; i < all->count && r >= 0; i++) {
                struct candidate *c = &all->list[i];

                if (!t)
                        c->rank = 0;
                else if (!tags_match(t, &c->name, &c->rank))
                        c->rank = SIZE_MAX;
        }
        return r;
}

/* "12b": by the number, then by the rest; none comes before any. */
static int compare_builds(const char *a, const char *b)
{
        unsigned long long x, y;
        char *rest_a, *rest_b;

        if (!a || !b)
                return (a != NULL) - (b != NULL);
        x = strtoull(a, &rest_a, 10);
        y = strtoull(b, &rest_b, 10);
        return x != y ? (x < y ? -1 : 1) : strcmp(rest_a, rest_b);
}

/* Positive when A is the better one; between equals the one of the earlier folder stays. */
static int compare_candidates(const struct candidate *a, const struct candidate *b)
{
        int c = pep440_compare(&a->version, &b->version);

        if (!c && a->rank != b->rank)
                c = a->rank < b->rank ? 1 : -1;
        return c ? c : compare_builds(a->name.build, b->name.build);
}

static struct candidate *best_of(struct candidates *all, const struct find_links_query *q, bool prereleases)
{
        struct candidate *best = NULL;

        for (size_t i = 0; i < all->count; i++) {
                struct candidate *c = &all->list[i];
                bool taken = false;

                if (!c->fits || c->rank == SIZE_MAX)
                        continue;
                if (version_matches(specifiers_of(q), c->name.version, prereleases, &taken, NULL) < 0 || !taken)
                        continue;
                if (!best || compare_candidates(c, best) > 0)
                        best = c;
        }
        return best;
}

static int describe_folders(const char *const *folders, size_t count, struct buf *ret)
{
        int r = 0;

        for (size_t i = 0; i < count && r >= 0; i++)
                r = buf_printf(ret, "%s'%s'", i ? ", " : "", folders[i]);
        return r;
}

/* The candidates' versions, or their files, as far as there is room. */
static int describe_candidates(const struct candidates *all, bool files, struct buf *ret)
{
        size_t named = 0;
        int r = 0;

        for (size_t i = 0; i < all->count && r >= 0 && named <= NAMED_MAX; i++) {
                const struct candidate *c = &all->list[i];

                if (files != c->fits)
                        continue;
                r = ret->len ? buf_add_str(ret, ", ") : 0;
                if (r >= 0)
                        r = buf_add_str(ret, named == NAMED_MAX ? "..." :
                                             files              ? strrchr(c->path, '/') + 1 :
                                                                  c->name.version);
                named++;
        }
        return r;
}

static int explain(const char *const *folders, size_t count, const struct find_links_query *q, struct interpreter *p,
                   const struct candidates *all, struct errtext *err)
{
        struct buf where cleanup_buf = { 0 }, found cleanup_buf = { 0 }, fitting cleanup_buf = { 0 };
        const char *specifiers = specifiers_of(q);
        const struct tags *t;
        bool any_fits = false;
        int r = describe_folders(folders, count, &where);

        for (size_t i = 0; i < all->count; i++)
                any_fits = any_fits || all->list[i].fits;
        r = r < 0 ? r : describe_candidates(all, any_fits, &found);
        if (r < 0)
                return r;
        if (!count)
                return errtext_set(err, -ENOENT, "there is no folder to look for a wheel of '%s%s' in", q->name,
                                   specifiers);
        if (!all->count)
                return errtext_set(err, -ENOENT, "there is no wheel of '%s' in %s", q->name, where.data);
        if (!any_fits)
                return errtext_set(err, -ENOENT, "there is no wheel of '%s%s' in %s: its versions there are %s",
                                   q->name, specifiers, where.data, found.data);
        r = interpreter_get_tags(p, &t, err);
        r = r < 0 ? r : tags_describe(t, &fitting);
        if (r < 0)
                return r;
        return errtext_set(err, -ENOENT, "no wheel of '%s%s' in %s is for this Python, which takes %s: there is %s",
                           q->name, specifiers, where.data, fitting.data, found.data);
}

int find_links_pick(const char *const *folders, size_t count, const struct find_links_query *q, struct interpreter *p,
                    char **ret_path, struct errtext *err)
{
        struct candidates all = { 0 };
        struct candidate *best = NULL;
        int r = 0;

        for (size_t i = 0; i < count && r >= 0; i++)
                r = scan(folders[i], q, &all, err);
        r = r < 0 ? r : rank_all(&all, p, err);
        if (r >= 0) {
                best = best_of(&all, q, q->prereleases);
                if (!best && !q->prereleases)
                        best = best_of(&all, q, true);
                if (best)
                        *ret_path = steal_ptr(best->path);
                else
                        r = explain(folders, count, q, p, &all, err);
        }
        candidates_release(&all);
        return r < 0 ? r : 0;
}
