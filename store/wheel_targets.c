#include "store/format.h"
#include "store/wheel_internal.h"
#include "store/wheel_name.h"

#include <stdio.h>
#include <strings.h>

static int refuse(struct errtext *err, struct span name, const char *why)
{
        return errtext_set(err, -EBADMSG, "the member '%.*s' %s", (int)name.len, name.data, why);
}

static bool starts_with(struct span s, const char *word)
{
        return s.len >= strlen(word) && memcmp(s.data, word, strlen(word)) == 0;
}

static bool equals_in_any_case(struct span s, const char *word)
{
        return s.len == strlen(word) && strncasecmp(s.data, word, s.len) == 0;
}

static bool ends_in_any_case(struct span s, const char *end)
{
        size_t len = strlen(end);

        return s.len >= len && strncasecmp(s.data + s.len - len, end, len) == 0;
}

static const char reserved_name[] = "has a name that is reserved for the interpreter and the venv's own scripts";

/* What a target is made from, on its way to its path. */
struct place {
        struct span member;   /* the whole name */
        const char *root;     /* "site", "data", "headers", "scripts" */
        struct span rest;     /* below it */
};

/* Cuts "NAME.data/KEY/" off.  Like pip, and unlike uv, any folder at the top that ends in .data is one. */
static int resolve(struct span member, struct place *ret, struct errtext *err)
{
        struct span rest = member;
        struct span first = wheel_cut_component(&rest);

        *ret = (struct place){ .member = member, .root = "site", .rest = member };
        if (!wheel_ends_with(first, ".data"))
                return 0;

        struct span below = rest;
        struct span key = below.data ? wheel_cut_component(&below) : (struct span){ "", 0 };

        if (!below.data)
                return refuse(err, member, "is a file outside of the folders that .data may have");
        ret->rest = below;
        if (span_is(key, "purelib") || span_is(key, "platlib"))
                ret->root = "site";
        else if (span_is(key, "data"))
                ret->root = "data";
        else if (span_is(key, "headers"))
                ret->root = "headers";
        else if (span_is(key, "scripts"))
                ret->root = "scripts";
        else
                return refuse(err, member, "is in a .data folder of an unknown kind");
        return 0;
}

static bool has_pycache(struct span path)
{
        while (path.data) {
                struct span part = wheel_cut_component(&path);

                if (span_is(part, "__pycache__") && path.data)
                        return true;
        }
        return false;
}

/* RET is whether it is left out. */
static int check_site(const struct wheel *w, const struct place *p, bool *ret, struct errtext *err)
{
        struct span rest = p->rest;
        struct span first = wheel_cut_component(&rest);
        bool in_data = p->rest.len != p->member.len;

        if (span_is(first, ".fusepkg") || span_is(first, ".fusepkg-data"))
                return refuse(err, p->member, "has a name that is reserved for fusepkg");
        if (in_data && ends_in_any_case(first, ".dist-info") && !span_is(first, w->dist_info))
                return refuse(err, p->member, "belongs to a second dist-info folder");
        *ret = has_pycache(p->rest);
        if (!span_is(first, w->dist_info))
                return 0;
        if (!rest.data)
                return refuse(err, p->member, "stands in the place of the dist-info folder");
        if (span_is(rest, "RECORD")) {
                if (in_data)
                        return refuse(err, p->member, "is a second RECORD");
                *ret = true;
        }
        /* They say how the wheel was installed, which it cannot know. */
        if (span_is(rest, "INSTALLER") || span_is(rest, "REQUESTED") || span_is(rest, "direct_url.json"))
                *ret = true;
        return 0;
}

/* The venv's own parts. */
static int check_data(const struct place *p, struct errtext *err)
{
        struct span rest = p->rest;
        struct span first = wheel_cut_component(&rest);
        struct span second = { "", 0 };
        bool is_bin = span_is(first, "bin");
        bool is_lib = span_is(first, "lib") || span_is(first, "lib64");

        if (rest.data) {
                struct span below = rest;

                second = wheel_cut_component(&below);
        }
        if (equals_in_any_case(first, "pyvenv.cfg"))
                return refuse(err, p->member, "would replace the venv's configuration");
        /* .lock: a symlink in its place could not be locked any more, by us or by uv. */
        if (span_is(first, ".fusepkg") || span_is(first, ".lock"))
                return refuse(err, p->member, "has a name that is reserved for fusepkg");
        if (!rest.data && (is_bin || is_lib || span_is(first, "include")))
                return refuse(err, p->member, "would replace a folder of the venv");
        if (is_bin && entry_point_reserved(second.data, second.len))
                return refuse(err, p->member, reserved_name);
        if (is_lib && (starts_with(second, "python") || starts_with(second, "pypy")))
                return refuse(err, p->member, "would lie in the folder of the interpreter's modules");
        return 0;
}

static bool is_entry_point(const struct wheel *w, struct span name)
{
        for (size_t i = 0; i < w->entry_points.count; i++)
                if (span_is(name, w->entry_points.points[i].name))
                        return true;
        return false;
}

/* What setuptools once made for entry points, and installers make themselves. */
static bool is_wrapper(const struct wheel *w, struct span name)
{
        static const char *const ends[] = { ".exe", "-script.py", ".pya", "" };

        for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
                if (ends_in_any_case(name, ends[i]))
                        return is_entry_point(w, (struct span){ name.data, name.len - strlen(ends[i]) });
        }
        return false;
}

static int check_script(const struct wheel *w, const struct place *p, bool *ret, struct errtext *err)
{
        if (memchr(p->rest.data, '/', p->rest.len))
                return refuse(err, p->member, "is in a folder below scripts, which may not have any");
        *ret = is_wrapper(w, p->rest);
        if (!*ret && entry_point_reserved(p->rest.data, p->rest.len))
                return refuse(err, p->member, reserved_name);
        return 0;
}

static int check_place(const struct wheel *w, const struct place *p, bool *ret_left_out, struct errtext *err)
{
        *ret_left_out = false;
        if (strcmp(p->root, "site") == 0)
                return check_site(w, p, ret_left_out, err);
        if (strcmp(p->root, "data") == 0)
                return check_data(p, err);
        if (strcmp(p->root, "scripts") == 0)
                return check_script(w, p, ret_left_out, err);
        return 0;
}

static int add_target(struct wheel *w, size_t member, const char *headers, struct errtext *err)
{
        cleanup_buf struct buf path = { 0 };
        struct place p = { 0 };
        bool left_out = false;
        int r = resolve(w->archive->members[member].name, &p, err);

        if (r == 0)
                r = check_place(w, &p, &left_out, err);
        if (r < 0 || left_out)
                return r;
        if (strcmp(p.root, "headers") == 0)
                r = buf_printf(&path, "headers/%s/%.*s", headers, (int)p.rest.len, p.rest.data);
        else
                r = buf_printf(&path, "%s/%.*s", p.root, (int)p.rest.len, p.rest.data);
        if (r == 0 && path.len > IMAGE_PATH_MAX)
                return refuse(err, p.member, "has a path that is too long");

        char *text = r == 0 ? buf_steal(&path) : NULL;

        if (!text)
                return errtext_set(err, -ENOMEM, "out of memory");
        w->targets[w->target_count++] = (struct wheel_target){ .member = member, .path = text };
        return 0;
}

static int compare_bytes(const void *a, const void *b)
{
        const struct wheel_target *x = a;
        const struct wheel_target *y = b;
        int c = strcmp(x->path, y->path);

        return c != 0 ? c : x->member < y->member ? -1 : x->member > y->member;
}

/* With the slash before all other bytes, what lies below a path follows it at once. */
static int compare_slash_first(const void *a, const void *b)
{
        const char *x = (*(const struct wheel_target *const *)a)->path;
        const char *y = (*(const struct wheel_target *const *)b)->path;

        while (*x && *x == *y) {
                x++;
                y++;
        }

        int c = *x == '\0' ? -1 : *x == '/' ? 0 : (unsigned char)*x;
        int d = *y == '\0' ? -1 : *y == '/' ? 0 : (unsigned char)*y;

        return c < d ? -1 : c > d;
}

static struct span member_name(const struct wheel *w, const struct wheel_target *t)
{
        return w->archive->members[t->member].name;
}

static int check_same_path(const struct wheel *w, const struct wheel_target *a, const struct wheel_target *b,
                           struct errtext *err)
{
        const struct archive_member *x = &w->archive->members[a->member];
        const struct archive_member *y = &w->archive->members[b->member];

        if (x->size == y->size && x->crc == y->crc)
                return 0;
        return errtext_set(err, -EBADMSG, "the members '%.*s' and '%.*s' are installed to one path and differ",
                           (int)x->name.len, x->name.data, (int)y->name.len, y->name.data);
}

static int check_conflicts(const struct wheel *w, struct errtext *err)
{
        cleanup_free const struct wheel_target **order = calloc(w->target_count + 1, sizeof *order);
        int r = 0;

        if (!order)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < w->target_count; i++)
                order[i] = &w->targets[i];
        qsort(order, w->target_count, sizeof *order, compare_slash_first);
        for (size_t i = 0; r == 0 && i + 1 < w->target_count; i++) {
                size_t len = strlen(order[i]->path);
                const char *next = order[i + 1]->path;

                if (strncmp(order[i]->path, next, len) != 0)
                        continue;
                if (next[len] == '\0')
                        r = check_same_path(w, order[i], order[i + 1], err);
                else if (next[len] == '/')
                        r = refuse(err, member_name(w, order[i]), "is installed where others need a folder");
        }
        return r;
}

int wheel_targets_fill(struct wheel *w, const char *distribution, struct errtext *err)
{
        cleanup_buf struct buf headers = { 0 };

        w->targets = calloc(w->archive->count + 1, sizeof *w->targets);
        if (!w->targets || name_normalize(distribution, strlen(distribution), &headers) < 0)
                return errtext_set(err, -ENOMEM, "out of memory");
        for (size_t i = 0; i < w->archive->count; i++) {
                int r = w->archive->members[i].is_dir ? 0 : add_target(w, i, headers.data, err);

                if (r < 0)
                        return r;
        }
        qsort(w->targets, w->target_count, sizeof *w->targets, compare_bytes);
        return check_conflicts(w, err);
}
